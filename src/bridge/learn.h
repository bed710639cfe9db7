// SPDX-License-Identifier: MIT
/*
 * What a frame says about the addresses of guests: ARP and neighbour discovery of a guest's own, and what a DHCP server of whatever router
 * answers it, in both versions. Pure.
 *
 * An address that a guest was seen with is believed unless another guest has leased it. One of IPv6, where guests choose their own, belongs
 * to the first who is seen with it, for as long as that guest is attached.
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
 * learn_to_guest() - a frame on its way to one: an acknowledgement of DHCP (RFC 2131), a reply of DHCPv6 (RFC 8415), whose guest is the one
 *                    that the frame is addressed to
 * @iov: the frame, its Ethernet header first; it may be cut short behind what is read here
 */
struct learned learn_from_guest(const struct iovec *iov, size_t parts);
struct learned learn_to_guest(const struct iovec *iov, size_t parts);

/**
 * learn_apply() - keep it in the table
 * Return: true if what is known is another than before: a lease, so that rules and the file of leases are to be brought up to date, or an
 * IPv6 address, so that the rules are. What is another guest's is not believed.
 */
bool learn_apply(struct guests *guests, struct guest *guest, const struct learned *l, int64_t wall, usec_t now);
