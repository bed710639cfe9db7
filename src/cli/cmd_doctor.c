// SPDX-License-Identifier: MIT
/* hospes doctor: what is wrong, why, where it was read, and the remedy */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/fabric.h"
#include "cli/guest_ref.h"
#include "cli/kvm.h"
#include "cli/lan_client.h"
#include "doctor/check.h"
#include "doctor/gather.h"
#include "doctor/probe.h"
#include "doctor/report.h"

struct doctor {
	const char *lan, *bridge;
	bool json, probe;
	struct facts facts;
};

static void keep_owner(struct facts *f, const struct bridge_tap *tap)
{
	struct owner_wish *wish = facts_add(f, owners, owner_count);
	struct passwd *account = getpwnam(tap->owner);

	if (!wish)
		return;
	snprintf(wish->tap, sizeof(wish->tap), "%s", tap->name);
	snprintf(wish->user, sizeof(wish->user), "%s", tap->owner);
	wish->uid = account ? (int64_t)account->pw_uid : -1;
}

/* What the LAN's file says of its bridge. */
static int read_config(struct doctor *d)
{
	struct target *t = &d->facts.target;
	_cleanup_(lan_config_freep) struct lan_config *config = NULL;
	char error[512];
	int r;

	t->config = lan_config_find(t->lan);
	r = lan_config_load(&config, t->lan, t->config, error, sizeof(error));
	if (r < 0) {
		log_error("%s", error);
		return r == -EINVAL ? -EBADMSG : r;
	}
	if (config->fabric != FABRIC_BRIDGE)
		return 0;
	snprintf(t->bridge, sizeof(t->bridge), "%s", *config->bridge.bridge ? config->bridge.bridge : t->lan);
	snprintf(t->uplink, sizeof(t->uplink), "%s", config->bridge.uplink);
	t->nat = config->bridge.nat;
	t->isolated = config->bridge.isolated;
	for (size_t i = 0; i < config->bridge.tap_count; i++)
		keep_owner(&d->facts, &config->bridge.taps[i]);
	return 0;
}

/* A LAN and perhaps a guest, or a bridge. Return: 0, -EINVAL after a message (the command line), or another negative errno after one. */
static int choose(struct doctor *d, const struct args *args)
{
	struct target *t = &d->facts.target;
	struct guest_ref ref = { 0 };
	char error[256];

	if (args->count > 1 || args->rest_count)
		return cli_wrong("doctor", "one guest at a time"), -EINVAL;
	if (d->bridge && (d->lan || args->count))
		return cli_wrong("doctor", "a bridge by itself has no LAN and no guests by name: --bridge stands alone"), -EINVAL;
	t->probe = d->probe;
	if (d->bridge) {
		if (!link_name_possible(d->bridge))
			return cli_wrong("doctor", "\"%s\" is no name of a bridge", d->bridge), -EINVAL;
		snprintf(t->bridge, sizeof(t->bridge), "%s", d->bridge);
		return 0;
	}
	if (args->count && guest_ref_parse(&ref, args->words[0], error, sizeof(error)) < 0)
		return cli_wrong("doctor", "%s", error), -EINVAL;
	if (!d->lan)
		d->lan = *ref.lan ? ref.lan : LAN_DEFAULT;
	if (lan_name_check(d->lan) < 0)
		return -EINVAL;
	snprintf(t->lan, sizeof(t->lan), "%s", d->lan);
	snprintf(t->guest, sizeof(t->guest), "%.*s", (int)sizeof(t->guest) - 1, ref.guest);
	return read_config(d);
}

/* A small guest is run once for it; the answer is kept. */
static void try_kvm(struct facts *f)
{
	const struct device_fact *kvm = facts_device(f, "/dev/kvm");
	const char *decided = getenv("HOSPES_ACCEL");
	struct qemu_program qemu;
	enum accel accel;

	/* With HOSPES_ACCEL, somebody has decided already; an empty one is none. */
	if (!kvm || !kvm->opens || (decided && *decided))
		return;
	if (qemu_find(&qemu) < 0 || kvm_choose(&qemu, &accel) < 0) {
		facts_gap(f, "whether KVM works", "it takes a QEMU to try it");
		return;
	}
	f->kvm = accel == ACCEL_KVM ? KVM_WORKS : KVM_BROKEN;
}

static int print(const struct doctor *d, const struct findings *found)
{
	json_t *json;

	if (!d->json) {
		report_text(&d->facts, found, stdout);
		return 0;
	}
	json = report_json(&d->facts, found);
	if (!json)
		return -ENOMEM;
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(json);
	return 0;
}

static int examine(struct doctor *d)
{
	_cleanup_findings_ struct findings found = { 0 };
	int r = facts_gather(&d->facts);

	if (!r && d->probe)
		r = probe_run(&d->facts);
	if (!r) {
		try_kvm(&d->facts);
		checks_run(&d->facts, &found);
		r = found.failed ? -ENOMEM : print(d, &found);
	}
	if (r < 0) {
		log_error("cannot examine the network: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	return findings_worst(&found) > SEVERITY_NOTE ? EXIT_FAILURE : EXIT_SUCCESS;
}

int cmd_doctor(int argc, char **argv)
{
	struct doctor d = { 0 };
	const struct args_option options[] = {
		ARGS_LAN(&d.lan),
		{ "bridge", 'b', .value = &d.bridge },
		{ "json", 'j', .flag = &d.json },
		{ "probe", 'p', .flag = &d.probe },
		{ 0 }
	};
	struct args args;
	int r;

	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0)
		return EXIT_USAGE;
	r = choose(&d, &args);
	r = r < 0 ? (r == -EINVAL || r == -EBADMSG ? EXIT_USAGE : EXIT_FAILURE) : examine(&d);
	facts_fini(&d.facts);
	return r;
}
