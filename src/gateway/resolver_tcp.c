// SPDX-License-Identifier: MIT
#include "gateway/resolver_tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "gateway/upstream.h"
#include "service/dns.h"

#define CONNECTIONS_MAX 64
#define QUERIES_MAX     8
#define IDLE_TIME       (30 * USEC_S)
#define PREFIX          2
#define IN_SIZE         (PREFIX + DNS_QUERY_MAX)

struct resolver_tcp {
	struct loop *loop;
	const struct lan_plan *plan;
	struct guests *guests;
	struct nameservers *servers;
	const char *resolv_conf;
	struct list connections;   /* the one that was quiet longest first */
	size_t count;
};

/* One connection; queries are under way in asked, or wait in answered, in that order, to be taken by the guest. */
struct connection {
	struct list node;
	struct resolver_tcp *resolver;
	struct watch watch;        /* of our end of the socketpair, which it owns */
	struct timer idle;
	uint8_t in[IN_SIZE];
	size_t in_used;
	bool ended;                /* the guest says no more; or said what makes no sense */
	struct list asked, answered;
	size_t queries;
};

struct tcp_query {
	struct list node;
	struct connection *connection;
	struct upstream upstream;  /* while in asked */
	uint8_t *answer;           /* behind its length */
	size_t size, sent;
};

static void query_free(struct tcp_query *q)
{
	list_remove(&q->node);
	upstream_stop(&q->upstream);
	q->connection->queries--;
	free(q->answer);
	free(q);
}

static void connection_free(struct connection *c)
{
	int fd = c->watch.fd;

	list_for_each(n, &c->asked)
		query_free(list_entry(n, struct tcp_query, node));
	list_for_each(n, &c->answered)
		query_free(list_entry(n, struct tcp_query, node));
	watch_remove(&c->watch);
	fd_close(fd);
	timer_set(&c->idle, USEC_NEVER);
	list_remove(&c->node);
	c->resolver->count--;
	free(c);
}

static void connection_touch(struct connection *c)
{
	list_remove(&c->node);
	list_append(&c->resolver->connections, &c->node);
	timer_set(&c->idle, loop_now(c->idle.loop) + IDLE_TIME);
}

/* Let the guest have the answer; without memory the connection is of no use any more. Return: 0 or -ENOMEM. */
static int query_set_answer(struct tcp_query *q, const void *answer, size_t size)
{
	be16_t prefix = be16((uint16_t)size);

	q->answer = malloc(PREFIX + size);
	if (!q->answer)
		return -ENOMEM;
	memcpy(q->answer, &prefix, PREFIX);
	memcpy(q->answer + PREFIX, answer, size);
	q->size = PREFIX + size;
	list_remove(&q->node);
	list_append(&q->connection->answered, &q->node);
	return 0;
}

static int query_fail(struct tcp_query *q, struct cursor query)
{
	uint8_t answer[DNS_UDP_MIN];
	struct writer out = writer_of(answer, sizeof(answer));

	if (!dns_fail(query, DNS_SERVFAIL, &out))
		return -EINVAL;
	return query_set_answer(q, out.data, out.used);
}

/* Return: 0, or negative errno if the connection is of no use any more. */
static int connection_flush(struct connection *c)
{
	list_for_each(n, &c->answered) {
		struct tcp_query *q = list_entry(n, struct tcp_query, node);
		ssize_t put = send(c->watch.fd, q->answer + q->sent, q->size - q->sent, MSG_NOSIGNAL);

		if (put < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (put < 0)
			return -errno;
		q->sent += (size_t)put;
		if (q->sent < q->size)
			return 0;
		query_free(q);
	}
	return 0;
}

static void answered(struct upstream *u, const void *response, size_t size);

/* Return: 0, or negative errno if what came is no query, and what follows cannot be trusted to be one. */
static int connection_ask(struct connection *c, struct cursor query)
{
	struct resolver_tcp *r = c->resolver;
	struct tcp_query *q = calloc(1, sizeof(*q));
	uint8_t answer[DNS_UDP_MAX];
	struct writer out = writer_of(answer, sizeof(answer));

	if (!q)
		return -ENOMEM;
	q->connection = c;
	list_init(&q->node);
	c->queries++;
	switch (dns_answer(r->plan, r->guests, query, true, &out)) {
	case DNS_ANSWERED:
		if (query_set_answer(q, out.data, out.used) == 0)
			return 0;
		break;
	case DNS_FORWARD:
		nameservers_refresh(r->servers, r->resolv_conf);
		if (upstream_start(&q->upstream, r->loop, r->servers, true, query, answered) == 0) {
			list_append(&c->asked, &q->node);
			return 0;
		}
		if (query_fail(q, query) == 0)
			return 0;
		break;
	case DNS_MALFORMED:
		break;
	}
	query_free(q);
	return -EBADMSG;
}

/* Take whole messages out of what was read, as many as may be under way. Return: 0 or negative errno. */
static int connection_parse(struct connection *c)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && c->queries < QUERIES_MAX && c->in_used - at >= PREFIX) {
		size_t size = (size_t)c->in[at] << 8 | c->in[at + 1];
		struct iovec iov;

		if (size > DNS_QUERY_MAX)
			return -EMSGSIZE;
		if (c->in_used - at < PREFIX + size)
			break;
		r = connection_ask(c, cursor_of(&iov, c->in + at + PREFIX, size));
		at += PREFIX + size;
	}
	memmove(c->in, c->in + at, c->in_used - at);
	c->in_used -= at;
	return r;
}

/* Return: 0 or negative errno. */
static int connection_read(struct connection *c)
{
	ssize_t got;

	if (c->ended || c->queries >= QUERIES_MAX || c->in_used == sizeof(c->in))
		return 0;
	got = recv(c->watch.fd, c->in + c->in_used, sizeof(c->in) - c->in_used, 0);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	c->ended = !got;
	c->in_used += (size_t)got;
	return 0;
}

/* Do what can be done now. The connection may be gone afterwards. */
static void connection_work(struct connection *c)
{
	uint32_t events = 0;
	int r = connection_parse(c);

	if (r == 0)
		r = connection_flush(c);
	/* Answers that were taken make room for queries that were read already. */
	if (r == 0)
		r = connection_parse(c);
	if (r < 0 || (c->ended && !c->queries)) {
		connection_free(c);
		return;
	}
	if (!c->ended && c->queries < QUERIES_MAX)
		events |= EPOLLIN;
	if (!list_empty(&c->answered))
		events |= EPOLLOUT;
	connection_touch(c);
	if (watch_set(&c->watch, events) < 0)
		connection_free(c);
}

static void ready(struct watch *w, uint32_t events)
{
	struct connection *c = container_of(w, struct connection, watch);
	int r = 0;

	/* The guest's end is gone: nobody wants the answers. (A half-close is no EPOLLHUP.) */
	if (events & (EPOLLHUP | EPOLLERR))
		r = -EPIPE;
	else if (events & EPOLLIN)
		r = connection_read(c);
	if (r < 0)
		connection_free(c);
	else
		connection_work(c);
}

static void answered(struct upstream *u, const void *response, size_t size)
{
	struct tcp_query *q = container_of(u, struct tcp_query, upstream);
	struct connection *c = q->connection;
	struct iovec iov;
	int r = response ? query_set_answer(q, response, size) : query_fail(q, upstream_query(u, &iov));

	upstream_stop(u);
	if (r < 0)
		connection_free(c);
	else
		connection_work(c);
}

static void idle_due(struct timer *t) { connection_free(container_of(t, struct connection, idle)); }

int resolver_tcp_new(struct resolver_tcp **out, struct loop *loop, const struct lan_plan *plan, struct guests *guests,
		     struct nameservers *servers, const char *resolv_conf)
{
	struct resolver_tcp *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct resolver_tcp){ .loop = loop, .plan = plan, .guests = guests, .servers = servers, .resolv_conf = resolv_conf };
	list_init(&r->connections);
	*out = r;
	return 0;
}

struct resolver_tcp *resolver_tcp_free(struct resolver_tcp *r)
{
	if (!r)
		return NULL;
	list_for_each(n, &r->connections)
		connection_free(list_entry(n, struct connection, node));
	free(r);
	return NULL;
}

static struct connection *connection_new(struct resolver_tcp *r, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->resolver = r;
	c->watch.fd = -1;
	list_init(&c->node);
	list_init(&c->asked);
	list_init(&c->answered);
	timer_init(&c->idle, r->loop, idle_due);
	if (watch_add(&c->watch, r->loop, fd, EPOLLIN, ready) < 0) {
		free(c);
		return NULL;
	}
	return c;
}

int resolver_tcp_accept(struct resolver_tcp *r)
{
	struct connection *c;
	int pair[2];

	if (r->count >= CONNECTIONS_MAX)
		connection_free(list_entry(r->connections.next, struct connection, node));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	c = connection_new(r, pair[0]);
	if (!c) {
		fd_close(pair[0]);
		fd_close(pair[1]);
		return -ENOMEM;
	}
	r->count++;
	connection_touch(c);
	return pair[1];
}
