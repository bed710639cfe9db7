// SPDX-License-Identifier: MIT
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "bridge/apply_private.h"
#include "bridge/values.h"

bool apply_is_netlink(enum step_kind kind)
{
	switch (kind) {
	case STEP_TAP_ADD:
	case STEP_SYSCTL:
	case STEP_NFT_ADD:
	case STEP_NFT_DEL:
	case STEP_KINDS:
		return false;
	case STEP_BRIDGE_ADD: case STEP_BRIDGE_DEL: case STEP_TAP_DEL: case STEP_ALIAS: case STEP_MAC: case STEP_MTU: case STEP_UP:
	case STEP_MASTER: case STEP_ISOLATED: case STEP_STP: case STEP_FORWARD_DELAY: case STEP_HELLO: case STEP_MAX_AGE:
	case STEP_ADDRESS_ADD: case STEP_ADDRESS_DEL: case STEP_ROUTE_ADD: case STEP_ROUTE_DEL: case STEP_RULE_ADD: case STEP_RULE_DEL:
		break;
	}
	return true;
}

bool apply_is_harmless(enum step_kind kind, int error)
{
	switch (kind) {
	case STEP_ADDRESS_ADD:
	case STEP_ROUTE_ADD:
	case STEP_RULE_ADD:
		return error == -EEXIST;
	case STEP_BRIDGE_DEL:
	case STEP_TAP_DEL:
	case STEP_ADDRESS_DEL:
	case STEP_ROUTE_DEL:
	case STEP_RULE_DEL:
		return error == -ENOENT || error == -ESRCH || error == -ENODEV || error == -EADDRNOTAVAIL;
	case STEP_BRIDGE_ADD: case STEP_TAP_ADD: case STEP_ALIAS: case STEP_MAC: case STEP_MTU: case STEP_UP: case STEP_MASTER:
	case STEP_ISOLATED: case STEP_STP: case STEP_FORWARD_DELAY: case STEP_HELLO: case STEP_MAX_AGE: case STEP_SYSCTL:
	case STEP_NFT_ADD: case STEP_NFT_DEL: case STEP_KINDS:
		break;
	}
	return false;
}

/* The link by name: it may be made by an earlier message of the same batch. */
static struct ifinfomsg *put_link(struct nlmsghdr *h, const char *name)
{
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return m;
}

static uint32_t number_of(const struct step *s)
{
	return (uint32_t)strtoul(s->value, NULL, 10);
}

/* What belongs to a kind of link: nested twice. */
static void put_info(struct nlmsghdr *h, uint16_t kind, uint16_t data, uint16_t type, uint32_t value, bool byte)
{
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO), *nest;

	mnl_attr_put_strz(h, kind, "bridge");
	nest = mnl_attr_nest_start(h, data);
	if (byte)
		mnl_attr_put_u8(h, type, (uint8_t)value);
	else
		mnl_attr_put_u32(h, type, value);
	mnl_attr_nest_end(h, nest);
	mnl_attr_nest_end(h, info);
}

static void put_mac(struct nlmsghdr *h, const char *text)
{
	struct mac mac;

	if (mac_parse(text, &mac))
		mnl_attr_put(h, IFLA_ADDRESS, sizeof(mac), &mac);
}

static void put_setting(struct nlmsghdr *h, struct ifinfomsg *m, const struct step *s, unsigned int master)
{
	switch (s->kind) {
	case STEP_ALIAS:
		mnl_attr_put(h, IFLA_IFALIAS, strlen(s->value), s->value);
		break;
	case STEP_MAC:
		put_mac(h, s->value);
		break;
	case STEP_MTU:
		mnl_attr_put_u32(h, IFLA_MTU, number_of(s));
		break;
	case STEP_UP:
		m->ifi_change = IFF_UP;
		m->ifi_flags = strcmp(s->value, "up") ? 0 : IFF_UP;
		break;
	case STEP_MASTER:
		mnl_attr_put_u32(h, IFLA_MASTER, master);
		break;
	case STEP_ISOLATED:
		put_info(h, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA, IFLA_BRPORT_ISOLATED, number_of(s), true);
		break;
	case STEP_STP:
		put_info(h, IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_BR_STP_STATE, number_of(s), false);
		break;
	case STEP_FORWARD_DELAY:
		put_info(h, IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_BR_FORWARD_DELAY, number_of(s), false);
		break;
	case STEP_HELLO:
		put_info(h, IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_BR_HELLO_TIME, number_of(s), false);
		break;
	case STEP_MAX_AGE:
		put_info(h, IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_BR_MAX_AGE, number_of(s), false);
		break;
	case STEP_BRIDGE_ADD: case STEP_BRIDGE_DEL: case STEP_TAP_ADD: case STEP_TAP_DEL: case STEP_ADDRESS_ADD: case STEP_ADDRESS_DEL:
	case STEP_ROUTE_ADD: case STEP_ROUTE_DEL: case STEP_RULE_ADD: case STEP_RULE_DEL: case STEP_SYSCTL: case STEP_NFT_ADD:
	case STEP_NFT_DEL: case STEP_KINDS:
		break;
	}
}

static int put_bridge(struct nl *n, const struct step *s)
{
	struct nlmsghdr *h = nl_begin(n, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info;

	if (!h)
		return -ENOMEM;
	put_link(h, s->link);
	put_mac(h, s->value);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(h, info);
	nl_end(n, h);
	return 0;
}

static int put_set(struct nl *n, const struct step *s)
{
	unsigned int master = s->kind == STEP_MASTER && s->value[0] ? if_nametoindex(s->value) : 0;
	struct nlmsghdr *h;

	if (s->kind == STEP_MASTER && s->value[0] && !master)
		return -ENODEV;
	h = nl_begin(n, RTM_NEWLINK, 0);
	if (!h)
		return -ENOMEM;
	put_setting(h, put_link(h, s->link), s, master);
	nl_end(n, h);
	return 0;
}

static int put_address(struct nl *n, const struct link_address *a, const struct step *s, unsigned int index)
{
	bool add = s->kind == STEP_ADDRESS_ADD;
	struct nlmsghdr *h = nl_begin(n, add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_REPLACE : 0);

	if (!h)
		return -ENOMEM;
	link_address_put(h, a, index, s->link);
	nl_end(n, h);
	return 0;
}

/*
 * An IPv6 address that moves was found free of duplicates where it came from; without asking again it can be used at once. The mark of that
 * ("nodad") is taken off behind it, so that the address looks as it did.
 */
static int put_address_step(struct nl *n, const struct step *s)
{
	struct link_address quick = s->address;
	unsigned int index = if_nametoindex(s->link);
	int r = 0;

	if (!index)
		return -ENODEV;
	if (s->kind == STEP_ADDRESS_ADD && !addr_is4(quick.local) && !(quick.flags & IFA_F_NODAD)) {
		quick.flags |= IFA_F_NODAD;
		r = put_address(n, &quick, s, index);
	}
	return r ? r : put_address(n, &s->address, s, index);
}

static int put_route(struct nl *n, const struct step *s)
{
	bool add = s->kind == STEP_ROUTE_ADD;
	unsigned int from = s->key[0] ? if_nametoindex(s->key) : 0, to = if_nametoindex(s->link);
	uint16_t how = s->route.family == AF_INET ? NLM_F_CREATE | NLM_F_APPEND : NLM_F_CREATE;
	struct nlmsghdr *h;

	if (!to)
		return -ENODEV;
	h = nl_begin(n, add ? RTM_NEWROUTE : RTM_DELROUTE, add ? how : 0);
	if (!h)
		return -ENOMEM;
	link_route_put(h, &s->route, from, to);
	nl_end(n, h);
	return 0;
}

static int put_rule(struct nl *n, const struct step *s)
{
	bool add = s->kind == STEP_RULE_ADD;
	/* Not NLM_F_EXCL: it takes a rule that says more for the same as one that says less. */
	struct nlmsghdr *h = nl_begin(n, add ? RTM_NEWRULE : RTM_DELRULE, add ? NLM_F_CREATE : 0);

	if (!h)
		return -ENOMEM;
	route_rule_put(h, &s->rule, s->key, s->link);
	nl_end(n, h);
	return 0;
}

static int put_delete(struct nl *n, const struct step *s)
{
	struct nlmsghdr *h = nl_begin(n, RTM_DELLINK, 0);

	if (!h)
		return -ENOMEM;
	put_link(h, s->link);
	nl_end(n, h);
	return 0;
}

int apply_put(struct nl *n, const struct step *s)
{
	switch (s->kind) {
	case STEP_BRIDGE_ADD:
		return put_bridge(n, s);
	case STEP_BRIDGE_DEL:
	case STEP_TAP_DEL:
		return put_delete(n, s);
	case STEP_ALIAS: case STEP_MAC: case STEP_MTU: case STEP_UP: case STEP_MASTER: case STEP_ISOLATED: case STEP_STP:
	case STEP_FORWARD_DELAY: case STEP_HELLO: case STEP_MAX_AGE:
		return put_set(n, s);
	case STEP_ADDRESS_ADD:
	case STEP_ADDRESS_DEL:
		return put_address_step(n, s);
	case STEP_ROUTE_ADD:
	case STEP_ROUTE_DEL:
		return put_route(n, s);
	case STEP_RULE_ADD:
	case STEP_RULE_DEL:
		return put_rule(n, s);
	case STEP_TAP_ADD: case STEP_SYSCTL: case STEP_NFT_ADD: case STEP_NFT_DEL: case STEP_KINDS:
		break;
	}
	return -EINVAL;
}
