// SPDX-License-Identifier: MIT
#include "bridge/bridge.h"

#include <errno.h>
#include <stdio.h>

#include "bridge/plan_private.h"
#include "bridge/values.h"

#define CENTI 100 /* the kernel takes a bridge's times in hundredths of seconds */

/* What the kernel gives a new bridge. */
#define NEW_FORWARD_DELAY 1500
#define NEW_HELLO         200
#define NEW_MAX_AGE       2000

/* What a link that takes the uplink's place is to have of it: how it takes and answers packets. */
static const struct { int version; const char *name; } inherited[] = {
	{ 4, "forwarding" }, { 4, "rp_filter" }, { 4, "arp_ignore" }, { 4, "arp_announce" }, { 4, "arp_filter" }, { 4, "accept_local" },
	{ 4, "accept_redirects" }, { 4, "send_redirects" }, { 4, "proxy_arp" }, { 4, "promote_secondaries" },
	{ 6, "forwarding" }, { 6, "accept_ra" }, { 6, "accept_ra_defrtr" }, { 6, "accept_ra_pinfo" }, { 6, "accept_ra_rt_info_max_plen" },
	{ 6, "autoconf" }, { 6, "use_tempaddr" }, { 6, "accept_redirects" },
};

void plan_add(struct planner *p, struct step s)
{
	if (steps_add(p->out, &s))
		p->failed = -ENOMEM;
}

void plan_set(struct planner *p, enum step_kind kind, const char *link, const char *value, const char *old)
{
	struct step s = { .kind = kind };

	if (!strcmp(value, old))
		return;
	snprintf(s.link, sizeof(s.link), "%s", link);
	snprintf(s.value, sizeof(s.value), "%s", value);
	snprintf(s.old, sizeof(s.old), "%s", old);
	plan_add(p, s);
}

void plan_set_number(struct planner *p, enum step_kind kind, const char *link, uint32_t value, uint32_t old)
{
	char text[2][16];

	snprintf(text[0], sizeof(text[0]), "%u", value);
	snprintf(text[1], sizeof(text[1]), "%u", old);
	plan_set(p, kind, link, text[0], text[1]);
}

static void set_key(struct planner *p, const char *key, const char *value, const char *old)
{
	struct step s = { .kind = STEP_SYSCTL };

	if (!old || !strcmp(value, old))
		return;
	snprintf(s.key, sizeof(s.key), "%s", key);
	snprintf(s.value, sizeof(s.value), "%s", value);
	snprintf(s.old, sizeof(s.old), "%s", old);
	plan_add(p, s);
}

static const char *sysctl_or_default(const struct planner *p, int version, const char *link, const char *name)
{
	return snapshot_sysctl_of(p->now, version, snapshot_link_named(p->now, link) ? link : "default", name);
}

void plan_set_sysctl(struct planner *p, int version, const char *link, const char *name, const char *value)
{
	char key[80];

	snprintf(key, sizeof(key), "net/ipv%d/conf/%s/%s", version, link, name);
	set_key(p, key, value, sysctl_or_default(p, version, link, name));
}

const char *plan_alias(const struct planner *p, char into[static 64])
{
	snprintf(into, 64, OURS_ALIAS " %s", p->config->name);
	return into;
}

bool plan_is_enslaved(const struct planner *p)
{
	return p->uplink && p->bridge && p->uplink->master == p->bridge->index;
}

static struct mac bridge_mac(const struct planner *p)
{
	return p->uplink ? p->uplink->mac : p->lan.mac;
}

static void make_bridge(struct planner *p)
{
	const char *name = p->b->bridge;
	char alias[64], mac[MAC_TEXT_SIZE], old[MAC_TEXT_SIZE];

	mac_format(bridge_mac(p), mac);
	if (!p->bridge) {
		plan_set(p, STEP_BRIDGE_ADD, name, mac, "");
		plan_set(p, STEP_ALIAS, name, plan_alias(p, alias), "");
		return;
	}
	plan_set(p, STEP_ALIAS, name, plan_alias(p, alias), p->bridge->alias);
	plan_set(p, STEP_MAC, name, mac, mac_format(p->bridge->mac, old));
}

static uint32_t wanted_mtu(const struct planner *p)
{
	if (p->b->mtu)
		return p->b->mtu;
	return p->uplink ? p->uplink->mtu : 1500;
}

/* Said outright even where it is what the kernel gives: otherwise a port with a smaller one lowers the bridge's. */
static void set_mtu(struct planner *p)
{
	struct step s = { .kind = STEP_MTU, .old = "1500" };

	if (p->bridge) {
		plan_set_number(p, STEP_MTU, p->b->bridge, wanted_mtu(p), p->bridge->mtu);
		return;
	}
	strcpy(s.link, p->b->bridge);
	snprintf(s.value, sizeof(s.value), "%u", wanted_mtu(p));
	plan_add(p, s);
}

/* The times before STP itself: the kernel judges them by each other once it is on. */
static void set_parameters(struct planner *p)
{
	const struct bridge_config *b = p->b;
	const char *name = b->bridge;
	uint32_t delay = p->bridge ? p->bridge->bridge.forward_delay : NEW_FORWARD_DELAY;
	uint32_t hello = p->bridge ? p->bridge->bridge.hello : NEW_HELLO;
	uint32_t age = p->bridge ? p->bridge->bridge.max_age : NEW_MAX_AGE;

	set_mtu(p);
	if (b->forward_delay >= 0)
		plan_set_number(p, STEP_FORWARD_DELAY, name, (uint32_t)b->forward_delay * CENTI, delay);
	if (b->hello >= 0)
		plan_set_number(p, STEP_HELLO, name, (uint32_t)b->hello * CENTI, hello);
	if (b->max_age >= 0)
		plan_set_number(p, STEP_MAX_AGE, name, (uint32_t)b->max_age * CENTI, age);
	plan_set_number(p, STEP_STP, name, b->stp, p->bridge && p->bridge->bridge.stp);
}

/* Does the host speak IPv6 on the bridge? */
static bool has_ip6(const struct planner *p)
{
	if (p->b->ip6 == BRIDGE_IP_NONE || p->b->isolated)
		return false;
	return !p->uplink || plan_is_enslaved(p) || strcmp(snapshot_sysctl_of(p->now, 6, p->b->uplink, "disable_ipv6") ?: "0", "1");
}

/* Where all links forward already, this one is to do so too; where they do not yet, set_forwarding() switches all of them. */
static void set_bridge_forwarding(struct planner *p)
{
	const char *all4 = snapshot_sysctl(p->now, "net/ipv4/ip_forward"), *all6 = snapshot_sysctl(p->now, "net/ipv6/conf/all/forwarding");

	if (p->b->isolated)
		return;
	if (p->lan.ip4 && all4 && !strcmp(all4, "1"))
		plan_set_sysctl(p, 4, p->b->bridge, "forwarding", "1");
	if (p->lan.ip6 && all6 && !strcmp(all6, "1"))
		plan_set_sysctl(p, 6, p->b->bridge, "forwarding", "1");
}

static void set_bridge_sysctls(struct planner *p)
{
	const char *name = p->b->bridge;

	if (p->uplink && !plan_is_enslaved(p))
		for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
			const char *value = snapshot_sysctl_of(p->now, inherited[i].version, p->b->uplink, inherited[i].name);

			if (value)
				plan_set_sysctl(p, inherited[i].version, name, inherited[i].name, value);
		}
	if (!p->uplink) {
		/* Guests do not configure their host. */
		plan_set_sysctl(p, 6, name, "accept_ra", "0");
		plan_set_sysctl(p, 6, name, "autoconf", "0");
		set_bridge_forwarding(p);
	}
	if (p->b->isolated)
		plan_set_sysctl(p, 4, name, "arp_ignore", "8");
	if (!has_ip6(p))
		plan_set_sysctl(p, 6, name, "disable_ipv6", "1");
	else if (!plan_is_enslaved(p))
		plan_set_sysctl(p, 6, name, "disable_ipv6", "0");
}

static void bring_up(struct planner *p)
{
	if (p->uplink && !p->uplink->up)
		plan_set(p, STEP_UP, p->b->uplink, "up", "down");
	if (!p->bridge || !p->bridge->up)
		plan_set(p, STEP_UP, p->b->bridge, "up", "down");
}

static void make_taps(struct planner *p)
{
	char alias[64];

	for (size_t i = 0; i < p->b->tap_count; i++) {
		const char *name = p->b->taps[i].name;
		const struct link *l = snapshot_link_named(p->now, name);
		const struct link *master = l && l->master ? snapshot_link(p->now, l->master) : NULL;
		bool in = l && p->bridge && l->master == p->bridge->index;

		if (!l)
			plan_set(p, STEP_TAP_ADD, name, p->b->taps[i].owner, "");
		plan_set(p, STEP_ALIAS, name, plan_alias(p, alias), l ? l->alias : "");
		plan_set_number(p, STEP_MTU, name, wanted_mtu(p), l ? l->mtu : 1500);
		if (!in)
			plan_set(p, STEP_MASTER, name, p->b->bridge, master ? master->name : "");
		plan_set_number(p, STEP_ISOLATED, name, p->b->guests_isolated, in && l->port.isolated);
		/* As with the uplink: otherwise it takes a link-local address when a QEMU opens it. */
		plan_set_sysctl(p, 6, name, "disable_ipv6", "1");
		if (!l || !l->up)
			plan_set(p, STEP_UP, name, "up", "down");
	}
}

/*
 * The kernel's switch for all links flips each of them: those that were not as it was are written down first, so that on the way back they
 * are put right behind it.
 */
static void set_forwarding(struct planner *p, int version)
{
	const char *all = version == 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding";
	const char *is = snapshot_sysctl(p->now, all);

	if (!is || strcmp(is, "0"))
		return;
	for (size_t i = 0; i < p->now->link_count; i++) {
		const char *name = p->now->links[i].name;
		const char *own = snapshot_sysctl_of(p->now, version, name, "forwarding");
		struct step s = { .kind = STEP_SYSCTL };

		if (!own || !strcmp(own, "0") || !strcmp(name, p->b->bridge))
			continue;
		snprintf(s.key, sizeof(s.key), "net/ipv%d/conf/%s/forwarding", version, name);
		snprintf(s.value, sizeof(s.value), "%s", own);
		snprintf(s.old, sizeof(s.old), "%s", own);
		plan_add(p, s);
	}
	set_key(p, all, "1", is);
}

/* A host that forwards IPv6 stops listening to routers, which it may need to reach them, unless accept_ra is 2. */
static void keep_listening(struct planner *p)
{
	const char *all = snapshot_sysctl(p->now, "net/ipv6/conf/all/forwarding");

	for (size_t i = 0; all && !strcmp(all, "0") && i < p->now->link_count; i++) {
		const struct link *l = &p->now->links[i];
		const char *is = snapshot_sysctl_of(p->now, 6, l->name, "accept_ra");

		/* What we made ourselves has no router of the host's behind it. */
		if (is && !strcmp(is, "1") && !l->ours && strcmp(l->name, p->b->bridge) && strcmp(l->name, "lo"))
			plan_set_sysctl(p, 6, l->name, "accept_ra", "2");
	}
}

static void set_routing(struct planner *p)
{
	if (p->uplink)
		return;
	plan_nft(p);
	if (p->b->isolated)
		return;
	if (p->lan.ip4)
		set_forwarding(p, 4);
	if (p->lan.ip6) {
		keep_listening(p);
		set_forwarding(p, 6);
	}
}

int bridge_plan_up(struct steps *out, const struct lan_config *config, const struct snapshot *now, char *error, size_t error_size)
{
	struct steps steps = { 0 };
	struct planner p = { .config = config, .b = &config->bridge, .now = now, .out = &steps, .error = error, .error_size = error_size };
	int r;

	p.bridge = snapshot_link_named(now, p.b->bridge);
	p.uplink = *p.b->uplink ? snapshot_link_named(now, p.b->uplink) : NULL;
	r = plan_check(&p);
	if (r)
		return r;
	make_bridge(&p);
	set_parameters(&p);
	set_bridge_sysctls(&p);
	bring_up(&p);
	plan_move(&p);
	/* A port has no address of its own, and asks no router for one. */
	if (p.uplink)
		plan_set_sysctl(&p, 6, p.b->uplink, "disable_ipv6", "1");
	make_taps(&p);
	set_routing(&p);
	if (p.failed) {
		snprintf(error, error_size, "LAN %s: out of memory", config->name);
		steps_fini(&steps);
		return p.failed;
	}
	*out = steps;
	return 0;
}
