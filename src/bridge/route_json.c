// SPDX-License-Identifier: MIT
#include "bridge/values.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define TICKS 100

static void put_word(json_t *j, const char *key, enum word_set set, uint32_t number, uint32_t usual)
{
	char word[16];

	if (number != usual)
		json_object_set_new(j, key, json_string(word_of(set, number, word)));
}

static void put_addr(json_t *j, const char *key, addr_t a)
{
	char text[ADDR_TEXT_SIZE];

	if (!addr_is_any(a))
		json_object_set_new(j, key, json_string(addr_format(a, text)));
}

static void put_number(json_t *j, const char *key, uint32_t number, uint32_t usual)
{
	if (number != usual)
		json_object_set_new(j, key, json_integer(number));
}

json_t *link_route_to_json(const struct link_route *r)
{
	json_t *j = json_object();
	char text[ADDR_TEXT_SIZE];

	json_object_set_new(j, "to", json_sprintf("%s/%u", addr_format(r->to, text), r->bits));
	put_addr(j, "via", r->gateway);
	put_addr(j, "source", r->source);
	put_number(j, "metric", r->metric, 0);
	put_number(j, "mtu", r->mtu, 0);
	put_number(j, "expires", r->expires, LIFE_FOREVER);
	put_word(j, "table", WORDS_TABLE, r->table, RT_TABLE_MAIN);
	put_word(j, "type", WORDS_TYPE, r->type, RTN_UNICAST);
	put_word(j, "protocol", WORDS_PROTOCOL, r->protocol, RTPROT_STATIC);
	put_word(j, "scope", WORDS_SCOPE, r->scope, RT_SCOPE_UNIVERSE);
	if (r->flags & RTNH_F_ONLINK)
		json_object_set_new(j, "onlink", json_true());
	if (r->multipath)
		json_object_set_new(j, "multipath", json_true());
	json_object_set_new(j, "raw", hex_to_json(r->raw, r->raw_size));
	return j;
}

/* Absent is right, and leaves @number as it is. */
static bool get_word(const json_t *j, const char *key, enum word_set set, uint32_t *number)
{
	const json_t *v = json_object_get(j, key);

	return !v || (json_is_string(v) && word_number(set, json_string_value(v), number));
}

static bool get_addr(const json_t *j, const char *key, addr_t *a)
{
	const json_t *v = json_object_get(j, key);

	return !v || (json_is_string(v) && addr_parse(json_string_value(v), a));
}

static uint32_t get_number(const json_t *j, const char *key, uint32_t usual)
{
	const json_t *v = json_object_get(j, key);

	return json_is_integer(v) ? (uint32_t)json_integer_value(v) : usual;
}

static bool get_destination(const json_t *j, addr_t gateway, addr_t *to, uint8_t *bits)
{
	const char *text = json_string_value(json_object_get(j, "to"));
	const char *version = json_string_value(json_object_get(j, "version"));
	bool four = addr_is_any(gateway) ? !version || strcmp(version, "6") : addr_is4(gateway);

	*to = addr_any_of(four ? AF_INET : AF_INET6);
	*bits = 0;
	return text && (!strcmp(text, "default") || addr_bits_parse(text, to, bits));
}

static bool put_nexthops(struct nlmsghdr *h, const json_t *list, const struct link_names *names)
{
	struct nlattr *nest = mnl_attr_nest_start(h, RTA_MULTIPATH);
	const json_t *i;
	size_t n;

	json_array_foreach(list, n, i) {
		struct rtnexthop *hop = (struct rtnexthop *)(void *)((char *)h + h->nlmsg_len);
		const char *dev = json_string_value(json_object_get(i, "dev"));
		addr_t via = ADDR_ANY;

		*hop = (struct rtnexthop){ .rtnh_ifindex = dev ? (int)names->index(names->owner, dev) : 0 };
		if (!hop->rtnh_ifindex || !get_addr(i, "via", &via) || n > 16)
			return false;
		h->nlmsg_len += MNL_ALIGN(sizeof(*hop));
		if (!addr_is_any(via))
			attr_put_addr(h, RTA_GATEWAY, via);
		hop->rtnh_len = (unsigned short)((char *)h + h->nlmsg_len - (char *)hop);
	}
	mnl_attr_nest_end(h, nest);
	return true;
}

static void put_rest(struct nlmsghdr *h, const json_t *json, uint32_t table)
{
	uint32_t expires = get_number(json, "expires", LIFE_FOREVER), mtu = get_number(json, "mtu", 0);
	uint32_t metric = get_number(json, "metric", 0);
	struct rta_cacheinfo cache = { .rta_expires = (int32_t)(expires * TICKS) };

	mnl_attr_put_u32(h, RTA_TABLE, table);
	if (metric)
		mnl_attr_put_u32(h, RTA_PRIORITY, metric);
	if (mtu) {
		struct nlattr *nest = mnl_attr_nest_start(h, RTA_METRICS);

		mnl_attr_put_u32(h, RTAX_MTU, mtu);
		mnl_attr_nest_end(h, nest);
	}
	if (expires != LIFE_FOREVER)
		mnl_attr_put(h, RTA_CACHEINFO, sizeof(cache), &cache);
}

/* The words that a person writes: a struct rtmsg. */
static bool get_header(struct rtmsg *m, const json_t *json, bool gateway, uint32_t *table)
{
	uint32_t type = RTN_UNICAST, protocol = RTPROT_STATIC;
	uint32_t scope = gateway || m->rtm_family == AF_INET6 || json_object_get(json, "nexthops") ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;

	*table = RT_TABLE_MAIN;
	if (!get_word(json, "type", WORDS_TYPE, &type) || !get_word(json, "protocol", WORDS_PROTOCOL, &protocol) ||
	    !get_word(json, "scope", WORDS_SCOPE, &scope) || !get_word(json, "table", WORDS_TABLE, table))
		return false;
	m->rtm_type = (uint8_t)type;
	m->rtm_protocol = (uint8_t)protocol;
	m->rtm_scope = (uint8_t)scope;
	m->rtm_table = *table < 256 ? (uint8_t)*table : RT_TABLE_UNSPEC;
	m->rtm_flags = json_is_true(json_object_get(json, "onlink")) ? RTNH_F_ONLINK : 0;
	return true;
}

static int build(struct link_route *r, const json_t *json, const struct link_names *names)
{
	char message[4096] __attribute__((aligned(4)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(message);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	addr_t to, gateway = ADDR_ANY, source = ADDR_ANY;
	const char *dev = json_string_value(json_object_get(json, "dev"));
	unsigned int index = dev && names ? names->index(names->owner, dev) : 0;
	uint32_t table;
	uint8_t bits;

	if (!get_addr(json, "via", &gateway) || !get_addr(json, "source", &source) || !get_destination(json, gateway, &to, &bits) ||
	    (dev && !index))
		return -EINVAL;
	m->rtm_family = addr_family(to);
	m->rtm_dst_len = bits;
	if (!get_header(m, json, !addr_is_any(gateway), &table))
		return -EINVAL;
	if (bits)
		attr_put_addr(h, RTA_DST, to);
	put_rest(h, json, table);
	if (!addr_is_any(source))
		attr_put_addr(h, RTA_PREFSRC, source);
	if (!addr_is_any(gateway))
		attr_put_addr(h, RTA_GATEWAY, gateway);
	if (index)
		mnl_attr_put_u32(h, RTA_OIF, index);
	if (json_object_get(json, "nexthops") && (!names || !put_nexthops(h, json_object_get(json, "nexthops"), names)))
		return -EINVAL;
	return link_route_parse(r, m, h->nlmsg_len - MNL_NLMSG_HDRLEN);
}

int link_route_from_json(struct link_route *r, const json_t *json, const struct link_names *names)
{
	_cleanup_(freep) uint8_t *raw = NULL;
	size_t size;

	if (!json_object_get(json, "raw"))
		return build(r, json, names);
	raw = hex_from_json(json_object_get(json, "raw"), &size);
	return raw ? link_route_parse(r, raw, size) : -EINVAL;
}
