// SPDX-License-Identifier: MIT
/* The resolver towards guests that ask by UDP. */
#include "resolver_bench.h"

static const struct mac other_mac = {{ 0x52, 0x54, 0, 0, 0, 2 }};

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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(own_names), T(asked_abroad), T(not_believed), T(next_nameserver), T(nobody_there), T(resolv_conf_changes),
		T(long_responses), T(many_at_once), T(late_answers_and_silence),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
