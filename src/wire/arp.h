// SPDX-License-Identifier: MIT
/* ARP for IPv4 over Ethernet (RFC 826): parse and emit, nothing else. */
#pragma once
#include "base/be.h"
#include "base/cursor.h"
#include "wire/addr.h"

enum arp_op { ARP_REQUEST = 1, ARP_REPLY = 2 };

/* A packet as it lies on the wire. */
struct arp {
	be16_t hardware, protocol;
	uint8_t hardware_size, protocol_size;
	be16_t op;
	struct mac sender_mac;
	struct ip4 sender_ip;
	struct mac target_mac;
	struct ip4 target_ip;
};
_Static_assert(sizeof(struct arp) == 28, "RFC 826, IPv4 over Ethernet");

/**
 * arp_parse() - read an ARP packet; @c stands after the Ethernet header
 * Fails on a short packet, or on one that is not IPv4 over Ethernet.
 */
struct arp arp_parse(struct cursor *c);
