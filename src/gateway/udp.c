// SPDX-License-Identifier: MIT
#include "gateway/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "base/hash.h"
#include "gateway/datagrams.h"
#include "gateway/errqueue.h"
#include "gateway/hostsock.h"
#include "gateway/idle.h"
#include "gateway/kept.h"
#include "wire/udp.h"

#define TIMEOUT          (30 * USEC_S)
#define TIMEOUT_ANSWERED (120 * USEC_S)
#define TIMEOUT_DNS      (10 * USEC_S)  /* a query is one packet each way */
#define PORT_DNS         53
#define PARTS            64
#define ERRORS_A_TURN    32
#define CLIENT_PORTS     8              /* tried for a client whose port another client has already, as the guest sees them */

struct udp {
	struct flow_table *flows;
	struct emitter *emitter;
	struct host *host;
	struct datagrams *in;
	struct idle idle;
	struct hash_key key;
	struct kept_ports *kept;
};

int udp_new(struct udp **out, struct flow_table *flows, struct emitter *emitter, struct host *host)
{
	struct udp *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	*u = (struct udp){ .flows = flows, .emitter = emitter, .host = host, .key = hash_key_random() };
	if (kept_new(&u->kept) || datagrams_new(&u->in)) {
		udp_free(u);
		return -ENOMEM;
	}
	idle_init(&u->idle, flows, FLOW_UDP);
	for (struct flow *f = NULL; (f = flow_next(flows, f));)
		if (f->key.kind == FLOW_UDP && f->udp.kept)
			f->udp.kept = kept_take(u->kept, f->key.guest, f->key.guest_port, f->udp.host_port);
	*out = u;
	return 0;
}

struct udp *udp_free(struct udp *u)
{
	if (u) {
		kept_free(u->kept);
		datagrams_free(u->in);
	}
	free(u);
	return NULL;
}

void udp_closing(struct udp *u, struct flow *f)
{
	if (f->udp.kept)
		kept_release(u->kept, f->key.guest, f->key.guest_port);
	f->udp.kept = false;
	idle_remove(&u->idle, f);
}

static void udp_close(struct udp *u, struct flow *f)
{
	udp_closing(u, f);
	flow_remove(u->flows, f);
}

static bool evict(struct udp *u)
{
	struct flow *oldest = idle_oldest(&u->idle);

	if (oldest)
		udp_close(u, oldest);
	return oldest;
}

static struct flow *add_flow(struct udp *u, const struct flow_key *key, struct mac mac, usec_t now)
{
	struct flow *f = flow_add(u->flows, key, now);

	if (!f && evict(u))
		f = flow_add(u->flows, key, now);
	if (!f)
		return NULL;
	f->mac = mac;
	idle_add(&u->idle, f);
	flow_set_deadline(u->flows, f, now + TIMEOUT);
	return f;
}

/*
 * Bind a flow's socket to the port that stands for the guest's. The first socket of a port takes it as nobody else may have it, and only
 * then agrees to share it: so it never shares with a program of the host, and the later ones, to other peers, can join.
 */
static int bind_kept(struct udp *u, struct flow *f)
{
	uint16_t kept = kept_find(u->kept, f->key.guest, f->key.guest_port);
	addr_t any = addr_is4(f->key.guest) ? addr_of4((struct ip4){ 0 }) : ADDR_ANY;
	union sockaddr_any sa;
	socklen_t size = host_sockaddr(&sa, any, kept ? kept : f->key.guest_port);
	int share = 1;

	if (kept)
		setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &share, sizeof(share));
	if (bind(f->fd, &sa.sa, size)) {
		size = host_sockaddr(&sa, any, 0);
		if (bind(f->fd, &sa.sa, size))
			return -errno;
	}
	if (getsockname(f->fd, &sa.sa, &size) || setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &share, sizeof(share)))
		return -errno;
	host_addr_of(&sa, &f->udp.host_port);
	f->udp.kept = kept_take(u->kept, f->key.guest, f->key.guest_port, f->udp.host_port);
	return 0;
}

static int connect_to(struct flow *f, addr_t addr, uint16_t port)
{
	union sockaddr_any sa;
	socklen_t size = host_sockaddr(&sa, addr, port);

	f->udp.remote = addr;
	f->udp.remote_port = port;
	return connect(f->fd, &sa.sa, size) ? -errno : 0;
}

/* Make the flow's socket. Return: 0 or negative errno. */
static int open_socket(struct udp *u, struct flow *f, addr_t to)
{
	int r = hostsock_open(f->key.guest, 0);

	/* The longest idle flow makes room, unless it is this one: then there is no other. */
	if (hostsock_exhausted(r) && idle_oldest(&u->idle) != f && evict(u))
		r = hostsock_open(f->key.guest, 0);
	if (r < 0)
		return r;
	f->fd = r;
	hostsock_set(f->fd, f->key.guest, HOSTSOCK_ERRORS, 1);
	r = bind_kept(u, f);
	if (!r)
		r = connect_to(f, to, f->key.peer_port);
	if (!r)
		r = flow_watch(u->flows, f, EPOLLIN);
	return r;
}

static enum drop open_flow(struct udp *u, const struct flow_key *key, struct mac from, usec_t now, struct flow **out)
{
	addr_t to, fallback;
	enum drop drop = host_target(u->host, key->peer, &to, &fallback);
	struct flow *f;
	int r;

	if (drop)
		return drop;
	f = add_flow(u, key, from, now);
	if (!f)
		return DROP_FLOW_TABLE_FULL;
	f->udp.fallback = fallback;
	r = open_socket(u, f, to);
	if (r < 0) {
		udp_close(u, f);
		return hostsock_exhausted(r) ? DROP_NO_DESCRIPTOR : errqueue_drop_of(r);
	}
	*out = f;
	return DROP_NONE;
}

/* Loopback refused what went to the gateway: turn to the host's own address, and give it what was refused, as far as that is known. */
static bool fall_back(struct flow *f, const struct errqueue_entry *entry)
{
	addr_t to = f->udp.fallback;
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	if (addr_is_any(to) || f->udp.answered || entry->error != ICMP_ERROR_PORT)
		return false;
	f->udp.fallback = ADDR_ANY;
	/* First let go of the source address that the old peer asked for. */
	if (connect(f->fd, &nobody, sizeof(nobody)) || connect_to(f, to, f->key.peer_port))
		return false;
	if (entry->size)
		send(f->fd, entry->data, entry->size, MSG_DONTWAIT | MSG_NOSIGNAL);
	return true;
}

static void take_errors(struct udp *u, struct flow *f, usec_t now)
{
	struct errqueue_entry entry;
	uint8_t l4[sizeof(struct udp_header) + sizeof(entry.data)];

	for (int i = 0; i < ERRORS_A_TURN && errqueue_next(f->fd, &entry); i++) {
		size_t size = sizeof(struct udp_header) + entry.size;
		struct udp_header h = { be16(f->key.guest_port), be16(f->key.peer_port), be16(size), be16(0) };

		if (!entry.from_network || fall_back(f, &entry))
			continue;
		if (entry.error == ICMP_ERROR_TOO_BIG && f->udp.sent_as.may_fragment)
			continue; /* the kernel has learned it, and fragments what is larger */
		memcpy(l4, &h, sizeof(h));
		memcpy(l4 + sizeof(h), entry.data, entry.size);
		errqueue_report(u->emitter, u->host, f, f->udp.sent_as.ttl, &entry, l4, size, hostsock_mtu(f->fd, f->key.guest), now);
	}
}

/* Where the datagrams of an inbound flow leave from, as a control message of @m. */
static void put_source(struct msghdr *m, const struct flow *f)
{
	struct in6_pktinfo info6 = { 0 };
	struct in_pktinfo info4 = { 0 };
	struct ip4 ip = addr_get4(f->udp.host_addr);
	bool v4 = addr_is4(f->udp.host_addr);
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	memcpy(&info4.ipi_spec_dst, &ip, sizeof(ip));
	memcpy(&info6.ipi6_addr, &f->udp.host_addr, sizeof(info6.ipi6_addr));
	c->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
	c->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
	c->cmsg_len = v4 ? CMSG_LEN(sizeof(info4)) : CMSG_LEN(sizeof(info6));
	if (v4)
		memcpy(CMSG_DATA(c), &info4, sizeof(info4));
	else
		memcpy(CMSG_DATA(c), &info6, sizeof(info6));
	m->msg_controllen = v4 ? CMSG_SPACE(sizeof(info4)) : CMSG_SPACE(sizeof(info6));
}

static int send_inbound(const struct flow *f, struct msghdr *m)
{
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] __attribute__((aligned(8))) = { 0 };
	union sockaddr_any sa;

	m->msg_namelen = host_sockaddr(&sa, f->udp.remote, f->udp.remote_port);
	m->msg_name = &sa;
	m->msg_control = control;
	m->msg_controllen = sizeof(control);
	put_source(m, f);
	return hostsock_send(f->fd, m);
}

static enum drop send_out(struct flow *f, const struct cursor *payload)
{
	struct iovec iov[PARTS];
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = cursor_iov(payload, iov, PARTS) };

	if (!m.msg_iovlen && cursor_left(payload))
		return DROP_MALFORMED;
	if (f->flags & FLOW_INBOUND) {
		f->udp.answered = true;
		return errqueue_drop_of(send_inbound(f, &m));
	}
	return errqueue_drop_of(hostsock_send(f->fd, &m));
}

enum drop udp_from_guest(struct udp *u, struct mac from, const struct ip_packet *ip, struct cursor l4, usec_t now)
{
	struct cursor payload = l4;
	struct udp_header h = udp_parse(&payload);
	struct flow_key key = {
		.guest = ip->src, .peer = ip->dst, .guest_port = be16_get(h.src), .peer_port = be16_get(h.dst), .kind = FLOW_UDP,
	};
	enum drop drop = DROP_NONE;
	unsigned int mtu = 0;
	struct flow *f;

	if (cursor_failed(&payload))
		return DROP_SHORT;
	if (!key.peer_port)
		return DROP_MALFORMED;
	f = flow_find(u->flows, &key);
	if (!f)
		drop = open_flow(u, &key, from, now, &f);
	if (!drop) {
		f->mac = from;
		idle_touch(&u->idle, f, now);
		if (!(f->flags & FLOW_INBOUND))
			hostsock_follow(f->fd, &f->udp.sent_as, ip);
		drop = send_out(f, &payload);
		if (drop == DROP_TOO_BIG)
			mtu = hostsock_mtu(f->fd, ip->dst);
	}
	/* Too big and yet within the MTU: longer than UDP itself takes. */
	if (drop == DROP_TOO_BIG && (!mtu || ip->header_size + ip->payload_size <= mtu))
		return DROP_OVERSIZE;
	return errqueue_verdict(u->emitter, from, drop, ip, l4, mtu, now);
}

/* The other side was heard. */
static void answered(struct udp *u, struct flow *f, usec_t now)
{
	idle_touch(&u->idle, f, now);
	if (f->udp.answered)
		return;
	f->udp.answered = true;
	if (f->key.peer_port == PORT_DNS)
		flow_set_deadline(u->flows, f, now + TIMEOUT_DNS);
}

void udp_ready(struct udp *u, struct flow *f, uint32_t events, usec_t now)
{
	uint32_t generation = f->generation;
	size_t count;

	if (events & EPOLLERR)
		take_errors(u, f, now);
	/* Telling the guest may have closed its port, and with it the flow. */
	if (f->generation != generation || !(events & EPOLLIN))
		return;
	count = datagrams_receive(u->in, f->fd);
	for (size_t i = 0; i < count && f->generation == generation; i++) {
		struct datagram d = datagrams_get(u->in, i);

		/* A stranger's can have slipped in before the socket was connected. */
		if (d.from_port != f->udp.remote_port || !addr_equal(d.from, f->udp.remote))
			continue;
		answered(u, f, now);
		emit_udp(u->emitter, f->mac, f->key.peer, f->key.peer_port, f->key.guest, f->key.guest_port, &d.payload, 1, now);
	}
}

void udp_due(struct udp *u, struct flow *f, usec_t now)
{
	usec_t timeout = !f->udp.answered ? TIMEOUT : f->key.peer_port == PORT_DNS ? TIMEOUT_DNS : TIMEOUT_ANSWERED;

	if (now - f->active >= timeout)
		udp_close(u, f);
	else
		flow_set_deadline(u->flows, f, f->active + timeout);
}

static bool is_client_of(const struct flow *f, int fd, const struct flow *like)
{
	return f->flags & FLOW_SHARED_FD && f->fd == fd && f->udp.remote_port == like->udp.remote_port &&
		addr_equal(f->udp.remote, like->udp.remote) &&
	       addr_equal(f->udp.host_addr, like->udp.host_addr);
}

/*
 * The flow of a client, which is told apart by its port as the guest sees it: its own, unless another client that the guest sees by the
 * same address has that one already. @like: key but for that port, and the client. Return: the flow, or NULL and a free key in @key.
 */
static struct flow *find_client(struct udp *u, int fd, const struct flow *like, struct flow_key *key)
{
	struct { addr_t client, local; uint16_t port, attempt; } seed = { like->udp.remote, like->udp.host_addr, like->udp.remote_port, 0 };
	bool have_free = false;

	for (; seed.attempt < CLIENT_PORTS; seed.attempt++) {
		struct flow_key k = like->key;
		struct flow *f;

		k.peer_port = seed.attempt ? 32768 + hash_bytes(&u->key, &seed, sizeof(seed)) % 32768 : like->udp.remote_port;
		f = flow_find(u->flows, &k);
		if (f && is_client_of(f, fd, like))
			return f;
		if (!f && !have_free)
			*key = k, have_free = true;
	}
	if (!have_free)
		key->kind = FLOW_FREE;
	return NULL;
}

enum drop udp_from_client(struct udp *u, int fd, struct guest *guest, addr_t addr, uint16_t port, addr_t client, uint16_t client_port,
			  addr_t local, const struct iovec *payload, bool *fresh, usec_t now)
{
	struct flow like = {
		.key = { .guest = addr, .peer = host_guest_view(u->host, client, addr), .guest_port = port, .kind = FLOW_UDP },
		.udp = { .remote = client, .remote_port = client_port, .host_addr = local },
	};
	struct flow_key key = like.key;
	struct flow *f;

	*fresh = false;
	if (!guest->port_id)
		return DROP_PORT_DOWN;
	f = find_client(u, fd, &like, &key);
	if (!f && key.kind == FLOW_UDP) {
		f = add_flow(u, &key, guest->mac, now);
		if (f) {
			f->flags = FLOW_SHARED_FD | FLOW_INBOUND;
			f->fd = fd;
			f->udp.remote = client;
			f->udp.remote_port = client_port;
			f->udp.host_addr = local;
			*fresh = true;
		}
	}
	if (!f)
		return DROP_FLOW_TABLE_FULL;
	f->mac = guest->mac;
	idle_touch(&u->idle, f, now);
	emit_udp(u->emitter, f->mac, f->key.peer, f->key.peer_port, f->key.guest, f->key.guest_port, payload, 1, now);
	return DROP_NONE;
}

void udp_forward_gone(struct udp *u, int fd)
{
	for (struct flow *f = NULL; (f = flow_next(u->flows, f));)
		if (f->key.kind == FLOW_UDP && f->flags & FLOW_SHARED_FD && f->fd == fd)
			udp_close(u, f);
}
