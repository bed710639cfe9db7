// SPDX-License-Identifier: MIT
#include "cli/bridge_verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "cli/bridged_client.h"
#include "cli/fabric.h"

size_t bridge_print_steps(const json_t *reply, const char *lead, FILE *to)
{
	const json_t *steps = json_object_get(reply, "steps");
	json_t *step;
	size_t i;

	json_array_foreach(steps, i, step)
		fprintf(to, "%s%s\n", lead, lan_text(step, "text"));
	return json_array_size(steps);
}

static json_t *steps_json(const json_t *reply)
{
	json_t *list = json_array(), *step;
	size_t i;

	json_array_foreach(json_object_get(reply, "steps"), i, step)
		json_array_append(list, json_object_get(step, "text"));
	return list;
}

void bridge_print_json(const char *lan, const char *state, const json_t *entry, const json_t *reply, const struct dhcp_hint *hint)
{
	_cleanup_json_ json_t *said = json_pack("{ss so}", "lan", lan, "steps", steps_json(reply));
	json_t *left = json_object_get(reply, "seconds_left");

	if (state)
		json_object_set_new(said, "state", json_string(state));
	if (entry) {
		json_object_set(said, "bridge", json_object_get(entry, "bridge"));
		json_object_set(said, "uplink", json_object_get(entry, "uplink"));
	}
	if (json_is_integer(left))
		json_object_set(said, "seconds_left", left);
	if (hint)
		json_object_set_new(said, "dhcp_clients", dhcp_hint_json(hint));
	json_dumpf(said, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
}

int bridge_print_plan(int fd, const char *lan, bool down, bool json)
{
	_cleanup_json_ json_t *reply = NULL;

	if (bridged_call(fd, "Plan", json_pack("{s:s, s:b}", "lan", lan, "down", down), &reply) < 0)
		return EXIT_FAILURE;
	if (json)
		bridge_print_json(lan, NULL, NULL, reply, NULL);
	else if (!bridge_print_steps(reply, "", stdout))
		printf("LAN %s: nothing to do\n", lan);
	return EXIT_SUCCESS;
}

/* Root's connection to the service, which is started if need be. Return: a descriptor, or negative errno after a message. */
static int connect_as_root(const char *words, const char *lan)
{
	int r = fabric_need_root(words, lan);

	return r < 0 ? r : bridged_connect(LAN_START);
}

static void say_up(const char *lan, const json_t *entry, size_t steps)
{
	printf("LAN %s is %sup: bridge %s", lan, steps ? "" : "already ", lan_text(entry, "bridge"));
	if (*lan_text(entry, "uplink"))
		printf(" on %s", lan_text(entry, "uplink"));
	if (steps)
		printf("; %zu step%s taken", steps, steps == 1 ? "" : "s");
	putchar('\n');
}

/* The service's entry of a LAN. @status: keeps it. Return: borrowed; NULL if there is none. */
static const json_t *ask_entry(int fd, const char *lan, json_t **status)
{
	char error[VARLINK_ERROR_SIZE];

	return bridged_try(fd, "Status", NULL, status, error) ? NULL : bridged_lan(*status, lan);
}

/* @hint: of a restart, what is known of the clients of the bridge that was there before */
static int up(int fd, const char *lan, bool json, struct dhcp_hint *hint)
{
	_cleanup_json_ json_t *reply = NULL, *status = NULL;
	const json_t *entry;

	if (bridged_call(fd, "Up", json_pack("{s:s}", "lan", lan), &reply) < 0)
		return EXIT_FAILURE;
	entry = ask_entry(fd, lan, &status);
	if (hint->facts.client_count)
		dhcp_hint_down(hint, lan_text(entry, "bridge"));
	if (!hint->found.count)
		dhcp_hint_up(hint, lan_text(entry, "bridge"));
	if (json) {
		bridge_print_json(lan, "up", entry, reply, hint);
		return EXIT_SUCCESS;
	}
	say_up(lan, entry, json_array_size(json_object_get(reply, "steps")));
	dhcp_hint_print(hint, stdout);
	return EXIT_SUCCESS;
}

int bridge_up(const char *lan, const struct bridge_options *o)
{
	_cleanup_fd_ int fd = connect_as_root(o->dry_run ? "up --dry-run" : "up", lan);
	struct dhcp_hint hint = { 0 };
	int status;

	if (fd < 0)
		return EXIT_FAILURE;
	status = o->dry_run ? bridge_print_plan(fd, lan, false, o->json) : up(fd, lan, o->json, &hint);
	dhcp_hint_fini(&hint);
	return status;
}

/* Return: 0, with the steps that were taken, or negative errno after a message. */
static int down(int fd, const char *lan, bool force, json_t **reply)
{
	char error[VARLINK_ERROR_SIZE], text[1024];
	int r = bridged_try(fd, "Down", json_pack("{s:s, s:b}", "lan", lan, "force", force), reply, error);

	if (r == VARLINK_ERROR)
		log_error("%s%s", bridged_error_text(error, *reply, text, sizeof(text)),
			  strcmp(error, "Busy") || force ? "" :
			  "; hospes stop ends a guest, hospes down --keep-guests takes the network from under all");
	return r == VARLINK_ERROR ? -EREMOTEIO : r;
}

static int down_and_say(int fd, const char *lan, const struct bridge_options *o, struct dhcp_hint *hint)
{
	_cleanup_json_ json_t *reply = NULL, *status = NULL;
	const json_t *entry = ask_entry(fd, lan, &status);
	size_t steps;

	dhcp_hint_before_down(hint, lan_text(entry, "bridge"));
	if (down(fd, lan, o->force, &reply) < 0)
		return EXIT_FAILURE;
	steps = json_array_size(json_object_get(reply, "steps"));
	if (steps)
		dhcp_hint_down(hint, lan_text(entry, "uplink"));
	if (o->json)
		bridge_print_json(lan, "down", entry, reply, hint);
	else if (steps)
		printf("LAN %s is down; everything is as it was before (%zu step%s)\n", lan, steps, steps == 1 ? "" : "s");
	else
		printf("LAN %s is down already\n", lan);
	if (!o->json)
		dhcp_hint_print(hint, stdout);
	return EXIT_SUCCESS;
}

/*
 * A LAN that is down needs no service to be started for it, unless a crash left something: its journal says so, and only the
 * service reads that.
 */
int bridge_down(const char *lan, const struct bridge_options *o)
{
	_cleanup_fd_ int fd = connect_as_root(o->dry_run ? "down --dry-run" : "down", lan);
	struct dhcp_hint hint = { 0 };
	int status;

	if (fd < 0)
		return EXIT_FAILURE;
	status = o->dry_run ? bridge_print_plan(fd, lan, true, o->json) : down_and_say(fd, lan, o, &hint);
	dhcp_hint_fini(&hint);
	return status;
}

static int restart(int fd, const char *lan, const struct bridge_options *o, struct dhcp_hint *hint)
{
	_cleanup_json_ json_t *reply = NULL, *status = NULL;

	if (o->dry_run)
		return bridge_print_plan(fd, lan, true, o->json) || bridge_print_plan(fd, lan, false, o->json);
	dhcp_hint_before_down(hint, lan_text(ask_entry(fd, lan, &status), "bridge"));
	return down(fd, lan, o->force, &reply) < 0 ? EXIT_FAILURE : up(fd, lan, o->json, hint);
}

int bridge_restart(const char *lan, const struct bridge_options *o)
{
	_cleanup_fd_ int fd = connect_as_root(o->dry_run ? "restart --dry-run" : "restart", lan);
	struct dhcp_hint hint = { 0 };
	int status = fd < 0 ? EXIT_FAILURE : restart(fd, lan, o, &hint);

	dhcp_hint_fini(&hint);
	return status;
}

/* Up is idempotent: it takes the steps between what is and what the file says. */
int bridge_reload(const char *lan, const struct bridge_options *o)
{
	_cleanup_json_ json_t *status = NULL, *reply = NULL;
	_cleanup_fd_ int fd = connect_as_root(o->dry_run ? "reload --dry-run" : "reload", lan);
	const json_t *found, *changes;
	json_t *change;
	size_t i;

	if (fd < 0 || bridged_call(fd, "Status", NULL, &status) < 0)
		return EXIT_FAILURE;
	found = bridged_lan(status, lan);
	if (!found || !strcmp(lan_text(found, "state"), "down")) {
		log_error("LAN %s is down, so there is nothing to reload; hospes up %s starts it with its file as it is now", lan, lan);
		return EXIT_FAILURE;
	}
	if (o->dry_run)
		return bridge_print_plan(fd, lan, false, o->json);
	if (bridged_call(fd, "Up", json_pack("{s:s}", "lan", lan), &reply) < 0)
		return EXIT_FAILURE;
	changes = json_object_get(reply, "changes");
	json_array_foreach(changes, i, change)
		printf("%s\n", json_string_value(change));
	if (!bridge_print_steps(reply, "", stdout) && !json_array_size(changes))
		printf("LAN %s: nothing to change\n", lan);
	return EXIT_SUCCESS;
}
