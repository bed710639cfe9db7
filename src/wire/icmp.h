// SPDX-License-Identifier: MIT
/* ICMP and ICMPv6 messages other than neighbour discovery (RFC 792, RFC 1191, RFC 4443). */
#pragma once
#include "base/be.h"
#include "base/cursor.h"
#include "wire/ip.h"

struct icmp_header {
	uint8_t type, code;
	be16_t checksum;
	be16_t id, sequence;  /* of echo; in an error the second holds the MTU (ICMP) or both do (ICMPv6) */
};
_Static_assert(sizeof(struct icmp_header) == 8, "RFC 792");

enum icmp_type { ICMP_ECHO_REPLY = 0, ICMP_UNREACHABLE = 3, ICMP_ECHO = 8, ICMP_TIME_EXCEEDED = 11 };
enum icmp6_type {
	ICMP6_UNREACHABLE = 1, ICMP6_TOO_BIG = 2, ICMP6_TIME_EXCEEDED = 3, ICMP6_PARAMETER = 4, ICMP6_ECHO = 128, ICMP6_ECHO_REPLY = 129,
	ICMP6_MLD_QUERY = 130, ICMP6_MLD2_REPORT = 143,
	ICMP6_RS = 133, ICMP6_RA = 134, ICMP6_NS = 135, ICMP6_NA = 136,
};

/* The errors a gateway sends, named without their version. */
enum icmp_error {
	ICMP_ERROR_NET, ICMP_ERROR_HOST, ICMP_ERROR_PROHIBITED, ICMP_ERROR_PORT, ICMP_ERROR_PROTOCOL, ICMP_ERROR_TOO_BIG, ICMP_ERROR_TTL,
	ICMP_ERROR_REASSEMBLY,
};

#define ICMP_ERROR_MAX 1232 /* the longest error message: an IPv6 packet of 1280 bytes, less its header */

/** icmp_parse() - read the eight bytes; @c then stands at the data. Fails on fewer. The checksum is the caller's to check. */
struct icmp_header icmp_parse(struct cursor *c);

/**
 * icmp_emit_error() - write an error message for a packet
 * @into:  ICMP_ERROR_MAX bytes
 * @error: which
 * @about: the packet in error, as parsed
 * @rest:  its bytes behind the IP header (a copy of the cursor that ip_parse() left); as much as fits is quoted: 548 bytes of the packet
 *         for ICMP (RFC 1812 section 4.3.2.3), all that fits 1280 for ICMPv6 (RFC 4443 section 3.1). Options and extension headers are
 *         left out and @about->header is quoted as if there had been none; who makes up @about fills it by ip_emit().
 * @mtu:   for ICMP_ERROR_TOO_BIG
 * @src:   of the IP packet that will carry it, for ICMPv6's checksum; @about->src is its destination
 * Return: bytes written, the checksum filled in.
 */
size_t icmp_emit_error(uint8_t into[static ICMP_ERROR_MAX], enum icmp_error error, const struct ip_packet *about, struct cursor rest,
		       uint32_t mtu, addr_t src);

/**
 * icmp_may_answer() - may an error be sent about this packet? (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e))
 * @about: the packet in error, as parsed
 * @rest:  its bytes behind the IP header
 * Return: false for errors, groups, broadcasts, sources that are not one host, later fragments.
 */
bool icmp_may_answer(const struct ip_packet *about, struct cursor rest);
