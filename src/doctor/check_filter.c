// SPDX-License-Identifier: MIT
/*
 * Firewalls in the way of bridged frames.
 *
 * With br_netfilter, a frame that a bridge carries is shown to the IP chains at "forward" as if it were routed, from the bridge to the
 * bridge. An accept in a table of our own does not help where another table drops: only the chain that drops can be told otherwise.
 */
#include "doctor/check.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "doctor/firewall.h"

/* A way that guests' packets take through the host. */
struct way {
	const char *what;
	struct firewall_packet packet;
};

static bool hands_to_ip(const struct facts *f, const struct link *bridge, bool ip4)
{
	return facts_sysctl(f, ip4 ? "net/bridge/bridge-nf-call-iptables" : "net/bridge/bridge-nf-call-ip6tables", 0) > 0 ||
		(ip4 ? bridge->bridge.nf_call_ip : bridge->bridge.nf_call_ip6);
}

/* Does the host itself route what the guests send: are they without an uplink, and has the host an address there? */
static bool is_routed(const struct facts *f, const struct link *bridge)
{
	if (facts_uplink(f) || f->target.isolated)
		return false;
	for (size_t i = 0; i < f->net->address_count; i++)
		if (f->net->addresses[i].index == bridge->index && facts_counts_address(&f->net->addresses[i]))
			return true;
	return f->target.nat;
}

static addr_t host_address(const struct facts *f, const struct link *bridge, bool ip4)
{
	for (size_t i = 0; i < f->net->address_count; i++) {
		const struct link_address *a = &f->net->addresses[i];

		if (a->index == bridge->index && facts_counts_address(a) && addr_is4(a->local) == ip4)
			return a->local;
	}
	return ADDR_ANY;
}

/* One line that lets the bridge's traffic through where it is dropped. */
static const char *make_remedy(const struct facts *f, struct findings *out, const struct firewall_verdict *v, const struct way *way)
{
	const char *chain = *v->through ? v->through : v->base, *sudo = check_sudo(f), *bridge = f->target.bridge;
	const char *link = findings_quote(out, bridge), *tool = !strcmp(v->family, "ip") ? "iptables" : "ip6tables";
	bool tools = !strcmp(v->family, "ip") ? f->iptables : !strcmp(v->family, "ip6") && f->ip6tables;
	bool bridged = !strcmp(way->packet.in, way->packet.out) || way->packet.bridge;
	const char *words;

	if (!strcmp(v->table, "firewalld") && f->firewall_cmd)
		return say(out, "%sfirewall-cmd --permanent --zone=trusted --add-interface=%s && %sfirewall-cmd --reload", sudo, link,
			   sudo);
	if (!strcmp(v->table, "filter") && tools && bridged)
		return say(out, "%s%s -I %s -i %s -o %s -j ACCEPT", sudo, tool, findings_quote(out, chain), link, link);
	if (!strcmp(v->table, "filter") && tools)
		return say(out, "%s%s -I %s -i %s -j ACCEPT && %s%s -I %s -o %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
			   sudo, tool, findings_quote(out, chain), link, sudo, tool, findings_quote(out, chain), link);
	words = say(out, "insert rule %s %s %s", v->family, v->table, chain);
	if (way->packet.bridge)
		words = say(out, "%s iifname \"%s\" accept; %s oifname \"%s\" accept", words, way->packet.in, words, way->packet.in);
	else if (bridged)
		words = say(out, "%s iifname \"%s\" oifname \"%s\" accept", words, bridge, bridge);
	else
		words = say(out, "%s iifname \"%s\" accept; %s oifname \"%s\" ct state established,related accept", words, bridge, words,
			    bridge);
	return say(out, "%snft %s", sudo, findings_quote(out, words));
}

static void judge_way(const struct facts *f, struct findings *out, const struct way *way)
{
	struct firewall_verdict v;
	const char *rule;

	firewall_judge(f->ruleset, &way->packet, &v);
	if (!v.dropped)
		return;
	rule = v.handle ? say(out, "rule handle %d of chain %s", v.handle, v.chain) : say(out, "the policy of chain %s", v.chain);
	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.symptom = say(out, "%s %s does not get through", !strcmp(way->packet.family, "ip6") ? "IPv6" :
			       way->packet.bridge ? "what goes" : "IPv4", way->what),
		.cause = say(out, "a firewall drops it: %s, in table %s %s%s", rule, v.family, v.table,
			     !way->packet.bridge && !strcmp(way->packet.in, way->packet.out) ?
			     " (br_netfilter shows it what the bridge carries)" : ""),
		.where = say(out, "nft list chain %s %s %s", v.family, v.table, v.chain),
		.remedy = make_remedy(f, out, &v, way),
		.advice = "it holds until the rules are loaded anew: put it where your firewall keeps its own",
	});
}

static const char *out_link(const struct facts *f, bool ip4)
{
	const struct link_route *r = facts_default_route(f, ip4);
	const struct link *l = r ? snapshot_link(f->net, r->index) : NULL;

	return l ? l->name : "";
}

static void judge_ip(const struct facts *f, struct findings *out, const struct link *bridge, bool ip4)
{
	struct way way = { .packet = { .family = ip4 ? "ip" : "ip6", .in = bridge->name, .out = bridge->name, .state = "new" } };

	if (hands_to_ip(f, bridge, ip4)) {
		way.what = say(out, "between the ports of %s", bridge->name);
		judge_way(f, out, &way);
	}
	if (!is_routed(f, bridge) || (!ip4 && addr_is_any(host_address(f, bridge, ip4))))
		return;
	way.what = say(out, "from %s to other networks", bridge->name);
	way.packet.out = out_link(f, ip4);
	if (strcmp(way.packet.out, bridge->name))
		judge_way(f, out, &way);
}

/* A bridge's own chains see ports: from a guest's to the uplink's, or to another guest's. */
static void judge_ports(const struct facts *f, struct findings *out, const struct link *bridge)
{
	const struct link *uplink = facts_uplink(f), *last = uplink;

	for (size_t i = 0; i < f->net->link_count; i++) {
		const struct link *port = &f->net->links[i];

		if (!facts_is_port(f, port) || port == uplink)
			continue;
		if (last)
			judge_way(f, out, &(struct way){
				.what = say(out, "from %s to %s in %s", port->name, last->name, bridge->name),
				.packet = { .family = "bridge", .in = port->name, .out = last->name, .bridge = bridge->name,
					    .state = "new" },
			});
		if (!uplink)
			last = port;
	}
}

void check_forward_drop(const struct facts *f, struct findings *out)
{
	const struct link *bridge = facts_bridge(f);

	if (!bridge || !f->ruleset)
		return;
	judge_ip(f, out, bridge, true);
	judge_ip(f, out, bridge, false);
	judge_ports(f, out, bridge);
}

void check_bridge_nf(const struct facts *f, struct findings *out)
{
	const struct link *bridge = facts_bridge(f);
	bool ip4, ip6;

	if (!bridge)
		return;
	ip4 = facts_sysctl(f, "net/bridge/bridge-nf-call-iptables", 0) > 0;
	ip6 = facts_sysctl(f, "net/bridge/bridge-nf-call-ip6tables", 0) > 0;
	if ((!ip4 && !ip6) || !firewall_has_hook(f->ruleset, NULL))
		return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_NOTE,
		.symptom = say(out, "what the bridge %s carries is shown to the host's IP firewall, and can be dropped or slowed there",
			       bridge->name),
		.cause = "br_netfilter is on, and there are rules",
		.where = "/proc/sys/net/bridge/bridge-nf-call-iptables, bridge-nf-call-ip6tables; nft list ruleset",
		.remedy = say(out, "%ssysctl -w net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0", check_sudo(f)),
		.advice = "not where Docker or Kubernetes keep their containers apart with it",
	});
}
