// SPDX-License-Identifier: MIT
/*
 * IP, both versions behind one view (RFC 791, RFC 8200).
 *
 * ip_parse() reads either header and everything that stands before the transport header; above it nobody asks which version it was,
 * unless the protocol itself differs.
 */
#pragma once
#include "base/be.h"
#include "base/cursor.h"
#include "wire/addr.h"

enum ip_protocol {
	IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17, IP_ICMP6 = 58,
	IP6_HOP_BY_HOP = 0, IP6_ROUTING = 43, IP6_FRAGMENT = 44, IP6_NONE = 59, IP6_DESTINATION = 60,
};

/* As they lie on the wire. */
struct ip4_header {
	uint8_t version_ihl, tos;
	be16_t total_size, id, fragment;
	uint8_t ttl, protocol;
	be16_t checksum;
	struct ip4 src, dst;
};
_Static_assert(sizeof(struct ip4_header) == 20, "RFC 791 section 3.1");
struct ip6_header {
	be32_t version_class_flow;
	be16_t payload_size;
	uint8_t next, hop_limit;
	addr_t src, dst;
};
_Static_assert(sizeof(struct ip6_header) == 40, "RFC 8200 section 3");

#define IP_HEADER_MAX 40 /* what ip_emit() writes at the most */

struct ip_packet {
	addr_t src, dst;
	uint8_t version;         /* 4 or 6 */
	uint8_t protocol;        /* of the payload, behind extension headers */
	uint8_t ttl;             /* time to live, hop limit */
	uint8_t traffic_class;   /* DSCP and ECN */
	uint16_t header_size;    /* with options and extension headers */
	uint32_t payload_size;
	bool dont_fragment;      /* IPv4's flag; true for IPv6 */
	bool is_fragment;        /* one of several: offset or "more" is set */
	bool more_fragments;
	uint16_t fragment_offset;  /* bytes */
	uint32_t fragment_id;
	uint8_t header[IP_HEADER_MAX]; /* the fixed header as it came, for ICMP errors that quote it */
};

/**
 * ip_parse() - read the header of either version
 * @c: cursor after the Ethernet header. Afterwards it stands at the transport header (or the fragment's data) and ends where the IP
 *     packet ends, so that Ethernet padding is gone.
 * Fails on: a wrong version, sizes that do not fit, a wrong IPv4 header checksum, an IPv6 address of the form ::ffff:a.b.c.d, a
 * chain of more than eight extension headers, a routing header of type 0 (RFC 5095), a source route option (RFC 7126 section 4.3).
 */
struct ip_packet ip_parse(struct cursor *c);

/**
 * ip_emit() - write a header
 * @into: at least IP_HEADER_MAX bytes; 20 or 40 are written
 * @p:    src, dst, protocol, ttl, traffic_class, dont_fragment and payload_size are used; the version is the addresses'
 * @id:   IPv4's identification
 * Return: bytes written. The IPv4 checksum is filled in.
 */
size_t ip_emit(uint8_t into[static IP_HEADER_MAX], const struct ip_packet *p, uint16_t id);

/** ip_header_size() - what ip_emit() will write for an address of this version */
static inline size_t ip_header_size(addr_t a) { return addr_is4(a) ? 20 : 40; }
