// SPDX-License-Identifier: MIT
/* The resolver towards guests that ask by TCP. */
#include "resolver_bench.h"

#include <errno.h>
#include <fcntl.h>

/* The guest's side of TCP. */
static void tcp_send(int fd, const struct bytes *q)
{
	uint8_t prefix[2] = { (uint8_t)(q->size >> 8), (uint8_t)q->size };

	assert_int_equal(send(fd, prefix, 2, MSG_NOSIGNAL), 2);
	assert_int_equal(send(fd, q->b, q->size, MSG_NOSIGNAL), q->size);
}

struct stream { size_t size; uint8_t b[70000]; };

/* Read what there is; a whole message? */
static bool tcp_take(int fd, struct stream *s)
{
	size_t want = s->size < 2 ? 2 : 2 + (size_t)(s->b[0] << 8 | s->b[1]);
	ssize_t got;

	while (s->size < want) {
		got = recv(fd, s->b + s->size, want - s->size, 0);
		if (got <= 0)
			return false;
		s->size += (size_t)got;
		want = s->size < 2 ? 2 : 2 + (size_t)(s->b[0] << 8 | s->b[1]);
	}
	return true;
}

static int tcp_open(struct bench *b)
{
	int fd = resolver_accept(b->resolver);

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	return fd;
}

/* A nameserver's connection with its query. */
static int server_accept(struct bench *b, const struct server *s, struct bytes *q)
{
	struct stream got = { 0 };
	int fd = -1;

	UNTIL(b, (fd = accept4(s->tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
	UNTIL(b, tcp_take(fd, &got));
	q->size = got.size - 2;
	memcpy(q->b, got.b + 2, q->size);
	return fd;
}

static void assert_message(const struct stream *s, const struct bytes *want)
{
	assert_int_equal(s->size, 2 + want->size);
	assert_memory_equal(s->b + 2, want->b, want->size);
}

static bool is_closed(int fd)
{
	uint8_t byte;
	ssize_t got = recv(fd, &byte, 1, 0);

	return got == 0 || (got < 0 && errno != EAGAIN);
}

static void tcp_several_queries(void **state)
{
	struct bench *b = *state;
	struct bytes web = query_id("web", 1), one = query_id("one.example", 2), two = query_id("two.example", 3), at_one, at_two, r;
	struct bytes want_one = response(one, 0, 1), want_two = response(two, 0, 2);
	struct stream got = { 0 };
	int fd = tcp_open(b), server_one, server_two;

	/* Byte by byte, so that every way to cut them happens. */
	for (size_t i = 0; i < 2 + one.size; i++) {
		uint8_t byte = i < 2 ? (uint8_t)(i ? one.size : 0) : one.b[i - 2];

		assert_int_equal(send(fd, &byte, 1, 0), 1);
		loop_turn(b->loop, 0);
	}
	tcp_send(fd, &two);
	tcp_send(fd, &web);
	server_one = server_accept(b, &b->servers[0], &at_one);
	server_two = server_accept(b, &b->servers[0], &at_two);
	assert_memory_equal(at_one.b + 2, one.b + 2, one.size - 2);
	UNTIL(b, tcp_take(fd, &got)); /* ours, before the others */
	assert_int_equal(got.b[3], 1);
	assert_memory_equal(got.b + got.size - 4, "\x0a\0\2\x0f", 4);

	got.size = 0;
	r = response(at_two, 0, 2);
	tcp_send(server_two, &r);
	UNTIL(b, tcp_take(fd, &got));
	assert_message(&got, &want_two);

	got.size = 0;
	r = response(at_one, 0, 1);
	assert_int_equal(send(server_one, (uint8_t[]){ 0 }, 1, 0), 1);
	idle(b, 5 * USEC_MS);
	assert_int_equal(send(server_one, (uint8_t[]){ (uint8_t)r.size }, 1, 0), 1);
	for (size_t i = 0; i < r.size; i++) {
		assert_int_equal(send(server_one, r.b + i, 1, 0), 1);
		loop_turn(b->loop, USEC_MS);
	}
	UNTIL(b, tcp_take(fd, &got));
	assert_message(&got, &want_one);
	assert_false(is_closed(fd));
	fd_close(server_one);
	fd_close(server_two);
	fd_close(fd);
	idle(b, 5 * USEC_MS);
}

static void tcp_half_close(void **state)
{
	struct bench *b = *state;
	struct bytes q = query_id("example.org", 5), asked, r, want = response(q, 0, 1);
	struct stream got = { 0 };
	int fd = tcp_open(b), server;

	tcp_send(fd, &q);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	server = server_accept(b, &b->servers[0], &asked);
	idle(b, 20 * USEC_MS);
	r = response(asked, 0, 1);
	tcp_send(server, &r);
	UNTIL(b, tcp_take(fd, &got));
	assert_message(&got, &want);
	UNTIL(b, is_closed(fd));
	fd_close(server);
	fd_close(fd);
}

static void tcp_next_nameserver(void **state)
{
	struct bench *b = *state;
	struct bytes q = query_id("example.org", 5), asked, r;
	struct stream got = { 0 };
	int fd = tcp_open(b), server;

	tcp_send(fd, &q);
	server = server_accept(b, &b->servers[0], &asked);
	fd_close(server); /* without a word */
	server = server_accept(b, &b->servers[1], &asked);
	r = response(asked, 0, 1);
	r.b[0] ^= 1; /* not what was asked: no nameserver is left */
	tcp_send(server, &r);
	UNTIL(b, tcp_take(fd, &got));
	assert_int_equal(got.b[2 + 3] & 15, DNS_SERVFAIL);
	assert_int_equal(got.b[3], 5);
	fd_close(server);

	server_stop(&b->servers[0]);
	server_stop(&b->servers[1]);
	got.size = 0;
	tcp_send(fd, &q);
	UNTIL(b, tcp_take(fd, &got));
	assert_int_equal(got.b[2 + 3] & 15, DNS_SERVFAIL);
	fd_close(fd);
}

/* A response of the greatest size, through every buffer; the nameserver and the guest take turns. */
static void tcp_great_response(void **state)
{
	struct bench *b = *state;
	struct bytes q = query_id("example.org", 5), asked;
	struct stream got = { 0 };
	uint8_t *great = test_calloc(1, 2 + 65535);
	int fd = tcp_open(b), server;
	size_t sent = 0;

	tcp_send(fd, &q);
	server = server_accept(b, &b->servers[0], &asked);
	great[0] = great[1] = 0xff;
	memcpy(great + 2, asked.b, asked.size);
	great[4] |= 0x80;
	great[65536] = 42;
	UNTIL(b, ({
		ssize_t put = send(server, great + sent, 2 + 65535 - sent, MSG_NOSIGNAL);
		sent += put > 0 ? (size_t)put : 0;
		tcp_take(fd, &got);
	}));
	assert_int_equal(got.size, 65537);
	assert_int_equal(got.b[65536], 42);
	assert_int_equal(got.b[3], 5);
	test_free(great);
	fd_close(server);
	fd_close(fd);
}

static void tcp_bounds(void **state)
{
	struct bench *b = *state;
	struct bytes q = query_id("example.org", 5), junk = { .size = 12, .b = { 0, 1, 0x80 } };
	int fd = tcp_open(b), server, taken = 0;
	int first, more[64];

	for (int i = 0; i < 20; i++) {
		q.b[1] = (uint8_t)i;
		tcp_send(fd, &q);
	}
	idle(b, 100 * USEC_MS);
	for (; (server = accept4(b->servers[0].tcp, NULL, NULL, SOCK_CLOEXEC)) >= 0; taken++)
		fd_close(server);
	assert_int_equal(taken, 8); /* the rest waits to be read */
	fd_close(fd);

	fd = tcp_open(b);
	tcp_send(fd, &junk); /* a response */
	UNTIL(b, is_closed(fd));
	fd_close(fd);
	fd = tcp_open(b);
	assert_int_equal(send(fd, "\x10\x01", 2, 0), 2); /* longer than any query */
	UNTIL(b, is_closed(fd));
	fd_close(fd);

	first = tcp_open(b);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		assert_false(is_closed(first));
		more[i] = tcp_open(b);
	}
	assert_true(is_closed(first)); /* the quietest gave way */
	fd_close(first);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		fd_close(more[i]);
}

/* All that is asked is answered, though the guest first asks and only then listens. */
static void tcp_slow_reader(void **state)
{
	struct bench *b = *state;
	int fd = tcp_open(b), small = 4096;
	size_t answers = 0, asked = 0;
	struct stream got = { 0 };
	struct bytes q = query_id("web", 5);
	uint8_t message[2 + 512] = { 0, (uint8_t)q.size };

	memcpy(message + 2, q.b, q.size);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	while (send(fd, message, 2 + q.size, MSG_NOSIGNAL) == (ssize_t)(2 + q.size)) {
		asked++;
		loop_turn(b->loop, 0);
		assert_true(asked < 100000);
	}
	/* A last one may have gone only in part: then nothing more is said of it. */
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	UNTIL(b, ({
		while (tcp_take(fd, &got)) {
			answers++;
			got.size = 0;
		}
		answers == asked;
	}));
	UNTIL(b, is_closed(fd));
	fd_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(tcp_several_queries), T(tcp_half_close), T(tcp_next_nameserver), T(tcp_great_response), T(tcp_bounds), T(tcp_slow_reader),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
