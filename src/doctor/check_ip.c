// SPDX-License-Identifier: MIT
/* The host as a router: filters by the way back, forwarding, router advertisements, networks that overlap. */
#include "doctor/check.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "doctor/firewall.h"

/* "sysctl -w net.ipv4.conf.br0.rp_filter=2"; with slashes where the link's name has a dot. */
static const char *set_sysctl(const struct facts *f, struct findings *out, const char *family, const char *link, const char *name,
			      int value)
{
	char dot = strchr(link, '.') ? '/' : '.';
	const char *key = say(out, "net%c%s%cconf%c%s%c%s=%d", dot, family, dot, dot, link, dot, name, value);

	return say(out, "%ssysctl -w %s", check_sudo(f), findings_quote(out, key));
}

static const char *net_text(struct findings *out, addr_t net, unsigned int bits)
{
	char text[ADDR_TEXT_SIZE];

	return say(out, "%s/%u", addr_format(net, text), bits);
}

static const char *link_name(const struct facts *f, unsigned int index)
{
	const struct link *l = snapshot_link(f->net, index);

	return l ? l->name : "?";
}

/* A route that takes a part, or all, of the bridge's network elsewhere. */
static bool takes_away(const struct link_route *r, const struct link_address *a)
{
	unsigned int bits = a->bits;

	return facts_counts(r) && r->index && r->index != a->index && addr_is4(r->to) == addr_is4(a->local) && r->bits >= bits &&
		addr_in_prefix(r->to, a->local, bits);
}

/* The first route that takes a part of the bridge's IPv4 network elsewhere, or NULL */
static const struct link_route *find_taken4(const struct facts *f, const struct link *bridge)
{
	for (size_t i = 0; i < f->net->address_count; i++) {
		const struct link_address *a = &f->net->addresses[i];

		for (size_t k = 0; a->index == bridge->index && addr_is4(a->local) && k < f->net->route_count; k++)
			if (takes_away(&f->net->routes[k], a))
				return &f->net->routes[k];
	}
	return NULL;
}

void check_rp_filter(const struct facts *f, struct findings *out)
{
	const struct link *bridge = facts_bridge(f);
	const struct link_route *r = bridge ? find_taken4(f, bridge) : NULL;
	const char *net;
	long all, own;

	if (!r)
		return;
	all = facts_sysctl(f, "net/ipv4/conf/all/rp_filter", 0);
	own = facts_link_sysctl(f, "ipv4", bridge->name, "rp_filter", 0);
	if (MAX(all, own) != 1)
		return;
	net = net_text(out, r->to, r->bits);
	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.symptom = say(out, "the host throws away what guests in %s send it by %s", net, bridge->name),
		.cause = say(out, "the way back to them is %s, and rp_filter is strict: the larger of all (%ld) and %s (%ld) counts",
			     link_name(f, r->index), all, bridge->name, own),
		.where = say(out, "/proc/sys/net/ipv4/conf/{all,%s}/rp_filter; ip route show %s", bridge->name, net),
		.remedy = set_sysctl(f, out, "ipv4", bridge->name, "rp_filter", 2),
		.advice = "answers still leave by the other link; see also \"overlap\"",
	});
}

static bool has_address(const struct facts *f, const struct link *link, bool ip4)
{
	for (size_t i = 0; i < f->net->address_count; i++) {
		const struct link_address *a = &f->net->addresses[i];

		if (a->index == link->index && facts_counts_address(a) && addr_is4(a->local) == ip4)
			return true;
	}
	return false;
}

void check_ip_forward(const struct facts *f, struct findings *out)
{
	const struct link *bridge = facts_bridge(f);
	bool meant;

	/* Without an uplink in the bridge, the host is the guests' only way out. */
	if (!bridge || facts_uplink(f) || f->target.isolated)
		return;
	meant = f->target.nat || firewall_has_masquerade(f->ruleset);
	if (has_address(f, bridge, true) && facts_sysctl(f, "net/ipv4/ip_forward", 1) == 0)
		findings_add(out, (struct finding){
			.severity = meant ? SEVERITY_ERROR : SEVERITY_NOTE,
			.symptom = say(out, "the guests of %s reach the host, but nothing beyond it", bridge->name),
			.cause = "the host does not forward IPv4",
			.where = "/proc/sys/net/ipv4/ip_forward",
			.remedy = say(out, "%ssysctl -w net.ipv4.ip_forward=1", check_sudo(f)),
			.advice = meant ? NULL : "as it should be where guests are to stay on this host",
		});
	if (has_address(f, bridge, false) && facts_sysctl(f, "net/ipv6/conf/all/forwarding", 1) == 0)
		findings_add(out, (struct finding){
			.severity = f->target.nat ? SEVERITY_ERROR : SEVERITY_NOTE,
			.symptom = say(out, "the guests of %s reach nothing beyond the host by IPv6", bridge->name),
			.cause = "the host does not forward IPv6",
			.where = "/proc/sys/net/ipv6/conf/all/forwarding",
			.remedy = say(out, "%ssysctl -w net.ipv6.conf.all.forwarding=1", check_sudo(f)),
			.advice = "links that get their addresses from router advertisements need accept_ra=2 then",
		});
}

/* A link that would take its default route from advertisements, if the kernel let it. */
static void judge_ra(const struct facts *f, struct findings *out, const struct link *l)
{
	const struct link_route *r = facts_default_route(f, false);

	if (!l || !l->up || r || facts_link_sysctl(f, "ipv6", l->name, "disable_ipv6", 1) ||
	    facts_link_sysctl(f, "ipv6", l->name, "forwarding", 0) != 1 || facts_link_sysctl(f, "ipv6", l->name, "accept_ra", 2) != 1)
		return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_WARNING,
		.symptom = say(out, "the host has no default route of IPv6, and takes none from the routers at %s", l->name),
		.cause = "a host that forwards IPv6 ignores router advertisements unless accept_ra is 2",
		.where = say(out, "/proc/sys/net/ipv6/conf/%s/accept_ra (1) and forwarding (1)", l->name),
		.remedy = set_sysctl(f, out, "ipv6", l->name, "accept_ra", 2),
	});
}

void check_accept_ra(const struct facts *f, struct findings *out)
{
	const struct link *bridge = facts_bridge(f), *outer = NULL;
	const struct link_route *r;

	if (!bridge)
		return;
	if (facts_uplink(f)) {
		judge_ra(f, out, bridge);
		return;
	}
	r = facts_default_route(f, true);
	if (r)
		outer = snapshot_link(f->net, r->index);
	judge_ra(f, out, outer);
}

/* What a person can do about it; *@remedy: where a line does. */
static const char *move_lan(const struct facts *f, struct findings *out, const char **remedy)
{
	const char *lan = f->target.lan;

	if (f->target.config)
		return say(out, "write another network into %s (IPv4 = ...), then type hospes restart %s", f->target.config, lan);
	if (!strcmp(lan, "default"))
		return "the LAN default has a fixed network: write another into ~/.config/hospes/default.lan ([LAN], IPv4 = 10.7.0.0/24), "
			"then type hospes restart";
	*remedy = say(out, "hospes restart %s", lan);
	return "a LAN without a network of its own takes one that is free when it starts";
}

static void overlap_user_lan(const struct facts *f, struct findings *out)
{
	const struct lan_facts *lan = &f->lan;
	const char *remedy = NULL, *advice, *net;

	for (size_t i = 0; lan->bits4 && i < f->net->route_count; i++) {
		const struct link_route *r = &f->net->routes[i];

		if (!facts_counts(r) || !r->bits || !addr_is4(r->to) || !addr_in_prefix(r->to, lan->net4, MIN(r->bits, lan->bits4)))
			continue;
		net = net_text(out, r->to, r->bits);
		advice = move_lan(f, out, &remedy);
		findings_add(out, (struct finding){
			.severity = SEVERITY_WARNING,
			.symptom = say(out, "guests of LAN %s cannot reach %s as the host does", f->target.lan, net),
			.cause = say(out, "the LAN's own network %s overlaps it", net_text(out, lan->net4, lan->bits4)),
			.where = say(out, "ip route: %s dev %s; hospes ls %s", net, link_name(f, r->index), f->target.lan),
			.remedy = remedy, .advice = advice,
		});
		return;
	}
}

static void overlap_bridge(const struct facts *f, struct findings *out, const struct link *bridge, const struct link_address *a)
{
	for (size_t i = 0; i < f->net->route_count; i++) {
		const struct link_route *r = &f->net->routes[i];
		const char *net;

		/* An equal route that is worse than the bridge's own takes nothing away; an address on a port has a check of its own. */
		if (!takes_away(r, a) || (r->bits == a->bits && r->metric) || facts_is_port(f, snapshot_link(f->net, r->index)))
			continue;
		net = net_text(out, r->to, r->bits);
		findings_add(out, (struct finding){
			.severity = SEVERITY_ERROR,
			.symptom = say(out, "the host does not reach guests in %s at %s", net, bridge->name),
			.cause = say(out, "a route leads that part of %s's network to %s", bridge->name, link_name(f, r->index)),
			.where = say(out, "ip route show %s", net),
			.remedy = say(out, "%sip route del %s dev %s", check_sudo(f), net, findings_quote(out, link_name(f, r->index))),
			.advice = "or give one of the two another network, where both are wanted",
		});
	}
}

void check_overlap(const struct facts *f, struct findings *out)
{
	const struct link *bridge = facts_bridge(f);

	if (f->net && check_is_user_lan(f))
		overlap_user_lan(f, out);
	for (size_t i = 0; bridge && i < f->net->address_count; i++)
		if (f->net->addresses[i].index == bridge->index && facts_counts_address(&f->net->addresses[i]))
			overlap_bridge(f, out, bridge, &f->net->addresses[i]);
}
