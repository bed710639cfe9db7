// SPDX-License-Identifier: MIT
#include "wire/ip.h"

#include <string.h>
#include "wire/checksum.h"

#define IP4_OPTIONS_MAX   40
#define IP4_DONT_FRAGMENT 0x4000
#define IP4_MORE          0x2000
#define IP4_OFFSET        0x1fff
#define IP6_MORE          0x0001
#define IP6_OFFSET        0xfff8
#define IP6_CHAIN_MAX     8
#define DATA_MAX          65535 /* what a reassembled packet may hold */

enum ip4_option { OPTION_END = 0, OPTION_NOP = 1, OPTION_LOOSE_ROUTE = 131, OPTION_STRICT_ROUTE = 137 };

/* Extension headers begin alike (RFC 8200 section 4.2), the fragment header excepted. */
struct extension {
	uint8_t next, size;     /* size: in 8 bytes, the first 8 not counted */
	uint8_t type, segments; /* of a routing header (RFC 8200 section 4.4) */
};
struct fragment_header {
	uint8_t next, reserved;
	be16_t offset;
	be32_t id;
};
_Static_assert(sizeof(struct fragment_header) == 8, "RFC 8200 section 4.5");

/* Note where a fragment belongs; all but the last hold a multiple of 8 bytes, and none may reach beyond the largest packet. */
static void set_fragment(struct cursor *c, struct ip_packet *p, uint32_t offset, bool more, uint32_t id)
{
	p->fragment_offset = (uint16_t)offset;
	p->more_fragments = more;
	p->is_fragment = offset || more;
	p->fragment_id = id;
	if ((more && cursor_left(c) % 8) || offset + cursor_left(c) > DATA_MAX)
		cursor_fail(c);
}

static bool options_are_fit(const uint8_t *p, size_t size)
{
	while (size && p[0] != OPTION_END) {
		size_t step = p[0] == OPTION_NOP ? 1 : size >= 2 ? p[1] : 0;

		if (!step || step > size || (step == 1 && p[0] != OPTION_NOP))
			return false;
		if (p[0] == OPTION_LOOSE_ROUTE || p[0] == OPTION_STRICT_ROUTE)
			return false;
		p += step;
		size -= step;
	}
	return true;
}

static void parse4(struct cursor *c, struct ip_packet *p)
{
	struct cursor start = *c;
	uint8_t options[IP4_OPTIONS_MAX] = { 0 };
	struct ip4_header h;
	uint16_t fragment;
	size_t size, total;

	cursor_copy(c, &h, sizeof(h));
	memcpy(p->header, &h, sizeof(h));
	size = (size_t)(h.version_ihl & 0xf) * 4;
	total = be16_get(h.total_size);
	if (size < sizeof(h) || total < size) {
		cursor_fail(c);
		return;
	}
	cursor_limit(c, total - sizeof(h));
	cursor_copy(c, options, size - sizeof(h));
	cursor_limit(&start, size);
	if (!sum_is_valid(sum_cursor(0, start)) || !options_are_fit(options, size - sizeof(h)))
		cursor_fail(c);

	fragment = be16_get(h.fragment);
	p->src = addr_of4(h.src);
	p->dst = addr_of4(h.dst);
	p->protocol = h.protocol;
	p->ttl = h.ttl;
	p->traffic_class = h.tos;
	p->header_size = (uint16_t)size;
	p->dont_fragment = fragment & IP4_DONT_FRAGMENT;
	set_fragment(c, p, (fragment & IP4_OFFSET) * 8U, fragment & IP4_MORE, be16_get(h.id));
}

static void parse_fragment_header(struct cursor *c, struct ip_packet *p)
{
	struct fragment_header f;

	cursor_copy(c, &f, sizeof(f));
	p->protocol = f.next;
	p->header_size += sizeof(f);
	set_fragment(c, p, be16_get(f.offset) & IP6_OFFSET, be16_get(f.offset) & IP6_MORE, be32_get(f.id));
}

static void parse_extension(struct cursor *c, struct ip_packet *p)
{
	struct extension e;
	size_t size;

	cursor_copy(c, &e, sizeof(e));
	size = (e.size + 1U) * 8;
	/* A route that is not at its end yet names another destination than the header does; type 0 is not even to be looked at. */
	if (p->protocol == IP6_ROUTING && (e.type == 0 || e.segments))
		cursor_fail(c);
	cursor_skip(c, size - sizeof(e));
	p->protocol = e.next;
	p->header_size += (uint16_t)size;
}

/* Go along the chain up to the payload, or to the data of a fragment: what that begins with is known only when it is whole. */
static void parse_chain(struct cursor *c, struct ip_packet *p)
{
	for (int i = 0; !cursor_failed(c) && !p->is_fragment; i++) {
		bool first_only = p->protocol == IP6_HOP_BY_HOP;

		if (!first_only && p->protocol != IP6_ROUTING && p->protocol != IP6_DESTINATION && p->protocol != IP6_FRAGMENT)
			return;
		if (i == IP6_CHAIN_MAX || (first_only && i))
			cursor_fail(c);
		else if (p->protocol == IP6_FRAGMENT)
			parse_fragment_header(c, p);
		else
			parse_extension(c, p);
	}
}

static void parse6(struct cursor *c, struct ip_packet *p)
{
	struct ip6_header h;

	cursor_copy(c, &h, sizeof(h));
	memcpy(p->header, &h, sizeof(h));
	p->src = h.src;
	p->dst = h.dst;
	p->protocol = h.next;
	p->ttl = h.hop_limit;
	p->traffic_class = (uint8_t)(be32_get(h.version_class_flow) >> 20);
	p->header_size = sizeof(h);
	p->dont_fragment = true;
	if (addr_is4(h.src) || addr_is4(h.dst))
		cursor_fail(c);
	cursor_limit(c, be16_get(h.payload_size));
	parse_chain(c, p);
}

struct ip_packet ip_parse(struct cursor *c)
{
	struct ip_packet p = { 0 };
	struct cursor peek = *c;

	p.version = cursor_u8(&peek) >> 4;
	if (p.version == 4)
		parse4(c, &p);
	else if (p.version == 6)
		parse6(c, &p);
	else
		cursor_fail(c);
	p.payload_size = (uint32_t)cursor_left(c);
	return p;
}

static size_t emit4(uint8_t *into, const struct ip_packet *p, uint16_t id)
{
	struct ip4_header h = {
		.version_ihl = 0x45, .tos = p->traffic_class, .total_size = be16((uint16_t)(sizeof(h) + p->payload_size)),
		.id = be16(id), .fragment = be16(p->dont_fragment ? IP4_DONT_FRAGMENT : 0), .ttl = p->ttl, .protocol = p->protocol,
		.src = addr_get4(p->src), .dst = addr_get4(p->dst),
	};

	h.checksum = sum_fold(sum_bytes(0, &h, sizeof(h)));
	memcpy(into, &h, sizeof(h));
	return sizeof(h);
}

static size_t emit6(uint8_t *into, const struct ip_packet *p)
{
	struct ip6_header h = {
		.version_class_flow = be32(UINT32_C(6) << 28 | (uint32_t)p->traffic_class << 20),
		.payload_size = be16((uint16_t)p->payload_size), .next = p->protocol, .hop_limit = p->ttl, .src = p->src, .dst = p->dst,
	};

	memcpy(into, &h, sizeof(h));
	return sizeof(h);
}

size_t ip_emit(uint8_t into[static IP_HEADER_MAX], const struct ip_packet *p, uint16_t id)
{
	return addr_is4(p->dst) ? emit4(into, p, id) : emit6(into, p);
}
