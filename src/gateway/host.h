// SPDX-License-Identifier: MIT
/*
 * The host's side: where a guest's packet goes on the host, and what a guest sees of a client on the host's side. Here, and only here,
 * HostAccess is enforced.
 *
 * - The gateway's address is the host. `lan`: one of the host's own addresses that is not loopback (the source that the default route would
 *   use, or the first global one), so that only listeners that are not bound to loopback answer, and they do not take the guest for a local
 *   user. `full`: loopback, and if that refuses, as with `lan`. `none`: refused.
 * - An address that the kernel would deliver locally (its route is RTN_LOCAL, asked each time a flow begins) is the host too, so `none`
 *   refuses it, and loopback is never reached but through the gateway's address.
 * - Everything else is the internet: connected to as it is, unless it is multicast, broadcast, unspecified, link-local (that is where
 *   clouds keep their hosts' credentials), of this LAN's own networks, or has no route.
 */
#pragma once
#include <sys/socket.h>
#include "base/drop.h"
#include "lan/plan.h"

struct host;

/** host_new() - @plan is borrowed; keeps one netlink socket. Return: 0 or negative errno. */
int host_new(struct host **out, const struct lan_plan *plan);
struct host *host_free(struct host *h);

/**
 * host_target() - where to connect or send for a guest's destination
 * @dst:      as in the guest's packet
 * @to:       the address for connect(2)
 * @fallback: the address to try if @to refuses; any: none
 * Return: DROP_NONE, DROP_POLICY, DROP_MARTIAN or DROP_NO_ROUTE.
 */
enum drop host_target(struct host *h, addr_t dst, addr_t *to, addr_t *fallback);

/**
 * host_guest_view() - the address that a guest of the wanted version sees for something on the host's side
 * @client: a client's or sender's own address
 * @guest:  the guest's address: gives the version
 * Return: @client itself where the guest can route an answer to it; the gateway's address where it is the host's own, loopback, of the
 * LAN's own networks, link-local, or of the other version.
 */
addr_t host_guest_view(struct host *h, addr_t client, addr_t guest);

/* A socket address of either version. */
union sockaddr_any { struct sockaddr sa; struct sockaddr_storage storage; };

/** host_sockaddr() - for an address and port (IPv4 as sockaddr_in). Return: its size. */
socklen_t host_sockaddr(union sockaddr_any *out, addr_t addr, uint16_t port);
/** host_addr_of() - address and port of a sockaddr_in or _in6; any and 0 for other families */
addr_t host_addr_of(const union sockaddr_any *sa, uint16_t *port);
