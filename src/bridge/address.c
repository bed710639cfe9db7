// SPDX-License-Identifier: MIT
#include "bridge/values.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

/* What a sender may ask for; the rest is the kernel's to say. */
#define SETTABLE (IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN)

static void take_attribute(struct link_address *a, const struct nlattr *i)
{
	const struct ifa_cacheinfo *life = mnl_attr_get_payload(i);
	size_t size = mnl_attr_get_payload_len(i);

	switch (mnl_attr_get_type(i)) {
	case IFA_ADDRESS:
		a->peer = attr_addr(i);
		break;
	case IFA_LOCAL:
		a->local = attr_addr(i);
		break;
	case IFA_BROADCAST:
		a->broadcast = attr_addr(i);
		break;
	case IFA_LABEL:
		if (size && size <= sizeof(a->label))
			memcpy(a->label, mnl_attr_get_payload(i), size - 1);
		break;
	case IFA_FLAGS:
		if (size == sizeof(uint32_t))
			a->flags = mnl_attr_get_u32(i);
		break;
	case IFA_RT_PRIORITY:
		if (size == sizeof(uint32_t))
			a->metric = mnl_attr_get_u32(i);
		break;
	case IFA_PROTO:
		if (size == sizeof(uint8_t))
			a->proto = mnl_attr_get_u8(i);
		break;
	case IFA_CACHEINFO:
		if (size >= sizeof(*life))
			a->valid = life->ifa_valid, a->preferred = life->ifa_prefered;
		break;
	}
}

bool link_address_parse(struct link_address *a, const void *payload, size_t size)
{
	const struct ifaddrmsg *m = payload;
	const struct nlattr *attr;

	if (size < sizeof(*m) || (m->ifa_family != AF_INET && m->ifa_family != AF_INET6))
		return false;
	*a = (struct link_address){ .index = m->ifa_index, .bits = m->ifa_prefixlen, .scope = m->ifa_scope, .flags = m->ifa_flags,
				    .valid = LIFE_FOREVER, .preferred = LIFE_FOREVER };
	mnl_attr_for_each_payload((const struct nlattr *)((const char *)payload + MNL_ALIGN(sizeof(*m))), size - MNL_ALIGN(sizeof(*m)))
		take_attribute(a, attr);
	if (addr_is_any(a->local))
		a->local = a->peer;
	if (addr_is_any(a->peer))
		a->peer = a->local;
	return !addr_is_any(a->local);
}

/* "eth0:1" on br0 is "br0:1". A label that does not fit any more is left out: the kernel's default is the link's name. */
static void put_label(struct nlmsghdr *h, const struct link_address *a, const char *name)
{
	const char *colon = strchr(a->label, ':');
	char label[2 * IFNAMSIZ];

	if (!colon)
		return;
	strcpy(label, name);
	strcat(label, colon);
	if (strlen(label) < IFNAMSIZ)
		mnl_attr_put_strz(h, IFA_LABEL, label);
}

void link_address_put(struct nlmsghdr *h, const struct link_address *a, unsigned int index, const char *name)
{
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	struct ifa_cacheinfo life = { .ifa_prefered = a->preferred, .ifa_valid = a->valid };
	uint32_t flags = a->flags & SETTABLE;

	m->ifa_family = addr_family(a->local);
	m->ifa_prefixlen = a->bits;
	m->ifa_scope = a->scope;
	m->ifa_flags = (uint8_t)flags;
	m->ifa_index = index;
	attr_put_addr(h, IFA_LOCAL, a->local);
	attr_put_addr(h, IFA_ADDRESS, a->peer);
	if (!addr_is_any(a->broadcast))
		attr_put_addr(h, IFA_BROADCAST, a->broadcast);
	put_label(h, a, name);
	mnl_attr_put_u32(h, IFA_FLAGS, flags);
	if (a->metric)
		mnl_attr_put_u32(h, IFA_RT_PRIORITY, a->metric);
	if (a->proto)
		mnl_attr_put_u8(h, IFA_PROTO, a->proto);
	mnl_attr_put(h, IFA_CACHEINFO, sizeof(life), &life);
}

bool link_address_same(const struct link_address *a, const struct link_address *b)
{
	return addr_equal(a->local, b->local) && addr_equal(a->peer, b->peer) && a->bits == b->bits;
}

static const struct { uint32_t flag; const char *name; } flag_names[] = {
	{ IFA_F_SECONDARY, "secondary" }, { IFA_F_NODAD, "nodad" }, { IFA_F_OPTIMISTIC, "optimistic" }, { IFA_F_DADFAILED, "dadfailed" },
	{ IFA_F_HOMEADDRESS, "home" }, { IFA_F_DEPRECATED, "deprecated" }, { IFA_F_TENTATIVE, "tentative" },
	{ IFA_F_PERMANENT, "permanent" }, { IFA_F_MANAGETEMPADDR, "mngtmpaddr" }, { IFA_F_NOPREFIXROUTE, "noprefixroute" },
	{ IFA_F_MCAUTOJOIN, "autojoin" }, { IFA_F_STABLE_PRIVACY, "stable-privacy" },
};

static void put_life(json_t *j, const char *key, uint32_t life)
{
	if (life != LIFE_FOREVER)
		json_object_set_new(j, key, json_integer(life));
}

static void put_addr(json_t *j, const char *key, addr_t a, int bits)
{
	char text[ADDR_TEXT_SIZE];

	addr_format(a, text);
	json_object_set_new(j, key, bits < 0 ? json_string(text) : json_sprintf("%s/%d", text, bits));
}

json_t *link_address_to_json(const struct link_address *a)
{
	json_t *j = json_object(), *flags = json_array();
	char word[16];

	put_addr(j, "address", a->local, a->bits);
	if (!addr_equal(a->local, a->peer))
		put_addr(j, "peer", a->peer, -1);
	if (!addr_is_any(a->broadcast))
		put_addr(j, "broadcast", a->broadcast, -1);
	json_object_set_new(j, "scope", json_string(word_of(WORDS_SCOPE, a->scope, word)));
	for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++)
		if (a->flags & flag_names[i].flag)
			json_array_append_new(flags, json_string(flag_names[i].name));
	json_object_set_new(j, "flags", flags);
	put_life(j, "valid", a->valid);
	put_life(j, "preferred", a->preferred);
	if (a->metric)
		json_object_set_new(j, "metric", json_integer(a->metric));
	if (a->proto)
		json_object_set_new(j, "proto", json_integer(a->proto));
	if (a->label[0])
		json_object_set_new(j, "label", json_string(a->label));
	return j;
}

static uint32_t get_life(const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);

	return json_is_integer(v) ? (uint32_t)json_integer_value(v) : LIFE_FOREVER;
}

/* Absent is right. */
static bool get_addr(const json_t *j, const char *key, addr_t *a)
{
	const json_t *v = json_object_get(j, key);

	return !v || (json_is_string(v) && addr_parse(json_string_value(v), a));
}

static bool get_flags(const json_t *j, struct link_address *a)
{
	const json_t *list = json_object_get(j, "flags"), *i;
	size_t n;

	a->flags = list || link_address_is_dynamic(a) ? 0 : IFA_F_PERMANENT;
	json_array_foreach(list, n, i) {
		uint32_t found = 0;

		for (size_t k = 0; k < ARRAY_SIZE(flag_names); k++)
			if (json_is_string(i) && !strcmp(flag_names[k].name, json_string_value(i)))
				found = flag_names[k].flag;
		if (!found)
			return false;
		a->flags |= found;
	}
	return true;
}

static uint8_t default_scope(addr_t a)
{
	if (addr_is_loopback(a))
		return RT_SCOPE_HOST;
	return addr_is_link_local(a) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

bool link_address_from_json(struct link_address *a, const json_t *json)
{
	const char *text = json_string_value(json_object_get(json, "address"));
	const char *label = json_string_value(json_object_get(json, "label"));
	const char *scope = json_string_value(json_object_get(json, "scope"));
	uint32_t number;

	*a = (struct link_address){ .valid = get_life(json, "valid"), .preferred = get_life(json, "preferred") };
	if (!text || !addr_bits_parse(text, &a->local, &a->bits))
		return false;
	a->peer = a->local;
	number = default_scope(a->local);
	if (scope && !word_number(WORDS_SCOPE, scope, &number))
		return false;
	a->scope = (uint8_t)number;
	a->metric = (uint32_t)json_integer_value(json_object_get(json, "metric"));
	a->proto = (uint8_t)json_integer_value(json_object_get(json, "proto"));
	if (label && strlen(label) < sizeof(a->label))
		strcpy(a->label, label);
	return get_addr(json, "peer", &a->peer) && get_addr(json, "broadcast", &a->broadcast) && get_flags(json, a);
}
