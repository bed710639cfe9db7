// SPDX-License-Identifier: MIT
#include "wire/icmp.h"

#include <string.h>
#include "base/attr.h"
#include "wire/checksum.h"

#define QUOTE4_MAX 548 /* a message of 576 bytes, less IP's header and ours */
#define QUOTE6_MAX (ICMP_ERROR_MAX - sizeof(struct icmp_header))
#define NEXT_HEADER_AT 6 /* in an IPv6 header: what a parameter problem about the protocol points to */

struct type_code { uint8_t type, code; };

static const struct { struct type_code v4, v6; } errors[] = {
	[ICMP_ERROR_NET]        = { { ICMP_UNREACHABLE, 0 },   { ICMP6_UNREACHABLE, 0 } },
	[ICMP_ERROR_HOST]       = { { ICMP_UNREACHABLE, 1 },   { ICMP6_UNREACHABLE, 3 } },
	[ICMP_ERROR_PROHIBITED] = { { ICMP_UNREACHABLE, 13 },  { ICMP6_UNREACHABLE, 1 } },
	[ICMP_ERROR_PORT]       = { { ICMP_UNREACHABLE, 3 },   { ICMP6_UNREACHABLE, 4 } },
	[ICMP_ERROR_PROTOCOL]   = { { ICMP_UNREACHABLE, 2 },   { ICMP6_PARAMETER, 1 } },
	[ICMP_ERROR_TOO_BIG]    = { { ICMP_UNREACHABLE, 4 },   { ICMP6_TOO_BIG, 0 } },
	[ICMP_ERROR_TTL]        = { { ICMP_TIME_EXCEEDED, 0 }, { ICMP6_TIME_EXCEEDED, 0 } },
	[ICMP_ERROR_REASSEMBLY] = { { ICMP_TIME_EXCEEDED, 1 }, { ICMP6_TIME_EXCEEDED, 1 } },
};
_Static_assert(ARRAY_SIZE(errors) == ICMP_ERROR_REASSEMBLY + 1, "a type and code for every error");

struct icmp_header icmp_parse(struct cursor *c)
{
	struct icmp_header h;

	cursor_copy(c, &h, sizeof(h));
	return h;
}

/*
 * Write the header of the packet in error as if it had come without options and extension headers: those are not at hand, and a
 * receiver that found the header announce them would look for the ports in the wrong place.
 */
static size_t quote_header(uint8_t *into, const struct ip_packet *about)
{
	struct ip4_header h4;
	struct ip6_header h6;

	if (addr_is4(about->src)) {
		memcpy(&h4, about->header, sizeof(h4));
		h4.version_ihl = 0x45;
		h4.total_size = be16((uint16_t)(sizeof(h4) + about->payload_size));
		h4.checksum = be16(0);
		h4.checksum = sum_fold(sum_bytes(0, &h4, sizeof(h4)));
		memcpy(into, &h4, sizeof(h4));
		return sizeof(h4);
	}
	memcpy(&h6, about->header, sizeof(h6));
	h6.next = about->protocol;
	h6.payload_size = be16((uint16_t)about->payload_size);
	memcpy(into, &h6, sizeof(h6));
	return sizeof(h6);
}

static struct icmp_header error_header(enum icmp_error error, bool v4, uint32_t mtu)
{
	struct type_code t = v4 ? errors[error].v4 : errors[error].v6;
	struct icmp_header h = { .type = t.type, .code = t.code };

	if (error == ICMP_ERROR_TOO_BIG && v4) {
		h.sequence = be16((uint16_t)MIN(mtu, 65535U));
	} else if (error == ICMP_ERROR_TOO_BIG) {
		h.id = be16((uint16_t)(mtu >> 16));
		h.sequence = be16((uint16_t)mtu);
	} else if (error == ICMP_ERROR_PROTOCOL && !v4) {
		h.sequence = be16(NEXT_HEADER_AT);
	}
	return h;
}

size_t icmp_emit_error(uint8_t into[static ICMP_ERROR_MAX], enum icmp_error error, const struct ip_packet *about, struct cursor rest,
		       uint32_t mtu, addr_t src)
{
	bool v4 = addr_is4(about->src);
	struct icmp_header h = error_header(error, v4, mtu);
	size_t used = sizeof(h) + quote_header(into + sizeof(h), about);
	size_t most = sizeof(h) + (v4 ? QUOTE4_MAX : QUOTE6_MAX);
	size_t quoted = MIN(most - used, cursor_left(&rest));

	cursor_copy(&rest, into + used, quoted);
	used += quoted;
	memcpy(into, &h, sizeof(h));
	h.checksum = sum_fold(sum_bytes(v4 ? 0 : sum_pseudo(0, src, about->src, IP_ICMP6, (uint32_t)used), into, used));
	memcpy(into, &h, sizeof(h));
	return used;
}

/* Is it the address of one host? An answer to any other would go to many, or to nobody. */
static bool is_one_host(addr_t a)
{
	return !addr_is_unspecified(a) && !addr_is_multicast(a) && !addr_is_loopback(a) && !(addr_is4(a) && a.b[12] >= 240);
}

static bool is_icmp4_error(uint8_t type)
{
	enum { SOURCE_QUENCH = 4, REDIRECT = 5, PARAMETER = 12 };

	return type == ICMP_UNREACHABLE || type == SOURCE_QUENCH || type == REDIRECT || type == ICMP_TIME_EXCEEDED || type == PARAMETER;
}

static bool is_icmp6_error(uint8_t type)
{
	enum { REDIRECT = 137 };

	return type < 128 || type == REDIRECT;
}

bool icmp_may_answer(const struct ip_packet *about, struct cursor rest)
{
	bool v4 = addr_is4(about->src);
	uint8_t type;

	if (about->fragment_offset || !is_one_host(about->src) || addr_is_multicast(about->dst) || addr_is_unspecified(about->dst))
		return false;
	if (v4 && about->dst.b[12] >= 240)
		return false;
	if (about->protocol != (v4 ? IP_ICMP : IP_ICMP6))
		return true;
	type = cursor_u8(&rest);
	return !cursor_failed(&rest) && !(v4 ? is_icmp4_error(type) : is_icmp6_error(type));
}
