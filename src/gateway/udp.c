// SPDX-License-Identifier: MIT
#include "gateway/udp_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "base/attr.h"
#include "gateway/errqueue.h"
#include "gateway/hostsock.h"
#include "wire/udp.h"

#define TIMEOUT          (30 * USEC_S)
#define TIMEOUT_ANSWERED (120 * USEC_S)
#define TIMEOUT_DNS      (10 * USEC_S)  /* a query is one packet each way */
#define PORT_DNS         53
#define ERRORS_A_TURN    32
#define CLIENT_PORTS     8              /* tried for a client whose port another client has already, as the guest sees them */

int udp_new(struct udp **out, struct flow_table *flows, struct emitter *emitter, struct host *host)
{
	struct udp *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	*u = (struct udp){
		.flows = flows, .emitter = emitter, .host = host, .key = hash_key_random(), .takes_runs = hostsock_takes_runs(),
	};
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
	hostsock_set(f->fd, f->key.guest, HOSTSOCK_RUNS, 1);
	r = bind_kept(u, f);
	if (!r)
		r = connect_to(f, to, f->key.peer_port);
	if (!r)
		r = flow_watch(u->flows, f, EPOLLIN);
	return r;
}

enum drop udp_open_flow(struct udp *u, const struct flow_key *key, struct mac from, usec_t now, struct flow **out)
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
static bool fall_back(struct flow *f, struct errqueue_entry *entry)
{
	struct iovec iov = { entry->data, entry->size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	addr_t to = f->udp.fallback;

	if (entry->error != ICMP_ERROR_PORT || !addr_is_loopback(entry->offender))
		return false;
	if (!addr_is_any(to) && !f->udp.answered) {
		f->udp.fallback = ADDR_ANY;
		/* First let go of the source address that the old peer asked for. */
		if (connect(f->fd, &nobody, sizeof(nobody)) || connect_to(f, to, f->key.peer_port))
			return false;
	}
	if (addr_is_loopback(f->udp.remote))
		return false;
	/* Also what was refused behind the first: it was sent before that was known. */
	if (entry->size)
		hostsock_send(f->fd, &m);
	return true;
}

static void take_errors(struct udp *u, struct flow *f, usec_t now)
{
	struct errqueue_entry entry;
	uint8_t l4[sizeof(struct udp_header) + sizeof(entry.data)];

	for (int i = 0; i < ERRORS_A_TURN && errqueue_next(f->fd, &entry); i++) {
		/* A refusal by the host itself quotes a message of many datagrams, which this guest did not send as one. */
		if (f->udp.segment_least)
			entry.size = MIN(entry.size, (size_t)f->udp.segment_least);

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

static void send_run(struct udp *u, const struct flow *f, const struct datagram_run *run, usec_t now)
{
	emit_udp(u->emitter, f->mac, f->key.peer, f->key.peer_port, f->key.guest, f->key.guest_port, run->iov, run->parts, run->segment,
		 now);
}

void udp_ready(struct udp *u, struct flow *f, uint32_t events, usec_t now)
{
	uint32_t generation = f->generation;
	struct datagram_run run;
	size_t count, next;

	if (events & EPOLLERR)
		take_errors(u, f, now);
	/* Telling the guest may have closed its port, and with it the flow. */
	if (f->generation != generation || !(events & EPOLLIN))
		return;
	count = datagrams_receive(u->in, f->fd);
	for (size_t i = 0; i < count && f->generation == generation; i = next) {
		next = datagrams_run(u->in, i, count, &run);
		/* A stranger's can have slipped in before the socket was connected. */
		if (run.from_port != f->udp.remote_port || !addr_equal(run.from, f->udp.remote))
			continue;
		answered(u, f, now);
		send_run(u, f, &run, now);
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

enum drop udp_from_client(struct udp *u, int fd, struct guest *guest, addr_t addr, uint16_t port, const struct datagram_run *run,
			  bool *fresh, usec_t now)
{
	struct flow like = {
		.key = { .guest = addr, .peer = host_guest_view(u->host, run->from, addr), .guest_port = port, .kind = FLOW_UDP },
		.udp = { .remote = run->from, .remote_port = run->from_port, .host_addr = run->local },
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
			f->udp.remote = run->from;
			f->udp.remote_port = run->from_port;
			f->udp.host_addr = run->local;
			*fresh = true;
		}
	}
	if (!f)
		return DROP_FLOW_TABLE_FULL;
	f->mac = guest->mac;
	idle_touch(&u->idle, f, now);
	send_run(u, f, run, now);
	return DROP_NONE;
}

void udp_forward_gone(struct udp *u, int fd)
{
	for (struct flow *f = NULL; (f = flow_next(u->flows, f));)
		if (f->key.kind == FLOW_UDP && f->flags & FLOW_SHARED_FD && f->fd == fd)
			udp_close(u, f);
}
