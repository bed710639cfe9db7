// SPDX-License-Identifier: MIT
#include "bridge/rules_drops.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "bridge/nl.h"
#include "bridge/rules.h"

#define REQUEST_SIZE 256
#define TRIES        8     /* how often the table may change under a dump */

struct reading {
	rules_drops_each each;
	void *owner;
	enum drop why;
};

/* The key is the name, filled up with zeroes to IFNAMSIZ. */
static void read_name(const struct nlattr *key, char into[static IFNAMSIZ])
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, key)
		if (mnl_attr_get_type(a) == NFTA_DATA_VALUE)
			memcpy(into, mnl_attr_get_payload(a), MIN((size_t)mnl_attr_get_payload_len(a), (size_t)IFNAMSIZ - 1));
}

static uint64_t read_counter(const struct nlattr *data)
{
	const struct nlattr *a;
	uint64_t frames = 0;

	mnl_attr_for_each_nested(a, data)
		if (mnl_attr_get_type(a) == NFTA_COUNTER_PACKETS && mnl_attr_get_payload_len(a) == sizeof(frames))
			memcpy(&frames, mnl_attr_get_payload(a), sizeof(frames));
	return be64toh(frames);
}

static uint64_t read_expression(const struct nlattr *expression)
{
	const struct nlattr *a, *data = NULL;
	bool counter = false;

	mnl_attr_for_each_nested(a, expression) {
		if (mnl_attr_get_type(a) == NFTA_EXPR_NAME)
			counter = !strcmp(mnl_attr_get_str(a), "counter");
		else if (mnl_attr_get_type(a) == NFTA_EXPR_DATA)
			data = a;
	}
	return counter && data ? read_counter(data) : 0;
}

static void read_element(const struct nlattr *element, const struct reading *r)
{
	char tap[IFNAMSIZ] = "";
	const struct nlattr *a;
	uint64_t frames = 0;

	mnl_attr_for_each_nested(a, element) {
		if (mnl_attr_get_type(a) == NFTA_SET_ELEM_KEY)
			read_name(a, tap);
		else if (mnl_attr_get_type(a) == NFTA_SET_ELEM_EXPR)
			frames = read_expression(a);
	}
	if (*tap && frames)
		r->each(r->owner, tap, r->why, frames);
}

static int take_elements(const struct nlmsghdr *h, void *owner)
{
	const struct nlattr *list, *element;

	mnl_attr_for_each(list, h, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(list) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(element, list)
			read_element(element, owner);
	}
	return MNL_CB_OK;
}

static int read_set(struct nl *n, const char *table, struct reading *r)
{
	char buffer[REQUEST_SIZE] = { 0 }, set[RULES_SET_SIZE];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	int result = -EINTR;

	*g = (struct nfgenmsg){ .nfgen_family = NFPROTO_BRIDGE, .version = NFNETLINK_V0 };
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, rules_reason_set(r->why, set));
	for (int i = 0; result == -EINTR && i < TRIES; i++)
		result = nl_dump(n, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSETELEM, g, mnl_nlmsg_get_payload_len(h), take_elements, r);
	return result;
}

int rules_drops_read(const char *table, rules_drops_each each, void *owner)
{
	_cleanup_(nl_freep) struct nl *n = NULL;
	int r = nl_new(&n, NETLINK_NETFILTER);

	for (size_t i = 0; !r && i < rules_reason_count; i++) {
		struct reading reading = { .each = each, .owner = owner, .why = rules_reasons[i] };

		r = read_set(n, table, &reading);
	}
	return r;
}
