// SPDX-License-Identifier: MIT
/* How TCP flows begin: handshakes with the guest, connect(2) on the host's side. */
#include <errno.h>
#include <linux/tcp.h> /* not <netinet/tcp.h>, whose state names are ours too */
#include <netinet/in.h>
#include <sys/epoll.h>

#include "base/fd.h"
#include "gateway/tcp_private.h"

/* Answer a segment that belongs to no flow (RFC 9293 section 3.10.7.1). */
void tcp_refuse(struct tcp *t, struct mac to, const struct ip_packet *ip, const struct tcp_segment *s, usec_t now)
{
	struct ip_packet back = { .src = ip->dst, .dst = ip->src, .protocol = IP_TCP, .dont_fragment = true };
	struct tcp_segment r = { .src = s->dst, .dst = s->src, .flags = TCP_RST, .window_scale = TCP_NO_SCALE };
	uint8_t header[TCP_HEADER_MAX];

	if (s->flags & TCP_RST)
		return;
	if (s->flags & TCP_ACK) {
		r.seq = s->ack;
	} else {
		r.flags |= TCP_ACK;
		r.ack = s->seq + s->payload_size + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);
	}
	emit_transport(t->p.emitter, to, &back, header, tcp_emit(header, &r), NULL, 0, 0, now);
}

static void use_socket(struct tcp *t, struct flow *f)
{
	int family = AF_UNSPEC;
	socklen_t size = sizeof(family);
	const int on = 1;

	getsockopt(f->fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
	if (family == AF_UNIX) {
		f->tcp.flags |= TCP_UNIX;
	} else {
		setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* the guest has its own Nagle */
		setsockopt(f->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		setsockopt(f->fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	}
	if (family == AF_UNIX || (family == AF_INET ? t->peek_offset4 : t->peek_offset6))
		if (!setsockopt(f->fd, SOL_SOCKET, SO_PEEK_OFF, &(int){ 0 }, sizeof(int)))
			f->tcp.flags |= TCP_PEEK_OFFSET;
}

static void set_mss(struct tcp *t, struct flow *f, const struct tcp_segment *s)
{
	uint16_t theirs = s->mss ? s->mss : addr_is4(f->key.guest) ? 536 : 1220; /* RFC 9293 section 3.7.1 */

	f->tcp.mss = (uint16_t)MAX(MIN(theirs, tcp_segment_limit(t, f)), TCP_MSS_LEAST);
}

static uint32_t initial_sequence(struct tcp *t, const struct flow_key *key, usec_t now)
{
	return (uint32_t)hash_bytes(&t->key, key, sizeof(*key)) + (uint32_t)(now / 4); /* RFC 6528 */
}

static void start_sequence(struct tcp *t, struct flow *f, usec_t now)
{
	f->tcp.una = initial_sequence(t, &f->key, now);
	f->tcp.nxt = f->tcp.max = f->tcp.una + 1;
}

/* The host's side has answered: go on with the guest's handshake. */
static void connected(struct tcp *t, struct flow *f, usec_t now)
{
	use_socket(t, f);
	flow_watch(t->p.flows, f, TCP_WATCHED);
	start_sequence(t, f, now);
	f->tcp.rcv_edge = f->tcp.rcv;
	tcp_offer_window(t, f);
	f->tcp.state = TCP_SYN_RECEIVED;
	f->active = now;
	tcp_send_flags(t, f, TCP_SYN | TCP_ACK, f->tcp.una, now);
	tcp_arm(t, f, now);
}

/* Tell the guest that connect() failed as the kernel's error says it. Return: the verdict for the segment that led to it. */
static enum drop not_connected(struct tcp *t, struct flow *f, int error, usec_t now)
{
	struct ip_packet about = {
		.src = f->key.guest, .dst = f->key.peer, .version = addr_is4(f->key.guest) ? 4 : 6, .protocol = IP_TCP, .ttl = 64,
		.payload_size = sizeof(struct tcp_header),
	};
	struct tcp_segment syn = { .src = f->key.guest_port, .dst = f->key.peer_port, .seq = f->tcp.rcv - 1, .flags = TCP_SYN,
			.window_scale = TCP_NO_SCALE };
	uint8_t quoted[TCP_HEADER_MAX];
	struct iovec iov;
	struct cursor rest = cursor_of(&iov, quoted, tcp_emit(quoted, &syn));
	enum icmp_error icmp = error == ENETUNREACH ? ICMP_ERROR_NET : error == EHOSTUNREACH ? ICMP_ERROR_HOST : ICMP_ERROR_PROHIBITED;

	about.header_size = (uint16_t)ip_emit(about.header, &about, 0);
	switch (error) {
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EACCES:
	case EPERM:
		emit_error(t->p.emitter, f->mac, icmp, &about, rest, 0, ADDR_ANY, now);
		tcp_drop(t, f, false);
		return error == EACCES || error == EPERM ? DROP_POLICY : DROP_NO_ROUTE;
	default:
		tcp_reset(t, f, now);
		return DROP_NONE; /* carried as far as a refusal can be */
	}
}

static addr_t steal_addr(addr_t *a)
{
	addr_t taken = *a;

	*a = ADDR_ANY;
	return taken;
}

/* Return: 0 when connected, EINPROGRESS, or another errno. */
static int start_connect(struct flow *f, addr_t to, uint16_t port)
{
	union sockaddr_any sa;
	socklen_t size = host_sockaddr(&sa, to, port);

	f->fd = socket(sa.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->fd < 0)
		return errno;
	return connect(f->fd, &sa.sa, size) ? errno : 0;
}

static enum drop connect_host(struct tcp *t, struct flow *f, addr_t to, usec_t now)
{
	int error = start_connect(f, to, f->key.peer_port);

	if (error == ECONNREFUSED && !addr_is_any(f->tcp.fallback)) {
		f->fd = fd_close(f->fd);
		error = start_connect(f, steal_addr(&f->tcp.fallback), f->key.peer_port);
	}
	switch (error) {
	case 0:
		connected(t, f, now);
		return DROP_NONE;
	case EINPROGRESS:
		flow_watch(t->p.flows, f, EPOLLOUT | EPOLLET);
		return DROP_NONE;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL: /* the host is out of ports: the guest will try again */
		tcp_drop(t, f, false);
		return DROP_NO_DESCRIPTOR;
	}
	return not_connected(t, f, error, now);
}

void tcp_connect_ready(struct tcp *t, struct flow *f, usec_t now)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error == ECONNREFUSED && !addr_is_any(f->tcp.fallback)) {
		f->fd = fd_close(f->fd);
		f->events = FLOW_UNWATCHED;
		connect_host(t, f, steal_addr(&f->tcp.fallback), now);
	} else if (error) {
		not_connected(t, f, error, now);
	} else {
		connected(t, f, now);
	}
}

enum drop tcp_open_from_guest(struct tcp *t, struct mac from, const struct flow_key *key, const struct tcp_segment *s,
			      const struct ip_packet *ip, struct cursor l4, usec_t now)
{
	addr_t to = ADDR_ANY, fallback = ADDR_ANY;
	bool dns = lan_plan_is_dns(t->p.plan, ip->dst) && s->dst == 53;
	enum drop verdict = dns ? DROP_NONE : host_target(t->p.host, ip->dst, &to, &fallback);
	struct flow *f;

	if (verdict == DROP_POLICY)
		tcp_refuse(t, from, ip, s, now);
	else if (verdict == DROP_NO_ROUTE)
		emit_error(t->p.emitter, from, ICMP_ERROR_NET, ip, l4, 0, ADDR_ANY, now);
	if (verdict != DROP_NONE)
		return verdict;

	f = flow_add(t->p.flows, key, now);
	if (!f)
		return DROP_FLOW_TABLE_FULL;
	f->mac = from;
	f->tcp.state = TCP_CONNECTING;
	f->tcp.fallback = fallback;
	f->tcp.rcv = f->tcp.rcv_acked = f->tcp.rcv_edge = s->seq + 1;
	f->tcp.wnd = s->window;
	set_mss(t, f, s);
	if (s->window_scale != TCP_NO_SCALE) {
		f->tcp.flags |= TCP_SCALED;
		f->tcp.guest_scale = s->window_scale;
	}
	if (s->sack_permitted)
		f->tcp.flags |= TCP_SACK_OK;
	if (!dns)
		return connect_host(t, f, to, now);
	f->fd = t->p.dns_accept(t->p.owner);
	if (f->fd < 0) {
		tcp_reset(t, f, now);
		return DROP_NO_DESCRIPTOR;
	}
	connected(t, f, now);
	return DROP_NONE;
}

int tcp_connect(struct tcp *t, const struct flow_key *key, struct mac mac, int fd, usec_t now)
{
	struct flow *f = flow_add(t->p.flows, key, now);

	if (!f)
		return -ENOSPC;
	f->mac = mac;
	f->fd = fd;
	f->flags |= FLOW_INBOUND;
	f->tcp.state = TCP_SYN_SENT;
	f->tcp.flags |= TCP_SCALED | TCP_SACK_OK; /* offered; taken back if the guest does not */
	use_socket(t, f);
	flow_watch(t->p.flows, f, TCP_WATCHED);
	start_sequence(t, f, now);
	f->tcp.rcv_edge = f->tcp.rcv + MIN(tcp_window(t, f), 65535u);
	tcp_send_flags(t, f, TCP_SYN, f->tcp.una, now);
	tcp_arm(t, f, now);
	return 0;
}

void tcp_established(struct tcp *t, struct flow *f, usec_t now)
{
	f->tcp.una = f->tcp.nxt;
	f->tcp.recover = f->tcp.una;
	f->tcp.retries = 0;
	f->tcp.state = TCP_OPEN;
	f->active = now;
	tcp_arm(t, f, now);
	tcp_list_add(t, TCP_RUNS, f);
}

/* SYN_SENT: what the guest answers to our SYN (RFC 9293 section 3.10.7.3). */
enum drop tcp_answer_to_syn(struct tcp *t, struct flow *f, const struct ip_packet *ip, const struct tcp_segment *s, usec_t now)
{
	if (s->flags & TCP_ACK && s->ack != f->tcp.nxt) {
		tcp_refuse(t, f->mac, ip, s, now);
		return DROP_OUT_OF_WINDOW;
	}
	if (!(s->flags & TCP_ACK))
		return DROP_MALFORMED;
	if (s->flags & TCP_RST) {
		tcp_tell_opened(t, f, -ECONNREFUSED);
		tcp_drop(t, f, true);
		return DROP_NONE;
	}
	if (!(s->flags & TCP_SYN))
		return DROP_MALFORMED;

	set_mss(t, f, s);
	if (!s->sack_permitted)
		f->tcp.flags &= (uint16_t)~TCP_SACK_OK;
	if (s->window_scale == TCP_NO_SCALE)
		f->tcp.flags &= (uint16_t)~TCP_SCALED;
	else
		f->tcp.guest_scale = s->window_scale;
	f->tcp.rcv = f->tcp.rcv_acked = f->tcp.rcv_edge = s->seq + 1;
	f->tcp.wnd = s->window;
	tcp_established(t, f, now);
	tcp_tell_opened(t, f, 0);
	tcp_ack_later(t, f, true);
	return DROP_NONE;
}
