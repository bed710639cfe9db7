// SPDX-License-Identifier: MIT
/* What a bridge LAN cannot be made of, why, and what to do. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bridge/plan_private.h"
#include "bridge/values.h"

int plan_refuse(struct planner *p, const char *format, ...)
{
	va_list args;
	int n = snprintf(p->error, p->error_size, "LAN %s: ", p->config->name);

	va_start(args, format);
	vsnprintf(p->error + n, p->error_size - (size_t)n, format, args);
	va_end(args);
	return -EINVAL;
}

static int check_bridge(struct planner *p)
{
	const char *name = p->b->bridge;
	char alias[64];

	if (!p->bridge)
		return 0;
	if (strcmp(p->bridge->kind, "bridge"))
		return plan_refuse(p,
				   "%s is the name of another link of this host, which is no bridge; "
				   "write another name, such as Bridge = br1",
				   name);
	if (!p->bridge->ours)
		return plan_refuse(p,
				   "there is a bridge %s already that hospes did not make; "
				   "write another name, such as Bridge = br1, or remove it "
				   "first: ip link del %s", name, name);
	if (p->bridge->alias[0] && strcmp(p->bridge->alias, plan_alias(p, alias)))
		return plan_refuse(p, "the bridge %s belongs to another LAN (\"%s\"); write another name, such as Bridge = br1", name,
				   p->bridge->alias);
	return 0;
}

static int check_master(struct planner *p)
{
	const char *name = p->b->uplink;
	const struct link *master = p->uplink->master ? snapshot_link(p->now, p->uplink->master) : NULL;

	if (!p->uplink->master || plan_is_enslaved(p))
		return 0;
	if (master && (!strcmp(master->kind, "bond") || !strcmp(master->kind, "team")))
		return plan_refuse(p, "%s is a part of %s; write Uplink = %s", name, master->name, master->name);
	return plan_refuse(p, "%s is already in %s %s; take it out first: ip link set dev %s nomaster", name,
			   master && master->kind[0] ? master->kind : "another device", master ? master->name : "?", name);
}

/* Links on top that take all of its frames for themselves leave none to a bridge. */
static int check_taken(struct planner *p)
{
	static const char *const greedy[] = { "macvlan", "macvtap", "ipvlan", "ipvtap" };

	for (size_t i = 0; i < p->now->link_count; i++) {
		const struct link *l = &p->now->links[i];

		for (size_t k = 0; k < ARRAY_SIZE(greedy); k++)
			if (l->lower == p->uplink->index && !strcmp(l->kind, greedy[k]))
				return plan_refuse(p, "%s carries %s, a %s, which takes its frames; remove it first: ip link del %s",
						   p->b->uplink,
						   l->name, l->kind, l->name);
	}
	return 0;
}

#define NAT_INSTEAD "write Uplink = none and NAT = yes: guests then leave by the host's routes, whatever card they take"

static int check_uplink(struct planner *p)
{
	const char *name = p->b->uplink;
	const struct link *u = p->uplink;
	int r;

	if (!*name)
		return 0;
	if (!u)
		return plan_refuse(p, "there is no link %s; \"ip link\" lists those there are: write one of them as Uplink", name);
	if (u->type == ARPHRD_LOOPBACK)
		return plan_refuse(p, "%s is the loopback link, which leads nowhere; write the name of a network card as Uplink", name);
	if (u->wireless)
		return plan_refuse(p,
				   "%s is a Wi-Fi card: an access point takes no frames from the MACs of guests, so it cannot be bridged; "
				   NAT_INSTEAD, name);
	if (u->type != ARPHRD_ETHER)
		return plan_refuse(p, "%s does not carry Ethernet (a tunnel, say), so it cannot be bridged; " NAT_INSTEAD, name);
	if (!strcmp(u->kind, "bridge"))
		return plan_refuse(p,
				   "%s is a bridge itself; write the network card in it as Uplink, once it is out: "
				   "ip link set dev CARD nomaster",
				   name);
	if (!strncmp(u->kind, "macv", 4) || !strncmp(u->kind, "ipv", 3))
		return plan_refuse(p, "%s is a %s, which cannot be bridged; write the card it stands on as Uplink", name, u->kind);
	if (u->ours)
		return plan_refuse(p, "%s is a tap of hospes (\"%s\"); write the name of a network card as Uplink", name, u->alias);
	r = check_master(p);
	if (r || plan_is_enslaved(p))
		return r;
	return check_taken(p);
}

static int check_mtu(struct planner *p)
{
	if (p->uplink && p->b->mtu > p->uplink->mtu)
		return plan_refuse(p,
				   "MTU = %u is more than %s carries (%u); write at most that, or raise it first: "
				   "ip link set dev %s mtu %u",
				   p->b->mtu, p->b->uplink, p->uplink->mtu, p->b->uplink, p->b->mtu);
	return 0;
}

/* Is a link's address the uplink's or the bridge's, so that it is this LAN's already? */
static bool is_own(const struct planner *p, unsigned int index)
{
	return (p->uplink && index == p->uplink->index) || (p->bridge && index == p->bridge->index);
}

/* An address that the host is to have must not be another link's, nor its network lie with one of theirs. */
static int check_address(struct planner *p, addr_t addr, unsigned int bits)
{
	char text[ADDR_TEXT_SIZE], other[ADDR_TEXT_SIZE];

	for (size_t i = 0; i < p->now->address_count; i++) {
		const struct link_address *a = &p->now->addresses[i];
		const struct link *l = snapshot_link(p->now, a->index);
		unsigned int shorter = MIN(bits, (unsigned int)a->bits);

		if (is_own(p, a->index) || !l || addr_is_loopback(a->local))
			continue;
		if (addr_equal(a->local, addr))
			return plan_refuse(p,
					   "%s is an address of %s already; write another, or remove it first: ip address del %s/%u dev %s",
					   addr_format(addr, text), l->name, addr_format(a->local, other), a->bits, l->name);
		if (addr_in_prefix(addr, a->peer, shorter) && a->bits < (addr_is4(a->peer) ? 32 : 128))
			return plan_refuse(p, "%s/%u overlaps the network of %s on %s/%u; write an address of another network",
					   addr_format(addr, text), bits, l->name, addr_format(a->local, other), a->bits);
	}
	return 0;
}

static int check_addresses(struct planner *p)
{
	const struct bridge_config *b = p->b;
	int r = 0;

	/* Says which network is free instead. */
	if (!*b->uplink)
		r = bridge_plan_lan(&p->lan, p->config, p->now, p->error, p->error_size);
	if (r)
		return r == -ENOMEM ? r : -EINVAL;
	if (b->ip4 == BRIDGE_IP_STATIC)
		r = check_address(p, b->addr4, b->bits4);
	if (!r && b->ip6 == BRIDGE_IP_STATIC)
		r = check_address(p, b->addr6, b->bits6);
	return r;
}

static int check_taps(struct planner *p)
{
	char alias[64];

	plan_alias(p, alias);
	for (size_t i = 0; i < p->b->tap_count; i++) {
		const char *name = p->b->taps[i].name;
		const struct link *l = snapshot_link_named(p->now, name);

		if (!l)
			continue;
		if (strcmp(l->kind, "tun") || !l->tap.tap)
			return plan_refuse(p, "Taps: %s is the name of another link of this host, which is no tap; write another name",
					   name);
		if (!l->ours || (l->alias[0] && strcmp(l->alias, alias)))
			return plan_refuse(p,
					   "Taps: there is a tap %s already that is not of this LAN; "
					   "write another name, or remove it first: "
					   "ip tuntap del dev %s mode tap", name, name);
		if (strcmp(l->tap.owner_name, p->b->taps[i].owner))
			return plan_refuse(p, "Taps: %s belongs to %s, not %s; remove it first: ip tuntap del dev %s mode tap", name,
					   l->tap.owner_name[0] ? l->tap.owner_name : "anybody", p->b->taps[i].owner, name);
	}
	return 0;
}

int plan_check(struct planner *p)
{
	int r = check_bridge(p);

	if (!r)
		r = check_uplink(p);
	if (!r)
		r = check_mtu(p);
	if (!r)
		r = check_addresses(p);
	return r ? r : check_taps(p);
}

static bool is_tap_of(const struct steps *journal, const char *link)
{
	for (size_t i = 0; i < journal->count; i++)
		if (journal->step[i].kind == STEP_TAP_ADD && !strcmp(journal->step[i].link, link))
			return true;
	return false;
}

int bridge_plan_same(const struct lan_config *config, const struct bridge_config *served, const struct steps *journal, char *error,
		size_t error_size)
{
	const struct bridge_config *b = &config->bridge;
	const char *bridge = served ? served->bridge : b->bridge, *uplink = served ? served->uplink : b->uplink;
	const char *name = config->name;

	for (size_t i = 0; journal && i < journal->count; i++) {
		const struct step *s = &journal->step[i];

		if (s->kind == STEP_BRIDGE_ADD)
			bridge = s->link;
		else if (s->kind == STEP_MASTER && s->value[0] && !is_tap_of(journal, s->link))
			uplink = s->link;
	}
	if (!strcmp(bridge, b->bridge) && !strcmp(uplink, b->uplink))
		return 0;
	snprintf(error, error_size, "LAN %s is up with Bridge = %s and Uplink = %s, which cannot change meanwhile: "
		 "sudo hospes restart %s takes it down and up again", name, bridge, *uplink ? uplink : "none", name);
	return -EINVAL;
}
