// SPDX-License-Identifier: MIT
/* What this machine lets a user do: devices, namespaces, ping sockets, name service. */
#include "doctor/check.h"

#include <stdio.h>
#include <string.h>

#define ALL_READ_WRITE 0666
#define GROUP_READ_WRITE 0060

/* Let the user in: through the device's group, if it has one that may, else everybody. */
static const char *open_device(const struct facts *f, struct findings *out, const struct device_fact *d, const char **advice)
{
	if ((d->mode & GROUP_READ_WRITE) == GROUP_READ_WRITE && d->gid && *d->group_name) {
		*advice = "it holds from your next login on";
		return say(out, "%susermod -aG %s %s", check_sudo(f), findings_quote(out, d->group_name), findings_quote(out, f->user));
	}
	*advice = "until the machine is started again; a udev rule keeps it";
	return say(out, "%schmod %04o %s", check_sudo(f), ALL_READ_WRITE, d->path);
}

static void cannot_open(const struct facts *f, struct findings *out, const struct device_fact *d, const char *symptom)
{
	const char *advice, *remedy = open_device(f, out, d, &advice);

	findings_add(out, (struct finding){
		.severity = SEVERITY_WARNING, .symptom = symptom,
		.cause = say(out, "%s does not open for %s: %s (its mode is %04o)", d->path, f->user, strerror(d->error), d->mode),
		.where = d->path, .remedy = remedy, .advice = advice,
	});
}

void check_tun_device(const struct facts *f, struct findings *out)
{
	const struct device_fact *d = facts_device(f, "/dev/net/tun");
	const char *symptom = check_is_user_lan(f) ? "hospes exec cannot put a program on the LAN" :
		"a QEMU of yours cannot take a tap by its name";

	if (!d || d->opens)
		return;
	if (d->there) {
		cannot_open(f, out, d, symptom);
		return;
	}
	findings_add(out, (struct finding){
		.severity = SEVERITY_WARNING, .symptom = symptom, .cause = "/dev/net/tun is not there", .where = d->path,
		.remedy = say(out, "%smodprobe tun", check_sudo(f)),
	});
}

void check_kvm(const struct facts *f, struct findings *out)
{
	const struct device_fact *d = facts_device(f, "/dev/kvm");
	const char *symptom = "guests run slowly: their processor is emulated";

	if (!d)
		return;
	if (!d->there)
		findings_add(out, (struct finding){
			.severity = f->processor_can ? SEVERITY_WARNING : SEVERITY_NOTE, .symptom = symptom,
			.cause = f->processor_can ? "the processor could, but the kernel's module is not loaded" :
				"this machine offers no hardware virtualisation",
			.where = "/dev/kvm, /proc/cpuinfo",
			.remedy = f->processor_can ? say(out, "%smodprobe %s", check_sudo(f), f->processor_module) : NULL,
			.advice = f->processor_can ? NULL : "switch it on in the firmware, or, in a virtual machine, at its own host",
		});
	else if (!d->opens)
		cannot_open(f, out, d, symptom);
	else if (f->kvm == KVM_BROKEN)
		findings_add(out, (struct finding){
			.severity = SEVERITY_NOTE, .symptom = symptom,
			.cause = "/dev/kvm opens, but a guest does not really run there",
			.where = "a small guest of our own, tried on /dev/kvm",
			.advice = "hospes runs guests without it; give your own QEMUs -accel tcg",
		});
}

void check_vhost_net(const struct facts *f, struct findings *out)
{
	const struct device_fact *d = facts_device(f, "/dev/vhost-net");

	if (!d || d->there)
		return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_NOTE,
		.symptom = "frames of guests behind taps go through QEMU, one more copy each",
		.cause = "/dev/vhost-net is not there", .where = d->path,
		.remedy = say(out, "%smodprobe vhost_net", check_sudo(f)),
		.advice = "a QEMU uses it with vhost=on; where the kernel has no such module, nothing helps, and nothing is wrong",
	});
}

void check_ping_sockets(const struct facts *f, struct findings *out)
{
	const char *text = facts_sysctl_text(f, "net/ipv4/ping_group_range");
	unsigned long first, last;

	if (!text || sscanf(text, "%lu %lu", &first, &last) != 2)
		return;
	for (size_t i = 0; i < f->group_count; i++)
		if (f->groups[i] >= first && f->groups[i] <= last)
			return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_WARNING,
		.symptom = "guests get no answer when they ping other machines",
		.cause = say(out, "no group of %s may make ping sockets: the range is %lu to %lu", f->user, first, last),
		.where = "/proc/sys/net/ipv4/ping_group_range",
		.remedy = say(out, "%ssysctl -w net.ipv4.ping_group_range='0 2147483647'", check_sudo(f)),
	});
}

struct gate { const char *key; long shut; const char *open; };

static const struct gate gates[] = {
	{ "user/max_user_namespaces", 0, "user.max_user_namespaces=15000" },
	{ "kernel/unprivileged_userns_clone", 0, "kernel.unprivileged_userns_clone=1" },
	{ "kernel/apparmor_restrict_unprivileged_userns", 1, "kernel.apparmor_restrict_unprivileged_userns=0" },
};

void check_user_namespaces(const struct facts *f, struct findings *out)
{
	const char *symptom = "hospes exec cannot put a program on the LAN";
	size_t found = 0;

	if (f->root)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(gates); i++) {
		const struct gate *g = &gates[i];

		if (!facts_sysctl_text(f, g->key) || facts_sysctl(f, g->key, 0) != g->shut)
			continue;
		found++;
		findings_add(out, (struct finding){
			.severity = SEVERITY_WARNING, .symptom = symptom,
			.cause = say(out, "users may not make user namespaces: %s is %ld", g->key, g->shut),
			.where = say(out, "/proc/sys/%s", g->key),
			.remedy = say(out, "%ssysctl -w %s", check_sudo(f), g->open),
		});
	}
	if (!found && f->userns_error)
		findings_add(out, (struct finding){
			.severity = SEVERITY_WARNING, .symptom = symptom,
			.cause = say(out, "making a user namespace fails: %s", strerror(-f->userns_error)),
			.where = "unshare(CLONE_NEWUSER), tried",
			.advice = "a container or a security module forbids it: ask whoever runs this machine",
		});
}

void check_resolver(const struct facts *f, struct findings *out)
{
	const struct link_route *r = facts_default_route(f, true);
	char text[ADDR_TEXT_SIZE];
	const char *remedy = NULL;

	if (!f->resolver_read || f->nameservers)
		return;
	if (f->resolved_stub)
		remedy = say(out, "%sln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf", check_sudo(f));
	else if (r && !addr_is_any(r->gateway))
		remedy = say(out, "echo nameserver %s | %stee -a /etc/resolv.conf", addr_format(r->gateway, text), check_sudo(f));
	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.symptom = "guests find no name but each other's",
		.cause = "the host itself knows no name server", .where = "/etc/resolv.conf: no line \"nameserver ADDRESS\"",
		.remedy = remedy,
		.advice = !remedy ? "write the address of your network's name server there" :
			f->resolved_stub ? NULL : "the router usually knows; if it does not, ask for the right address",
	});
}
