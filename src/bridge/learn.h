// SPDX-License-Identifier: MIT
/*
 * What a frame says about the addresses of guests: ARP and neighbour discovery of a guest's own, and what a DHCP server of whatever router
 * answers it. Pure.
 */
#pragma once
#include <sys/uio.h>
#include "lan/guest.h"

enum learned_kind {
	LEARNED_NOTHING,
	LEARNED_ADDRESS,   /* its guest uses it */
	LEARNED_LEASE,     /* a server gave it to the guest, for so many seconds */
};

struct learned {
	enum learned_kind kind;
	struct mac mac;    /* the guest's */
	addr_t addr;
	uint32_t seconds;
};

/**
 * learn_from_guest() - a frame that came in by a guest's tap: ARP (also a probe of what it is about to use), ND
 * learn_to_guest() - a frame on its way to one: an acknowledgement of DHCP (RFC 2131)
 * @iov: the frame, its Ethernet header first; it may be cut short behind what is read here
 */
struct learned learn_from_guest(const struct iovec *iov, size_t parts);
struct learned learn_to_guest(const struct iovec *iov, size_t parts);

/**
 * learn_apply() - keep it in the table
 * Return: true if a lease is another than before, so that rules and the file of leases are to be brought up to date. What another guest
 * has leased is not believed.
 */
bool learn_apply(struct guests *guests, struct guest *guest, const struct learned *l, int64_t wall, usec_t now);
