// SPDX-License-Identifier: MIT
/* Ethernet II frames (IEEE 802.3), without the FCS. A VLAN tag is not looked into: the switch carries such frames as they are. */
#pragma once
#include "base/be.h"
#include "base/cursor.h"
#include "wire/addr.h"

enum ethertype { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_IPV6 = 0x86dd, ETHERTYPE_VLAN = 0x8100 };

#define ETH_MIN 60 /* shorter frames are padded: iPXE and others drop them */

struct eth {
	struct mac to, from;
	be16_t type;
};
_Static_assert(sizeof(struct eth) == 14, "IEEE 802.3 section 3");

/** eth_parse() - read the header; fails on a frame shorter than it */
static inline struct eth eth_parse(struct cursor *c)
{
	struct eth e;

	cursor_copy(c, &e, sizeof(e));
	return e;
}
