// SPDX-License-Identifier: MIT
/*
 * Neighbour discovery (RFC 4861) and the options of router advertisements (RFC 8106 too): parse what guests send, emit what a router says.
 *
 * A message here is the whole ICMPv6 message. Its checksum field is left zero when emitted: it needs the addresses of the IP packet.
 */
#pragma once
#include "base/cursor.h"
#include "base/writer.h"
#include "wire/addr.h"

#define NDP_HOP_LIMIT 255 /* of every valid message: it has crossed no router (RFC 4861 section 11.2) */

enum ndp_option {
	NDP_SOURCE_LINK = 1, NDP_TARGET_LINK = 2, NDP_PREFIX = 3, NDP_MTU = 5,
	NDP_RDNSS = 25, NDP_DNSSL = 31,
};

/* Flags of advertisements, as they stand in their fields. */
enum ndp_neighbour_flag { NDP_ROUTER = 0x80, NDP_SOLICITED = 0x40, NDP_OVERRIDE = 0x20 };
enum ndp_router_flag { NDP_MANAGED = 0x80, NDP_OTHER = 0x40 };
enum ndp_prefix_flag { NDP_ON_LINK = 0x80, NDP_AUTONOMOUS = 0x40 };

struct ndp_message {
	uint8_t type, code;
	uint8_t flags;      /* of a neighbour advertisement: enum ndp_neighbour_flag */
	addr_t target;      /* of neighbour solicitations and advertisements; any for the others */
	bool has_link;      /* the sender's MAC: option 1 of solicitations, 2 of neighbour advertisements */
	struct mac link;
};

/**
 * ndp_parse() - read a router solicitation, neighbour solicitation or neighbour advertisement
 * @c: cursor at the ICMPv6 header, ended at the packet's end. Fails on a short message, on another type, and on an option whose
 *     length is zero, does not fit, or is not 8 bytes for a link-layer address (RFC 4861 sections 4.6, 6.1.1, 7.1). Unknown options
 *     are skipped.
 */
struct ndp_message ndp_parse(struct cursor *c);

/** ndp_emit_neighbour() - write a neighbour advertisement of @target at @link (RFC 4861 section 4.4); @flags: enum ndp_neighbour_flag */
void ndp_emit_neighbour(struct writer *w, addr_t target, uint8_t flags, struct mac link);

/* What a router says of itself and the link. Times are seconds. */
struct ndp_router {
	uint8_t hop_limit;
	uint8_t flags;                    /* enum ndp_router_flag */
	uint16_t lifetime;                /* as a default router; 0: it is none any more */
	struct mac link;
	uint16_t mtu;
	addr_t prefix;
	uint8_t prefix_bits, prefix_flags;  /* enum ndp_prefix_flag */
	uint32_t prefix_valid, prefix_preferred;
	addr_t dns;                       /* any: no RDNSS option */
	const char *domain;               /* "": no DNSSL option */
	uint32_t dns_lifetime;
};

/**
 * ndp_emit_router() - write a router advertisement (RFC 4861 section 4.2) with source link-layer address, MTU, prefix, RDNSS and
 * DNSSL (RFC 8106)
 */
void ndp_emit_router(struct writer *w, const struct ndp_router *r);
