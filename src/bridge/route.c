// SPDX-License-Identifier: MIT
#include "bridge/values.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define HEADER MNL_ALIGN(sizeof(struct rtmsg))
#define TICKS 100 /* USER_HZ: rta_expires counts in them */

static const struct rtmsg *header_of(const struct link_route *r) { return (const struct rtmsg *)r->raw; }

static uint32_t get_u32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= sizeof(uint32_t) ? mnl_attr_get_u32(a) : 0;
}

static void take_metrics(struct link_route *r, const struct nlattr *nest)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
		if (mnl_attr_get_type(attr) == RTAX_MTU)
			r->mtu = get_u32(attr);
}

static void take_attribute(struct link_route *r, const struct nlattr *a)
{
	const struct rta_cacheinfo *cache = mnl_attr_get_payload(a);

	switch (mnl_attr_get_type(a)) {
	case RTA_DST:
		r->to = attr_addr(a);
		break;
	case RTA_GATEWAY:
		r->gateway = attr_addr(a);
		break;
	case RTA_VIA: /* IPv4 by way of an IPv6 router (RFC 8950) */
		if (mnl_attr_get_payload_len(a) == sizeof(struct rtvia) + sizeof(addr_t))
			memcpy(&r->gateway, (const char *)mnl_attr_get_payload(a) + sizeof(struct rtvia), sizeof(addr_t));
		break;
	case RTA_PREFSRC:
		r->source = attr_addr(a);
		break;
	case RTA_OIF:
		r->index = get_u32(a);
		break;
	case RTA_PRIORITY:
		r->metric = get_u32(a);
		break;
	case RTA_TABLE:
		r->table = get_u32(a);
		break;
	case RTA_MULTIPATH:
		r->multipath = true;
		break;
	case RTA_METRICS:
		take_metrics(r, a);
		break;
	case RTA_CACHEINFO:
		if (mnl_attr_get_payload_len(a) >= sizeof(*cache) && cache->rta_expires > 0)
			r->expires = (uint32_t)cache->rta_expires / TICKS;
		break;
	case RTA_EXPIRES:
		r->expires = get_u32(a);
		break;
	}
}

int link_route_parse(struct link_route *r, const void *payload, size_t size)
{
	const struct rtmsg *m = payload;
	const struct nlattr *attr;

	if (size < HEADER || size > VALUE_MESSAGE_SIZE / 2 || (m->rtm_family != AF_INET && m->rtm_family != AF_INET6))
		return -EINVAL;
	*r = (struct link_route){ .family = m->rtm_family, .bits = m->rtm_dst_len, .protocol = m->rtm_protocol, .scope = m->rtm_scope,
				  .type = m->rtm_type, .table = m->rtm_table, .flags = m->rtm_flags, .expires = LIFE_FOREVER,
				  .to = addr_any_of(m->rtm_family) };
	mnl_attr_for_each_payload((const struct nlattr *)((const char *)payload + HEADER), size - HEADER)
		take_attribute(r, attr);
	if (r->multipath)
		r->index = 0;
	r->raw = raw_copy(payload, size);
	r->raw_size = size;
	return r->raw ? 0 : -ENOMEM;
}

static const struct nlattr *find(const struct link_route *r, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each_payload((const struct nlattr *)(const void *)(r->raw + HEADER), r->raw_size - HEADER)
		if (mnl_attr_get_type(attr) == type)
			return attr;
	return NULL;
}

/* Walk the nexthops of RTA_MULTIPATH, @n at most of which are there. Return: the first at @at or behind it, or NULL. */
static struct rtnexthop *nexthop_at(void *nexthops, size_t size, size_t at)
{
	struct rtnexthop *hop = (struct rtnexthop *)(void *)((char *)nexthops + at);

	if (at + sizeof(*hop) > size || hop->rtnh_len < sizeof(*hop) || hop->rtnh_len > size - at)
		return NULL;
	return hop;
}

#define FOR_EACH_NEXTHOP(hop, nexthops, size)                                                                                     \
	for (size_t _at = 0; (hop = nexthop_at(nexthops, size, _at)); _at += MNL_ALIGN(hop->rtnh_len))

bool link_route_uses(const struct link_route *r, unsigned int index)
{
	const struct nlattr *several = r->multipath ? find(r, RTA_MULTIPATH) : NULL;
	struct rtnexthop *hop;

	if (!several)
		return r->index == index;
	FOR_EACH_NEXTHOP(hop, mnl_attr_get_payload(several), mnl_attr_get_payload_len(several))
		if ((unsigned int)hop->rtnh_ifindex == index)
			return true;
	return false;
}

static void put_nexthops(struct nlmsghdr *h, const struct nlattr *several, unsigned int from, unsigned int to)
{
	size_t size = mnl_attr_get_payload_len(several);
	struct rtnexthop *hop;
	char *copy;

	mnl_attr_put(h, RTA_MULTIPATH, size, mnl_attr_get_payload(several));
	copy = (char *)h + h->nlmsg_len - MNL_ALIGN(size);
	FOR_EACH_NEXTHOP(hop, copy, size) {
		hop->rtnh_flags &= RTNH_F_ONLINK;
		if ((unsigned int)hop->rtnh_ifindex == from)
			hop->rtnh_ifindex = (int)to;
	}
}

/*
 * A route that names a nexthop object says where that leads, too; the kernel refuses both in a request. On the link it came from the object
 * is named again; on another, where it led.
 */
static bool is_put(const struct link_route *r, uint16_t type, bool object)
{
	switch (type) {
	case RTA_CACHEINFO:
	case RTA_EXPIRES:
	case RTA_OIF:
	case RTA_MULTIPATH:
		return false;
	case RTA_GATEWAY:
	case RTA_VIA:
		return !object;
	case RTA_NH_ID:
		return object;
	case RTA_PREF:
		return r->family == AF_INET6;
	}
	return true;
}

void link_route_put(struct nlmsghdr *h, const struct link_route *r, unsigned int from, unsigned int to)
{
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	const struct nlattr *several = find(r, RTA_MULTIPATH), *attr;
	bool object = find(r, RTA_NH_ID) && (r->index == to || (several && from == to));

	*m = *header_of(r);
	m->rtm_flags &= RTNH_F_ONLINK;
	mnl_attr_for_each_payload((const struct nlattr *)(const void *)(r->raw + HEADER), r->raw_size - HEADER)
		if (is_put(r, mnl_attr_get_type(attr), object))
			mnl_attr_put(h, attr->nla_type, mnl_attr_get_payload_len(attr), mnl_attr_get_payload(attr));
	if (several && !object)
		put_nexthops(h, several, from, to);
	else if (!several && !object && to)
		mnl_attr_put_u32(h, RTA_OIF, to);
	if (r->expires != LIFE_FOREVER)
		mnl_attr_put_u32(h, RTA_EXPIRES, r->expires);
}

bool link_route_is_default(const struct link_route *r)
{
	return !r->bits && r->type == RTN_UNICAST;
}

/* IPv6 has routes for one's own prefix alone: "from". */
static bool from_same(const struct link_route *a, const struct link_route *b)
{
	const struct nlattr *of_a = find(a, RTA_SRC), *of_b = find(b, RTA_SRC);

	return header_of(a)->rtm_src_len == header_of(b)->rtm_src_len && !of_a == !of_b && (!of_a || addr_equal(attr_addr(of_a), attr_addr(of_b)));
}

bool link_route_same(const struct link_route *a, const struct link_route *b)
{
	return a->family == b->family && a->bits == b->bits && addr_equal(a->to, b->to) && a->table == b->table && a->metric == b->metric &&
	       a->type == b->type && a->multipath == b->multipath && addr_equal(a->gateway, b->gateway) &&
	       addr_equal(a->source, b->source) &&
	       header_of(a)->rtm_tos == header_of(b)->rtm_tos && from_same(a, b);
}

int link_route_copy(struct link_route *out, const struct link_route *r)
{
	*out = *r;
	out->raw = raw_copy(r->raw, r->raw_size);
	return r->raw && !out->raw ? -ENOMEM : 0;
}

void link_route_fini(struct link_route *r)
{
	free(r->raw);
	*r = (struct link_route){ 0 };
}
