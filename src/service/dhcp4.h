// SPDX-License-Identifier: MIT
/*
 * DHCPv4 server (RFC 2131, RFC 2132; RFC 6842, RFC 4361 for client identifiers, which are echoed and never used as a key: clones of a
 * machine share them).
 *
 * A lease belongs to a MAC. The same MAC gets the same address as long as the pool lasts; the address of an expired lease is the last to be
 * given to somebody else.
 */
#pragma once
#include "lan/guest.h"
#include "service/reply.h"
#include "wire/ip.h"

/**
 * dhcp4_answer() - answer a request that came to UDP port 67
 * @plan:    the LAN
 * @guests:  leases are kept there; the guest is made if it has none
 * @from:    the frame's source MAC: must be the chaddr, relayed requests (giaddr) are refused
 * @ip:      the packet that carried it
 * @payload: cursor at the UDP payload
 * @wall:    seconds since 1970
 * @now:     the monotonic clock
 * @changed: set to true if a lease was made, renewed or released, that is, if leases are to be saved
 * @reply:   filled in; broadcast or unicast as RFC 2131 section 4.1 says; its room is at least 1280 bytes
 *
 * DISCOVER (option 50 is honoured where free), REQUEST in all four states (SELECTING, INIT-REBOOT, RENEWING, REBINDING), DECLINE (the
 * address rests for ten minutes), RELEASE, INFORM. A host name (option 12, or 81) that is valid and free becomes the guest's name.
 */
enum drop dhcp4_answer(const struct lan_plan *plan, struct guests *guests, struct mac from, const struct ip_packet *ip,
		       struct cursor payload, int64_t wall, usec_t now, bool *changed, struct reply *reply);

/**
 * dhcp4_assign() - lease a guest its address as if it had asked, for one that is set up by other means (a tap)
 * @wall, @now: as above
 * Return: 0, the lease is in @guest->lease4; or -ENOSPC: the pool is exhausted.
 */
int dhcp4_assign(const struct lan_plan *plan, struct guests *guests, struct guest *guest, int64_t wall, usec_t now);
