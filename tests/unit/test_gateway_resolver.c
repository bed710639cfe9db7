// SPDX-License-Identifier: MIT
/* The resolver on a real loop, with nameservers on loopback that the test plays. emit_udp() is played too, so that what guests get is seen here. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "dns_message.h"
#include "gateway/resolver.h"
#include "service/dns.h"

#define SERVERS  2
#define PATIENCE (5 * USEC_S)

static const struct mac guest_mac = {{ 0x52, 0x54, 0, 0, 0, 1 }}, other_mac = {{ 0x52, 0x54, 0, 0, 0, 2 }};
static const addr_t guest = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 15 }}, service = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 3 }};
static const struct lan_plan plan = {
	.name = "default", .domain = "hospes", .ip4 = true, .net4 = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 0 }}, .bits4 = 24,
	.gateway4 = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 2 }}, .dns4 = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 3 }},
};

struct server { int udp, tcp; uint16_t port; };

struct bench {
	struct loop *loop;
	struct guests *guests;
	struct resolver *resolver;
	char conf[64];
	struct server servers[SERVERS];
	size_t replies;        /* that guests got */
	struct bytes reply;    /* the last */
	uint16_t reply_port;
	struct mac reply_to;
};

/* The emitter that the resolver was given is the bench. */
void emit_udp(struct emitter *e, struct mac to, addr_t src, uint16_t src_port, addr_t dst, uint16_t dst_port, const struct iovec *payload, size_t parts,
	      _unused_ usec_t now)
{
	struct bench *b = (struct bench *)e;

	assert_true(addr_equal(src, service) && addr_equal(dst, guest));
	assert_int_equal(src_port, 53);
	assert_int_equal(parts, 1);
	assert_in_range(payload->iov_len, 12, sizeof(b->reply.b));
	b->replies++;
	b->reply.size = payload->iov_len;
	memcpy(b->reply.b, payload->iov_base, payload->iov_len);
	b->reply_port = dst_port;
	b->reply_to = to;
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int bound_socket(int type, uint16_t port)
{
	struct sockaddr_in sa = loopback(port);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return fd_close(fd);
	return fd;
}

static void server_start(struct server *s)
{
	struct sockaddr_in sa;
	socklen_t size = sizeof(sa);

	for (s->tcp = -1; s->tcp < 0;) {
		s->udp = bound_socket(SOCK_DGRAM, 0);
		assert_int_equal(getsockname(s->udp, (struct sockaddr *)&sa, &size), 0);
		s->port = ntohs(sa.sin_port);
		s->tcp = bound_socket(SOCK_STREAM, s->port);
		if (s->tcp < 0)
			fd_close(s->udp);
	}
	assert_int_equal(listen(s->tcp, 64), 0);
}

static void server_stop(struct server *s)
{
	s->udp = fd_close(s->udp);
	s->tcp = fd_close(s->tcp);
}

static void write_conf(struct bench *b, const char *text)
{
	FILE *f;

	unlink(b->conf);
	f = fopen(b->conf, "we");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void use_servers(struct bench *b, size_t count)
{
	char text[256] = "# a comment\nsearch example.org\nnameserver nonsense\n";

	for (size_t i = 0; i < count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "nameserver [127.0.0.1]:%u\n", b->servers[i].port);
	write_conf(b, text);
}

static int setup(void **state)
{
	struct bench *b = test_calloc(1, sizeof(*b));
	struct guest *web;
	int fd;

	strcpy(b->conf, "/tmp/hospes-resolv.XXXXXX");
	fd = mkstemp(b->conf);
	assert_true(fd >= 0);
	fd_close(fd);
	for (size_t i = 0; i < SERVERS; i++)
		server_start(&b->servers[i]);
	use_servers(b, SERVERS);
	assert_int_equal(loop_new(&b->loop), 0);
	assert_int_equal(guests_new(&b->guests), 0);
	web = guests_add(b->guests, guest_mac, 1);
	assert_int_equal(guests_set_name(b->guests, web, "web", NAME_REGISTERED), 0);
	guests_set_lease(b->guests, web, &web->lease4, guest, LEASE_BOUND, 1000);
	assert_int_equal(resolver_new(&b->resolver, b->loop, (struct emitter *)b, &plan, b->guests, b->conf), 0);
	loop_turn(b->loop, 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	resolver_free(b->resolver);
	guests_free(b->guests);
	loop_free(b->loop);
	for (size_t i = 0; i < SERVERS; i++)
		server_stop(&b->servers[i]);
	unlink(b->conf);
	test_free(b);
	return 0;
}

/* Turn the loop until @condition; it must come true in time. */
#define UNTIL(b, condition)                                              \
	do {                                                             \
		usec_t _end = usec_now() + PATIENCE;                     \
		while (!(condition)) {                                   \
			assert_true(usec_now() < _end);                  \
			assert_true(loop_turn((b)->loop, USEC_MS) >= 0); \
		}                                                        \
	} while (0)

static void idle(struct bench *b, usec_t time)
{
	for (usec_t end = usec_now() + time; usec_now() < end;)
		assert_true(loop_turn(b->loop, USEC_MS) >= 0);
}

static struct bytes query_id(const char *name, uint16_t id)
{
	struct bytes q = query(name, DNS_TYPE_A, 0);

	q.b[0] = (uint8_t)(id >> 8);
	q.b[1] = (uint8_t)id;
	return q;
}

static enum drop ask_from(struct bench *b, struct mac from, uint16_t port, const struct bytes *q)
{
	struct iovec iov;

	return resolver_query(b->resolver, from, guest, port, service, cursor_at(&iov, q), usec_now());
}
static void ask(struct bench *b, const struct bytes *q) { assert_int_equal(ask_from(b, guest_mac, 4000, q), DROP_NONE); }

struct asked { struct bytes query; struct sockaddr_in from; };

static bool server_take(const struct server *s, struct asked *a)
{
	socklen_t size = sizeof(a->from);
	ssize_t got = recvfrom(s->udp, a->query.b, sizeof(a->query.b), 0, (struct sockaddr *)&a->from, &size);

	a->query.size = got < 0 ? 0 : (size_t)got;
	return got >= 0;
}

static void send_from(int fd, const struct asked *a, const struct bytes *r)
{
	assert_int_equal(sendto(fd, r->b, r->size, 0, (const struct sockaddr *)&a->from, sizeof(a->from)), r->size);
}

static void server_answer(const struct server *s, const struct asked *a, uint16_t flags, size_t answers)
{
	struct bytes r = response(a->query, flags, answers);

	send_from(s->udp, a, &r);
}

static unsigned int rcode(const struct bench *b) { return b->reply.b[3] & 15; }

/* The last reply is @want, byte for byte. */
static void assert_reply(const struct bench *b, const struct bytes *want)
{
	assert_int_equal(b->reply.size, want->size);
	assert_memory_equal(b->reply.b, want->b, want->size);
}

static void own_names(void **state)
{
	struct bench *b = *state;
	struct bytes q = query("web", DNS_TYPE_A, 0), bad = { .size = 5 };
	struct asked a;

	ask(b, &q);
	assert_int_equal(b->replies, 1);
	assert_int_equal(b->reply_port, 4000);
	assert_true(mac_equal(b->reply_to, guest_mac));
	assert_memory_equal(b->reply.b + b->reply.size - 4, "\x0a\0\2\x0f", 4);
	assert_int_equal(ask_from(b, guest_mac, 4000, &bad), DROP_MALFORMED);
	idle(b, 20 * USEC_MS);
	assert_false(server_take(&b->servers[0], &a));
	assert_int_equal(b->replies, 1);
}

static void asked_abroad(void **state)
{
	struct bench *b = *state;
	struct bytes q = query_id("Example.org", 7), want = response(q, DNS_RECURSION_AVAILABLE, 2), again = query_id("Example.org", 8);
	struct asked a, second;

	ask(b, &q);
	UNTIL(b, server_take(&b->servers[0], &a));
	assert_int_equal(a.query.size, q.size);
	assert_memory_equal(a.query.b + 2, q.b + 2, q.size - 2);
	ask(b, &q); /* the guest is impatient: not asked twice */
	idle(b, 20 * USEC_MS);
	assert_false(server_take(&b->servers[0], &second));
	ask(b, &again); /* but this is another query */
	UNTIL(b, server_take(&b->servers[0], &second));
	assert_int_not_equal(a.from.sin_port, second.from.sin_port);

	server_answer(&b->servers[0], &a, DNS_RECURSION_AVAILABLE, 2);
	UNTIL(b, b->replies == 1);
	assert_reply(b, &want);
	server_answer(&b->servers[0], &second, DNS_RECURSION_AVAILABLE, 2);
	UNTIL(b, b->replies == 2);
	assert_int_equal(b->reply.b[1], 8);
	assert_false(server_take(&b->servers[1], &a));
}

static void not_believed(void **state)
{
	struct bench *b = *state;
	struct bytes q = query_id("example.org", 7), r;
	struct asked a;

	ask(b, &q);
	UNTIL(b, server_take(&b->servers[0], &a));
	r = response(a.query, 0, 1);
	send_from(b->servers[1].udp, &a, &r); /* right, but from elsewhere */
	r.b[0] ^= 1;
	send_from(b->servers[0].udp, &a, &r); /* another id */
	r.b[0] ^= 1;
	r.b[13] ^= 1;
	send_from(b->servers[0].udp, &a, &r); /* another name */
	r.b[13] ^= 1;
	r.size = 7;
	send_from(b->servers[0].udp, &a, &r);
	send_from(b->servers[0].udp, &a, &a.query); /* an echo */
	idle(b, 50 * USEC_MS);
	assert_int_equal(b->replies, 0);
	server_answer(&b->servers[0], &a, 0, 3);
	UNTIL(b, b->replies == 1);
	assert_int_equal(b->reply.b[7], 3);
}

static void next_nameserver(void **state)
{
	static const uint16_t failures[] = { DNS_SERVFAIL, DNS_REFUSED };
	struct bench *b = *state;
	struct asked a;

	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		struct bytes q = query_id("example.org", (uint16_t)i);

		ask(b, &q);
		UNTIL(b, server_take(&b->servers[0], &a));
		server_answer(&b->servers[0], &a, failures[i], 0);
		UNTIL(b, server_take(&b->servers[1], &a));
		assert_int_equal(b->replies, i);
		server_answer(&b->servers[1], &a, DNS_NXDOMAIN, 0);
		UNTIL(b, b->replies == i + 1);
		assert_int_equal(rcode(b), DNS_NXDOMAIN);
	}
	/* Neither knows: the last one's word is passed on. */
	struct bytes q = query_id("example.org", 9);

	b->replies = 0;
	ask(b, &q);
	UNTIL(b, server_take(&b->servers[0], &a));
	server_answer(&b->servers[0], &a, DNS_SERVFAIL, 0);
	UNTIL(b, server_take(&b->servers[1], &a));
	server_answer(&b->servers[1], &a, DNS_REFUSED, 0);
	UNTIL(b, b->replies == 1);
	assert_int_equal(rcode(b), DNS_REFUSED);
	assert_int_equal(b->reply.b[1], 9);
}

static void nobody_there(void **state)
{
	struct bench *b = *state;
	struct bytes q = query("example.org", DNS_TYPE_A, 0);
	usec_t begun = usec_now();
	struct asked a;

	fd_close(b->servers[0].udp);
	b->servers[0].udp = -1;
	ask(b, &q);
	UNTIL(b, server_take(&b->servers[1], &a)); /* the kernel said "refused" */
	server_answer(&b->servers[1], &a, 0, 1);
	UNTIL(b, b->replies == 1);
	assert_int_equal(rcode(b), 0);
	fd_close(b->servers[1].udp);
	b->servers[1].udp = -1;
	ask(b, &q);
	UNTIL(b, b->replies == 2);
	assert_int_equal(rcode(b), DNS_SERVFAIL);
	assert_true(usec_now() - begun < USEC_S); /* no time-out was needed */
}

static void resolv_conf_changes(void **state)
{
	struct bench *b = *state;
	struct bytes q = query_id("example.org", 1);
	struct asked a;

	unlink(b->conf);
	ask(b, &q);
	assert_int_equal(b->replies, 1); /* at once */
	assert_int_equal(rcode(b), DNS_SERVFAIL);
	write_conf(b, "# none\nnameserver 300.1.1.1\n");
	ask(b, &q);
	assert_int_equal(b->replies, 2);
	assert_int_equal(rcode(b), DNS_SERVFAIL);
	use_servers(b, 1);
	ask(b, &q);
	UNTIL(b, server_take(&b->servers[0], &a));
	b->servers[0].port = b->servers[1].port; /* in the file alone */
	use_servers(b, 1);
	q = query_id("example.org", 2);
	ask(b, &q);
	UNTIL(b, server_take(&b->servers[1], &a));
	assert_int_equal(b->replies, 2);
}

static void long_responses(void **state)
{
	struct bench *b = *state;
	struct bytes plain = query("example.org", DNS_TYPE_A, 0), large = query("example.org", DNS_TYPE_A, 4096);
	struct asked a;

	ask(b, &plain);
	UNTIL(b, server_take(&b->servers[0], &a));
	server_answer(&b->servers[0], &a, 0, 100);
	UNTIL(b, b->replies == 1);
	assert_int_equal(b->reply.size, plain.size); /* header and question */
	assert_true(b->reply.b[2] & 2);
	assert_int_equal(b->reply.b[7], 0);
	assert_int_equal(b->reply.b[1], 0x34);

	ask(b, &plain); /* the nameserver itself cut it */
	UNTIL(b, server_take(&b->servers[0], &a));
	server_answer(&b->servers[0], &a, DNS_TRUNCATED, 2);
	UNTIL(b, b->replies == 2);
	assert_true(b->reply.b[2] & 2);
	assert_int_equal(b->reply.b[7], 2);

	ask(b, &large);
	UNTIL(b, server_take(&b->servers[0], &a));
	assert_int_equal(a.query.size, large.size); /* EDNS goes with it */
	a.query.size = plain.size;
	a.query.b[11] = 0;
	server_answer(&b->servers[0], &a, 0, 100);
	UNTIL(b, b->replies == 3);
	assert_int_equal(b->reply.size, plain.size + 1600);
}

static void many_at_once(void **state)
{
	struct bench *b = *state;
	struct bytes q;

	for (unsigned int i = 0; i < 600; i++) {
		q = query_id("example.org", (uint16_t)i);
		assert_int_equal(ask_from(b, i < 300 ? guest_mac : other_mac, 4000, &q), DROP_NONE);
		/* 256 of one guest, 512 in all. */
		assert_int_equal(b->replies, i < 256 ? 0 : i < 300 ? i - 255 : i < 556 ? 44 : i - 511);
		if (b->replies)
			assert_int_equal(rcode(b), DNS_SERVFAIL);
	}
}

static void late_answers_and_silence(void **state)
{
	struct bench *b = *state;
	struct bytes late = query_id("late.example.org", 1), never = query_id("never.example.org", 2);
	struct asked first, a;
	size_t asked[SERVERS] = { 0 };
	usec_t begun = usec_now();

	ask(b, &late);
	UNTIL(b, server_take(&b->servers[0], &first));
	ask(b, &never);
	UNTIL(b, server_take(&b->servers[0], &a));
	asked[0] = 1;
	UNTIL(b, server_take(&b->servers[1], &a));
	assert_in_range(usec_now() - begun, 1900 * USEC_MS, 4 * USEC_S);
	server_answer(&b->servers[0], &first, 0, 1); /* late, but it counts */
	UNTIL(b, b->replies == 1);
	assert_int_equal(b->reply.b[1], 1);
	assert_int_equal(rcode(b), 0);

	while (b->replies == 1 && usec_now() - begun < 15 * USEC_S) {
		assert_true(loop_turn(b->loop, 10 * USEC_MS) >= 0);
		for (size_t i = 0; i < SERVERS; i++)
			asked[i] += server_take(&b->servers[i], &a) && a.query.b[13] == 'n';
	}
	assert_int_equal(b->replies, 2);
	assert_int_equal(rcode(b), DNS_SERVFAIL);
	assert_in_range(usec_now() - begun, 9900 * USEC_MS, 12 * USEC_S);
	assert_in_range(asked[0], 3, 3); /* at 0, 4 and 8 s */
	assert_in_range(asked[1], 1, 2); /* at 2 s (perhaps taken above) and 6 s */
}

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
		T(own_names), T(asked_abroad), T(not_believed), T(next_nameserver), T(nobody_there), T(resolv_conf_changes), T(long_responses),
		T(many_at_once), T(late_answers_and_silence), T(tcp_several_queries), T(tcp_half_close), T(tcp_next_nameserver),
		T(tcp_great_response), T(tcp_bounds), T(tcp_slow_reader),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
