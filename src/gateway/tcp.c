// SPDX-License-Identifier: MIT
#include "gateway/tcp.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "gateway/tcp_private.h"

/* Does the kernel keep a peek offset for TCP of this version (Linux 6.9, for IPv6 6.11)? */
static bool probe_peek_offset(int family)
{
	_cleanup_fd_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &(int){ 0 }, sizeof(int));
}

DEFINE_CLEANUP(tcp)

int tcp_new(struct tcp **out, const struct tcp_params *params)
{
	_cleanup_(tcp_freep) struct tcp *t = calloc(1, sizeof(*t));

	if (!t || tcp_hold_new(&t->hold, FLOW_MAX))
		return -ENOMEM;
	t->p = *params;
	t->key = hash_key_random();
	t->peek_offset4 = params->peek_offset && probe_peek_offset(AF_INET);
	t->peek_offset6 = params->peek_offset && probe_peek_offset(AF_INET6);
	*out = steal(&t);
	return 0;
}

struct tcp *tcp_free(struct tcp *t)
{
	if (t->hold)
		tcp_hold_free(t->hold);
	free(t);
	return NULL;
}

/* ---- lists ---- */

void tcp_list_add(struct tcp *t, enum tcp_list list, struct flow *f)
{
	if (f->tcp.flags & 1 << list)
		return;
	f->tcp.flags |= (uint16_t)(1 << list);
	f->tcp.link[list].next = FLOW_NONE;
	f->tcp.link[list].prev = flow_index(t->p.flows, t->list[list].last);
	if (t->list[list].last)
		t->list[list].last->tcp.link[list].next = flow_index(t->p.flows, f);
	else
		t->list[list].first = f;
	t->list[list].last = f;
	t->list[list].count++;
	if (list != TCP_ROOMS)
		deferred_add(t->p.turn_end);
}

static void list_take(struct tcp *t, enum tcp_list list, struct flow *f)
{
	struct flow *next, *prev;

	if (!(f->tcp.flags & 1 << list))
		return;
	next = flow_at(t->p.flows, f->tcp.link[list].next);
	prev = flow_at(t->p.flows, f->tcp.link[list].prev);
	if (next)
		next->tcp.link[list].prev = flow_index(t->p.flows, prev);
	else
		t->list[list].last = prev;
	if (prev)
		prev->tcp.link[list].next = flow_index(t->p.flows, next);
	else
		t->list[list].first = next;
	t->list[list].count--;
	f->tcp.flags &= (uint16_t)~(1 << list);
}

static struct flow *list_pop(struct tcp *t, enum tcp_list list)
{
	struct flow *f = t->list[list].first;

	if (f)
		list_take(t, list, f);
	return f;
}

/* ---- segments to the guest ---- */

uint16_t tcp_segment_limit(const struct tcp *t, const struct flow *f)
{
	return (uint16_t)(t->p.plan->mtu - ip_header_size(f->key.guest) - sizeof(struct tcp_header));
}

uint32_t tcp_window(struct tcp *t, struct flow *f)
{
	uint32_t usable, least;
	int queued = 0;

	if (f->fd < 0 || ioctl(f->fd, SIOCOUTQ, &queued))
		return 0;
	/* The buffer grows while the peer proves fast; ask again when it might have. */
	if (!f->tcp.sndbuf || (uint32_t)queued > f->tcp.sndbuf / 4) {
		socklen_t size = sizeof(f->tcp.sndbuf);

		if (getsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &f->tcp.sndbuf, &size))
			return 0;
	}
	/* A quarter is left for what the kernel keeps beside the bytes. Below the least, no window at all (RFC 9293 section 3.8.6.2.2). */
	usable = f->tcp.sndbuf - f->tcp.sndbuf / 4;
	least = MIN((uint32_t)tcp_segment_limit(t, f), f->tcp.sndbuf / 16);
	if (usable < (uint32_t)queued || usable - (uint32_t)queued < least)
		return 0;
	return usable - (uint32_t)queued;
}

void tcp_offer_window(struct tcp *t, struct flow *f)
{
	uint32_t shift = f->tcp.flags & TCP_SCALED ? TCP_OUR_SCALE : 0;
	uint32_t window = f->tcp.flags & TCP_STALLED ? 0 : tcp_window(t, f);
	uint32_t edge = f->tcp.rcv + (MIN(window, 65535u << shift) >> shift << shift);

	if (seq_lt(f->tcp.rcv_edge, edge))
		f->tcp.rcv_edge = edge;
	/* Closed: the kernel tells when it has room, but only if it is asked now (see the note on watching in tcp.h). */
	if (!window && !(f->tcp.flags & TCP_GUEST_FIN)) {
		f->tcp.flags |= TCP_STALLED;
		flow_watch(t->p.flows, f, TCP_WATCHED);
	}
}

struct tcp_segment tcp_header(struct tcp *t, struct flow *f, uint8_t flags, uint32_t seq)
{
	uint32_t window = f->tcp.rcv_edge - f->tcp.rcv;
	uint32_t shift = f->tcp.flags & TCP_SCALED && !(flags & TCP_SYN) ? TCP_OUR_SCALE : 0;
	struct tcp_segment s = {
		.src = f->key.peer_port, .dst = f->key.guest_port, .seq = seq, .flags = flags,
		.window = (uint16_t)MIN(window >> shift, 65535u), .window_scale = TCP_NO_SCALE,
	};

	if (flags & TCP_ACK) {
		s.ack = f->tcp.rcv;
		f->tcp.rcv_acked = f->tcp.rcv;
		f->tcp.flags &= (uint16_t)~TCP_ACK_NOW;
	}
	if (flags & TCP_SYN) {
		s.mss = tcp_segment_limit(t, f);
		if (f->tcp.flags & TCP_SCALED)
			s.window_scale = TCP_OUR_SCALE;
		s.sack_permitted = f->tcp.flags & TCP_SACK_OK;
	}
	return s;
}

struct ip_packet tcp_ip_header(const struct flow *f)
{
	return (struct ip_packet){ .src = f->key.peer, .dst = f->key.guest, .protocol = IP_TCP, .dont_fragment = true };
}

void tcp_emit_segment(struct tcp *t, struct flow *f, const struct tcp_segment *s, const struct iovec *payload, size_t parts,
		      uint32_t segment, usec_t now)
{
	struct ip_packet ip = tcp_ip_header(f);
	uint8_t header[TCP_HEADER_MAX];

	emit_transport(t->p.emitter, f->mac, &ip, header, tcp_emit(header, s), payload, parts, segment, now);
}

void tcp_send_flags(struct tcp *t, struct flow *f, uint8_t flags, uint32_t seq, usec_t now)
{
	struct tcp_segment s = tcp_header(t, f, flags, seq);

	/* Only here: behind a SACK option a whole segment's payload would not fit the MTU. */
	if (f->tcp.flags & TCP_SACK_OK && flags & TCP_ACK)
		s.sack_count = tcp_hold_blocks(t->hold, flow_index(t->p.flows, f), s.sack);
	tcp_emit_segment(t, f, &s, NULL, 0, 0, now);
}

/* ---- the end of a flow ---- */

void tcp_drop(struct tcp *t, struct flow *f, bool reset)
{
	if (t->run.flow == f)
		t->run.flow = NULL, t->run.parts = t->run.bytes = 0;
	for (enum tcp_list l = 0; l < TCP_LISTS; l++)
		list_take(t, l, f);
	if (reset && f->fd >= 0 && !(f->tcp.flags & TCP_UNIX))
		setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	tcp_hold_forget(t->hold, flow_index(t->p.flows, f));
	flow_remove(t->p.flows, f);
}

void tcp_tell_opened(struct tcp *t, struct flow *f, int result)
{
	if (f->flags & FLOW_INBOUND && t->p.opened)
		t->p.opened(t->p.owner, f, result);
}

void tcp_reset(struct tcp *t, struct flow *f, usec_t now)
{
	if (f->tcp.state == TCP_SYN_SENT)
		tcp_tell_opened(t, f, -ETIMEDOUT);
	if (f->tcp.state == TCP_CONNECTING || f->tcp.state == TCP_SYN_SENT)
		tcp_send_flags(t, f, TCP_RST | TCP_ACK, f->tcp.nxt, now);
	else if (f->tcp.state != TCP_LINGER)
		tcp_send_flags(t, f, TCP_RST | TCP_ACK, f->tcp.max, now);
	tcp_drop(t, f, true);
}

void tcp_maybe_done(struct tcp *t, struct flow *f, usec_t now)
{
	if (!(f->tcp.flags & TCP_GUEST_FIN) || !(f->tcp.flags & TCP_FIN_ACKED))
		return;
	/* Both are closed. If the guest's FIN came last, our acknowledgement may get lost: be there to repeat it. */
	if (!(f->tcp.flags & TCP_ACK_NOW)) {
		tcp_drop(t, f, false);
		return;
	}
	tcp_send_flags(t, f, TCP_ACK, f->tcp.nxt, now);
	for (enum tcp_list l = 0; l < TCP_LISTS; l++)
		list_take(t, l, f);
	f->fd = fd_close(f->fd);
	f->events = FLOW_UNWATCHED;
	f->tcp.state = TCP_LINGER;
	flow_set_deadline(t->p.flows, f, now + TCP_LINGER_TIME);
}

/* ---- deadlines ---- */

static usec_t backoff(const struct flow *f, usec_t first, usec_t longest)
{
	return MIN(first << MIN(f->tcp.retries, 12), longest);
}

void tcp_arm(struct tcp *t, struct flow *f, usec_t now)
{
	usec_t keepalive = (usec_t)t->p.plan->keepalive_seconds * USEC_S, when = USEC_NEVER;

	switch ((enum tcp_state)f->tcp.state) {
	case TCP_CONNECTING: /* the kernel's own time-out holds */
		break;
	case TCP_SYN_RECEIVED:
	case TCP_SYN_SENT:
		when = now + backoff(f, TCP_RTO, TCP_SYN_RETRY_MAX);
		break;
	case TCP_OPEN:
		if (tcp_in_flight(f) || f->tcp.flags & TCP_PROBING)
			when = now + backoff(f, TCP_RTO, TCP_RTO_MAX);
		else
			when = f->tcp.retries ? now + MIN(keepalive, TCP_KEEPALIVE_EACH) : f->active + keepalive;
		break;
	case TCP_LINGER:
		when = now + TCP_LINGER_TIME;
		break;
	}
	flow_set_deadline(t->p.flows, f, when);
}

/* An established flow's deadline: something is in flight, or a closed window hides something, or all has been quiet for long. */
static void open_due(struct tcp *t, struct flow *f, usec_t now)
{
	bool waiting = tcp_in_flight(f) || f->tcp.flags & TCP_PROBING;
	usec_t keepalive = (usec_t)t->p.plan->keepalive_seconds * USEC_S;

	if (!waiting && !f->tcp.retries && f->active + keepalive > now) {
		tcp_arm(t, f, now);
		return;
	}
	if (f->tcp.retries >= (waiting ? TCP_RETRIES : TCP_KEEPALIVES)) {
		tcp_reset(t, f, now);
		return;
	}
	f->tcp.retries++;
	if (tcp_in_flight(f))
		tcp_timed_out(t, f, now);
	else if (waiting)
		tcp_probe(t, f, now);
	else
		tcp_send_flags(t, f, TCP_ACK, f->tcp.una - 1, now); /* RFC 9293 section 3.8.4 */
	tcp_arm(t, f, now);
}

void tcp_due(struct tcp *t, struct flow *f, usec_t now)
{
	switch ((enum tcp_state)f->tcp.state) {
	case TCP_SYN_RECEIVED:
	case TCP_SYN_SENT:
		if (now - f->active > TCP_SYN_WAIT) {
			tcp_reset(t, f, now);
			return;
		}
		f->tcp.retries++;
		tcp_send_flags(t, f, f->tcp.state == TCP_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK, f->tcp.una, now);
		tcp_arm(t, f, now);
		break;
	case TCP_OPEN:
		open_due(t, f, now);
		break;
	case TCP_CONNECTING:
	case TCP_LINGER:
		tcp_drop(t, f, false);
		break;
	}
}

/* ---- what comes in ---- */

/*
 * A SYN where there is a flow already: its repetition, or a guest that has started anew with the same port. Return: true if the
 * flow is gone.
 */
static bool syn_again(struct tcp *t, struct flow *f, const struct tcp_segment *s, usec_t now)
{
	bool repeated = s->seq + 1 == f->tcp.rcv;

	switch ((enum tcp_state)f->tcp.state) {
	case TCP_SYN_SENT: /* both opened at once: the guest will answer ours too */
		return false;
	case TCP_OPEN:
		tcp_ack_later(t, f, true); /* a challenge (RFC 5961 section 4): a guest that knows nothing of the flow resets it */
		return false;
	case TCP_SYN_RECEIVED:
		if (repeated)
			tcp_send_flags(t, f, TCP_SYN | TCP_ACK, f->tcp.una, now);
		break;
	case TCP_CONNECTING:
		break;
	case TCP_LINGER:
		repeated = false;
		break;
	}
	if (!repeated)
		tcp_drop(t, f, true);
	return !repeated;
}

static enum drop segment_in_state(struct tcp *t, struct flow *f, const struct ip_packet *ip, const struct tcp_segment *s,
				  struct cursor payload, usec_t now)
{
	switch ((enum tcp_state)f->tcp.state) {
	case TCP_CONNECTING:
		if (s->flags & TCP_RST && s->seq == f->tcp.rcv)
			tcp_drop(t, f, true);
		return DROP_NONE;
	case TCP_SYN_SENT:
		return tcp_answer_to_syn(t, f, ip, s, now);
	case TCP_SYN_RECEIVED:
		if (s->flags & TCP_RST)
			break;
		if (!(s->flags & TCP_ACK) || s->ack != f->tcp.nxt) {
			tcp_refuse(t, f->mac, ip, s, now);
			return DROP_OUT_OF_WINDOW;
		}
		tcp_established(t, f, now);
		break;
	case TCP_OPEN:
		break;
	case TCP_LINGER:
		if (s->flags & TCP_RST)
			tcp_drop(t, f, false);
		else if (s->flags & TCP_FIN)
			tcp_send_flags(t, f, TCP_ACK, f->tcp.nxt, now);
		return DROP_NONE;
	}
	return tcp_segment_open(t, f, s, payload, now);
}

enum drop tcp_from_guest(struct tcp *t, struct mac from, const struct ip_packet *ip, struct cursor l4, usec_t now)
{
	struct cursor payload = l4;
	struct tcp_segment s = tcp_parse(&payload);
	struct flow_key key = { .guest = ip->src, .peer = ip->dst, .guest_port = s.src, .peer_port = s.dst, .kind = FLOW_TCP };
	struct flow *f;

	if (cursor_failed(&payload))
		return DROP_SHORT;
	if (!s.src || !s.dst || (s.flags & (TCP_SYN | TCP_FIN)) == (TCP_SYN | TCP_FIN) ||
	    (s.flags & (TCP_SYN | TCP_RST)) == (TCP_SYN | TCP_RST))
		return DROP_MALFORMED;

	f = flow_find(t->p.flows, &key);
	if (f && !mac_equal(f->mac, from))
		return DROP_SPOOFED_IP; /* another guest's connection */
	if (f && s.flags & TCP_SYN && !(s.flags & TCP_ACK)) {
		if (!syn_again(t, f, &s, now))
			return DROP_NONE;
		f = NULL;
	}
	if (f)
		return segment_in_state(t, f, ip, &s, payload, now);
	if (s.flags & TCP_SYN && !(s.flags & TCP_ACK))
		return tcp_open_from_guest(t, from, &key, &s, ip, l4, now);
	tcp_refuse(t, from, ip, &s, now);
	return DROP_NO_FLOW;
}

void tcp_ready(struct tcp *t, struct flow *f, uint32_t events, usec_t now)
{
	uint32_t generation = f->generation;

	if (f->tcp.state == TCP_CONNECTING) {
		tcp_connect_ready(t, f, now);
		return;
	}
	if (events & EPOLLERR) {
		tcp_reset(t, f, now);
		return;
	}
	if (events & (EPOLLRDHUP | EPOLLHUP))
		f->tcp.flags |= TCP_HOST_EOF;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
		f->tcp.flags &= (uint16_t)~TCP_DRAINED;
	if (events & EPOLLOUT && f->tcp.flags & TCP_STALLED) {
		f->tcp.flags &= (uint16_t)~TCP_STALLED;
		tcp_ack_later(t, f, true);
		tcp_take_held(t, f, now);
	}
	if (f->generation == generation && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP) && f->tcp.state == TCP_OPEN)
		tcp_run(t, f, now);
}

/* ---- the turn's end ---- */

void tcp_ack_later(struct tcp *t, struct flow *f, bool force)
{
	if (force)
		f->tcp.flags |= TCP_ACK_NOW;
	tcp_list_add(t, TCP_ACKS, f);
}

static void acknowledge(struct tcp *t, struct flow *f, usec_t now)
{
	uint32_t edge = f->tcp.rcv_edge;

	tcp_offer_window(t, f);
	if (f->tcp.rcv != f->tcp.rcv_acked || f->tcp.rcv_edge != edge || f->tcp.flags & TCP_ACK_NOW)
		tcp_send_flags(t, f, TCP_ACK, f->tcp.nxt, now);
}

void tcp_turn_end(struct tcp *t, usec_t now)
{
	struct flow *f;

	/* Data first: it carries acknowledgements. Only those that are there now: one that goes on asks for the next turn. */
	for (uint32_t n = t->list[TCP_RUNS].count; n && (f = list_pop(t, TCP_RUNS)); n--)
		tcp_run(t, f, now);
	while ((f = list_pop(t, TCP_ACKS)))
		acknowledge(t, f, now);
}

void tcp_room(struct tcp *t, usec_t now)
{
	struct flow *f;

	for (uint32_t n = t->list[TCP_ROOMS].count; n && (f = list_pop(t, TCP_ROOMS)); n--)
		tcp_run(t, f, now);
}

bool tcp_too_big(struct tcp *t, struct flow *f, uint32_t seq, uint32_t mtu, usec_t now)
{
	uint32_t headers = (uint32_t)ip_header_size(f->key.guest) + sizeof(struct tcp_header);
	uint32_t least = addr_is4(f->key.guest) ? 576 : 1280;

	if (f->tcp.state != TCP_OPEN || seq_lt(seq, f->tcp.una) || !seq_lt(seq, f->tcp.max))
		return false;
	if (MAX(mtu, least) - headers < f->tcp.mss) {
		f->tcp.mss = (uint16_t)(MAX(mtu, least) - headers);
		tcp_timed_out(t, f, now);
	}
	return true;
}

bool tcp_unreachable(struct tcp *t, struct flow *f, uint32_t seq)
{
	if (f->tcp.state != TCP_SYN_SENT || seq != f->tcp.una)
		return false;
	tcp_tell_opened(t, f, -ECONNREFUSED);
	tcp_drop(t, f, true);
	return true;
}
