// SPDX-License-Identifier: MIT
/*
 * ICMP echo: the gateway's own addresses answer themselves; others are pinged through a ping socket of the host (ICMP, ICMPv6), one a guest
 * address, identifier and peer, where net.ipv4.ping_group_range lets this user have one. Where not: DROP_NOT_PERMITTED, an ICMP
 * "administratively prohibited" to the guest, and one message in the log that says what to type.
 *
 * The TTL of the guest's packet (less one) is the host's, and errors come back from whoever sent them, so that traceroute works. A flow
 * ends 30 s after its last packet; when slots or descriptors run out, the one idle for longest goes. A guest's own ICMP error about a
 * datagram of a UDP flow ends that flow.
 */
#pragma once
#include "gateway/emit.h"
#include "gateway/flow.h"
#include "gateway/host.h"

struct echo;

int echo_new(struct echo **out, struct flow_table *flows, struct emitter *emitter, struct host *host, const struct lan_plan *plan);
struct echo *echo_free(struct echo *e);

/**
 * echo_from_guest() - an ICMP or ICMPv6 packet of the guest's that is no neighbour discovery. Its checksum has been checked. Return:
 * verdict.
 */
enum drop echo_from_guest(struct echo *e, struct mac from, const struct ip_packet *ip, struct cursor l4, usec_t now);
void echo_ready(struct echo *e, struct flow *f, uint32_t events, usec_t now);
void echo_due(struct echo *e, struct flow *f, usec_t now);
