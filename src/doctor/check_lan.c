// SPDX-License-Identifier: MIT
/* A LAN of ours: its daemon, its guests, forwards and drops. */
#include "doctor/check.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/drop.h"

void check_daemon(const struct facts *f, struct findings *out)
{
	const struct lan_facts *lan = &f->lan;
	bool own = check_is_user_lan(f);
	const char *sudo = own ? "" : check_sudo(f);
	const char *start = own ? say(out, "hospes up %s", f->target.lan) : say(out, "%ssystemctl restart hospes-bridged", sudo);

	if (lan->state == LAN_DEAD)
		findings_add(out, (struct finding){
			.severity = SEVERITY_ERROR,
			.symptom = say(out, "LAN %s is down, though its sockets are there: a QEMU that connects to them is refused",
				       f->target.lan),
			.cause = "its daemon has ended without tidying up",
			.where = say(out, "%s: connection refused", lan->control),
			.remedy = start,
		});
	else if (lan->state == LAN_SILENT)
		findings_add(out, (struct finding){
			.severity = SEVERITY_ERROR,
			.symptom = say(out, "LAN %s does not answer", f->target.lan),
			.cause = "its daemon takes the connection but says nothing: it is stopped, or hangs",
			.where = say(out, "%s", lan->control),
			.remedy = lan->pid ? say(out, "%skill -KILL %d; sleep 1; %s", sudo, lan->pid, start) : NULL,
			.advice = lan->pid ? "kill -CONT first, if somebody has only stopped it" : "find its process and end it",
		});
}

/* --- guests --- */

static bool is_guest(const struct guest_fact *g, const char *text)
{
	struct mac mac;
	addr_t a;

	if (*g->name && !strcasecmp(g->name, text))
		return true;
	if (mac_parse(text, &mac) && mac_equal(mac, g->mac))
		return true;
	for (size_t i = 0; addr_parse(text, &a) && i < g->count; i++)
		if (addr_equal(g->addresses[i], a))
			return true;
	return false;
}

static const struct guest_fact *find_guest(const struct facts *f, const char *text)
{
	for (size_t i = 0; i < f->lan.guest_count; i++)
		if (is_guest(&f->lan.guests[i], text))
			return &f->lan.guests[i];
	return NULL;
}

static const char *guest_name(struct findings *out, const struct guest_fact *g)
{
	char mac[MAC_TEXT_SIZE];

	return say(out, "%s", *g->name ? g->name : mac_format(g->mac, mac));
}

/* "hospes", with the LAN where it is not the default one */
static const char *hospes(const struct facts *f, struct findings *out)
{
	return strcmp(f->target.lan, "default") ? say(out, "hospes -l %s", f->target.lan) : "hospes";
}

void check_guest_known(const struct facts *f, struct findings *out)
{
	const struct guest_fact *g;

	if (!*f->target.guest || f->lan.state != LAN_UP)
		return;
	g = find_guest(f, f->target.guest);
	if (g && g->attached)
		return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.symptom = say(out, "guest %s cannot be reached", f->target.guest),
		.cause = g ? "it is known, but not attached: its QEMU does not run, or has lost its connection" :
			"the LAN knows no such guest",
		.where = say(out, "%s ls", hospes(f, out)),
		.advice = g ? "start it (again)" :
			say(out, "start it with %s run --name %s IMAGE, or see %s ls for who is there", hospes(f, out),
			    findings_quote(out, f->target.guest), hospes(f, out)),
	});
}

void check_no_lease(const struct facts *f, struct findings *out)
{
	for (size_t i = 0; i < f->lan.guest_count; i++) {
		const struct guest_fact *g = &f->lan.guests[i];
		bool has4 = g->leased;

		for (size_t k = 0; k < g->count; k++)
			has4 |= addr_is4(g->addresses[k]);
		if (!g->attached || has4)
			continue;
		findings_add(out, (struct finding){
			.severity = SEVERITY_WARNING,
			.guest = guest_name(out, g),
			.symptom = say(out, "guest %s is attached, but has no IPv4 address", guest_name(out, g)),
			.cause = "it has not asked for one by DHCP: it is still starting, or its network card is not configured",
			.where = say(out, "%s ls", hospes(f, out)),
			.advice = "inside the guest, ip link shows its card; dhclient CARD or udhcpc -i CARD asks for an address",
		});
	}
}

static void same_address(struct findings *out, const char *where, addr_t addr, const char *a, const char *b)
{
	char text[ADDR_TEXT_SIZE];

	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.symptom = say(out, "connections to %s reach now one guest, now another, and break", addr_format(addr, text)),
		.cause = say(out, "%s and %s both use the address %s", a, b, text),
		.where = where,
		.advice = "give one of them another address, inside the guest; where both have a lease for it, there are two DHCP servers "
			"(hospes doctor --probe)",
	});
}

static void compare_guests(struct findings *out, const char *where, const struct guest_fact *a, const struct guest_fact *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < b->count; k++)
			if (addr_equal(a->addresses[i], b->addresses[k]))
				same_address(out, where, a->addresses[i], guest_name(out, a), guest_name(out, b));
}

static const char *name_of(const struct facts *f, struct findings *out, struct mac mac)
{
	char text[MAC_TEXT_SIZE];

	for (size_t i = 0; i < f->lan.guest_count; i++)
		if (mac_equal(f->lan.guests[i].mac, mac))
			return guest_name(out, &f->lan.guests[i]);
	return say(out, "%s", mac_format(mac, text));
}

static void one_lease(const struct facts *f, struct findings *out, const struct clash_fact *clash)
{
	const char *holder = name_of(f, out, clash->holder), *second = name_of(f, out, clash->second);
	char text[ADDR_TEXT_SIZE];

	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.symptom = say(out, "guest %s reaches nobody by its address %s", second, addr_format(clash->addr, text)),
		.cause = say(out, "the network's DHCP server gave one lease to two guests, and it is %s's: clones of one image call themselves the "
			     "same (machine-id), and get the same address", holder),
		.where = say(out, "acknowledgements to %s and %s (Status, lease_clashes)", holder, second),
		.advice = say(out, "inside %s: rm -f /etc/machine-id /var/lib/dbus/machine-id /var/lib/dhcp/*; systemd-machine-id-setup; reboot", second),
	});
}

void check_duplicate_address(const struct facts *f, struct findings *out)
{
	const struct probe_facts *p = &f->probe;

	for (size_t i = 0; i < f->lan.clash_count; i++)
		one_lease(f, out, &f->lan.clashes[i]);
	for (size_t i = 0; i < f->lan.guest_count; i++)
		for (size_t k = 0; k < i; k++)
			compare_guests(out, say(out, "%s ls", hospes(f, out)), &f->lan.guests[k], &f->lan.guests[i]);
	for (size_t i = 0; i < p->address_count; i++)
		for (size_t k = 0; k < i; k++) {
			char one[MAC_TEXT_SIZE], other[MAC_TEXT_SIZE];

			if (addr_equal(p->addresses[i].addr, p->addresses[k].addr) && !mac_equal(p->addresses[i].mac, p->addresses[k].mac))
				same_address(out, "answers to an ARP request of our own (--probe)", p->addresses[i].addr,
					     mac_format(p->addresses[k].mac, one), mac_format(p->addresses[i].mac, other));
		}
}

void check_forward_away(const struct facts *f, struct findings *out)
{
	for (size_t i = 0; i < f->lan.forward_count; i++) {
		const struct forward_fact *w = &f->lan.forwards[i];
		const struct guest_fact *g = find_guest(f, w->guest);

		if (g && g->attached)
			continue;
		findings_add(out, (struct finding){
			.severity = SEVERITY_WARNING,
			.guest = say(out, "%s", g && *g->name ? g->name : w->guest),
			.symptom = say(out, "who connects to %s on this host is cut off", w->listen),
			.cause = say(out, "it is handed to %s, and that guest is %s", w->to, g ? "away" : "not known"),
			.where = say(out, "%s forward ls", hospes(f, out)),
			.remedy = say(out, "%s forward rm %s", hospes(f, out), findings_quote(out, w->listen)),
			.advice = "or start the guest",
		});
	}
}

/* --- drops --- */

#define MISSED_AT_START 32   /* frames, of those that come before a guest's driver runs */

struct drop_word {
	enum drop reason;
	enum severity severity;
	uint64_t one_in;     /* worth a word if so many frames or fewer were sent for each that was dropped; 0: always */
	const char *advice;
};

static const struct drop_word drop_words[] = {
	{ DROP_PORT_FULL, SEVERITY_NOTE, 100, "the guest does not keep up: give it more processors, or fewer broadcasts" },
	{ DROP_SPOOFED_MAC, SEVERITY_WARNING, 0,
		"inside the guest, somebody sends with another's MAC (a bridge, nested guests, a forger): each guest needs its own" },
	{ DROP_SPOOFED_IP, SEVERITY_WARNING, 0,
		"inside the guest, look for a fixed address or a network that is not this LAN's: ip address" },
	{ DROP_MAC_TABLE_FULL, SEVERITY_WARNING, 0, "inside a guest, something makes up MACs" },
	{ DROP_POOL_EXHAUSTED, SEVERITY_ERROR, 0,
		"write a larger network into the LAN's file (IPv4 = 10.7.0.0/16), then type hospes restart LAN" },
	{ DROP_FLOW_TABLE_FULL, SEVERITY_WARNING, 0,
		"look in the guests for a program that opens connections without end: a LAN carries 65536 at the most; where the LAN's file has a "
		"smaller number (Flows), write a larger one, then type hospes restart LAN" },
	{ DROP_NO_DESCRIPTOR, SEVERITY_WARNING, 0, "raise the limit of open files (ulimit -Hn) before hospes up" },
};

static void judge_drop(const struct facts *f, struct findings *out, const struct drop_fact *d, const struct drop_word *w)
{
	const char *who = *d->guest ? say(out, "guest %s", d->guest) : say(out, "port %lld (%s)", (long long)d->port, d->kind);

	if (w->one_in && (d->frames < MISSED_AT_START || d->sent / w->one_in >= d->frames))
		return;
	findings_add(out, (struct finding){
		.severity = w->severity,
		.guest = *d->guest ? say(out, "%s", d->guest) : NULL,
		.symptom = say(out, "%llu frames of %s were dropped", (unsigned long long)d->frames, who),
		.cause = drop_text(w->reason),
		.where = say(out, "%s ls --drops: %s", hospes(f, out), d->reason),
		.advice = w->advice,
	});
}

void check_drops(const struct facts *f, struct findings *out)
{
	for (size_t i = 0; i < f->lan.drop_count; i++)
		for (size_t k = 0; k < ARRAY_SIZE(drop_words); k++)
			if (!strcmp(f->lan.drops[i].reason, drop_name(drop_words[k].reason)))
				judge_drop(f, out, &f->lan.drops[i], &drop_words[k]);
}

/* --- what guests reach of the host --- */

void check_host_address(const struct facts *f, struct findings *out)
{
	const char *lan = f->target.lan, *file = f->target.config;

	if (!f->net || strcmp(f->lan.host_access, "lan"))
		return;
	for (size_t i = 0; i < f->net->address_count; i++)
		if (facts_counts_address(&f->net->addresses[i]))
			return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_WARNING,
		.symptom = "guests reach no service of this host",
		.cause = "HostAccess is lan: what the host offers to its network, and it has no address on any network",
		.where = "ip address",
		.remedy = file ? NULL :
			say(out, "mkdir -p ~/.config/hospes && printf '[LAN]\\nHostAccess = full\\n' >~/.config/hospes/%s.lan && "
			    "hospes reload %s", lan, lan),
		.advice = file ? say(out, "write HostAccess = full into %s, then type hospes reload %s", file, lan) :
			"what listens on loopback is then open to guests, too",
	});
}
