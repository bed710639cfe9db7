// SPDX-License-Identifier: MIT
#include "bridge/values.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>

#define HEADER MNL_ALIGN(sizeof(struct fib_rule_hdr))

static void take_name(char into[static IFNAMSIZ], const struct nlattr *a)
{
	size_t size = mnl_attr_get_payload_len(a);

	if (size && size <= IFNAMSIZ)
		snprintf(into, IFNAMSIZ, "%.*s", (int)size, (const char *)mnl_attr_get_payload(a));
}

static void take_attribute(struct route_rule *r, const struct nlattr *a)
{
	uint32_t number = mnl_attr_get_payload_len(a) >= sizeof(number) ? mnl_attr_get_u32(a) : 0;

	switch (mnl_attr_get_type(a)) {
	case FRA_SRC:
		r->from = attr_addr(a);
		break;
	case FRA_IIFNAME:
		take_name(r->iif, a);
		break;
	case FRA_OIFNAME:
		take_name(r->oif, a);
		break;
	case FRA_PRIORITY:
		r->priority = number;
		break;
	case FRA_TABLE:
		r->table = number;
		break;
	}
}

int route_rule_parse(struct route_rule *r, const void *payload, size_t size)
{
	const struct fib_rule_hdr *m = payload;
	const struct nlattr *attr;

	if (size < HEADER || size > VALUE_MESSAGE_SIZE / 2 || (m->family != AF_INET && m->family != AF_INET6))
		return -EINVAL;
	*r = (struct route_rule){ .family = m->family, .bits = m->src_len, .table = m->table };
	mnl_attr_for_each_payload((const struct nlattr *)((const char *)payload + HEADER), size - HEADER)
		take_attribute(r, attr);
	r->raw = raw_copy(payload, size);
	r->raw_size = size;
	return r->raw ? 0 : -ENOMEM;
}

static void put_name(struct nlmsghdr *h, uint16_t type, const char *is, const char *from, const char *to)
{
	mnl_attr_put_strz(h, type, *from && !strcmp(is, from) ? to : is);
}

void route_rule_put(struct nlmsghdr *h, const struct route_rule *r, const char *from, const char *to)
{
	struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	const struct nlattr *attr;

	memcpy(m, r->raw, sizeof(*m));
	m->flags = 0; /* "detached": the kernel's to say */
	mnl_attr_for_each_payload((const struct nlattr *)(const void *)(r->raw + HEADER), r->raw_size - HEADER) {
		if (mnl_attr_get_type(attr) == FRA_IIFNAME)
			put_name(h, FRA_IIFNAME, r->iif, from, to);
		else if (mnl_attr_get_type(attr) == FRA_OIFNAME)
			put_name(h, FRA_OIFNAME, r->oif, from, to);
		else
			mnl_attr_put(h, attr->nla_type, mnl_attr_get_payload_len(attr), mnl_attr_get_payload(attr));
	}
}

static bool name_same(const char *is, const char *moved, const char *from, const char *to)
{
	return !strcmp(*from && !strcmp(is, from) ? to : is, moved);
}

/* The next attribute that tells rules apart, but for the links' names; NULL at the end. */
static const struct nlattr *next_telling(const struct route_rule *r, const struct nlattr *after)
{
	const uint8_t *end = r->raw + r->raw_size;
	const struct nlattr *a = after ? mnl_attr_next(after) : (const struct nlattr *)(const void *)(r->raw + HEADER);

	for (; mnl_attr_ok(a, (int)(end - (const uint8_t *)a)); a = mnl_attr_next(a))
		if (mnl_attr_get_type(a) != FRA_IIFNAME && mnl_attr_get_type(a) != FRA_OIFNAME && mnl_attr_get_type(a) != FRA_PAD)
			return a;
	return NULL;
}

/* Destination, mark, ports ...: as the kernel tells them, always in its own order. */
bool route_rule_alike(const struct route_rule *a, const struct route_rule *b)
{
	struct fib_rule_hdr of_a = *(const struct fib_rule_hdr *)(const void *)a->raw, of_b = *(const struct fib_rule_hdr *)(const void *)b->raw;
	const struct nlattr *x = NULL, *y = NULL;

	of_a.flags = of_b.flags = 0;
	if (memcmp(&of_a, &of_b, sizeof(of_a)))
		return false;
	do {
		x = next_telling(a, x);
		y = next_telling(b, y);
		if (x && (!y || x->nla_len != y->nla_len || memcmp(x, y, x->nla_len)))
			return false;
	} while (x);
	return !y;
}

bool route_rule_same(const struct route_rule *r, const struct route_rule *moved, const char *from, const char *to)
{
	return route_rule_alike(r, moved) && name_same(r->iif, moved->iif, from, to) && name_same(r->oif, moved->oif, from, to);
}

int route_rule_copy(struct route_rule *out, const struct route_rule *r)
{
	*out = *r;
	out->raw = raw_copy(r->raw, r->raw_size);
	return r->raw && !out->raw ? -ENOMEM : 0;
}

void route_rule_fini(struct route_rule *r)
{
	free(r->raw);
	*r = (struct route_rule){ 0 };
}

json_t *route_rule_to_json(const struct route_rule *r)
{
	json_t *j = json_pack("{si ss}", "priority", (int)r->priority, "version", r->family == AF_INET ? "4" : "6");
	char word[16], text[ADDR_TEXT_SIZE];

	json_object_set_new(j, "priority", json_integer(r->priority));
	json_object_set_new(j, "table", json_string(word_of(WORDS_TABLE, r->table, word)));
	if (r->bits)
		json_object_set_new(j, "from", json_sprintf("%s/%u", addr_format(r->from, text), r->bits));
	if (r->iif[0])
		json_object_set_new(j, "iif", json_string(r->iif));
	if (r->oif[0])
		json_object_set_new(j, "oif", json_string(r->oif));
	json_object_set_new(j, "raw", hex_to_json(r->raw, r->raw_size));
	return j;
}

/* From the fields that a person writes. */
static int build(struct route_rule *r, const json_t *json)
{
	char message[512] __attribute__((aligned(4)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(message);
	struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	const char *from = json_string_value(json_object_get(json, "from")), *table = json_string_value(json_object_get(json, "table"));
	const char *iif = json_string_value(json_object_get(json, "iif")), *oif = json_string_value(json_object_get(json, "oif"));
	const char *version = json_string_value(json_object_get(json, "version"));
	uint32_t number = RT_TABLE_MAIN;
	addr_t a = addr_of4((struct ip4){ 0 });
	uint8_t bits = 0;

	if ((from && !addr_bits_parse(from, &a, &bits)) || (table && !word_number(WORDS_TABLE, table, &number)) ||
	    (iif && strlen(iif) >= IFNAMSIZ) || (oif && strlen(oif) >= IFNAMSIZ))
		return -EINVAL;
	m->family = from ? addr_family(a) : version && !strcmp(version, "6") ? AF_INET6 : AF_INET;
	m->src_len = bits;
	m->table = number < 256 ? (uint8_t)number : RT_TABLE_UNSPEC;
	m->action = FR_ACT_TO_TBL;
	if (bits)
		attr_put_addr(h, FRA_SRC, a);
	mnl_attr_put_u32(h, FRA_PRIORITY, (uint32_t)json_integer_value(json_object_get(json, "priority")));
	mnl_attr_put_u32(h, FRA_TABLE, number);
	if (iif)
		mnl_attr_put_strz(h, FRA_IIFNAME, iif);
	if (oif)
		mnl_attr_put_strz(h, FRA_OIFNAME, oif);
	return route_rule_parse(r, m, h->nlmsg_len - MNL_NLMSG_HDRLEN);
}

int route_rule_from_json(struct route_rule *r, const json_t *json)
{
	_cleanup_(freep) uint8_t *raw = NULL;
	size_t size;

	if (!json_object_get(json, "raw"))
		return build(r, json);
	raw = hex_from_json(json_object_get(json, "raw"), &size);
	return raw ? route_rule_parse(r, raw, size) : -EINVAL;
}
