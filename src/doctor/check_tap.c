// SPDX-License-Identifier: MIT
/* Taps and the network cards behind them. */
#include "doctor/check.h"

#include <stdio.h>
#include <string.h>
#include "lan/config.h"

static bool is_tap_port(const struct facts *f, const struct link *l)
{
	return l->tap.tap && facts_is_port(f, l);
}

static bool is_wished(const struct facts *f, const char *tap)
{
	for (size_t i = 0; i < f->owner_count; i++)
		if (!strcmp(f->owners[i].tap, tap))
			return true;
	return false;
}

void check_tap_alone(const struct facts *f, struct findings *out)
{
	for (size_t i = 0; f->net && i < f->net->link_count; i++) {
		const struct link *l = &f->net->links[i];
		bool alone = l->up ? !l->lower_up : f->sees_processes && !facts_holder(f, l->name);

		/* One that the LAN's file asks for is meant to wait. */
		if (!is_tap_port(f, l) || !alone || is_wished(f, l->name))
			continue;
		findings_add(out, (struct finding){
			.severity = SEVERITY_NOTE,
			.symptom = say(out, "%s has no guest behind it", l->name),
			.cause = "no process has the tap open: its QEMU has ended, or never took it",
			.where = say(out, "ip link show %s (NO-CARRIER); /proc/*/fdinfo", findings_quote(out, l->name)),
			.remedy = say(out, "%sip tuntap del dev %s mode tap", check_sudo(f), findings_quote(out, l->name)),
			.advice = "where no guest is to come",
		});
	}
}

static bool has_address(const struct facts *f, const struct link *l)
{
	for (size_t i = 0; i < f->net->address_count; i++)
		if (f->net->addresses[i].index == l->index && facts_counts_address(&f->net->addresses[i]))
			return true;
	return false;
}

void check_tap_unattached(const struct facts *f, struct findings *out)
{
	const struct link *bridge = facts_bridge(f);

	for (size_t i = 0; bridge && i < f->holder_count; i++) {
		const struct tap_holder *h = &f->holders[i];
		const struct link *l = facts_link(f, h->tap);

		/* A tap with an address of its own is routed, and in no bridge on purpose. */
		if (!l || l->master || strncmp(h->program, "qemu", 4) || has_address(f, l))
			continue;
		findings_add(out, (struct finding){
			.severity = SEVERITY_WARNING,
			.symptom = say(out, "the guest behind %s reaches nobody", l->name),
			.cause = say(out, "%s (process %d) has the tap open, but it is in no bridge", h->program, h->pid),
			.where = say(out, "ip link show %s: no master", findings_quote(out, l->name)),
			.remedy = say(out, "%sip link set dev %s master %s up", check_sudo(f), findings_quote(out, l->name),
				      findings_quote(out, bridge->name)),
			.advice = say(out, "where it belongs to %s", bridge->name),
		});
	}
}

static void wrong_owner(const struct facts *f, struct findings *out, const struct link *l, enum severity severity, const char *symptom,
			const char *cause, const char *user)
{
	const char *tap = findings_quote(out, l->name), *sudo = check_sudo(f);

	findings_add(out, (struct finding){
		.severity = severity, .symptom = symptom, .cause = cause,
		.where = say(out, "ip -d tuntap show dev %s", tap),
		.remedy = say(out, "%sip tuntap del dev %s mode tap && %sip tuntap add dev %s mode tap user %s && "
			      "%sip link set dev %s master %s mtu %u up", sudo, tap, sudo, tap, findings_quote(out, user), sudo, tap,
			      findings_quote(out, f->target.bridge), l->mtu),
		.advice = l->up && l->lower_up ? "end the guest that has it open first" : NULL,
	});
}

static void judge_wish(const struct facts *f, struct findings *out, const struct owner_wish *wish)
{
	const struct link *l = facts_link(f, wish->tap);
	const char *owner;

	if (!l || !l->tap.tap || wish->uid < 0 || l->tap.owner == (uint32_t)wish->uid)
		return;
	owner = l->tap.owner == UINT32_MAX ? "nobody" : *l->tap.owner_name ? l->tap.owner_name : say(out, "the user id %u", l->tap.owner);
	wrong_owner(f, out, l, SEVERITY_ERROR, say(out, "%s cannot start a guest on %s", wish->user, l->name),
		    say(out, "the tap belongs to %s; the LAN's file says %s", owner, wish->user), wish->user);
}

void check_tap_owner(const struct facts *f, struct findings *out)
{
	for (size_t i = 0; i < f->owner_count; i++)
		judge_wish(f, out, &f->owners[i]);
	for (size_t i = 0; f->net && i < f->net->link_count; i++) {
		const struct link *l = &f->net->links[i];

		if (!is_tap_port(f, l) || !l->tap.persist || is_wished(f, l->name) || l->tap.group != UINT32_MAX)
			continue;
		if (l->tap.owner == UINT32_MAX)
			wrong_owner(f, out, l, SEVERITY_WARNING, say(out, "every user of this host can attach to %s", l->name),
				    "the tap is persistent and has no owner", f->user);
		else if (!*l->tap.owner_name)
			wrong_owner(f, out, l, SEVERITY_WARNING, say(out, "nobody but root can start a guest on %s", l->name),
				    say(out, "the tap belongs to the user id %u, which no account has", l->tap.owner), f->user);
	}
}

static bool is_on_lan(const struct facts *f, const struct nic_fact *n)
{
	return n->on_lan || (*n->link && facts_is_port(f, facts_link(f, n->link)));
}

static const char *guest_of(const struct facts *f, struct findings *out, struct mac mac)
{
	for (size_t i = 0; i < f->lan.guest_count; i++)
		if (mac_equal(f->lan.guests[i].mac, mac) && *f->lan.guests[i].name)
			return say(out, "%s", f->lan.guests[i].name);
	return NULL;
}

void check_tap_mac(const struct facts *f, struct findings *out)
{
	for (size_t i = 0; i < f->nic_count; i++) {
		const struct nic_fact *n = &f->nics[i];
		const struct link *l = facts_link(f, n->link);
		char mac[MAC_TEXT_SIZE];
		struct mac other = n->mac;

		if (!l || !facts_is_port(f, l) || !mac_equal(l->mac, n->mac))
			continue;
		/* As libvirt does: high, so that no bridge takes it for its own. */
		other.b[0] = other.b[0] == 0xfe ? 0xfa : 0xfe;
		findings_add(out, (struct finding){
			.severity = SEVERITY_ERROR,
			.guest = guest_of(f, out, n->mac),
			.symptom = say(out, "nothing reaches the guest behind %s", l->name),
			.cause = say(out, "the tap on the host has the guest's own MAC %s, so the bridge takes the frames for the host",
				     mac_format(n->mac, mac)),
			.where = say(out, "ip link show %s; /proc/%d/cmdline", findings_quote(out, l->name), n->pid),
			.remedy = say(out, "%sip link set dev %s address %s", check_sudo(f), findings_quote(out, l->name),
				      mac_format(other, mac)),
		});
	}
}

static void same_mac(const struct facts *f, struct findings *out, const struct nic_fact *a, const struct nic_fact *b)
{
	struct mac other = guest_mac(f->net ? f->net->machine_id : "", f->target.bridge, say(out, "process-%d", b->pid));
	char mac[MAC_TEXT_SIZE], fresh[MAC_TEXT_SIZE];

	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.guest = guest_of(f, out, a->mac),
		.symptom = "two guests take the network from each other, by turns",
		.cause = say(out, "both have the MAC %s%s", mac_format(a->mac, mac),
			     a->by_default || b->by_default ? ", which QEMU gives to each that is started without mac=" : ""),
		.where = say(out, "/proc/%d/cmdline, /proc/%d/cmdline", a->pid, b->pid),
		.advice = say(out, "a running guest keeps its MAC: start process %d anew with mac=%s at its -device", b->pid,
			      mac_format(other, fresh)),
	});
}

void check_duplicate_mac(const struct facts *f, struct findings *out)
{
	for (size_t i = 0; i < f->nic_count; i++)
		for (size_t k = 0; k < i; k++) {
			const struct nic_fact *a = &f->nics[k], *b = &f->nics[i];

			if (mac_equal(a->mac, b->mac) && is_on_lan(f, a) && is_on_lan(f, b))
				same_mac(f, out, a, b);
		}
}
