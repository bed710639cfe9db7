// SPDX-License-Identifier: MIT
#include <errno.h>
#include <linux/fib_rules.h>
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bridge/array.h"
#include "bridge/snapshot_private.h"
#include "bridge/values.h"

static int failed(int error)
{
	errno = -error;
	return MNL_CB_ERROR;
}

static int take_address(const struct nlmsghdr *h, void *owner)
{
	struct snapshot *s = owner;
	struct link_address *next = SNAPSHOT_NEXT(s, addresses, address_count);

	if (!next)
		return failed(-ENOMEM);
	if (link_address_parse(next, mnl_nlmsg_get_payload(h), mnl_nlmsg_get_payload_len(h)))
		s->address_count++;
	return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *h, void *owner)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct snapshot *s = owner;
	struct link_route *next = SNAPSHOT_NEXT(s, routes, route_count);
	int r;

	if (!next)
		return failed(-ENOMEM);
	if (m->rtm_flags & RTM_F_CLONED)
		return MNL_CB_OK;
	r = link_route_parse(next, m, mnl_nlmsg_get_payload_len(h));
	if (!r)
		s->route_count++;
	return r == -ENOMEM ? failed(r) : MNL_CB_OK;
}

static int take_rule(const struct nlmsghdr *h, void *owner)
{
	struct snapshot *s = owner;
	struct route_rule *next = SNAPSHOT_NEXT(s, rules, rule_count);
	int r;

	if (!next)
		return failed(-ENOMEM);
	r = route_rule_parse(next, mnl_nlmsg_get_payload(h), mnl_nlmsg_get_payload_len(h));
	if (!r)
		s->rule_count++;
	return r == -ENOMEM ? failed(r) : MNL_CB_OK;
}

int snapshot_read_routes(struct snapshot *s, struct nl *n)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(families); i++) {
		struct ifaddrmsg address = { .ifa_family = families[i] };
		struct rtmsg route = { .rtm_family = families[i] };
		struct fib_rule_hdr rule = { .family = families[i] };

		r = nl_dump(n, RTM_GETADDR, &address, sizeof(address), take_address, s);
		if (!r)
			r = nl_dump(n, RTM_GETROUTE, &route, sizeof(route), take_route, s);
		if (!r)
			r = nl_dump(n, RTM_GETRULE, &rule, sizeof(rule), take_rule, s);
		/* A kernel without one of the two has nothing of it. */
		if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP)
			r = 0;
	}
	return r;
}

static const char *nft_family(uint8_t family)
{
	static const char *const names[] = {
		[NFPROTO_INET] = "inet", [NFPROTO_IPV4] = "ip", [NFPROTO_IPV6] = "ip6", [NFPROTO_ARP] = "arp", [NFPROTO_BRIDGE] = "bridge",
		[NFPROTO_NETDEV] = "netdev",
	};

	return family < ARRAY_SIZE(names) && names[family] ? names[family] : "?";
}

/* nft keeps a comment as type, length and text with a NUL (libnftnl's NFTNL_UDATA_TABLE_COMMENT, 0) in the table's user data. */
static void take_comment(struct nft_table *t, const struct nlattr *a)
{
	const uint8_t *data = mnl_attr_get_payload(a);
	size_t size = mnl_attr_get_payload_len(a);

	while (size >= 2 && data[1] <= size - 2) {
		if (data[0] == 0)
			snprintf(t->comment, sizeof(t->comment), "%.*s", data[1], (const char *)data + 2);
		size -= 2u + data[1];
		data += 2u + data[1];
	}
}

static int take_table(const struct nlmsghdr *h, void *owner)
{
	const struct nfgenmsg *m = mnl_nlmsg_get_payload(h);
	struct snapshot *s = owner;
	struct nft_table *next = SNAPSHOT_NEXT(s, tables, table_count);
	const struct nlattr *a;

	if (!next)
		return failed(-ENOMEM);
	strcpy(next->family, nft_family(m->nfgen_family));
	mnl_attr_for_each(a, h, sizeof(*m)) {
		if (mnl_attr_get_type(a) == NFTA_TABLE_NAME)
			snprintf(next->name, sizeof(next->name), "%.*s", (int)mnl_attr_get_payload_len(a), mnl_attr_get_str(a));
		else if (mnl_attr_get_type(a) == NFTA_TABLE_USERDATA)
			take_comment(next, a);
	}
	s->table_count++;
	return MNL_CB_OK;
}

int snapshot_read_tables(struct snapshot *s)
{
	_cleanup_(nl_freep) struct nl *n = NULL;
	struct nfgenmsg request = { .nfgen_family = NFPROTO_UNSPEC };
	int r = nl_new(&n, NETLINK_NETFILTER);

	if (!r)
		r = nl_dump(n, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, &request, sizeof(request), take_table, s);
	/* Without the right, or in a kernel without nf_tables, there is none to be seen. */
	return r == -EPERM || r == -EPROTONOSUPPORT || r == -EOPNOTSUPP || r == -EINVAL ? 0 : r;
}
