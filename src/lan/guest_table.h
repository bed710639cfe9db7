// SPDX-License-Identifier: MIT
/*
 * The inside of the guest table, for guest.c and guest_addr.c alone.
 *
 * Three indices of hash chains over fixed slots: by MAC, by name, and by address. A guest has one node in the address index for each place
 * where it can keep an address; the node is linked exactly while the place holds an address, so a place is unlinked before it is changed.
 */
#pragma once
#include "base/hash.h"
#include "lan/guest.h"

#define NOWHERE       UINT16_MAX
#define GUEST_BUCKETS 2048
#define ADDR_BUCKETS  8192

enum addr_node { NODE_LEASE4, NODE_LEASE6, NODE_FIXED4, NODE_LEARNED, NODES = NODE_LEARNED + GUEST_ADDRS };
_Static_assert(GUEST_MAX * NODES < NOWHERE, "a node's number fits 16 bits");

struct resting { addr_t addr; usec_t until; };

struct guests {
	struct hash_key key;
	uint16_t by_mac[GUEST_BUCKETS], by_name[GUEST_BUCKETS], by_addr[ADDR_BUCKETS];
	uint16_t next_mac[GUEST_MAX], next_name[GUEST_MAX], next_addr[GUEST_MAX * NODES];
	uint16_t free;              /* chain of freed slots, through next_mac */
	uint16_t used_below;        /* slots from here on were never used */
	int64_t expires;            /* no lease or offer is over before this (wall clock) */
	struct resting resting[GUEST_RESTING];
	unsigned int resting_next;
	struct guest slots[GUEST_MAX];
};

/** guests_index() - a guest's slot number */
static inline uint16_t guests_index(const struct guests *g, const struct guest *guest) { return (uint16_t)(guest - g->slots); }

/** guests_unlink_addr() - take one place out of the address index and empty it; likewise _all for all places of a guest */
void guests_unlink_addr(struct guests *g, struct guest *guest, unsigned int node);
void guests_unlink_addr_all(struct guests *g, struct guest *guest);
