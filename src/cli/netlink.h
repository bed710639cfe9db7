// SPDX-License-Identifier: MIT
/* The few requests to the kernel that give a network namespace its addresses (rtnetlink(7)). A link is named by its index. */
#pragma once
#include <stdint.h>
#include "base/attr.h"
#include "wire/addr.h"

struct netlink;

/** netlink_new() - a socket into the network namespace of the caller. Return: 0 or negative errno. */
int netlink_new(struct netlink **out);
struct netlink *netlink_free(struct netlink *n);
DEFINE_CLEANUP(netlink)

/**
 * netlink_set_link() - bring a link up
 * @mac: NULL: as it is
 * @mtu: 0: as it is
 * Return: 0 or the kernel's negative errno; likewise the others.
 */
int netlink_set_link(struct netlink *n, unsigned int index, const struct mac *mac, uint32_t mtu);

/** netlink_add_address() - give a link an address of either version, without looking for a duplicate first */
int netlink_add_address(struct netlink *n, unsigned int index, addr_t addr, unsigned int bits);

/** netlink_add_default_route() - send what has no other way to @gateway */
int netlink_add_default_route(struct netlink *n, unsigned int index, addr_t gateway);
