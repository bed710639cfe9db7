// SPDX-License-Identifier: MIT
/*
 * UDP from the guest to the socket.
 *
 * Datagrams of one flow with alike headers that come in one batch make a run. It leaves in one sendmmsg(2), in which equal datagrams are
 * one message that the kernel takes through its layers as one packet (UDP_SEGMENT); their payload is never moved. A message that is refused
 * is sent again datagram by datagram, so that each gets the verdict that it would have had alone.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include "base/attr.h"
#include "base/iov.h"
#include "gateway/errqueue.h"
#include "gateway/hostsock.h"
#include "gateway/udp_private.h"
#include "wire/udp.h"

#define SEGMENTS_MAX 64u   /* of one message: UDP_MAX_SEGMENTS of older kernels */
#define BYTES_MAX    65507u /* IPv4's longest payload, and what both versions take as one message */

static void put_control(struct msghdr *m, int level, int type, const void *data, size_t size)
{
	struct cmsghdr *c = (struct cmsghdr *)((char *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), data, size);
	m->msg_controllen += CMSG_SPACE(size);
}

/* Where the datagrams of an inbound flow leave from. */
static void put_source(struct msghdr *m, addr_t from)
{
	struct in6_pktinfo info6 = { 0 };
	struct in_pktinfo info4 = { 0 };
	struct ip4 ip = addr_get4(from);

	memcpy(&info4.ipi_spec_dst, &ip, sizeof(ip));
	memcpy(&info6.ipi6_addr, &from, sizeof(info6.ipi6_addr));
	if (addr_is4(from))
		put_control(m, IPPROTO_IP, IP_PKTINFO, &info4, sizeof(info4));
	else
		put_control(m, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof(info6));
}

/* A message of the flow's socket. @to and @control: room that it keeps. @segment: 0: one datagram. */
static struct msghdr message_of(const struct flow *f, struct iovec *iov, size_t parts, uint16_t segment, union sockaddr_any *to,
				void *control)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = parts, .msg_control = control };

	if (f->flags & FLOW_INBOUND) {
		m.msg_namelen = host_sockaddr(to, f->udp.remote, f->udp.remote_port);
		m.msg_name = to;
		put_source(&m, f->udp.host_addr);
	}
	if (segment)
		put_control(&m, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	return m;
}
_Static_assert(CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)) <= UDP_RUN_CONTROL, "both fit");

/* ---- what the socket did not take ---- */

/* Tell the guest, where there is something to tell, about datagram @index, whose payload is @iov. */
static void datagram_dropped(struct udp *u, const struct flow *f, uint32_t index, const struct iovec *iov, size_t parts, enum drop drop,
			     usec_t now)
{
	struct udp_run *r = &u->run;
	size_t size = sizeof(struct udp_header) + iov_size(iov, parts);
	struct udp_header h = { be16(f->key.guest_port), be16(f->key.peer_port), be16((uint16_t)size), r->datagram[index].checksum };
	struct iovec whole[1 + UDP_RUN_PARTS] = { { &h, sizeof(h) } };
	unsigned int mtu = drop == DROP_TOO_BIG ? hostsock_mtu(f->fd, f->key.peer) : 0;
	struct ip_packet about = r->ip;
	be16_t id = be16(r->datagram[index].id);

	about.payload_size = (uint32_t)size;
	if (about.version == 4)
		memcpy(about.header + offsetof(struct ip4_header, id), &id, sizeof(id));
	memcpy(whole + 1, iov, parts * sizeof(*iov));
	/* Too big and yet within the MTU: longer than UDP itself takes. */
	if (drop == DROP_TOO_BIG && (!mtu || about.header_size + about.payload_size <= mtu))
		drop = DROP_OVERSIZE;
	else
		errqueue_verdict(u->emitter, f->mac, drop, &about, cursor_of_iov(whole, 1 + parts), mtu, now);
	emit_drop(u->emitter, f->mac, drop, 1, now);
}

static void send_one_by_one(struct udp *u, struct flow *f, const struct udp_message *m, usec_t now)
{
	char control[UDP_RUN_CONTROL] __attribute__((aligned(8)));
	struct iovec iov[UDP_RUN_PARTS];
	union sockaddr_any to;

	for (uint32_t i = 0; i < m->count; i++) {
		size_t parts = iov_slice(u->run.iov + m->first_part, m->parts, (size_t)i * m->segment, m->segment, iov, UDP_RUN_PARTS);
		struct msghdr one = message_of(f, iov, parts, 0, &to, control);
		enum drop drop = errqueue_drop_of(hostsock_send(f->fd, &one));

		if (drop)
			datagram_dropped(u, f, m->first + i, iov, parts, drop, now);
	}
}

/* @error: positive */
static void message_refused(struct udp *u, struct flow *f, const struct udp_message *m, int error, usec_t now)
{
	enum drop drop = errqueue_drop_of(-error);

	if (m->count == 1) {
		datagram_dropped(u, f, m->first, u->run.iov + m->first_part, m->parts, drop, now);
		return;
	}
	if (drop == DROP_SOCKET_FULL) {
		emit_drop(u->emitter, f->mac, drop, m->count, now);
		return;
	}
	/* Too long for the path's MTU, unless checksums cannot be left to the card, in which size does not matter. */
	if (error == EINVAL || error == EMSGSIZE)
		f->udp.unsegmented = (uint16_t)m->segment;
	else if (error == EIO)
		f->udp.unsegmented = 1;
	send_one_by_one(u, f, m, now);
}

/* ---- the run ---- */

static void put_messages(struct udp *u, struct flow *f, union sockaddr_any *to)
{
	struct udp_run *r = &u->run;

	for (uint32_t i = 0; i < r->messages; i++) {
		const struct udp_message *m = &r->message[i];
		uint16_t segment = m->count > 1 ? (uint16_t)m->segment : 0;

		r->out[i].msg_hdr = message_of(f, r->iov + m->first_part, m->parts, segment, to, r->control[i]);
		if (segment && (!f->udp.segment_least || segment < f->udp.segment_least))
			f->udp.segment_least = segment;
	}
}

void udp_push(struct udp *u, usec_t now)
{
	struct udp_run *r = &u->run;
	struct flow *f = r->flow;
	union sockaddr_any to;
	bool again = false;
	uint32_t at = 0;

	if (!f)
		return;
	put_messages(u, f, &to);
	while (at < r->messages) {
		int n = sendmmsg(f->fd, r->out + at, r->messages - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		/* What it says at first may be the error of an earlier datagram, and then this one was not looked at. */
		if (n < 0 && errno != EAGAIN && !again) {
			again = true;
			continue;
		}
		if (n < 0)
			message_refused(u, f, &r->message[at], errno, now);
		at += n < 0 ? 1 : (uint32_t)n;
		again = false;
	}
	r->flow = NULL;
	r->messages = r->datagrams = r->parts = 0;
}

/*
 * May datagrams of this size be one message? Not while another address may be tried for what this one refuses: a refusal quotes the
 * message, in which datagrams cannot be told apart.
 */
static bool may_segment(const struct udp *u, const struct flow *f, uint32_t size)
{
	return u->takes_runs && (addr_is_any(f->udp.fallback) || f->udp.answered) && (!f->udp.unsegmented || size < f->udp.unsegmented);
}

/* Can @count datagrams of @segment bytes, @bytes in all, go with the message @m? */
static bool message_takes(const struct udp_message *m, uint32_t count, uint32_t bytes, uint32_t segment)
{
	bool only_last_is_short = m->bytes == m->count * m->segment && (count == 1 ? segment <= m->segment : segment == m->segment);

	return segment && only_last_is_short && m->count + count <= SEGMENTS_MAX && m->bytes + bytes <= BYTES_MAX;
}

/* What comes from the guest in one frame: a datagram, or several. */
struct given {
	const struct ip_packet *ip;
	struct udp_header header;
	struct cursor payload;
	uint32_t segment;       /* of each but the last */
};

/* Add @count datagrams of @bytes in all, the next of the payload, to the run. Return: false if there is no room. */
static bool run_add(struct udp *u, struct flow *f, const struct given *g, uint32_t count, uint32_t bytes)
{
	struct udp_run *r = &u->run;
	struct udp_message *m = r->messages ? &r->message[r->messages - 1] : NULL;
	struct cursor payload = g->payload;
	uint32_t parts;

	cursor_limit(&payload, bytes);
	parts = (uint32_t)cursor_iov(&payload, r->iov + r->parts, UDP_RUN_PARTS - r->parts);
	if (r->datagrams + count > UDP_RUN_DATAGRAMS || (bytes && !parts))
		return false;
	if (!m || !message_takes(m, count, bytes, g->segment) || !may_segment(u, f, m->segment)) {
		if (r->messages == UDP_RUN_MESSAGES)
			return false;
		m = &r->message[r->messages++];
		*m = (struct udp_message){ .first = r->datagrams, .first_part = r->parts, .segment = g->segment };
	}
	for (uint32_t i = 0; i < count; i++) {
		r->datagram[r->datagrams].id = (uint16_t)(g->ip->fragment_id + i);
		r->datagram[r->datagrams++].checksum = g->header.checksum;
	}
	m->count += count;
	m->bytes += bytes;
	m->parts += parts;
	r->parts += parts;
	r->flow = f;
	return true;
}

static enum drop keep(struct udp *u, struct flow *f, struct given *g, usec_t now)
{
	uint32_t left = (uint32_t)cursor_left(&g->payload), most, bytes;

	if (!g->segment || g->segment > left)
		g->segment = left;
	most = left > g->segment && may_segment(u, f, g->segment) ? MIN(SEGMENTS_MAX, BYTES_MAX / g->segment) * g->segment : g->segment;
	do {
		uint32_t count;

		bytes = MIN(most, left);
		count = g->segment ? (bytes + g->segment - 1) / g->segment : 1;
		if (!run_add(u, f, g, count, bytes)) {
			udp_push(u, now);
			if (!run_add(u, f, g, count, bytes))
				return DROP_MALFORMED; /* in more parts than any honest guest's */
		}
		cursor_skip(&g->payload, bytes);
		left -= bytes;
	} while (left);
	return DROP_NONE;
}

/* Can the packet @b follow @a without a change of the socket's options, and be told in an error by @a's header? */
static bool is_alike(const struct ip_packet *a, const struct ip_packet *b)
{
	return a->ttl == b->ttl && a->traffic_class == b->traffic_class && hostsock_may_fragment(a) == hostsock_may_fragment(b) &&
	       a->header_size == b->header_size && a->header_size == ip_header_size(a->src);
}

/* The flow that a run begins with. */
static enum drop find_flow(struct udp *u, const struct flow_key *key, struct mac from, const struct ip_packet *ip, usec_t now,
			   struct flow **out)
{
	struct flow *f = flow_find(u->flows, key);
	enum drop drop = f ? DROP_NONE : udp_open_flow(u, key, from, now, &f);

	if (drop)
		return drop;
	f->mac = from;
	idle_touch(&u->idle, f, now);
	if (f->flags & FLOW_INBOUND)
		f->udp.answered = true;
	else
		hostsock_follow(f->fd, &f->udp.sent_as, ip);
	u->run.ip = *ip;
	*out = f;
	return DROP_NONE;
}

enum drop udp_from_guest(struct udp *u, struct mac from, const struct ip_packet *ip, struct cursor l4, uint32_t segment, usec_t now)
{
	struct given g = { .ip = ip, .payload = l4, .segment = segment };
	struct flow_key key = { .guest = ip->src, .peer = ip->dst, .kind = FLOW_UDP };
	struct flow *f = u->run.flow;
	enum drop drop = DROP_NONE;

	g.header = udp_parse(&g.payload);
	key.guest_port = be16_get(g.header.src);
	key.peer_port = be16_get(g.header.dst);
	if (cursor_failed(&g.payload))
		return DROP_SHORT;
	if (!key.peer_port || (segment && cursor_left(&g.payload) > (size_t)segment * UDP_RUN_DATAGRAMS))
		return DROP_MALFORMED;
	if (!f || memcmp(&f->key, &key, sizeof(key)) || !is_alike(&u->run.ip, ip)) {
		udp_push(u, now);
		drop = find_flow(u, &key, from, ip, now, &f);
	}
	return drop ? errqueue_verdict(u->emitter, from, drop, ip, l4, 0, now) : keep(u, f, &g, now);
}
