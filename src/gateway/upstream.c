// SPDX-License-Identifier: MIT
#include "gateway/upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/fd.h"

#define ATTEMPT_TIME (2 * USEC_S)
#define QUERY_TIME   (10 * USEC_S)
#define PREFIX       2     /* a message's length before it, by TCP (RFC 1035 section 4.2.2) */

static void put_u16(uint8_t *into, uint16_t value)
{
	be16_t v = be16(value);

	memcpy(into, &v, sizeof(v));
}

static void attempt_close(struct attempt *a, enum attempt_state state)
{
	int fd = a->watch.fd;

	watch_remove(&a->watch);
	fd_close(fd);
	a->watch.fd = -1;
	free(steal(&a->response));
	a->state = state;
}

static void close_all(struct upstream *u)
{
	for (size_t i = 0; i < u->count; i++)
		attempt_close(&u->attempts[i], ATTEMPT_FAILED);
	u->count = 0;
	if (u->timer.due)
		timer_set(&u->timer, USEC_NEVER);
}

void upstream_stop(struct upstream *u)
{
	close_all(u);
	free(steal(&u->packet));
}

static void finish(struct upstream *u, uint8_t *response, size_t size)
{
	_cleanup_(freep) uint8_t *kept = NULL;

	/* The response may be the attempt's own. */
	for (size_t i = 0; i < u->count; i++)
		if (u->attempts[i].response && u->attempts[i].response == response)
			kept = steal(&u->attempts[i].response);
	close_all(u);
	put_u16(u->packet + PREFIX, u->id);
	if (response)
		put_u16(response, u->id);
	u->done(u, response, size);
}

static bool try_next(struct upstream *u);

/* One nameserver is out; @response is what it said, if anything. */
static void fail(struct attempt *a, uint8_t *response, size_t size)
{
	struct upstream *u = a->upstream;
	uint8_t *own = steal(&a->response);

	attempt_close(a, ATTEMPT_FAILED);
	if (!try_next(u))
		finish(u, response, size);
	free(own);
}

static void judge(struct attempt *a, uint8_t *response, size_t size)
{
	struct upstream *u = a->upstream;
	struct iovec iov;

	switch (dns_judge(cursor_of(&iov, response, size), u->asked_id, &u->question)) {
	case DNS_BELIEVED:
		finish(u, response, size);
		break;
	case DNS_ELSEWHERE:
		fail(a, response, size);
		break;
	case DNS_NOT_OURS:
		if (u->tcp) /* nothing else will come */
			fail(a, NULL, 0);
		break;
	}
}

static void udp_ready(struct watch *w, _unused_ uint32_t events)
{
	struct attempt *a = container_of(w, struct attempt, watch);
	uint8_t response[DNS_MESSAGE_MAX];
	ssize_t got = recv(w->fd, response, sizeof(response), 0);

	if (got >= 0)
		judge(a, response, (size_t)got);
	else if (errno != EAGAIN && errno != EINTR)
		fail(a, NULL, 0);
}

/* Return: whether all has been sent; false with errno if not. */
static bool tcp_send(struct attempt *a)
{
	const struct upstream *u = a->upstream;
	ssize_t put = send(a->watch.fd, u->packet + a->sent, PREFIX + u->size - a->sent, MSG_NOSIGNAL);

	if (put < 0)
		return false;
	a->sent += (size_t)put;
	errno = EAGAIN;
	return a->sent == PREFIX + u->size;
}

/* Return: bytes read, 0 at the end, negative with errno. */
static ssize_t tcp_receive(struct attempt *a, void *into, size_t want)
{
	ssize_t got = recv(a->watch.fd, into, want, 0);

	if (got > 0)
		a->received += (size_t)got;
	return got;
}

/* Return: true if the response is whole; false with errno, which is EAGAIN if there is more to wait for. */
static bool tcp_take(struct attempt *a, size_t *size)
{
	ssize_t got;

	while (a->received < PREFIX) {
		got = tcp_receive(a, a->head + a->received, PREFIX - a->received);
		if (got <= 0) {
			errno = got ? errno : ECONNRESET;
			return false;
		}
	}
	*size = (size_t)a->head[0] << 8 | a->head[1];
	if (!a->response)
		a->response = malloc(*size + 1);
	if (!a->response)
		return false;
	while (a->received < PREFIX + *size) {
		got = tcp_receive(a, a->response + a->received - PREFIX, PREFIX + *size - a->received);
		if (got <= 0) {
			errno = got ? errno : ECONNRESET;
			return false;
		}
	}
	return true;
}

static void tcp_ready(struct watch *w, _unused_ uint32_t events)
{
	struct attempt *a = container_of(w, struct attempt, watch);
	size_t size;

	if (a->sent < PREFIX + a->upstream->size) {
		if (tcp_send(a))
			watch_set(w, EPOLLIN);
		else if (errno != EAGAIN && errno != EINTR)
			fail(a, NULL, 0);
	} else if (tcp_take(a, &size)) {
		judge(a, a->response, size);
	} else if (errno != EAGAIN && errno != EINTR) {
		fail(a, NULL, 0);
	}
}

/* Return: 0 or negative errno. */
static int attempt_open(struct attempt *a)
{
	const struct upstream *u = a->upstream;
	_cleanup_fd_ int fd = socket(a->server.addr.sa.sa_family, (u->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	if (connect(fd, &a->server.addr.sa, a->server.size) < 0 && errno != EINPROGRESS)
		return -errno;
	r = watch_add(&a->watch, u->timer.loop, fd, u->tcp ? EPOLLOUT : EPOLLIN, u->tcp ? tcp_ready : udp_ready);
	if (r < 0) {
		a->watch.fd = -1;
		return r;
	}
	fd_steal(&fd);
	a->state = ATTEMPT_ASKED;
	return 0;
}

/* Ask, or ask again by UDP. Return: 0 or negative errno. */
static int attempt_ask(struct attempt *a)
{
	const struct upstream *u = a->upstream;
	int r = a->state == ATTEMPT_ASKED ? 0 : attempt_open(a);

	if (r < 0 || u->tcp)
		return r;
	if (send(a->watch.fd, u->packet + PREFIX, u->size, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
		return -errno;
	return 0;
}

/* Return: false if no nameserver is left. */
static bool try_next(struct upstream *u)
{
	for (size_t i = 0; i < u->count; i++) {
		struct attempt *a = &u->attempts[u->next];

		u->next = (u->next + 1) % u->count;
		if (a->state == ATTEMPT_FAILED)
			continue;
		if (attempt_ask(a) == 0) {
			timer_set(&u->timer, MIN(loop_now(u->timer.loop) + ATTEMPT_TIME, u->until));
			return true;
		}
		attempt_close(a, ATTEMPT_FAILED);
	}
	return false;
}

static void due(struct timer *t)
{
	struct upstream *u = container_of(t, struct upstream, timer);

	if (loop_now(t->loop) >= u->until || !try_next(u))
		finish(u, NULL, 0);
}

/* Keep the query, with an id of our own before the socket and the guest's beside. Return: 0 or negative errno. */
static int keep_query(struct upstream *u, struct cursor query)
{
	if (!dns_read_question(query, &u->question) || u->size > DNS_QUERY_MAX)
		return -EINVAL;
	if (getrandom(&u->asked_id, sizeof(u->asked_id), 0) < 0)
		return -errno;
	u->packet = malloc(PREFIX + u->size);
	if (!u->packet)
		return -ENOMEM;
	put_u16(u->packet, (uint16_t)u->size);
	cursor_copy(&query, u->packet + PREFIX, u->size);
	u->id = (uint16_t)(u->packet[PREFIX] << 8 | u->packet[PREFIX + 1]);
	put_u16(u->packet + PREFIX, u->asked_id);
	return 0;
}

int upstream_start(struct upstream *u, struct loop *loop, const struct nameservers *servers, bool tcp, struct cursor query,
		   void (*done)(struct upstream *u, const void *response, size_t size))
{
	int r;

	*u = (struct upstream){ .tcp = tcp, .size = cursor_left(&query), .done = done, .until = loop_now(loop) + QUERY_TIME };
	timer_init(&u->timer, loop, due);
	if (!servers->count)
		return -EHOSTUNREACH;
	r = keep_query(u, query);
	if (r < 0)
		return r;
	u->count = servers->count;
	for (size_t i = 0; i < u->count; i++)
		u->attempts[i] = (struct attempt){ .server = servers->servers[i], .upstream = u, .watch.fd = -1 };
	if (!try_next(u)) {
		upstream_stop(u);
		return -EHOSTUNREACH;
	}
	return 0;
}

struct cursor upstream_query(struct upstream *u, struct iovec *iov) { return cursor_of(iov, u->packet + PREFIX, u->size); }

bool upstream_asks(const struct upstream *u, struct cursor query)
{
	uint8_t message[DNS_QUERY_MAX];

	if (cursor_left(&query) != u->size || u->size > sizeof(message))
		return false;
	if (cursor_u16(&query) != u->id)
		return false;
	cursor_copy(&query, message, u->size - sizeof(uint16_t));
	return !memcmp(message, u->packet + PREFIX + sizeof(uint16_t), u->size - sizeof(uint16_t));
}
