// SPDX-License-Identifier: MIT
/* From a configuration to a plan: what it leaves open is chosen here. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "lan/config.h"

/*
 * Fixed, so that the same machine gets the same addresses for ever; each purpose has its own, so that one hash says nothing about another.
 * The machine id itself is confidential (machine-id(5)) and only leaves hashed.
 */
static const struct hash_key key_site = {{ 0x686f737065732d31, 0x736974652d707265 }};
static const struct hash_key key_subnet = {{ 0x686f737065732d32, 0x7375626e65742d36 }};
static const struct hash_key key_guest = {{ 0x686f737065732d33, 0x67756573742d6d61 }};
static const struct hash_key key_gateway = {{ 0x686f737065732d34, 0x676174657761792d }};

#define HASH_TEXT_MAX 256

/*
 * Hash up to three texts, each behind its length, so that no two triples run together; a text that is too long is hashed as far as it fits.
 */
static uint64_t hash_texts(const struct hash_key *key, const char *a, const char *b, const char *c)
{
	const char *const texts[] = { a, b, c };
	uint8_t buffer[ARRAY_SIZE(texts) * (HASH_TEXT_MAX + 2)];
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		size_t n = strnlen(texts[i], HASH_TEXT_MAX);

		while (n && texts[i][n - 1] == '\n') /* as the file has it */
			n--;
		buffer[used++] = (uint8_t)(n >> 8);
		buffer[used++] = (uint8_t)n;
		memcpy(buffer + used, texts[i], n);
		used += n;
	}
	return hash_bytes(key, buffer, used);
}

struct mac guest_mac(const char *machine_id, const char *lan, const char *name)
{
	uint64_t h = hash_texts(&key_guest, machine_id, lan, name);

	return (struct mac){{ 0x52, 0x54, 0x00, (uint8_t)(h >> 16), (uint8_t)(h >> 8), (uint8_t)h }};
}

/* fd, 40 bits of the machine, 16 of the LAN (RFC 4193 section 3.1) */
static addr_t unique_local(const char *machine_id, const char *lan)
{
	uint64_t site = hash_texts(&key_site, machine_id, "", ""), subnet = hash_texts(&key_subnet, machine_id, lan, "");

	return (addr_t){{ 0xfd, (uint8_t)(site >> 32), (uint8_t)(site >> 24), (uint8_t)(site >> 16), (uint8_t)(site >> 8), (uint8_t)site,
			  (uint8_t)(subnet >> 8), (uint8_t)subnet }};
}

static uint32_t net_last(addr_t net, unsigned int bits)
{
	return ip4_get(addr_get4(net)) | (uint32_t)(0xffffffffull >> bits);
}

bool lan_net_valid4(addr_t net, unsigned int bits)
{
	if (!addr_is4(net) || bits < 8 || bits > 29 || (ip4_get(addr_get4(net)) & (uint32_t)(0xffffffffull >> bits)))
		return false;
	return net.b[12] > 0 && net.b[12] < 224 && !addr_is_loopback(net) && !addr_is_link_local(net) &&
	       !addr_in_prefix(addr_of4(ip4(0xa9fe0000)), net, bits);
}

static bool nets_overlap(addr_t a, unsigned int a_bits, addr_t b, unsigned int b_bits)
{
	return addr_in_prefix(a, b, b_bits) || addr_in_prefix(b, a, a_bits);
}

/* The first of @taken that is in the way of @net, or NULL. A default route, whole or in halves, leads elsewhere whatever is chosen. */
static const struct net4 *find_overlap(addr_t net, uint8_t bits, const struct net4 *taken, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (taken[i].bits > 1 && nets_overlap(net, bits, taken[i].net, taken[i].bits))
			return &taken[i];
	return NULL;
}

static bool find_free(const struct net4 *taken, size_t count, addr_t *out)
{
	static const struct { uint32_t base; unsigned int shift, first, last; } ranges[] = {
		{ 0x0a000000, 8, 3, 255 },    /* 10.0.N.0 */
		{ 0xc0a80000, 8, 3, 255 },    /* 192.168.N.0 */
		{ 0xac000000, 16, 16, 31 },   /* 172.N.0.0 */
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (uint32_t n = ranges[i].first; n <= ranges[i].last; n++) {
			*out = addr_of4(ip4(ranges[i].base | n << ranges[i].shift));
			if (!find_overlap(*out, 24, taken, count))
				return true;
		}
	}
	return false;
}

static int refuse_overlap(const struct lan_plan *p, const struct net4 *other, const struct net4 *taken, size_t count, char *error,
			  size_t error_size)
{
	char net[ADDR_TEXT_SIZE], route[ADDR_TEXT_SIZE], instead[ADDR_TEXT_SIZE];
	addr_t free_net;

	addr_format(p->net4, net);
	addr_format(other->net, route);
	if (find_free(taken, count, &free_net))
		snprintf(error, error_size, "LAN %s: its network %s/%u overlaps %s/%u, to which this host has a route; "
			 "write \"IPv4 = %s/24\" under [LAN] in %s.lan", p->name, net, p->bits4, route, other->bits,
			 addr_format(free_net, instead), p->name);
	else
		snprintf(error, error_size, "LAN %s: its network %s/%u overlaps %s/%u, to which this host has a route, "
			 "and no private /24 is free; write \"IPv4 = none\" under [LAN] in %s.lan for a LAN with IPv6 alone", p->name, net,
			 p->bits4, route, other->bits, p->name);
	return -EADDRINUSE;
}

static void lay_out4(struct lan_plan *p)
{
	uint32_t net = ip4_get(addr_get4(p->net4)), last = net_last(p->net4, p->bits4);

	p->ip4 = true;
	p->gateway4 = addr_of4(ip4(net + 2));
	p->dns4 = addr_of4(ip4(net + 3));
	p->pool4_first = addr_of4(ip4(net + (p->bits4 <= 27 ? 15 : 4)));
	p->pool4_last = addr_of4(ip4(last - 1));
}

static int choose4(struct lan_plan *p, const struct lan_config *c, const struct net4 *taken, size_t count, char *error, size_t error_size)
{
	const struct net4 *other;

	if (c->no_ip4)
		return 0;
	p->net4 = c->has_net4 ? c->net4 : addr_of4(ip4(0x0a000200));
	p->bits4 = c->has_net4 ? c->bits4 : 24;
	if (!c->has_net4 && strcmp(c->name, "default") && !find_free(taken, count, &p->net4)) {
		snprintf(error, error_size, "LAN %s: this host has routes to every private /24; "
			 "write \"IPv4 = NETWORK/BITS\" or \"IPv4 = none\" under [LAN] in %s.lan", c->name, c->name);
		return -EADDRINUSE;
	}
	other = find_overlap(p->net4, p->bits4, taken, count);
	if (other)
		return refuse_overlap(p, other, taken, count, error, error_size);
	lay_out4(p);
	return 0;
}

static void choose6(struct lan_plan *p, const struct lan_config *c, const char *machine_id)
{
	if (c->no_ip6)
		return;
	p->ip6 = true;
	p->net6 = c->has_net6 ? c->net6 : unique_local(machine_id, c->name);
	p->bits6 = 64;
	p->gateway6 = p->dns6 = p->net6;
	p->gateway6.b[15] = 2;
	p->dns6.b[15] = 3;
	p->link_local6 = addr_eui64((addr_t){{ 0xfe, 0x80 }}, p->mac);
}

/* Locally administered: 52:55 and the gateway's IPv4 address, or 52:56 and a hash where it has none. */
static struct mac gateway_mac(const struct lan_plan *p, const char *machine_id)
{
	const uint8_t *b = &p->gateway4.b[12];
	uint64_t h = hash_texts(&key_gateway, machine_id, p->name, "");

	if (p->ip4)
		return (struct mac){{ 0x52, 0x55, b[0], b[1], b[2], b[3] }};
	return (struct mac){{ 0x52, 0x56, (uint8_t)(h >> 24), (uint8_t)(h >> 16), (uint8_t)(h >> 8), (uint8_t)h }};
}

static int check_guests(const struct lan_plan *p, const struct lan_config *c, char *error, size_t error_size)
{
	char text[ADDR_TEXT_SIZE], net[ADDR_TEXT_SIZE];

	for (size_t i = 0; i < c->guest_count; i++) {
		const struct guest_config *g = &c->guests[i];

		if (addr_is_any(g->ip4) || lan_plan_may_host4(p, g->ip4))
			continue;
		if (p->ip4)
			snprintf(error, error_size, "LAN %s: guest %s (line %u) cannot have %s: expected an address in %s/%u other than "
				 "the first, the last, the gateway's (the third) and DNS's (the fourth)", c->name, g->name, g->line,
				 addr_format(g->ip4, text), addr_format(p->net4, net), p->bits4);
		else
			snprintf(error, error_size, "LAN %s: guest %s (line %u) cannot have %s: the LAN has no IPv4", c->name, g->name,
				 g->line, addr_format(g->ip4, text));
		return -EINVAL;
	}
	return 0;
}

int lan_plan_make(struct lan_plan *out, const struct lan_config *c, const char *machine_id, const struct net4 *taken, size_t taken_count,
		  char *error, size_t error_size)
{
	struct lan_plan p = { .mtu = c->mtu, .lease_seconds = c->lease_seconds, .host_access = c->host_access,
			       .keepalive_seconds = c->keepalive_seconds };
	int r;

	snprintf(p.name, sizeof(p.name), "%s", c->name);
	snprintf(p.domain, sizeof(p.domain), "%s", c->domain);
	r = choose4(&p, c, taken, taken_count, error, error_size);
	if (r)
		return r;
	p.mac = gateway_mac(&p, machine_id);
	choose6(&p, c, machine_id);
	r = check_guests(&p, c, error, error_size);
	if (r)
		return r;
	*out = p;
	return 0;
}
