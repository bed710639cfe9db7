// SPDX-License-Identifier: MIT
/*
 * The uplink into the bridge, and what the host had on the uplink over to the bridge.
 *
 * These steps stand together so that they go in one batch: enslave; rules; routes off, addresses off; addresses on, routes on.
 *
 * The order of addresses matters: of a network's the first is its primary one. IPv4 puts a new address at the end of the kernel's list,
 * IPv6 at its front, and what goes on must come out as it was, forth and, with these steps in reverse, back. So addresses go off from the
 * end of which they came on last.
 *
 * What the kernel makes by itself (connected and local routes, IPv6's link-local address) is not copied: it comes with the bridge's
 * addresses.
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bridge/plan_private.h"
#include "bridge/values.h"

static bool of_uplink(const struct planner *p, const struct link_address *a)
{
	return p->uplink && a->index == p->uplink->index;
}

static enum bridge_ip mode_of(const struct planner *p, bool four)
{
	return four ? p->b->ip4 : p->b->ip6;
}

static bool is_static(const struct planner *p, addr_t a)
{
	bool four = addr_is4(a);

	return mode_of(p, four) == BRIDGE_IP_STATIC && addr_equal(a, four ? p->b->addr4 : p->b->addr6);
}

/* Does the host keep this address of the uplink, on the bridge? */
static bool is_kept_address(const struct planner *p, const struct link_address *a)
{
	enum bridge_ip mode = mode_of(p, addr_is4(a->local));

	if ((!addr_is4(a->local) && addr_is_link_local(a->local)) || a->flags & IFA_F_DADFAILED)
		return false;
	return mode == BRIDGE_IP_AUTO || mode == BRIDGE_IP_DHCP;
}

static void add_address(struct planner *p, enum step_kind kind, const char *link, const struct link_address *a)
{
	struct step s = { .kind = kind, .address = *a };

	strcpy(s.link, link);
	s.address.lost = false;
	plan_add(p, s);
}

static bool on_bridge(const struct planner *p, const struct link_address *a)
{
	for (size_t i = 0; p->bridge && i < p->now->address_count; i++)
		if (p->now->addresses[i].index == p->bridge->index && link_address_same(&p->now->addresses[i], a))
			return true;
	return false;
}

/* The host's address as configured, if the bridge lacks it. */
static void add_own(struct planner *p, addr_t addr, unsigned int bits)
{
	struct link_address a = { .local = addr, .peer = addr, .bits = (uint8_t)bits, .scope = RT_SCOPE_UNIVERSE, .flags = IFA_F_PERMANENT,
				  .valid = LIFE_FOREVER, .preferred = LIFE_FOREVER };

	if (addr_is4(addr) && bits < 31)
		a.broadcast = addr_of4(ip4(ip4_get(addr_get4(addr)) | UINT32_MAX >> bits));
	if (!on_bridge(p, &a))
		add_address(p, STEP_ADDRESS_ADD, p->b->bridge, &a);
}

/* --- routes --- */

/* Is this the connected route of one of the uplink's addresses, which the kernel makes and removes with it? */
static bool is_connected(const struct planner *p, const struct link_route *r)
{
	for (size_t i = 0; i < p->now->address_count; i++) {
		const struct link_address *a = &p->now->addresses[i];

		if (of_uplink(p, a) && !(a->flags & IFA_F_NOPREFIXROUTE) && a->bits == r->bits && addr_in_prefix(a->peer, r->to, r->bits))
			return true;
	}
	return false;
}

static bool is_kernels(const struct planner *p, const struct link_route *r)
{
	if (r->protocol != RTPROT_KERNEL)
		return false;
	return r->type != RTN_UNICAST || r->table == RT_TABLE_LOCAL || (r->family == AF_INET6 && addr_is_link_local(r->to)) ||
	       is_connected(p, r);
}

/*
 * The kernel leaves the connected route of an address whose life ends to run out, where it would compete with the bridge's: it is taken
 * away. (IPv4 has no such.)
 */
static bool runs_out(const struct planner *p, const struct link_route *r)
{
	return r->expires != LIFE_FOREVER && r->table != RT_TABLE_LOCAL && r->type == RTN_UNICAST && is_connected(p, r);
}

static bool is_kept_route(const struct planner *p, const struct link_route *r)
{
	bool four = r->family == AF_INET;
	addr_t own = four ? p->b->addr4 : p->b->addr6;
	unsigned int bits = four ? p->b->bits4 : p->b->bits6;

	switch (mode_of(p, four)) {
	case BRIDGE_IP_AUTO:
	case BRIDGE_IP_DHCP:
		return true;
	case BRIDGE_IP_NONE:
		return false;
	case BRIDGE_IP_STATIC:
		break;
	}
	if (four && link_route_is_default(r) && !addr_is_any(p->b->gateway4))
		return false;
	if (!addr_is_any(r->source) && !addr_equal(r->source, own))
		return false;
	return addr_is_any(r->gateway) || (!four && addr_is_link_local(r->gateway)) || addr_in_prefix(r->gateway, own, bits);
}

static void add_route(struct planner *p, enum step_kind kind, const char *link, const char *was, const struct link_route *r)
{
	struct step s = { .kind = kind };

	strcpy(s.link, link);
	strcpy(s.key, was);
	if (link_route_copy(&s.route, r)) {
		p->failed = -ENOMEM;
		return;
	}
	s.route.lost = false;
	plan_add(p, s);
}

static bool route_on_bridge(const struct planner *p, const struct link_route *r)
{
	for (size_t i = 0; p->bridge && i < p->now->route_count; i++)
		if (link_route_uses(&p->now->routes[i], p->bridge->index) && link_route_same(&p->now->routes[i], r))
			return true;
	return false;
}

static bool is_moved(const struct planner *p, const struct link_route *r)
{
	return p->uplink && link_route_uses(r, p->uplink->index) && !is_kernels(p, r);
}

/* Those by a router first, since they need the others; on their way back they come last so. */
static void routes_off(struct planner *p)
{
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < p->now->route_count; i++) {
			const struct link_route *r = &p->now->routes[i];
			bool direct = addr_is_any(r->gateway) && !r->multipath;

			if (direct != pass || r->lost || !p->uplink || !link_route_uses(r, p->uplink->index))
				continue;
			if (is_moved(p, r) || runs_out(p, r))
				add_route(p, STEP_ROUTE_DEL, p->b->uplink, "", r);
		}
}

static void routes_on(struct planner *p)
{
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < p->now->route_count; i++) {
			const struct link_route *r = &p->now->routes[i];
			bool by_router = !addr_is_any(r->gateway) || r->multipath;

			if (by_router == pass && is_moved(p, r) && is_kept_route(p, r) && !route_on_bridge(p, r))
				add_route(p, STEP_ROUTE_ADD, p->b->bridge, p->b->uplink, r);
		}
}

/* Is there a default route by the configured router, or, where addresses are the uplink's own, by any? */
static bool has_gateway(const struct planner *p)
{
	for (size_t i = 0; i < p->now->route_count; i++) {
		const struct link_route *r = &p->now->routes[i];
		bool moves = is_moved(p, r) && is_kept_route(p, r);

		if (r->family == AF_INET && link_route_is_default(r) && r->table == RT_TABLE_MAIN &&
		    (moves || (p->bridge && link_route_uses(r, p->bridge->index))) &&
		    (p->b->ip4 != BRIDGE_IP_STATIC || addr_equal(r->gateway, p->b->gateway4)))
			return true;
	}
	return false;
}

static void add_gateway(struct planner *p)
{
	char text[ADDR_TEXT_SIZE];
	struct link_route r = { 0 };
	json_t *json;

	if (!p->uplink || addr_is_any(p->b->gateway4) || has_gateway(p))
		return;
	json = json_pack("{ss ss}", "to", "default", "via", addr_format(p->b->gateway4, text));
	if (!json || link_route_from_json(&r, json, NULL))
		p->failed = -ENOMEM;
	else
		add_route(p, STEP_ROUTE_ADD, p->b->bridge, "", &r);
	json_decref(json);
	link_route_fini(&r);
}

/* --- rules --- */

static void add_rule(struct planner *p, enum step_kind kind, const char *link, const char *was, const struct route_rule *r)
{
	struct step s = { .kind = kind };

	strcpy(s.link, link);
	strcpy(s.key, was);
	if (route_rule_copy(&s.rule, r)) {
		p->failed = -ENOMEM;
		return;
	}
	s.rule.lost = false;
	plan_add(p, s);
}

static bool rule_is_there(const struct planner *p, const struct route_rule *r)
{
	for (size_t i = 0; i < p->now->rule_count; i++)
		if (!p->now->rules[i].lost && route_rule_same(r, &p->now->rules[i], p->b->uplink, p->b->bridge))
			return true;
	return false;
}

static bool is_of_uplink(const struct planner *p, const struct route_rule *r)
{
	return p->uplink && (!strcmp(r->iif, p->b->uplink) || !strcmp(r->oif, p->b->uplink));
}

/*
 * A policy rule that names the uplink names the bridge then. Those of one priority stand in the order in which they came, so they go off
 * from the end, and, with the steps in reverse, come back from the front.
 */
static void move_rules(struct planner *p)
{
	for (size_t i = 0; i < p->now->rule_count; i++)
		if (is_of_uplink(p, &p->now->rules[i]) && !rule_is_there(p, &p->now->rules[i]))
			add_rule(p, STEP_RULE_ADD, p->b->bridge, p->b->uplink, &p->now->rules[i]);
	for (size_t i = p->now->rule_count; i-- > 0;)
		if (is_of_uplink(p, &p->now->rules[i]) && !p->now->rules[i].lost)
			add_rule(p, STEP_RULE_DEL, p->b->uplink, "", &p->now->rules[i]);
}

/* --- all of it --- */

/* The @i-th to be put on so that the kernel's list comes out as it is: IPv4 from its front, IPv6 from its end */
static const struct link_address *in_order(const struct planner *p, size_t i)
{
	size_t n = p->now->address_count;
	const struct link_address *a = &p->now->addresses[i < n ? i : 2 * n - 1 - i];

	return addr_is4(a->local) == (i < n) && of_uplink(p, a) ? a : NULL;
}

static void addresses_off(struct planner *p)
{
	for (size_t i = 2 * p->now->address_count; i-- > 0;) {
		const struct link_address *a = in_order(p, i);

		if (a && !a->lost)
			add_address(p, STEP_ADDRESS_DEL, p->b->uplink, a);
	}
}

static void addresses_on(struct planner *p)
{
	for (size_t i = 0; i < 2 * p->now->address_count; i++) {
		const struct link_address *a = in_order(p, i);

		if (a && is_kept_address(p, a) && !is_static(p, a->local) && !on_bridge(p, a))
			add_address(p, STEP_ADDRESS_ADD, p->b->bridge, a);
	}
}

static void add_own_addresses(struct planner *p)
{
	const struct bridge_config *b = p->b;

	if (p->uplink && b->ip4 == BRIDGE_IP_STATIC)
		add_own(p, b->addr4, b->bits4);
	if (p->uplink && b->ip6 == BRIDGE_IP_STATIC)
		add_own(p, b->addr6, b->bits6);
	if (*b->uplink || b->isolated)
		return;
	if (p->lan.ip4)
		add_own(p, p->lan.gateway4, p->lan.bits4);
	if (p->lan.ip6)
		add_own(p, p->lan.gateway6, p->lan.bits6);
}

void plan_move(struct planner *p)
{
	if (p->uplink && !plan_is_enslaved(p))
		plan_set(p, STEP_MASTER, p->b->uplink, p->b->bridge, "");
	move_rules(p);
	routes_off(p);
	addresses_off(p);
	add_own_addresses(p);
	addresses_on(p);
	routes_on(p);
	add_gateway(p);
}
