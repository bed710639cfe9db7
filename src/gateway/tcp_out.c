// SPDX-License-Identifier: MIT
/* TCP from the socket to the guest. */
#include <errno.h>
#include <sys/socket.h>

#include "base/iov.h"
#include "gateway/tcp_private.h"

#define FRAME_OVERHEAD 96   /* what a segment's headers take of a port's room, at the most */
#define PAYLOAD_MAX    (65535u - IP_HEADER_MAX - TCP_HEADER_MAX)
#define OVER_PARTS     (TCP_IN_FLIGHT / TCP_CHUNK + 1)

static void set_peek_offset(struct flow *f, uint32_t offset)
{
	if (f->tcp.flags & TCP_PEEK_OFFSET)
		setsockopt(f->fd, SOL_SOCKET, SO_PEEK_OFF, &(int){ (int)offset }, sizeof(int));
}

/*
 * Read bytes behind those in flight without taking them.
 * @offset: how many are in flight; where the socket keeps the offset it is the same
 * @into, @parts: where to
 * Return: bytes read; 0 at the end of the stream, -EAGAIN if nothing waits, or another negative errno.
 */
static ssize_t peek_into(struct tcp *t, struct flow *f, uint32_t offset, const struct iovec *into, size_t parts)
{
	struct iovec iov[OVER_PARTS + EMIT_LOAN_PARTS];
	struct msghdr m = { .msg_iov = iov };
	ssize_t n;

	if (f->tcp.flags & TCP_PEEK_OFFSET)
		offset = 0;
	for (uint32_t left = offset; left; left -= (uint32_t)iov[m.msg_iovlen++].iov_len)
		iov[m.msg_iovlen] = (struct iovec){ t->over, MIN(left, (uint32_t)sizeof(t->over)) };
	memcpy(iov + m.msg_iovlen, into, parts * sizeof(*into));
	m.msg_iovlen += parts;

	n = recvmsg(f->fd, &m, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	if (offset)
		return n > (ssize_t)offset ? n - (ssize_t)offset : -EAGAIN; /* the end shows as EPOLLRDHUP alone */
	return n;
}

/* Likewise @want bytes into t->chunk. */
static ssize_t peek(struct tcp *t, struct flow *f, uint32_t offset, uint32_t want)
{
	struct iovec into = { t->chunk, want };

	return peek_into(t, f, offset, &into, 1);
}

/* Take bytes off the socket's queue that the guest has. */
static void discard(struct tcp *t, struct flow *f, uint32_t bytes)
{
	while (bytes) {
		uint32_t take = MIN(bytes, (uint32_t)sizeof(t->over));
		bool is_unix = f->tcp.flags & TCP_UNIX; /* there MSG_TRUNC does not mean "throw it away" */
		ssize_t n = is_unix ? recv(f->fd, t->over, take, MSG_DONTWAIT) : recv(f->fd, NULL, bytes, MSG_TRUNC | MSG_DONTWAIT);

		if (n <= 0)
			break;
		bytes -= (uint32_t)n;
	}
}

static void send_fin(struct tcp *t, struct flow *f, uint32_t seq, usec_t now)
{
	tcp_send_flags(t, f, TCP_FIN | TCP_ACK, seq, now);
}

static void send_first_fin(struct tcp *t, struct flow *f, usec_t now)
{
	if (f->tcp.flags & TCP_FIN_SENT || f->tcp.nxt != f->tcp.max)
		return;
	f->tcp.flags |= TCP_FIN_SENT;
	send_fin(t, f, f->tcp.nxt, now);
	f->tcp.max = ++f->tcp.nxt;
}

static void send_payload(struct tcp *t, struct flow *f, uint32_t seq, uint32_t size, bool push, usec_t now)
{
	struct tcp_segment s = tcp_header(t, f, TCP_ACK | (push ? TCP_PSH : 0), seq);
	struct iovec payload = { t->chunk, size };

	tcp_emit_segment(t, f, &s, &payload, 1, f->tcp.mss, now);
}

/* How much of @want the guest's port has room for: whole segments. 0: the flow waits for room. */
static uint32_t fit_room(struct tcp *t, struct flow *f, uint32_t want, usec_t now)
{
	uint32_t segments = (want + f->tcp.mss - 1) / f->tcp.mss;
	size_t room = emit_room(t->p.emitter, f->mac, want + segments * FRAME_OVERHEAD, now);

	if (room >= want + segments * FRAME_OVERHEAD)
		return want;
	segments = (uint32_t)(room / (f->tcp.mss + FRAME_OVERHEAD));
	if (segments)
		return MIN(want, segments * f->tcp.mss);
	tcp_list_add(t, TCP_ROOMS, f);
	return 0;
}

/* Whole segments that fit one frame. */
static uint32_t most_at_once(const struct flow *f)
{
	return MAX(MIN(PAYLOAD_MAX, (uint32_t)TCP_CHUNK) / f->tcp.mss * f->tcp.mss, (uint32_t)f->tcp.mss);
}

/* No more than twice of what the socket had last: a large loan costs time even if little is written there. */
static uint32_t chunk_size(const struct flow *f)
{
	return MAX(MIN(most_at_once(f), (uint32_t)TCP_CHUNK_LEAST << f->tcp.chunk_scale), (uint32_t)f->tcp.mss);
}

static void follow_chunk(struct flow *f, uint32_t got)
{
	uint32_t now = (uint32_t)TCP_CHUNK_LEAST << f->tcp.chunk_scale;

	if (got * 2 > now && now < TCP_CHUNK)
		f->tcp.chunk_scale++;
	else if (got < now / 4 && f->tcp.chunk_scale)
		f->tcp.chunk_scale--;
}

/* How many bytes may go out now as far as the flow itself is concerned. */
static uint32_t may_send(struct flow *f)
{
	uint32_t limit = MIN(f->tcp.wnd, (uint32_t)TCP_IN_FLIGHT), in_flight = tcp_in_flight(f);
	uint32_t want;

	if (in_flight >= limit)
		return 0;
	want = MIN(limit - in_flight, chunk_size(f));
	if (f->tcp.flags & TCP_FIN_SENT) /* going over old ground: not beyond the FIN */
		return MIN(want, f->tcp.max - 1 - f->tcp.nxt);
	if (want >= f->tcp.mss)
		return want - want % f->tcp.mss;
	return in_flight ? 0 : want; /* no silly small segment while an acknowledgement will come (RFC 9293 section 3.8.6.2.1) */
}

/* The guest's window is closed: is there something that wants out? Then the deadline will probe. */
static void watch_closed_window(struct tcp *t, struct flow *f)
{
	if (f->tcp.wnd || tcp_in_flight(f) || f->tcp.flags & TCP_FIN_SENT)
		return;
	if (peek(t, f, 0, 1) > 0) {
		set_peek_offset(f, 0);
		f->tcp.flags |= TCP_PROBING;
	} else if (f->tcp.flags & TCP_HOST_EOF) {
		f->tcp.flags |= TCP_PROBING; /* its FIN wants out; a FIN needs no window, see send_chunk() */
	}
}

/*
 * Read into the guest's own memory.
 * @want: bytes; fewer if the port lends fewer: whole segments then
 * Return: as peek(); *lent says whether there was a loan at all.
 */
static ssize_t peek_lent(struct tcp *t, struct flow *f, uint32_t *want, bool *lent, usec_t now)
{
	struct ip_packet ip = tcp_ip_header(f);
	struct tcp_segment s = { .src = f->key.peer_port, .dst = f->key.guest_port, .flags = TCP_ACK };
	struct iovec into[EMIT_LOAN_PARTS];
	uint8_t header[TCP_HEADER_MAX];
	size_t parts;

	*lent = emit_borrow(t->p.emitter, &t->loan, f->mac, &ip, header, tcp_emit(header, &s), MIN(*want, (uint32_t)f->tcp.mss), *want, now);
	if (!*lent)
		return 0;
	if (t->loan.size < *want)
		*want = t->loan.size / f->tcp.mss * f->tcp.mss;
	parts = iov_slice(t->loan.payload, t->loan.parts, 0, *want, into, EMIT_LOAN_PARTS);
	return peek_into(t, f, tcp_in_flight(f), into, parts);
}

static void send_lent(struct tcp *t, struct flow *f, uint32_t size, bool push)
{
	struct ip_packet ip = tcp_ip_header(f);
	struct tcp_segment s = tcp_header(t, f, TCP_ACK | (push ? TCP_PSH : 0), f->tcp.nxt);
	uint8_t header[TCP_HEADER_MAX];

	emit_lent(t->p.emitter, &t->loan, f->mac, &ip, header, tcp_emit(header, &s), size, f->tcp.mss);
}

static void return_loan(struct tcp *t, const struct flow *f)
{
	struct ip_packet ip = tcp_ip_header(f);

	emit_lent(t->p.emitter, &t->loan, f->mac, &ip, NULL, 0, 0, 0);
}

/* Send one chunk. Return: true if there may be more to send at once. */
static bool send_chunk(struct tcp *t, struct flow *f, usec_t now)
{
	uint32_t want = may_send(f);
	bool lent = false;
	ssize_t n = 0;

	if (f->tcp.flags & TCP_FIN_SENT && !want) {
		if (f->tcp.nxt + 1 == f->tcp.max)
			send_fin(t, f, f->tcp.nxt++, now);
		return false;
	}
	if (want)
		n = peek_lent(t, f, &want, &lent, now);
	if (want && !lent)
		want = fit_room(t, f, want, now);
	if (!want) {
		watch_closed_window(t, f);
		return false;
	}
	if (!lent)
		n = peek(t, f, tcp_in_flight(f), want);
	else if (n <= 0)
		return_loan(t, f);
	if (n == 0)
		f->tcp.flags |= TCP_HOST_EOF;
	if (n < (ssize_t)want)
		f->tcp.flags |= TCP_DRAINED;
	if (n == 0 || n == -EAGAIN) {
		if (f->tcp.flags & TCP_HOST_EOF)
			send_first_fin(t, f, now);
		return false;
	}
	if (n < 0) {
		tcp_reset(t, f, now);
		return false;
	}
	if (lent)
		send_lent(t, f, (uint32_t)n, (uint32_t)n < want);
	else
		send_payload(t, f, f->tcp.nxt, (uint32_t)n, (uint32_t)n < want, now);
	follow_chunk(f, (uint32_t)n);
	f->tcp.nxt += (uint32_t)n;
	if (seq_lt(f->tcp.max, f->tcp.nxt))
		f->tcp.max = f->tcp.nxt;
	return (uint32_t)n == want || f->tcp.flags & TCP_HOST_EOF;
}

/* The guest has all that the socket had, and it said no more since. A FIN for which the window or the turn had no room is still owed. */
static bool has_nothing_to_send(const struct flow *f)
{
	bool owes_fin = f->tcp.flags & TCP_HOST_EOF && !(f->tcp.flags & TCP_FIN_SENT);

	return f->tcp.flags & TCP_DRAINED && f->tcp.nxt == f->tcp.max && !owes_fin;
}

void tcp_run(struct tcp *t, struct flow *f, usec_t now)
{
	uint32_t generation = f->generation, share = TCP_TURN_SHARE;

	if (f->tcp.state != TCP_OPEN || has_nothing_to_send(f))
		return;
	while (share && send_chunk(t, f, now))
		share--;
	if (f->generation != generation)
		return; /* it was reset */
	if (!share)
		tcp_list_add(t, TCP_RUNS, f);
	if (f->deadline == USEC_NEVER || tcp_in_flight(f) || f->tcp.flags & TCP_PROBING)
		tcp_arm(t, f, now);
}

void tcp_acked(struct tcp *t, struct flow *f, uint32_t ack, usec_t now)
{
	uint32_t bytes = ack - f->tcp.una;

	if (f->tcp.flags & TCP_FIN_SENT && ack == f->tcp.max) {
		f->tcp.flags |= TCP_FIN_ACKED;
		bytes--;
	}
	discard(t, f, bytes);
	f->tcp.una = ack;
	if (seq_lt(f->tcp.nxt, ack))
		f->tcp.nxt = ack;
	f->tcp.dup_acks = f->tcp.retries = 0;
	if (f->tcp.flags & TCP_RECOVERY) {
		if (seq_le(f->tcp.recover, ack))
			f->tcp.flags &= (uint16_t)~TCP_RECOVERY;
		else
			tcp_retransmit(t, f, now); /* a partial acknowledgement: the next hole */
	}
	if (f->tcp.flags & TCP_FIN_ACKED) {
		uint32_t generation = f->generation;

		tcp_maybe_done(t, f, now);
		if (f->generation != generation)
			return;
	}
	tcp_arm(t, f, now);
}

void tcp_retransmit(struct tcp *t, struct flow *f, usec_t now)
{
	uint32_t data = f->tcp.max - f->tcp.una - !!(f->tcp.flags & TCP_FIN_SENT);
	uint32_t sent = MIN(tcp_in_flight(f), data);
	ssize_t n;

	if (f->tcp.max == f->tcp.una)
		return;
	if (!data) {
		send_fin(t, f, f->tcp.una, now);
		return;
	}
	set_peek_offset(f, 0);
	/* The whole hole, where it is known; as much as fits one frame of many segments. */
	n = peek(t, f, 0, MIN(MIN(data, MAX(f->tcp.hole, (uint32_t)f->tcp.mss)), most_at_once(f)));
	if (n > 0)
		send_payload(t, f, f->tcp.una, (uint32_t)n, true, now);
	set_peek_offset(f, sent);
}

void tcp_timed_out(struct tcp *t, struct flow *f, usec_t now)
{
	f->tcp.dup_acks = 0;
	f->tcp.flags |= TCP_RECOVERY;
	f->tcp.recover = f->tcp.max;
	if (f->tcp.retries < 3) {
		tcp_retransmit(t, f, now); /* most often one was lost; partial acknowledgements tell of more */
		return;
	}
	f->tcp.hole = 0;
	f->tcp.nxt = f->tcp.una;
	set_peek_offset(f, 0);
	tcp_list_add(t, TCP_RUNS, f);
}

void tcp_probe(struct tcp *t, struct flow *f, usec_t now)
{
	if (peek(t, f, 0, 1) > 0) {
		set_peek_offset(f, 0);
		send_payload(t, f, f->tcp.una, 1, true, now);
		if (seq_lt(f->tcp.max, f->tcp.una + 1))
			f->tcp.max = f->tcp.una + 1; /* the guest may take it */
	} else if (f->tcp.flags & TCP_HOST_EOF) {
		send_first_fin(t, f, now);
	}
}
