// SPDX-License-Identifier: MIT
/*
 * UDP flows: one connected socket of the host for each pair of guest address and port, and peer address and port.
 *
 * - The socket's local port is the guest's where that is free, and the same for all peers of one guest port (so the mapping is
 *   endpoint-independent, RFC 4787 section 4.1, while what comes in is filtered by address and port). A small table by port says which
 *   guest holds a port of the host; a second guest with the same port gets another.
 * - A flow is given up after 30 s without a packet, 120 s once the peer has answered (10 s for port 53). When slots or descriptors run out,
 *   the flow idle for longest goes.
 * - Errors of the socket (IP_RECVERR: refused, unreachable, too big) go to the guest as the ICMP error they came from, about the datagram
 *   they quote.
 * - TTL (less one) and traffic class of the guest's packet are those of the host's. A datagram that may not be fragmented is not: too big a
 *   one gets ICMP "too big" with the MTU that the host's kernel knows for the path.
 * - HostAccess full: when loopback refuses a datagram to the gateway, it goes to the host's own address, and so does all that follows.
 * - Inbound (forwards): the listening socket is shared; a flow a client. Replies leave from the address the client used (PKTINFO).
 * - Multicast and broadcast are not forwarded.
 * - Datagrams of one flow that a port hands over in one batch leave in one call, equal ones of them as one message (udp(7), UDP_SEGMENT);
 *   equal ones that were received in one call go to the guest as one frame. Nothing waits for more to come. Where the kernel refuses
 *   UDP_SEGMENT (a path's MTU, a card without checksums), datagrams of that flow and size leave one by one from then on.
 *
 * States of a flow: new --a packet of the other side's--> answered; either ends by its time-out, by eviction, by udp_forward_gone(), or by
 * udp_closing() and flow_remove().
 */
#pragma once
#include "gateway/datagrams.h"
#include "gateway/emit.h"
#include "gateway/flow.h"
#include "gateway/host.h"
#include "lan/forward.h"
#include "lan/guest.h"

struct udp;

/** udp_new() - all arguments are borrowed. Return: 0 or -ENOMEM. */
int udp_new(struct udp **out, struct flow_table *flows, struct emitter *emitter, struct host *host);
struct udp *udp_free(struct udp *u);

/**
 * udp_from_guest() - a datagram of the guest's for a flow, or a run of them
 * @from:    the guest's MAC
 * @ip:      its packet; not a fragment (reassembled before), and its TTL suffices
 * @l4:      cursor at the UDP header; the checksum has been checked. Its bytes stay until udp_push().
 * @segment: 0: one datagram; else payload bytes a datagram, of which the last may have fewer (GSO_UDP)
 * @now:     the clock
 * Return: DROP_NONE or why not; ICMP errors that are due have then been sent. What is taken may be kept until the next udp_push(), and be
 *         dropped only then.
 */
enum drop udp_from_guest(struct udp *u, struct mac from, const struct ip_packet *ip, struct cursor l4, uint32_t segment, usec_t now);

/**
 * udp_push() - give the socket what udp_from_guest() has kept; before the bytes of the datagrams go
 * What it does not take is counted at the guest's port, and ICMP errors that are due are sent.
 */
void udp_push(struct udp *u, usec_t now);

/** udp_ready() - the flow's socket has something: up to 32 datagrams are taken (recvmmsg) and sent to the guest */
void udp_ready(struct udp *u, struct flow *f, uint32_t events, usec_t now);
/** udp_due() - the flow's deadline has passed */
void udp_due(struct udp *u, struct flow *f, usec_t now);
/** udp_closing() - the flow is about to be removed by somebody else: let go of its kept source port */
void udp_closing(struct udp *u, struct flow *f);

/**
 * udp_from_client() - datagrams of a forward's client
 * @fd:      the forward's socket; stays the forward's
 * @guest, @addr, @port: to whom
 * @run:     from whom, to which address of the host's, and what
 * @fresh:   set to whether that began a flow
 * Return: DROP_NONE or why not.
 */
enum drop udp_from_client(struct udp *u, int fd, struct guest *guest, addr_t addr, uint16_t port, const struct datagram_run *run,
			  bool *fresh, usec_t now);
/** udp_forward_gone() - the forward's socket is about to be closed: its flows end */
void udp_forward_gone(struct udp *u, int fd);
