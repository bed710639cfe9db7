// SPDX-License-Identifier: MIT
#include "port/dgram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/hash.h"
#include "port/queue.h"
#include "wire/eth.h"

#define BUCKETS      256
#define SEND_BUFFER  (256 * 1024)
#define GATHER_PARTS 1024          /* UIO_MAXIOV: of one datagram; we keep all of a batch below it */
#define RETRY        (5 * USEC_MS) /* how soon a full guest that only the hub's socket may send to is tried again */

struct dgram_hub {
	struct loop *loop;
	const struct port_sink *sink;
	int fd;
	struct watch watch;
	int (*added)(void *owner, struct port *p);
	void *owner;

	struct hash_key key;
	struct list buckets[BUCKETS]; /* of ports, by their guests' paths, which others choose */
	size_t ports;
	uint64_t refused;
};

struct dgram {
	struct port port;
	struct dgram_hub *hub;
	struct list node;             /* in its bucket */
	struct sockaddr_un address;   /* the guest's */
	socklen_t address_size;

	/*
	 * A socket of the port's own, connected to the guest: it says when there is room again (EPOLLOUT), and spares a look-up
	 * of the path each time. But a guest that connected its own socket to the hub takes frames from there alone: then this
	 * is -1, and a timer tries again.
	 */
	int fd;
	struct watch room;            /* watched while something is queued */
	struct timer retry;
	struct queue queue;

	int process;                  /* pidfd of port.peer_pid, or -1 */
	struct watch gone;
};

static void dgram_close(struct dgram *d, const char *why)
{
	watch_remove(&d->room);
	watch_remove(&d->gone);
	timer_set(&d->retry, USEC_NEVER);
	port_close(&d->port, why);
}

static void dgram_room(struct watch *w, uint32_t events);

/* (Re)connect to whoever listens at the guest's path now. Return: 0 or negative errno. */
static int dgram_connect(struct dgram *d)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	watch_remove(&d->room);
	d->fd = fd_close(d->fd);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ SEND_BUFFER }, sizeof(int));
	if (!connect(fd, (const struct sockaddr *)&d->address, d->address_size))
		d->fd = fd_steal(&fd);
	else if (errno != EPERM)
		return -errno;
	return 0;
}

/* Be told when there is room again; until then everything is queued. */
static void dgram_wait(struct dgram *d)
{
	if (d->port.down || queue_is_empty(&d->queue))
		return;
	if (d->fd >= 0 && d->room.fd < 0 && watch_add(&d->room, d->hub->loop, d->fd, EPOLLOUT, dgram_room) == 0)
		return;
	if (d->room.fd < 0)
		timer_set(&d->retry, loop_now(d->hub->loop) + RETRY);
}

/* The guest takes no more now; any other errno means that the other end has gone, or went and came back. */
static bool dgram_is_full(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

/*
 * Send datagrams. Return: how many have gone, those included that nobody could ever send; short of @count if the guest is full,
 * or has gone (the port is closed then).
 */
static size_t dgram_push(struct dgram *d, struct mmsghdr *m, size_t count)
{
	bool reconnected = false;
	size_t gone = 0;

	while (gone < count) {
		int n;

		for (size_t i = gone; i < count; i++) {
			m[i].msg_hdr.msg_name = d->fd < 0 ? &d->address : NULL;
			m[i].msg_hdr.msg_namelen = d->fd < 0 ? d->address_size : 0;
		}
		n = sendmmsg(d->fd < 0 ? d->hub->fd : d->fd, m + gone, (unsigned int)(count - gone), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			gone += (size_t)n;
		} else if (errno == EMSGSIZE) {
			port_drop(&d->port, DROP_OVERSIZE, 1);
			gone++;
		} else if (dgram_is_full(errno)) {
			break;
		} else if (reconnected || dgram_connect(d) < 0) {
			dgram_close(d, "nobody listens at the guest's socket any more");
			break;
		} else {
			reconnected = true;
		}
	}
	return gone;
}

static void dgram_drain(struct dgram *d)
{
	while (!queue_is_empty(&d->queue)) {
		struct mmsghdr m[PORT_BATCH] = { 0 };
		struct iovec iov[PORT_BATCH], whole;
		struct cursor c = cursor_of(&whole, queue_data(&d->queue), queue_size(&d->queue));
		size_t count, gone, size = 0;

		for (count = 0; count < PORT_BATCH && cursor_left(&c); count++) {
			struct cursor body;
			uint32_t length = cursor_u32(&c);

			body = c;
			cursor_limit(&body, length);
			cursor_iov(&body, &iov[count], 1);
			cursor_skip(&c, length);
			m[count].msg_hdr.msg_iov = &iov[count];
			m[count].msg_hdr.msg_iovlen = 1;
		}
		gone = dgram_push(d, m, count);
		for (size_t i = 0; i < gone; i++)
			size += FRAME_PREFIX + iov[i].iov_len;
		if (gone)
			queue_take(&d->queue, size);
		if (gone < count) {
			dgram_wait(d);
			return;
		}
	}
	watch_remove(&d->room);
	timer_set(&d->retry, USEC_NEVER);
	port_drained(&d->port);
}

static void dgram_room(struct watch *w, _unused_ uint32_t events)
{
	dgram_drain(container_of(w, struct dgram, room));
}

static void dgram_retry(struct timer *t)
{
	dgram_drain(container_of(t, struct dgram, retry));
}

static void dgram_process_gone(struct watch *w, _unused_ uint32_t events)
{
	dgram_close(container_of(w, struct dgram, gone), "the guest's process ended");
}

/* Who sends from the guest's path now: notice when that process ends. Where that cannot be seen, sending tells. */
static void dgram_set_process(struct dgram *d, int32_t pid)
{
	watch_remove(&d->gone);
	d->process = fd_close(d->process);
	d->port.peer_pid = pid;
	if (pid <= 0)
		return;
	d->process = pidfd_open(pid, 0);
	if (d->process >= 0)
		watch_add(&d->gone, d->hub->loop, d->process, EPOLLIN, dgram_process_gone);
}

struct gather {
	struct iovec iov[GATHER_PARTS];
	size_t parts;
	struct mmsghdr m[PORT_BATCH];
	size_t frames;
};

/* Return: false if the frame does not fit in any more. */
static bool gather_frame(struct gather *g, const struct frame *f)
{
	static const uint8_t padding[ETH_MIN];
	struct iovec *iov = &g->iov[g->parts];
	size_t parts = f->parts;

	if (g->frames == PORT_BATCH || parts + 1 > GATHER_PARTS - g->parts)
		return false;
	memcpy(iov, f->iov, parts * sizeof(*iov));
	if (f->size < ETH_MIN)
		iov[parts++] = (struct iovec){ .iov_base = (void *)padding, .iov_len = ETH_MIN - f->size };
	g->m[g->frames++] = (struct mmsghdr){ .msg_hdr = { .msg_iov = iov, .msg_iovlen = parts } };
	g->parts += parts;
	return true;
}

static size_t dgram_send(struct port *p, const struct frame *frames, size_t count)
{
	struct dgram *d = container_of(p, struct dgram, port);
	bool full = !queue_is_empty(&d->queue);
	size_t taken = 0;

	while (taken < count && !full && !p->down) {
		struct gather g;
		size_t now;

		g.parts = g.frames = 0;
		while (taken + g.frames < count && gather_frame(&g, &frames[taken + g.frames]))
			;
		/* A frame in more parts than one call takes goes through the queue, which makes it one. */
		now = g.frames ? dgram_push(d, g.m, g.frames) : 0;
		full = now < g.frames || !g.frames;
		taken += now;
	}
	while (taken < count && !p->down && queue_put_frame(&d->queue, &frames[taken]))
		taken++;
	dgram_wait(d);
	return taken;
}

static size_t dgram_room_left(struct port *p)
{
	const struct dgram *d = container_of(p, const struct dgram, port);

	return queue_is_empty(&d->queue) ? QUEUE_MAX : 0;
}

static struct port *dgram_free(struct port *p)
{
	struct dgram *d = container_of(p, struct dgram, port);

	list_remove(&d->node);
	d->hub->ports--;
	watch_remove(&d->room);
	watch_remove(&d->gone);
	timer_set(&d->retry, USEC_NEVER);
	fd_close(d->fd);
	fd_close(d->process);
	queue_fini(&d->queue);
	free(d);
	return NULL;
}

static const struct port_ops dgram_ops = {
	.kind = "dgram",
	.send = dgram_send,
	.room = dgram_room_left,
	.free = dgram_free,
};

/* What came in one turn. */
struct incoming {
	struct mmsghdr m[PORT_BATCH];
	struct iovec iov[PORT_BATCH];
	struct sockaddr_un from[PORT_BATCH];
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control[PORT_BATCH]; /* the kernel puts the credentials first; then there is no room for descriptors that a sender attaches */
};

/* Slots are not a power of two apart, or the same lines of the processor's cache would hold the headers of all frames. */
#define SLOT (FRAME_MAX + 1 + 110)
_Static_assert(SLOT % 64 == 0, "whole cache lines");
_Static_assert(PORT_BATCH * SLOT <= LOOP_BUFFER_SIZE, "a batch of the longest frames fits");

static void incoming_init(struct incoming *in, uint8_t *buffer)
{
	for (size_t i = 0; i < PORT_BATCH; i++) {
		in->iov[i] = (struct iovec){ .iov_base = buffer + i * SLOT, .iov_len = FRAME_MAX + 1 };
		in->m[i] = (struct mmsghdr){ .msg_hdr = {
			.msg_name = &in->from[i], .msg_namelen = sizeof(in->from[i]), .msg_iov = &in->iov[i], .msg_iovlen = 1,
			.msg_control = &in->control[i], .msg_controllen = sizeof(in->control[i]),
		} };
	}
}

/* The sender's pid as the kernel tells it; 0 if it is in no pid namespace that we see. */
static int32_t incoming_pid(struct incoming *in, size_t i)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(&in->m[i].msg_hdr);
	struct ucred peer;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS || c->cmsg_len < CMSG_LEN(sizeof(peer)))
		return 0;
	memcpy(&peer, CMSG_DATA(c), sizeof(peer));
	return MAX(peer.pid, 0);
}

static bool incoming_is_from(const struct incoming *in, size_t i, const struct sockaddr_un *address, socklen_t size)
{
	return in->m[i].msg_hdr.msg_namelen == size && !memcmp(&in->from[i], address, size);
}

/* A path that leads to the guest from everywhere: not unnamed, not abstract (autobind), not relative. */
static bool incoming_has_path(const struct incoming *in, size_t i)
{
	return in->m[i].msg_hdr.msg_namelen > offsetof(struct sockaddr_un, sun_path) && in->from[i].sun_path[0] == '/';
}

static struct list *hub_bucket(struct dgram_hub *h, const struct sockaddr_un *address, socklen_t size)
{
	return &h->buckets[hash_bytes(&h->key, address, size) % BUCKETS];
}

/* Make the port of a path that was not heard of before. */
static struct dgram *hub_add(struct dgram_hub *h, const struct sockaddr_un *address, socklen_t size, int32_t pid)
{
	struct dgram *d = h->ports < DGRAM_PORTS_MAX ? calloc(1, sizeof(*d)) : NULL;

	if (!d)
		return NULL;
	d->port = (struct port){ .ops = &dgram_ops, .sink = h->sink, .mtu = PORT_MTU };
	d->hub = h;
	d->fd = d->process = d->room.fd = d->gone.fd = -1;
	d->address = *address;
	d->address_size = size;
	timer_init(&d->retry, h->loop, dgram_retry);
	list_append(hub_bucket(h, address, size), &d->node);
	h->ports++;
	port_rates(&d->port, loop_now(h->loop));
	if (dgram_connect(d) < 0) {
		port_free(&d->port);
		return NULL;
	}
	dgram_set_process(d, pid);
	if (h->added(h->owner, &d->port)) {
		port_free(&d->port);
		return NULL;
	}
	return d;
}

/* The port that a datagram belongs to, made if need be; NULL: it can have none. */
static struct dgram *hub_port(struct dgram_hub *h, struct incoming *in, size_t i)
{
	socklen_t size = in->m[i].msg_hdr.msg_namelen;
	int32_t pid = incoming_pid(in, i);

	if (!incoming_has_path(in, i) || size > sizeof(in->from[i]))
		return NULL;
	list_for_each(n, hub_bucket(h, &in->from[i], size)) {
		struct dgram *d = list_entry(n, struct dgram, node);

		if (!incoming_is_from(in, i, &d->address, d->address_size))
			continue;
		if (pid != d->port.peer_pid && !d->port.down)
			dgram_set_process(d, pid);
		return d;
	}
	return hub_add(h, &in->from[i], size, pid);
}

/* Pass on what came from one path: the datagrams @from to @to - 1. */
static void hub_input(struct dgram_hub *h, struct incoming *in, size_t from, size_t to)
{
	struct dgram *d = hub_port(h, in, from);
	struct frame frames[PORT_BATCH];
	size_t count = 0;

	if (!d) {
		h->refused += to - from;
		return;
	}
	for (size_t i = from; i < to; i++) {
		uint32_t size = in->m[i].msg_len;

		if (d->port.down || size < sizeof(struct eth) || size > FRAME_MAX) {
			port_drop(&d->port, d->port.down ? DROP_PORT_DOWN : size > FRAME_MAX ? DROP_OVERSIZE : DROP_SHORT, 1);
			continue;
		}
		in->iov[i].iov_len = size;
		frames[count++] = (struct frame){ .iov = &in->iov[i], .parts = 1, .size = size };
	}
	port_rates(&d->port, loop_now(h->loop));
	if (count)
		port_input(&d->port, frames, count);
}

static void hub_read(struct dgram_hub *h, uint8_t *buffer)
{
	struct incoming in;
	int n;

	incoming_init(&in, buffer);
	n = recvmmsg(h->fd, in.m, PORT_BATCH, MSG_DONTWAIT, NULL);
	for (size_t from = 0, to; n > 0 && from < (size_t)n; from = to) {
		for (to = from + 1; to < (size_t)n; to++)
			if (!incoming_is_from(&in, to, &in.from[from], in.m[from].msg_hdr.msg_namelen))
				break;
		hub_input(h, &in, from, to);
	}
}

static void hub_ready(struct watch *w, _unused_ uint32_t events)
{
	struct dgram_hub *h = container_of(w, struct dgram_hub, watch);
	uint8_t *buffer = loop_take_buffer(h->loop);

	if (!buffer)
		return;
	hub_read(h, buffer);
	loop_give_buffer(h->loop);
}

int dgram_hub_new(struct dgram_hub **out, struct loop *loop, const struct port_sink *sink, int fd,
		  int (*added)(void *owner, struct port *p), void *owner)
{
	_cleanup_(freep) struct dgram_hub *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)) < 0)
		return -errno;
	h->loop = loop;
	h->sink = sink;
	h->added = added;
	h->owner = owner;
	h->key = hash_key_random();
	for (size_t i = 0; i < BUCKETS; i++)
		list_init(&h->buckets[i]);
	r = watch_add(&h->watch, loop, fd, EPOLLIN, hub_ready);
	if (r < 0)
		return r;
	h->fd = fd;
	*out = steal(&h);
	return 0;
}

struct dgram_hub *dgram_hub_free(struct dgram_hub *h)
{
	if (!h)
		return NULL;
	watch_remove(&h->watch);
	fd_close(h->fd);
	free(h);
	return NULL;
}

uint64_t dgram_hub_refused(const struct dgram_hub *h)
{
	return h->refused;
}
