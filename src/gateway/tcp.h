// SPDX-License-Identifier: MIT
/*
 * TCP flows: the guest's connection ends here, and a socket of the host's goes on (RFC 9293 towards the guest, the kernel's TCP
 * towards the world).
 *
 * Theory of operation
 *
 * From the guest: bytes in order go to the socket in one sendmsg(2) a run of segments, straight from the frames. Only what the
 * socket took is acknowledged, so nothing is ever buffered here: the guest's own queue is the buffer. The window offered is what
 * the socket's send buffer still takes, and zero below one segment.
 *
 * To the guest: the socket's receive queue is the retransmission queue. Bytes are read with MSG_PEEK, with the offset that was
 * reached (SO_PEEK_OFF where the kernel has it for TCP, else by peeking over what is in flight again), and are taken off the
 * queue when the guest acknowledges them. A loss is repaired as NewReno does (RFC 6582), without a congestion window: there is no
 * network between us and the guest that could be congested, only a port that says how much room it has.
 *
 * Watching: the socket is watched edge-triggered, since bytes that were peeked stay in it. A flow goes on when the socket has
 * something new, when the guest acknowledges or opens its window, when its port has room again, or when its share of a turn was used up.
 *
 * States (enum tcp_state), one step down for each arrow:
 *
 *	guest opens:  CONNECTING --connected--> SYN_RECEIVED --acknowledged--> OPEN
 *	                  |                        (SYN|ACK sent)               |
 *	                  +--refused: RST, no flow                              |
 *	host opens:   SYN_SENT --SYN|ACK--> OPEN                                |
 *	                  +--RST, or no answer for a minute: client reset       |
 *	OPEN --both FINs acknowledged--> LINGER (socket closed; answers a repeated FIN for a second) --> no flow
 *	any  --RST from either side--> RST to the other, no flow
 *
 * How far each half has closed is told by flags (enum tcp_flow_flag), since the halves are independent:
 *
 *	guest's half:  (open) --FIN in order, all before it in the socket--> GUEST_FIN (socket shut down for writing)
 *	host's half:   (open) --RDHUP--> HOST_EOF --all sent--> FIN_SENT --acknowledged--> FIN_ACKED
 *
 * Segments out of order are held (tcp_hold.h) and told by SACK; what the guest tells by SACK shows how much is missing, so that a
 * hole is filled at once. Timestamps are not negotiated.
 */
#pragma once
#include "gateway/emit.h"
#include "gateway/flow.h"
#include "gateway/host.h"
#include "wire/tcp.h"

enum tcp_state { TCP_CONNECTING, TCP_SYN_RECEIVED, TCP_SYN_SENT, TCP_OPEN, TCP_LINGER };

enum tcp_flow_flag {
	/* The first three say which lists of struct tcp the flow is in: 1 << enum tcp_list. */
	TCP_ACK_DUE = 1 << 0,       /* acknowledges at the turn's end */
	TCP_RUN_DUE = 1 << 1,       /* sends at the turn's end */
	TCP_NO_ROOM = 1 << 2,       /* waits for room at its port */
	TCP_GUEST_FIN = 1 << 3,
	TCP_HOST_EOF = 1 << 4,
	TCP_FIN_SENT = 1 << 5,      /* the last sequence number before "max" is our FIN */
	TCP_FIN_ACKED = 1 << 6,
	TCP_SCALED = 1 << 7,        /* both sides offered a window scale */
	TCP_RECOVERY = 1 << 8,      /* repairing a loss, until "recover" is acknowledged */
	TCP_STALLED = 1 << 9,       /* the window offered is closed: an update follows when the socket is writable */
	TCP_UNIX = 1 << 10,         /* the socket is a unix stream socket */
	TCP_PEEK_OFFSET = 1 << 11,  /* the socket keeps the peek offset */
	TCP_ACK_NOW = 1 << 12,      /* an acknowledgement is owed even if it says nothing new */
	TCP_PROBING = 1 << 13,      /* the guest's window is closed and bytes wait */
	TCP_SACK_OK = 1 << 15,      /* both sides said SACK-permitted */
	TCP_DRAINED = 1 << 14,      /* the socket had no more, and has not said since that it has */
};

struct tcp;

struct tcp_params {
	struct flow_table *flows;
	struct emitter *emitter;
	struct host *host;
	const struct lan_plan *plan;
	bool peek_offset;                            /* use SO_PEEK_OFF where the kernel has it; false only in tests */
	struct deferred *turn_end;                   /* added when there is something for tcp_turn_end() */
	int (*dns_accept)(void *owner);              /* a connection to the DNS service: a descriptor, or negative errno */
	void (*opened)(void *owner, struct flow *f, int result); /* an inbound flow was accepted (0), refused or got no answer */
	void *owner;
};

/** tcp_new() - everything in @params is borrowed. Return: 0 or negative errno. */
int tcp_new(struct tcp **out, const struct tcp_params *params);
struct tcp *tcp_free(struct tcp *t);

/**
 * tcp_from_guest() - a segment of a guest's
 * @from: the frame's source MAC
 * @ip:   its packet, no fragment
 * @l4:   cursor at the TCP header; the checksum has been checked
 * @now:  the clock
 *
 * Payload may be kept by reference until tcp_push(), so that a run of segments leaves in one sendmsg(2): call that before the
 * frames' memory is given up.
 * Return: DROP_NONE or why not.
 */
enum drop tcp_from_guest(struct tcp *t, struct mac from, const struct ip_packet *ip, struct cursor l4, usec_t now);

/** tcp_push() - give the socket what tcp_from_guest() kept by reference */
void tcp_push(struct tcp *t, usec_t now);

/** tcp_ready() - the flow's socket is ready for @events */
void tcp_ready(struct tcp *t, struct flow *f, uint32_t events, usec_t now);

/** tcp_due() - the flow's deadline has passed */
void tcp_due(struct tcp *t, struct flow *f, usec_t now);

/** tcp_turn_end() - acknowledge what arrived in this turn, and let flows go on whose share was used up */
void tcp_turn_end(struct tcp *t, usec_t now);

/** tcp_room() - a port has room again: flows that waited for some go on */
void tcp_room(struct tcp *t, usec_t now);

/**
 * tcp_connect() - open a connection to a guest for a socket that is connected already
 * @key:  guest and peer as the guest sees them; no flow has it
 * @mac:  the guest's
 * @fd:   the flow's own when this succeeds
 * Return: 0 or negative errno (-ENOSPC). params.opened is called when the guest has answered.
 */
int tcp_connect(struct tcp *t, const struct flow_key *key, struct mac mac, int fd, usec_t now);

/** tcp_reset() - end a flow now: RST to the guest and to the socket's peer */
void tcp_reset(struct tcp *t, struct flow *f, usec_t now);

/**
 * tcp_too_big() - the guest's side said (ICMP) that a segment of ours was too big: send smaller ones from now on, and that one again
 * @seq: the segment's sequence number
 * @mtu: what fits; less than every link must take counts as that
 * Return: false if that segment is not under way, and nothing was done: the error is old, or made up.
 */
bool tcp_too_big(struct tcp *t, struct flow *f, uint32_t seq, uint32_t mtu, usec_t now);

/**
 * tcp_unreachable() - the guest's side said (ICMP) that it will not have our SYN: its client hears of it, as of a refusal
 * @seq: the segment's sequence number
 * Return: false if no such opening is under way. For an open connection such an error is only a hint (RFC 1122 section 4.2.3.9).
 */
bool tcp_unreachable(struct tcp *t, struct flow *f, uint32_t seq);
