// SPDX-License-Identifier: MIT
/*
 * What the files of TCP share: tcp.c (the life of a flow), tcp_open.c (how it begins), tcp_in.c (guest to socket), tcp_out.c
 * (socket to guest). Nobody else includes this.
 */
#pragma once
#include "gateway/tcp.h"
#include "gateway/tcp_hold.h"
#include "io/loop.h"

#include "base/hash.h"

#define TCP_OUR_SCALE  8                     /* windows up to 16 MiB */
#define TCP_CHUNK      (64 * 1024)           /* read from a socket at once */
#define TCP_CHUNK_LEAST (4 * 1024)           /* the least, see tcp_flow.chunk_scale */
#define TCP_TURN_SHARE 4                     /* chunks a flow may send in one turn */
#define TCP_IN_FLIGHT  (1024 * 1024)         /* towards a guest at the most */
#define TCP_RUN_PARTS  64                    /* segments in one sendmsg() */
#define TCP_RTO        (200 * USEC_MS)
#define TCP_RTO_MAX    (30 * USEC_S)
#define TCP_RETRIES    12
#define TCP_SYN_WAIT   (60 * USEC_S)         /* for a guest that is booting */
#define TCP_SYN_RETRY_MAX (2 * USEC_S)
#define TCP_LINGER_TIME (1 * USEC_S)
#define TCP_KEEPALIVE_EACH (75 * USEC_S)
#define TCP_KEEPALIVES 9                     /* unanswered, and the flow is reset */
#define TCP_MSS_LEAST  32
#define TCP_WATCHED    (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

/* Lists of flows, first in, first out, through flow->tcp.link[]; the flow's flag 1 << list says that it is in it. */
enum tcp_list { TCP_ACKS, TCP_RUNS, TCP_ROOMS, TCP_LISTS };

struct tcp {
	struct tcp_params p;
	struct tcp_hold *hold;
	struct hash_key key;                 /* for initial sequence numbers (RFC 6528) */
	bool peek_offset4, peek_offset6;     /* SO_PEEK_OFF works for TCP of this version */
	struct { struct flow *first, *last; uint32_t count; } list[TCP_LISTS];
	struct {                             /* a run of segments in order, of one flow, whose payload still lies in the frames */
		struct flow *flow;
		struct iovec iov[TCP_RUN_PARTS];
		size_t parts, bytes;
	} run;
	struct emit_loan loan;               /* the guest's memory, while it is filled */
	uint8_t chunk[TCP_CHUNK];            /* what was peeked for a port that lends none, until it is sent on */
	uint8_t over[TCP_CHUNK];             /* where bytes go that are read again only to get past them */
};

/* tcp.c */
/** tcp_send_flags() - a segment without payload: flags, and the numbers as the flow has them; @seq for the sequence number */
void tcp_send_flags(struct tcp *t, struct flow *f, uint8_t flags, uint32_t seq, usec_t now);
/** tcp_header() - the segment header for payload of the flow at @seq */
struct tcp_segment tcp_header(struct tcp *t, struct flow *f, uint8_t flags, uint32_t seq);
/** tcp_ip_header() - of the flow's packets to the guest */
struct ip_packet tcp_ip_header(const struct flow *f);
/** tcp_emit_segment() - send @s with payload (may be none), as segments of @segment bytes if it is not 0 */
void tcp_emit_segment(struct tcp *t, struct flow *f, const struct tcp_segment *s, const struct iovec *payload, size_t parts,
		      uint32_t segment, usec_t now);
/** tcp_drop() - forget a flow without a word to the guest; closes the socket, with RST to its peer if @reset */
void tcp_drop(struct tcp *t, struct flow *f, bool reset);
/** tcp_maybe_done() - after a half has closed: if both have, linger or forget */
void tcp_maybe_done(struct tcp *t, struct flow *f, usec_t now);
/** tcp_arm() - set the deadline that the flow's state asks for */
void tcp_arm(struct tcp *t, struct flow *f, usec_t now);
/** tcp_ack_later() - acknowledge at the turn's end; @force: even if nothing is new */
void tcp_ack_later(struct tcp *t, struct flow *f, bool force);
/** tcp_list_add() - put a flow at the end of a list unless it is in it; ACKS and RUNS ask for a call at the turn's end */
void tcp_list_add(struct tcp *t, enum tcp_list list, struct flow *f);
/** tcp_window() - what to offer the guest now, in bytes; asks the socket */
uint32_t tcp_window(struct tcp *t, struct flow *f);
/** tcp_segment_limit() - payload bytes of a segment that fits the LAN's MTU without options */
uint16_t tcp_segment_limit(const struct tcp *t, const struct flow *f);
/** tcp_offer_window() - move the right edge of the window that the guest may use to where tcp_window() allows it */
void tcp_offer_window(struct tcp *t, struct flow *f);
/** tcp_tell_opened() - an inbound flow was accepted, refused or gave no answer */
void tcp_tell_opened(struct tcp *t, struct flow *f, int result);

/* tcp_open.c */
/** tcp_refuse() - answer a segment that belongs to no flow with RST (RFC 9293 section 3.10.7.1) */
void tcp_refuse(struct tcp *t, struct mac to, const struct ip_packet *ip, const struct tcp_segment *s, usec_t now);
/** tcp_open_from_guest() - a SYN that belongs to no flow yet */
enum drop tcp_open_from_guest(struct tcp *t, struct mac from, const struct flow_key *key, const struct tcp_segment *s,
			      const struct ip_packet *ip, struct cursor l4, usec_t now);
/** tcp_connect_ready() - CONNECTING: connect(2) has come to an end */
void tcp_connect_ready(struct tcp *t, struct flow *f, usec_t now);
/** tcp_answer_to_syn() - SYN_SENT: what the guest answers (RFC 9293 section 3.10.7.3) */
enum drop tcp_answer_to_syn(struct tcp *t, struct flow *f, const struct ip_packet *ip, const struct tcp_segment *s, usec_t now);
/** tcp_established() - the guest's handshake is done: the socket is watched for data */
void tcp_established(struct tcp *t, struct flow *f, usec_t now);

/* tcp_in.c */
/** tcp_take_held() - give the socket what was held and follows on */
void tcp_take_held(struct tcp *t, struct flow *f, usec_t now);
/** tcp_segment_open() - a segment of a flow in state OPEN (or SYN_RECEIVED whose acknowledgement has come) */
enum drop tcp_segment_open(struct tcp *t, struct flow *f, const struct tcp_segment *s, struct cursor payload, usec_t now);

/* tcp_out.c */
/** tcp_run() - send what the socket has, as far as window, room and share of the turn go */
void tcp_run(struct tcp *t, struct flow *f, usec_t now);
/** tcp_acked() - the guest has acknowledged up to @ack, which lies in (una, max] */
void tcp_acked(struct tcp *t, struct flow *f, uint32_t ack, usec_t now);
/** tcp_retransmit() - send the first unacknowledged segment (or FIN) again */
void tcp_retransmit(struct tcp *t, struct flow *f, usec_t now);
/** tcp_timed_out() - no acknowledgement came in time: repair from una on */
void tcp_timed_out(struct tcp *t, struct flow *f, usec_t now);
/** tcp_probe() - the guest's window is closed: send one byte beyond it, if there is one */
void tcp_probe(struct tcp *t, struct flow *f, usec_t now);
/** tcp_in_flight() - sequence numbers sent and not acknowledged, since the last time-out */
static inline uint32_t tcp_in_flight(const struct flow *f) { return f->tcp.nxt - f->tcp.una; }
