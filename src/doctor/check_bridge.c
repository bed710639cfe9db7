// SPDX-License-Identifier: MIT
/* The bridge itself and its ports: what keeps frames from passing, or the host from being found. */
#include "doctor/check.h"

#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#define CENTISECONDS 100
#define SHORTEST_DELAY 200   /* BR_MIN_FORWARD_DELAY */

void check_no_bridge(const struct facts *f, struct findings *out)
{
	const struct link *link = facts_link(f, f->target.bridge);

	if (!f->net || facts_bridge(f))
		return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.symptom = say(out, "no guest can be attached to %s", f->target.bridge),
		.cause = link ? say(out, "%s is no bridge but a link of kind %s", link->name, *link->kind ? link->kind : "hardware") :
			"there is no such bridge",
		.where = say(out, "ip -d link show %s", findings_quote(out, f->target.bridge)),
		.remedy = link ? NULL : *f->target.lan ? say(out, "%shospes up %s", check_sudo(f), f->target.lan) :
			say(out, "%sip link add %s type bridge", check_sudo(f), findings_quote(out, f->target.bridge)),
		.advice = link ? "name a bridge" : NULL,
	});
}

static void judge_down(const struct facts *f, struct findings *out, const struct link *l, const char *what)
{
	if (l->up && (l->lower_up || l->tap.tap))
		return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.symptom = say(out, "%s %s carries nothing", what, l->name),
		.cause = l->up ? "it has no carrier: there is no cable, or the other end is down" : "it is down",
		.where = say(out, "ip link show %s", findings_quote(out, l->name)),
		.remedy = l->up ? NULL : say(out, "%sip link set dev %s up", check_sudo(f), findings_quote(out, l->name)),
		.advice = l->up ? "look at the cable, and at the other end" : NULL,
	});
}

void check_link_down(const struct facts *f, struct findings *out)
{
	const struct link *bridge = facts_bridge(f), *uplink = facts_uplink(f);

	if (!bridge)
		return;
	/* A bridge without a port that is up has no carrier: that is the ports' matter. */
	if (!bridge->up)
		judge_down(f, out, bridge, "the bridge");
	if (uplink)
		judge_down(f, out, uplink, "the uplink");
	for (size_t i = 0; i < f->net->link_count; i++) {
		const struct link *l = &f->net->links[i];

		if (facts_is_port(f, l) && l->tap.tap && facts_holder(f, l->name))
			judge_down(f, out, l, "the tap");
	}
}

/* A container's veth is no way out, and neither is a tap. */
static bool leads_out(const struct facts *f, const struct link *l)
{
	return l == facts_uplink(f) || (!l->tap.tap && strcmp(l->kind, "veth"));
}

void check_stp(const struct facts *f, struct findings *out)
{
	const struct link *bridge = facts_bridge(f), *silent = NULL;
	const char *name;
	size_t outer = 0;
	double seconds;

	if (!bridge || !bridge->bridge.stp)
		return;
	for (size_t i = 0; i < f->net->link_count; i++) {
		const struct link *l = &f->net->links[i];

		if (!facts_is_port(f, l))
			continue;
		outer += leads_out(f, l);
		if (l->up && l->lower_up && (l->port.state == BR_STATE_LISTENING || l->port.state == BR_STATE_LEARNING))
			silent = l;
	}
	/* Where loops are possible, the kernel's shortest delay is as good as it gets. */
	if (outer > 1 && bridge->bridge.forward_delay <= SHORTEST_DELAY)
		return;
	name = findings_quote(out, bridge->name);
	seconds = 2.0 * bridge->bridge.forward_delay / CENTISECONDS;
	findings_add(out, (struct finding){
		.severity = silent ? SEVERITY_ERROR : SEVERITY_WARNING,
		.symptom = silent ? say(out, "the port %s passes nothing yet, for up to %.0f s after it came up", silent->name, seconds) :
			say(out, "a guest hears nothing in its first %.0f s, and its DHCP may give up", seconds),
		.cause = say(out, "the bridge %s runs STP with a forward delay of %.0f s", bridge->name, seconds / 2),
		.where = say(out, "ip -d link show %s: stp_state 1, forward_delay %u", name, bridge->bridge.forward_delay),
		.remedy = outer > 1 ? say(out, "%sip link set dev %s type bridge forward_delay %d", check_sudo(f), name, SHORTEST_DELAY) :
			say(out, "%sip link set dev %s type bridge stp_state 0", check_sudo(f), name),
		.advice = outer > 1 ? "the bridge has several ports that lead out: without STP, two of them could make a loop" :
			"with one way out there can be no loop",
	});
}

static bool bridge_has(const struct facts *f, const struct link *bridge, addr_t local)
{
	for (size_t i = 0; i < f->net->address_count; i++)
		if (f->net->addresses[i].index == bridge->index && addr_equal(f->net->addresses[i].local, local))
			return true;
	return false;
}

/* Take the address, and the default route that leaves by it, over to the bridge. */
static const char *move_address(const struct facts *f, struct findings *out, const struct link *port, const struct link_address *a)
{
	const struct link *bridge = facts_bridge(f);
	const char *from = findings_quote(out, port->name), *to = findings_quote(out, bridge->name), *sudo = check_sudo(f), *line;
	const struct link_route *r = facts_default_route(f, addr_is4(a->local));
	char text[ADDR_TEXT_SIZE];

	line = say(out, "%sip address del %s/%u dev %s", sudo, addr_format(a->local, text), a->bits, from);
	if (!bridge_has(f, bridge, a->local))
		line = say(out, "%s && %sip address add %s/%u dev %s", line, sudo, text, a->bits, to);
	if (!r || r->index != port->index || addr_is_any(r->gateway) || !addr_in_prefix(r->gateway, a->local, a->bits))
		return line;
	return say(out, "%s && %sip route replace default via %s dev %s", line, sudo, addr_format(r->gateway, text), to);
}

void check_port_address(const struct facts *f, struct findings *out)
{
	for (size_t i = 0; f->net && i < f->net->address_count; i++) {
		const struct link_address *a = &f->net->addresses[i];
		const struct link *port = snapshot_link(f->net, a->index);
		char text[ADDR_TEXT_SIZE];

		if (!facts_is_port(f, port) || !facts_counts_address(a))
			continue;
		findings_add(out, (struct finding){
			.severity = SEVERITY_ERROR,
			.symptom = say(out, "the host answers for %s by fits and starts, or not at all", addr_format(a->local, text)),
			.cause = say(out, "the address is on %s, a port of the bridge %s: the host's addresses belong to the bridge",
				     port->name, f->target.bridge),
			.where = say(out, "ip address show dev %s", findings_quote(out, port->name)),
			.remedy = move_address(f, out, port, a),
		});
	}
}

void check_moving_mac(const struct facts *f, struct findings *out)
{
	const struct link *bridge = facts_bridge(f), *uplink = facts_uplink(f);
	const char *mac;
	char text[MAC_TEXT_SIZE];

	if (!bridge || f->mac_fixed != 0)
		return;
	mac = mac_format(uplink ? uplink->mac : bridge->mac, text);
	findings_add(out, (struct finding){
		.severity = uplink ? SEVERITY_WARNING : SEVERITY_NOTE,
		.symptom = say(out, "the MAC of %s changes as guests come and go, and with it the host's lease and its neighbours' ARP",
			       bridge->name),
		.cause = "nobody has set it: a bridge takes the lowest MAC of its ports",
		.where = say(out, "/sys/class/net/%s/addr_assign_type", bridge->name),
		.remedy = say(out, "%sip link set dev %s address %s", check_sudo(f), findings_quote(out, bridge->name), mac),
		.advice = uplink ? "it is the uplink's own, which the network knows" : "it is the one that it has now",
	});
}

void check_mtu(const struct facts *f, struct findings *out)
{
	const struct link *bridge = facts_bridge(f), *uplink = facts_uplink(f);
	const char *line = NULL, *who = NULL;
	uint32_t want;

	if (!bridge)
		return;
	want = uplink ? uplink->mtu : bridge->mtu;
	for (size_t i = 0; !uplink && i < f->net->link_count; i++)
		if (facts_is_port(f, &f->net->links[i]))
			want = MAX(want, f->net->links[i].mtu);
	for (size_t i = 0; i <= f->net->link_count; i++) {
		/* The bridge comes last: it takes no more than its ports do. */
		const struct link *l = i < f->net->link_count ? &f->net->links[i] : bridge;

		if (l->mtu == want || (l != bridge && !facts_is_port(f, l)))
			continue;
		who = say(out, "%s%s%s has %u", who ? who : "", who ? ", " : "", l->name, l->mtu);
		line = say(out, "%s%s%sip link set dev %s mtu %u", line ? line : "", line ? " && " : "", check_sudo(f),
			   findings_quote(out, l->name), want);
	}
	if (!line)
		return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_WARNING,
		.symptom = say(out, "large frames are lost on %s: connections hang once data flows", bridge->name),
		.cause = say(out, "the MTU differs along the path: %s, %s %u", who,
			     uplink ? say(out, "the uplink %s", uplink->name) : "others", want),
		.where = "ip link show (mtu)",
		.remedy = line,
	});
}
