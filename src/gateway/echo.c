// SPDX-License-Identifier: MIT
#include "gateway/echo.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "base/log.h"
#include "gateway/datagrams.h"
#include "gateway/errqueue.h"
#include "gateway/hostsock.h"
#include "gateway/idle.h"
#include "gateway/quoted.h"
#include "wire/udp.h"

#define TIMEOUT       (30 * USEC_S)
#define PARTS         64
#define ERRORS_A_TURN 32
#define TOO_BIG4      4   /* the code of "unreachable" that says that something is there (RFC 1191) */
#define LONG_AGO      (3600 * USEC_S)

struct echo {
	struct flow_table *flows;
	struct emitter *emitter;
	struct host *host;
	const struct lan_plan *plan;
	struct datagrams *in;
	struct idle idle;
	bool warned;
};

int echo_new(struct echo **out, struct flow_table *flows, struct emitter *emitter, struct host *host, const struct lan_plan *plan)
{
	struct echo *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	*e = (struct echo){ .flows = flows, .emitter = emitter, .host = host, .plan = plan };
	if (datagrams_new(&e->in)) {
		free(e);
		return -ENOMEM;
	}
	idle_init(&e->idle, flows, FLOW_ECHO);
	*out = e;
	return 0;
}

struct echo *echo_free(struct echo *e)
{
	if (e)
		datagrams_free(e->in);
	free(e);
	return NULL;
}

static void close_flow(struct echo *e, struct flow *f)
{
	idle_remove(&e->idle, f);
	flow_remove(e->flows, f);
}

static bool evict(struct echo *e)
{
	struct flow *oldest = idle_oldest(&e->idle);

	if (oldest)
		close_flow(e, oldest);
	return oldest;
}

static uint8_t protocol_of(addr_t a) { return addr_is4(a) ? IP_ICMP : IP_ICMP6; }
static uint8_t request_of(addr_t a) { return addr_is4(a) ? ICMP_ECHO : ICMP6_ECHO; }
static uint8_t reply_of(addr_t a) { return addr_is4(a) ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY; }

/* Kept apart, because it happens once and is for a person. */
static void warn_not_permitted(struct echo *e)
{
	if (!e->warned)
		log_warning("guests cannot ping anything beyond the gateway: the kernel lets this user have no ping sockets; as root: "
			    "sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"");
	e->warned = true;
}

static int open_socket(struct echo *e, struct flow *f, addr_t to)
{
	union sockaddr_any sa;
	socklen_t size = host_sockaddr(&sa, addr_is4(to) ? addr_of4((struct ip4){ 0 }) : ADDR_ANY, f->key.guest_port);
	int r = hostsock_open(to, IPPROTO_ICMP), alone = 0;

	if (hostsock_exhausted(r) && idle_oldest(&e->idle) != f && evict(e))
		r = hostsock_open(to, IPPROTO_ICMP);
	if (r < 0)
		return r;
	f->fd = r;
	/*
	 * The guest's identifier if nobody else has it; if somebody does, connect() takes a free one. A ping socket is born willing to
	 * share, and answers would go to one of those that do.
	 */
	setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &alone, sizeof(alone));
	bind(f->fd, &sa.sa, size);
	hostsock_set(f->fd, to, HOSTSOCK_ERRORS, 1);
	size = host_sockaddr(&sa, to, 0);
	r = connect(f->fd, &sa.sa, size) ? -errno : 0;
	return r ? r : flow_watch(e->flows, f, EPOLLIN);
}

static enum drop open_flow(struct echo *e, const struct flow_key *key, usec_t now, struct flow **out)
{
	addr_t to, fallback;
	enum drop drop = host_target(e->host, key->peer, &to, &fallback);
	struct flow *f;
	int r;

	if (drop)
		return drop;
	f = flow_add(e->flows, key, now);
	if (!f && evict(e))
		f = flow_add(e->flows, key, now);
	if (!f)
		return DROP_FLOW_TABLE_FULL;
	idle_add(&e->idle, f);
	flow_set_deadline(e->flows, f, now + TIMEOUT);
	r = open_socket(e, f, to);
	if (!r) {
		*out = f;
		return DROP_NONE;
	}
	close_flow(e, f);
	if (hostsock_exhausted(r))
		return DROP_NO_DESCRIPTOR;
	if (r != -EACCES && r != -EPERM)
		return errqueue_drop_of(r);
	warn_not_permitted(e);
	return DROP_NOT_PERMITTED;
}

/* The gateway's own addresses. */
static enum drop answer(struct echo *e, struct mac to, const struct ip_packet *ip, const struct icmp_header *request,
			const struct cursor *data, usec_t now)
{
	struct ip_packet back = { .src = ip->dst, .dst = ip->src, .protocol = ip->protocol, .traffic_class = ip->traffic_class };
	struct icmp_header reply = { .type = reply_of(ip->src), .id = request->id, .sequence = request->sequence };
	struct iovec iov[PARTS];
	size_t parts = cursor_iov(data, iov, PARTS);

	if (!parts && cursor_left(data))
		return DROP_MALFORMED;
	emit_transport(e->emitter, to, &back, &reply, sizeof(reply), iov, parts, 0, now);
	return DROP_NONE;
}

static void take_errors(struct echo *e, struct flow *f, usec_t now)
{
	struct errqueue_entry entry;
	struct icmp_header h;

	for (int i = 0; i < ERRORS_A_TURN && errqueue_next(f->fd, &entry); i++) {
		if (!entry.from_network || entry.size < sizeof(h))
			continue;
		/* What is quoted begins with the header that the host sent: it had another identifier, and so another checksum. */
		memcpy(&h, entry.data, sizeof(h));
		h.id = be16(f->key.guest_port);
		h.checksum = be16(0);
		memcpy(entry.data, &h, sizeof(h));
		errqueue_report(e->emitter, e->host, f, f->echo.sent_as.ttl, &entry, entry.data, entry.size,
				hostsock_mtu(f->fd, f->key.guest), now);
	}
}

static enum drop send_request(struct flow *f, const struct ip_packet *ip, struct icmp_header request, const struct cursor *data)
{
	struct iovec iov[1 + PARTS] = { { &request, sizeof(request) } };
	size_t parts = cursor_iov(data, iov + 1, PARTS);
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 1 + parts };

	if (!parts && cursor_left(data))
		return DROP_MALFORMED;
	hostsock_follow(f->fd, &f->echo.sent_as, ip);
	return errqueue_drop_of(hostsock_send(f->fd, &m));
}

static enum drop take_request(struct echo *e, struct mac from, const struct ip_packet *ip, const struct icmp_header *request,
			      const struct cursor *data, unsigned int *mtu, usec_t now)
{
	struct flow_key key = { .guest = ip->src, .peer = ip->dst, .guest_port = be16_get(request->id), .kind = FLOW_ECHO };
	enum drop drop = DROP_NONE;
	struct flow *f;

	if (request->code)
		return DROP_MALFORMED;
	if (lan_plan_is_gateway(e->plan, ip->dst) || lan_plan_is_dns(e->plan, ip->dst))
		return answer(e, from, ip, request, data, now);
	if (ip->ttl <= 1)
		return DROP_TTL;
	f = flow_find(e->flows, &key);
	if (!f)
		drop = open_flow(e, &key, now, &f);
	if (drop)
		return drop;
	f->mac = from;
	idle_touch(&e->idle, f, now);
	drop = send_request(f, ip, *request, data);
	if (drop == DROP_TOO_BIG)
		*mtu = hostsock_mtu(f->fd, ip->dst);
	return drop;
}

/* A guest's error about a datagram to it: nobody there listens any more. The flow's own deadline ends it, without a word to either side. */
static enum drop take_error(struct echo *e, struct mac from, const struct ip_packet *ip, const struct cursor *quoted, usec_t now)
{
	struct quoted q;
	struct flow *f = quoted_read(*quoted, ip->version == 4, &q) && q.key.kind == FLOW_UDP ? flow_find(e->flows, &q.key) : NULL;

	if (!f || !mac_equal(f->mac, from))
		return DROP_NO_FLOW;
	f->active = now - LONG_AGO;
	flow_set_deadline(e->flows, f, now);
	return DROP_NONE;
}

enum drop echo_from_guest(struct echo *e, struct mac from, const struct ip_packet *ip, struct cursor l4, usec_t now)
{
	struct cursor c = l4;
	struct icmp_header h = icmp_parse(&c);
	bool v4 = ip->version == 4;
	unsigned int mtu = 0;
	enum drop drop;

	if (cursor_failed(&c))
		return DROP_SHORT;
	if (h.type == (v4 ? (uint8_t)ICMP_UNREACHABLE : (uint8_t)ICMP6_UNREACHABLE) && !(v4 && h.code == TOO_BIG4))
		return take_error(e, from, ip, &c, now);
	if (h.type != request_of(ip->src))
		return DROP_NO_FLOW;
	drop = take_request(e, from, ip, &h, &c, &mtu, now);
	return errqueue_verdict(e->emitter, from, drop, ip, l4, mtu, now);
}

void echo_ready(struct echo *e, struct flow *f, uint32_t events, usec_t now)
{
	uint32_t generation = f->generation;
	size_t count;

	if (events & EPOLLERR)
		take_errors(e, f, now);
	if (f->generation != generation || !(events & EPOLLIN))
		return;
	count = datagrams_receive(e->in, f->fd);
	for (size_t i = 0; i < count && f->generation == generation; i++) {
		struct ip_packet ip = { .src = f->key.peer, .dst = f->key.guest, .protocol = protocol_of(f->key.guest) };
		struct datagram d = datagrams_get(e->in, i);
		struct iovec payload = d.payload;
		struct icmp_header h;

		/* The kernel looks at the identifier alone. */
		if (payload.iov_len < sizeof(h) || !addr_equal(d.from, f->key.peer))
			continue;
		memcpy(&h, payload.iov_base, sizeof(h));
		if (h.type != reply_of(f->key.guest))
			continue;
		h.id = be16(f->key.guest_port);
		h.checksum = be16(0);
		payload = (struct iovec){ (uint8_t *)payload.iov_base + sizeof(h), payload.iov_len - sizeof(h) };
		idle_touch(&e->idle, f, now);
		emit_transport(e->emitter, f->mac, &ip, &h, sizeof(h), &payload, payload.iov_len > 0, 0, now);
	}
}

void echo_due(struct echo *e, struct flow *f, usec_t now)
{
	if (now - f->active >= TIMEOUT)
		close_flow(e, f);
	else
		flow_set_deadline(e->flows, f, f->active + TIMEOUT);
}
