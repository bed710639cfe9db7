// SPDX-License-Identifier: MIT
/* TCP from the guest to the socket. */
#include <errno.h>
#include <sys/socket.h>

#include "base/iov.h"
#include "gateway/tcp_private.h"

static uint32_t run_bytes(const struct tcp *t, const struct flow *f) { return t->run.flow == f ? (uint32_t)t->run.bytes : 0; }

void tcp_push(struct tcp *t, usec_t now)
{
	struct flow *f = t->run.flow;
	struct msghdr m = { .msg_iov = t->run.iov, .msg_iovlen = t->run.parts };
	size_t bytes = t->run.bytes;
	ssize_t n;

	t->run.flow = NULL;
	t->run.parts = t->run.bytes = 0;
	if (!f)
		return;
	n = sendmsg(f->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM && errno != EINTR) {
		tcp_reset(t, f, now);
		return;
	}
	if (n > 0)
		f->tcp.rcv += (uint32_t)n;
	if (n < (ssize_t)bytes) {
		/* The guest learns at once what was taken; more is asked for when the socket is writable. */
		f->tcp.flags |= TCP_STALLED;
		tcp_ack_later(t, f, true);
	} else {
		tcp_ack_later(t, f, false);
	}
}

/* Keep payload that starts at the next byte expected. Return: bytes kept; all of them, but in a frame of more parts than fit. */
static void run_add(struct tcp *t, struct flow *f, struct cursor payload, usec_t now)
{
	size_t size = cursor_left(&payload), parts;

	if (t->run.flow && (t->run.flow != f || t->run.parts > TCP_RUN_PARTS - TCP_RUN_PARTS / 4))
		tcp_push(t, now);
	parts = cursor_iov(&payload, t->run.iov + t->run.parts, TCP_RUN_PARTS - t->run.parts);
	if (!parts)
		return;
	t->run.flow = f;
	t->run.parts += parts;
	t->run.bytes += size;
}

/* How much is missing before the first that the guest has beyond, and how much it has there (RFC 2018). */
static uint32_t read_sack(struct flow *f, const struct tcp_segment *s)
{
	uint32_t beyond = 0;

	f->tcp.hole = 0;
	for (unsigned int i = 0; f->tcp.flags & TCP_SACK_OK && i < s->sack_count; i++) {
		uint32_t from = s->sack[i].from - s->ack, to = s->sack[i].to - s->ack;

		if (from >= to || to > f->tcp.max - s->ack)
			continue; /* makes no sense, or tells of what came twice (RFC 2883) */
		beyond += to - from;
		if (!f->tcp.hole || from < f->tcp.hole)
			f->tcp.hole = from;
	}
	return beyond;
}

/* RFC 5681 section 2 */
static bool is_duplicate(const struct flow *f, const struct tcp_segment *s, uint32_t window)
{
	return s->ack == f->tcp.una && !s->payload_size && !(s->flags & TCP_FIN) && window == f->tcp.wnd && f->tcp.max != f->tcp.una;
}

/*
 * Is a segment lost? With SACK when three segments' worth lies beyond it (RFC 6675 section 2, DupThresh), which one frame of many
 * segments can show, and an acknowledgement of something new as well; without, after three duplicate acknowledgements (RFC 5681).
 * Then NewReno's recovery begins (RFC 6582).
 */
static void look_for_loss(struct tcp *t, struct flow *f, uint32_t beyond, usec_t now)
{
	if (f->tcp.flags & TCP_RECOVERY || (f->tcp.dup_acks < 3 && beyond < 3u * f->tcp.mss))
		return;
	f->tcp.dup_acks = 0;
	f->tcp.flags |= TCP_RECOVERY;
	f->tcp.recover = f->tcp.max;
	tcp_retransmit(t, f, now);
	tcp_arm(t, f, now);
}

/* Return: false if the acknowledgement is of something never sent. */
static bool take_acknowledgement(struct tcp *t, struct flow *f, const struct tcp_segment *s, usec_t now)
{
	uint32_t window = (uint32_t)s->window << f->tcp.guest_scale, generation = f->generation, beyond;

	if (seq_lt(f->tcp.max, s->ack))
		return false;
	if (seq_lt(s->ack, f->tcp.una))
		return true; /* an old one */

	beyond = read_sack(f, s);
	if (s->ack != f->tcp.una || window > f->tcp.wnd)
		tcp_list_add(t, TCP_RUNS, f);
	if (is_duplicate(f, s, window) && !(f->tcp.flags & TCP_RECOVERY))
		f->tcp.dup_acks++;
	f->tcp.wnd = window;
	if (window)
		f->tcp.flags &= (uint16_t)~TCP_PROBING;
	else if (f->tcp.flags & TCP_PROBING)
		f->tcp.retries = MIN(f->tcp.retries, TCP_RETRIES / 2); /* closed, but alive */
	if (seq_lt(f->tcp.una, s->ack))
		tcp_acked(t, f, s->ack, now);
	if (f->generation == generation)
		look_for_loss(t, f, beyond, now);
	return true;
}

/* RFC 9293 section 3.10.7.4 with RFC 5961: a reset must hit the next byte exactly. */
static enum drop take_reset(struct tcp *t, struct flow *f, const struct tcp_segment *s)
{
	if (s->seq == f->tcp.rcv) {
		tcp_drop(t, f, true);
		return DROP_NONE;
	}
	if (seq_lt(f->tcp.rcv, s->seq) && seq_lt(s->seq, f->tcp.rcv_edge))
		tcp_ack_later(t, f, true);
	return DROP_OUT_OF_WINDOW;
}

static void take_fin(struct tcp *t, struct flow *f, uint32_t at, usec_t now)
{
	tcp_push(t, now);
	if (f->key.kind != FLOW_TCP || f->tcp.rcv != at || f->tcp.flags & TCP_GUEST_FIN)
		return; /* the socket did not take all that came before it: the guest will send it again */
	f->tcp.rcv++;
	f->tcp.flags |= TCP_GUEST_FIN;
	f->tcp.flags &= (uint16_t)~TCP_STALLED;
	shutdown(f->fd, SHUT_WR);
	tcp_ack_later(t, f, true);
	tcp_maybe_done(t, f, now);
}

void tcp_take_held(struct tcp *t, struct flow *f, usec_t now)
{
	uint32_t generation = f->generation, slot = flow_index(t->p.flows, f);
	bool fin = false;

	while (!(f->tcp.flags & (TCP_STALLED | TCP_GUEST_FIN))) {
		size_t parts = tcp_hold_next(t->hold, slot, f->tcp.rcv, t->run.iov, TCP_RUN_PARTS, &fin);

		if (parts) {
			t->run.flow = f;
			t->run.parts = parts;
			t->run.bytes = iov_size(t->run.iov, parts);
			tcp_push(t, now);
		} else if (fin) {
			take_fin(t, f, f->tcp.rcv, now);
		}
		if (f->generation != generation || !parts)
			return;
	}
}

/*
 * A segment beyond what is expected next: keep it, and say at once what is missing. Each one gets its own duplicate
 * acknowledgement (RFC 5681 section 4.2).
 */
static enum drop take_early(struct tcp *t, struct flow *f, const struct tcp_segment *s, struct cursor payload, usec_t now)
{
	uint32_t generation = f->generation;
	bool kept = false;

	tcp_push(t, now);
	if (f->generation != generation)
		return DROP_NONE;
	if (seq_le(s->seq + s->payload_size, f->tcp.rcv_edge))
		kept = tcp_hold_add(t->hold, flow_index(t->p.flows, f), s->seq, payload, s->flags & TCP_FIN);
	tcp_send_flags(t, f, TCP_ACK, f->tcp.nxt, now);
	return kept ? DROP_NONE : DROP_OUT_OF_WINDOW;
}

/* Data and FIN of an acceptable segment. */
static enum drop take_payload(struct tcp *t, struct flow *f, const struct tcp_segment *s, struct cursor payload, usec_t now)
{
	uint32_t next = f->tcp.rcv + run_bytes(t, f), end = s->seq + s->payload_size, generation = f->generation;
	uint32_t room = f->tcp.rcv_edge - next;

	if (seq_lt(next, s->seq) && !(f->tcp.flags & TCP_GUEST_FIN))
		return take_early(t, f, s, payload, now);
	if (seq_lt(next, s->seq) || seq_lt(end + !!(s->flags & TCP_FIN), next) ||
	    (f->tcp.flags & TCP_GUEST_FIN && end + !!(s->flags & TCP_FIN) != next)) {
		tcp_ack_later(t, f, true); /* it tells the guest what it need not send again */
		return DROP_OUT_OF_WINDOW;
	}
	cursor_skip(&payload, next - s->seq); /* what was here before */
	if (cursor_left(&payload) > room) {
		cursor_limit(&payload, room);
		tcp_ack_later(t, f, true);
	}
	if (seq_lt(s->seq, next))
		tcp_ack_later(t, f, true);
	if (cursor_left(&payload))
		run_add(t, f, payload, now);
	if (s->flags & TCP_FIN)
		take_fin(t, f, end, now);
	if (f->generation == generation && tcp_hold_any(t->hold, flow_index(t->p.flows, f))) {
		tcp_push(t, now);
		if (f->generation == generation)
			tcp_take_held(t, f, now);
	}
	return DROP_NONE;
}

enum drop tcp_segment_open(struct tcp *t, struct flow *f, const struct tcp_segment *s, struct cursor payload, usec_t now)
{
	uint32_t generation = f->generation;

	/* Only plain data of the same flow joins a run that waits; anything else must find the flow's numbers up to date. */
	if (t->run.flow && (t->run.flow != f || s->flags & ~(TCP_ACK | TCP_PSH))) {
		tcp_push(t, now);
		if (f->generation != generation)
			return DROP_NONE;
	}
	if (s->flags & TCP_RST)
		return take_reset(t, f, s);
	if (s->flags & TCP_SYN) {
		tcp_ack_later(t, f, true);
		return DROP_OUT_OF_WINDOW;
	}
	if (!(s->flags & TCP_ACK))
		return DROP_MALFORMED;

	f->active = now;
	if (f->tcp.retries && !tcp_in_flight(f) && !(f->tcp.flags & TCP_PROBING)) {
		f->tcp.retries = 0; /* a keepalive was answered */
		tcp_arm(t, f, now);
	}
	if (!take_acknowledgement(t, f, s, now)) {
		tcp_ack_later(t, f, true);
		return DROP_OUT_OF_WINDOW;
	}
	if (f->generation != generation)
		return DROP_NONE;
	if (!s->payload_size && !(s->flags & TCP_FIN)) {
		if (s->seq != f->tcp.rcv + run_bytes(t, f))
			tcp_ack_later(t, f, true); /* a keepalive or a window probe */
		return DROP_NONE;
	}
	return take_payload(t, f, s, payload, now);
}
