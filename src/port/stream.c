// SPDX-License-Identifier: MIT
#include "port/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "port/queue.h"
#include "wire/eth.h"

#define READ_MAX     (256 * 1024)  /* bytes a turn: then others have theirs */
#define OUT_OF_STEP  (128 * 1024)  /* no frame is that long: what was read as a length is none */
/*
 * Asked for: the kernel doubles it for its own overhead, and then takes 350 to 510 KiB of frames in batches. That is as much as
 * it grants with the usual net.core.wmem_max, and a few milliseconds of a slow guest's time: more would only make its other
 * flows wait longer.
 */
#define SEND_BUFFER  (256 * 1024)
#define GATHER_PARTS 1024          /* UIO_MAXIOV */

struct stream {
	struct port port;
	struct loop *loop;
	int fd;
	struct watch watch;

	struct queue queue;    /* what the socket did not take yet, as it goes on the wire; then we wait for EPOLLOUT */

	uint8_t *rest;         /* the start of a frame whose end is still to come, its length first; NULL: none */
	size_t rest_size;
	uint32_t skip;         /* bytes still to come of a frame that was refused */
};

static void stream_close(struct stream *s, const char *why)
{
	watch_remove(&s->watch);
	port_close(&s->port, why);
}

/* Frames cut out of what was read, on their way to the sink. */
struct cut {
	struct iovec iov[PORT_BATCH];
	struct frame frames[PORT_BATCH];
	size_t count;
};

static void cut_flush(struct stream *s, struct cut *cut)
{
	port_input(&s->port, cut->frames, cut->count);
	cut->count = 0;
}

/* The next @size bytes of @c, which it has, are a frame. */
static void cut_add(struct stream *s, struct cut *cut, struct cursor *c, uint32_t size)
{
	struct cursor body = *c;
	struct iovec *iov = &cut->iov[cut->count];

	cursor_limit(&body, size);
	cursor_iov(&body, iov, 1);
	cursor_skip(c, size);
	cut->frames[cut->count++] = (struct frame){ .iov = iov, .parts = 1, .size = size };
	if (cut->count == PORT_BATCH)
		cut_flush(s, cut);
}

/* Leave out the next @size bytes, of which some may still be to come. */
static void stream_skip(struct stream *s, struct cursor *c, uint32_t size)
{
	uint32_t here = (uint32_t)MIN((size_t)size, cursor_left(c));

	cursor_skip(c, here);
	s->skip = size - here;
}

/* Take one frame off @c. Return: false if it is not there as a whole, or the port has closed. */
static bool stream_cut_one(struct stream *s, struct cut *cut, struct cursor *c)
{
	struct cursor next = *c;
	uint32_t size = cursor_u32(&next);

	if (cursor_failed(&next) || s->port.down)
		return false;
	if (size > OUT_OF_STEP) {
		cut_flush(s, cut);
		stream_close(s, "the stream is out of step: a frame's length makes no sense");
		return false;
	}
	if (size < sizeof(struct eth) || size > FRAME_MAX) {
		port_drop(&s->port, size > FRAME_MAX ? DROP_OVERSIZE : DROP_SHORT, 1);
		stream_skip(s, &next, size);
	} else if (cursor_left(&next) >= size) {
		cut_add(s, cut, &next, size);
	} else {
		return false;
	}
	*c = next;
	return true;
}

/* Keep what @c has left, less than a frame, until the rest of it comes. What was kept before is part of what @c walked over. */
static void stream_keep(struct stream *s, struct cursor *c)
{
	size_t size = cursor_left(c);

	free(s->rest);
	s->rest = size ? malloc(size) : NULL;
	s->rest_size = s->rest ? size : 0;
	cursor_copy(c, s->rest, s->rest_size);
	if (size && !s->rest)
		stream_close(s, "out of memory");
}

static void stream_take(struct stream *s, const uint8_t *data, size_t size)
{
	struct iovec iov;
	struct cursor c = cursor_of(&iov, data, size);
	struct cut cut = { .count = 0 };

	stream_skip(s, &c, s->skip);
	while (stream_cut_one(s, &cut, &c))
		;
	cut_flush(s, &cut);
	if (!s->port.down)
		stream_keep(s, &c);
}

/* ECONNRESET: it closed before it had read all that was sent. */
static const char *stream_why(int error)
{
	return error == ECONNRESET || error == EPIPE ? "the guest closed its connection" : "the guest's connection broke";
}

static void stream_read(struct stream *s, uint8_t *buffer)
{
	ssize_t n;

	if (s->rest_size)
		memcpy(buffer, s->rest, s->rest_size);
	n = recv(s->fd, buffer + s->rest_size, READ_MAX - s->rest_size, MSG_DONTWAIT);
	if (n > 0)
		stream_take(s, buffer, s->rest_size + (size_t)n);
	else if (!n)
		stream_close(s, "the guest closed its connection");
	else if (errno != EAGAIN && errno != EINTR)
		stream_close(s, stream_why(errno));
}

/*
 * Give bytes to the socket. Return: how many it took, 0 if it is full or the connection broke (the port is closed then).
 */
static size_t stream_write(struct stream *s, struct iovec *iov, size_t parts)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = parts };
	ssize_t n = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
		stream_close(s, stream_why(errno));
	return 0;
}

static void stream_drain(struct stream *s)
{
	struct iovec iov = { .iov_base = (void *)queue_data(&s->queue), .iov_len = queue_size(&s->queue) };

	queue_take(&s->queue, stream_write(s, &iov, 1));
	if (!queue_is_empty(&s->queue) || s->port.down)
		return;
	watch_set(&s->watch, EPOLLIN);
	port_drained(&s->port);
}

static void stream_ready(struct watch *w, uint32_t events)
{
	struct stream *s = container_of(w, struct stream, watch);
	uint8_t *buffer;

	port_rates(&s->port, loop_now(s->loop));
	if (events & EPOLLOUT && !queue_is_empty(&s->queue))
		stream_drain(s);
	if (!(events & ~(uint32_t)EPOLLOUT) || s->port.down)
		return;
	buffer = loop_take_buffer(s->loop);
	if (!buffer)
		return;
	stream_read(s, buffer);
	loop_give_buffer(s->loop);
}

/* Frames as they go on the wire: length, parts, padding. */
struct gather {
	struct iovec iov[GATHER_PARTS];
	size_t parts;
	size_t size;
	size_t frames;
	be32_t prefix[PORT_BATCH];
	size_t end[PORT_BATCH];        /* bytes up to the end of each frame */
};

/* Return: false if the frame does not fit in any more. */
static bool gather_frame(struct gather *g, const struct frame *f)
{
	static const uint8_t padding[ETH_MIN];
	uint32_t padded = frame_padded(f);

	if (g->frames == PORT_BATCH || f->parts + 2 > GATHER_PARTS - g->parts)
		return false;
	g->prefix[g->frames] = be32(padded);
	g->iov[g->parts++] = (struct iovec){ .iov_base = &g->prefix[g->frames], .iov_len = FRAME_PREFIX };
	memcpy(&g->iov[g->parts], f->iov, f->parts * sizeof(*f->iov));
	g->parts += f->parts;
	if (padded > f->size)
		g->iov[g->parts++] = (struct iovec){ .iov_base = (void *)padding, .iov_len = padded - f->size };
	g->size += FRAME_PREFIX + padded;
	g->end[g->frames++] = g->size;
	return true;
}

/*
 * Send what was gathered. The rest of a frame that was begun is queued: on the wire it cannot be taken back.
 * Return: frames taken.
 */
static size_t gather_send(struct stream *s, struct gather *g)
{
	size_t sent = stream_write(s, g->iov, g->parts);
	size_t whole = 0;
	struct cursor left;

	while (whole < g->frames && g->end[whole] <= sent)
		whole++;
	if (whole == g->frames || sent == (whole ? g->end[whole - 1] : 0))
		return whole;
	left = cursor_of_iov(g->iov, g->parts);
	cursor_skip(&left, sent);
	if (!queue_put(&s->queue, &left, g->end[whole] - sent)) {
		stream_close(s, "out of memory");
		return whole;
	}
	return whole + 1;
}

static size_t stream_send(struct port *p, const struct frame *frames, size_t count)
{
	struct stream *s = container_of(p, struct stream, port);
	bool was_empty = queue_is_empty(&s->queue), full = !was_empty;
	size_t taken = 0;

	while (taken < count && !full && !p->down) {
		struct gather g;
		size_t now;

		g.parts = g.size = g.frames = 0;
		while (taken + g.frames < count && gather_frame(&g, &frames[taken + g.frames]))
			;
		/* A frame in more parts than one call takes goes through the queue, which makes it one. */
		now = g.frames ? gather_send(s, &g) : 0;
		full = now < g.frames || !queue_is_empty(&s->queue) || !g.frames;
		taken += now;
	}
	while (taken < count && !p->down && queue_put_frame(&s->queue, &frames[taken]))
		taken++;
	if (was_empty && !queue_is_empty(&s->queue) && !p->down)
		watch_set(&s->watch, EPOLLIN | EPOLLOUT);
	return taken;
}

/* All or nothing: once something had to be queued, who can wait shall wait until it has gone, for queueing costs a copy. */
static size_t stream_room(struct port *p)
{
	const struct stream *s = container_of(p, const struct stream, port);

	return queue_is_empty(&s->queue) ? QUEUE_MAX : 0;
}

static struct port *stream_free(struct port *p)
{
	struct stream *s = container_of(p, struct stream, port);

	watch_remove(&s->watch);
	fd_close(s->fd);
	queue_fini(&s->queue);
	free(s->rest);
	free(s);
	return NULL;
}

static const struct port_ops stream_ops = {
	.kind = "stream",
	.send = stream_send,
	.room = stream_room,
	.free = stream_free,
};

int stream_port_new(struct port **out, struct loop *loop, const struct port_sink *sink, int fd)
{
	_cleanup_(freep) struct stream *s = calloc(1, sizeof(*s));
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int r;

	if (!s)
		return -ENOMEM;
	s->port = (struct port){ .ops = &stream_ops, .sink = sink, .mtu = PORT_MTU };
	s->loop = loop;
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		s->port.peer_pid = MAX(peer.pid, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ SEND_BUFFER }, sizeof(int));
	r = watch_add(&s->watch, loop, fd, EPOLLIN, stream_ready);
	if (r < 0)
		return r;
	s->fd = fd;
	port_rates(&s->port, loop_now(loop));
	*out = &steal(&s)->port;
	return 0;
}
