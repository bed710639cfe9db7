// SPDX-License-Identifier: MIT
#include "service/dns_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/attr.h"

/* The LAN's own names, which guests_set_name() keeps from guests; the first that fits an address is its name. */
static const struct own_name {
	const char *name;
	bool is_dns;                         /* the DNS service's addresses, else the gateway's */
} own_names[] = {
	{ .name = "gateway" },
	{ .name = "host" },
	{ .name = "dns", .is_dns = true },
};

/* Names of addresses: RFC 1035 section 3.5, RFC 3596 section 2.5. */
static const struct reverse {
	const char *suffix;
	unsigned int labels, label_bits, base;
	addr_t from;                         /* the address of no labels */
	unsigned int first_bit;              /* where the address begins in an addr_t */
} reverses[] = {
	{ .suffix = "in-addr.arpa", .labels = 4, .label_bits = 8, .base = 10, .from = {{ [10] = 0xff, [11] = 0xff }}, .first_bit = 96 },
	{ .suffix = "ip6.arpa", .labels = 32, .label_bits = 4, .base = 16 },
};

void dns_names_join(char into[static DNS_NAME_SIZE], const char *host, const char *domain)
{
	snprintf(into, DNS_NAME_SIZE, "%s%s%s", host, *domain ? "." : "", domain);
}

/* A label as text. Return: false if no guest can be called so. */
static bool label_text(const uint8_t *label, char into[static DNS_LABEL_MAX + 1])
{
	memcpy(into, label + 1, *label);
	into[*label] = 0;
	return strlen(into) == *label && guest_name_valid(into);
}

static const struct own_name *find_own_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(own_names); i++)
		if (!strcasecmp(name, own_names[i].name))
			return &own_names[i];
	return NULL;
}

/* An address that a name may stand for: a link-local one is no use without its link. */
static addr_t named_address(const struct guest *guest, int version)
{
	addr_t a;

	return guest_address(guest, version, &a) && !addr_is_link_local(a) ? a : ADDR_ANY;
}

static bool find_host(const struct lan_plan *plan, struct guests *guests, const uint8_t *label, struct dns_own *own)
{
	char text[DNS_LABEL_MAX + 1];
	const struct own_name *of_lan;
	const struct guest *guest;

	if (!label_text(label, text))
		return false;
	guest = guests_by_name(guests, text);
	of_lan = find_own_name(text);
	if (guest) {
		own->addr4 = named_address(guest, 4);
		own->addr6 = named_address(guest, 6);
	} else if (of_lan) {
		own->addr4 = !plan->ip4 ? ADDR_ANY : of_lan->is_dns ? plan->dns4 : plan->gateway4;
		own->addr6 = !plan->ip6 ? ADDR_ANY : of_lan->is_dns ? plan->dns6 : plan->gateway6;
	} else {
		return false;
	}
	own->kind = DNS_OWN_HOST;
	return true;
}

static struct dns_own find_forward(const struct lan_plan *plan, struct guests *guests, const struct dns_name *name, size_t labels)
{
	struct dns_own own = { .kind = DNS_OWN_FOREIGN };
	struct dns_name domain;
	int zone;

	if (labels == 1 && find_host(plan, guests, name->labels, &own))
		return own;
	if (!*plan->domain || !dns_name_of_text(plan->domain, &domain))
		return own;
	zone = dns_name_find_suffix(name, &domain);
	if (zone < 0)
		return own;
	own.zone = (uint8_t)zone;
	if (!zone)
		own.kind = DNS_OWN_APEX;
	else if (name->labels[0] + 1 != zone || !find_host(plan, guests, name->labels, &own))
		own.kind = DNS_OWN_MISSING;
	return own;
}

/* One label's number. Return: -1 if it is none. */
static int label_number(const uint8_t *label, const struct reverse *r)
{
	char text[DNS_LABEL_MAX + 1], *end;
	unsigned long value;

	if (!label_text(label, text) || (text[0] == '0' && text[1]))
		return -1;
	value = strtoul(text, &end, (int)r->base);
	return *end || value >> r->label_bits ? -1 : (int)value;
}

/* Read the numbers before the suffix, the last label first. Return: how many bits of @addr they tell. */
static unsigned int read_reverse(const struct reverse *r, const struct dns_name *name, const uint8_t *starts, size_t count, addr_t *addr)
{
	unsigned int bits = 0;

	*addr = r->from;
	for (unsigned int i = 0; i < r->labels && i < count; i++) {
		int value = label_number(name->labels + starts[count - 1 - i], r);
		unsigned int at = r->first_bit + bits;

		if (value < 0)
			break;
		addr->b[at / 8] |= (uint8_t)(value << (8 - r->label_bits - at % 8));
		bits += r->label_bits;
	}
	return bits;
}

static const char *name_of_own(bool is_dns)
{
	for (size_t i = 0; i < ARRAY_SIZE(own_names); i++)
		if (own_names[i].is_dns == is_dns)
			return own_names[i].name;
	return NULL;
}

static void find_holder(const struct lan_plan *plan, struct guests *guests, addr_t addr, struct dns_own *own)
{
	const struct guest *guest = guests_by_addr(guests, addr);
	const char *name = guest && *guest->name ? guest->name : NULL;

	if (lan_plan_is_gateway(plan, addr))
		name = name_of_own(false);
	else if (lan_plan_is_dns(plan, addr))
		name = name_of_own(true);
	own->kind = name ? DNS_OWN_REVERSE : DNS_OWN_MISSING;
	if (name)
		snprintf(own->host, sizeof(own->host), "%s", name);
}

static struct dns_own find_reverse(const struct lan_plan *plan, struct guests *guests, const struct reverse *r, const struct dns_name *name,
				   const uint8_t *starts, size_t count)
{
	bool is4 = r->first_bit, has = is4 ? plan->ip4 : plan->ip6;
	addr_t net = is4 ? plan->net4 : plan->net6, addr;
	unsigned int net_bits = is4 ? plan->bits4 : plan->bits6;
	unsigned int bits = read_reverse(r, name, starts, count, &addr);
	size_t zone_labels = (net_bits + r->label_bits - 1) / r->label_bits;
	struct dns_own own = { .kind = DNS_OWN_FOREIGN };

	/* Ours is what lies wholly in our network; of a network whose bits end inside a label that is each of its last labels. */
	if (!has || bits < net_bits || !addr_in_prefix(addr, net, net_bits) || zone_labels > count)
		return own;
	own.zone = zone_labels ? starts[count - zone_labels] : 0;
	if (count * r->label_bits > bits)
		own.kind = DNS_OWN_MISSING; /* labels that are no numbers, or more than an address has */
	else if (bits < r->labels * r->label_bits)
		own.kind = DNS_OWN_EMPTY;
	else
		find_holder(plan, guests, addr, &own);
	return own;
}

struct dns_own dns_names_find(const struct lan_plan *plan, struct guests *guests, const struct dns_name *name)
{
	uint8_t starts[DNS_LABELS_MAX];
	size_t labels = dns_name_split(name, starts);
	struct dns_name suffix;

	for (size_t i = 0; i < ARRAY_SIZE(reverses); i++)
		if (dns_name_of_text(reverses[i].suffix, &suffix) && dns_name_find_suffix(name, &suffix) >= 0)
			return find_reverse(plan, guests, &reverses[i], name, starts, labels - 2);
	return find_forward(plan, guests, name, labels);
}
