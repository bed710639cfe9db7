// SPDX-License-Identifier: MIT
/*
 * DHCPv6 server, stateful and stateless (RFC 8415): Solicit (with Rapid Commit), Request, Confirm, Renew, Rebind, Release, Decline,
 * Information-request. The guest is known by its MAC, as with DHCPv4.
 */
#pragma once
#include "lan/guest.h"
#include "service/reply.h"
#include "wire/ip.h"

/**
 * dhcp6_answer() - answer a message that came to UDP port 547; arguments as in dhcp4_answer(). A lease is PREFIX::1:0 and the low 16 bits
 * of a stable number of the guest's.
 */
enum drop dhcp6_answer(const struct lan_plan *plan, struct guests *guests, struct mac from, const struct ip_packet *ip,
		       struct cursor payload, int64_t wall, usec_t now, bool *changed, struct reply *reply);
