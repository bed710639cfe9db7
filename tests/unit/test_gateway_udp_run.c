// SPDX-License-Identifier: MIT
/* Datagrams of a guest's that come in one batch: which leave as one message, and what each hears that cannot. */
#include "udp_run.h"
#include "gateway/hostsock.h"

/* Which datagrams go together. */
static void test_from_guest(void **state)
{
	static const struct { uint16_t sizes[8]; size_t count; struct { uint16_t size, segment; } messages[8]; } cases[] = {
		{ { 100 }, 1, { { 100 } } },
		{ { 100, 100 }, 2, { { 200, 100 } } },
		{ { 100, 100, 100, 40 }, 4, { { 340, 100 } } },
		{ { 100, 100, 40, 40, 40, 7 }, 6, { { 240, 100 }, { 87, 40 } } },
		{ { 40, 100, 100 }, 3, { { 40 }, { 200, 100 } } },
		{ { 1, 2, 3, 4 }, 4, { { 1 }, { 2 }, { 3 }, { 4 } } },
		{ { 9, 8, 7, 6, 5 }, 5, { { 17, 9 }, { 13, 7 }, { 5 } } },
		{ { 1472, 1472, 1472 }, 3, { { 4416, 1472 } } },
		{ { 1, 1, 1, 1, 1, 1, 1, 1 }, 8, { { 8, 1 } } },
	};
	struct world *w = *state;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const char *addr = i % 2 ? OWN6 : OWN4;
		struct batch b = { .w = w };
		int s = gro_server(addr, 7000);
		size_t at = 0;

		give_sizes(&b, addr, cases[i / 2].sizes, cases[i / 2].count);
		assert_int_equal(end(&b), DROP_NONE);
		for (size_t n = 0; cases[i / 2].messages[n].size; n++)
			expect_message(s, &at, cases[i / 2].messages[n].size, cases[i / 2].messages[n].segment);
		expect_nothing(s);
		close(s);
	}
}

/* Datagrams without a byte arrive in their place, and a socket that knows nothing of runs gets each by itself. */
static void test_each_by_itself(void **state)
{
	static const uint16_t sizes[] = { 0, 100, 100, 0, 0, 100, 60, 100, 0 };
	struct world *w = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		const char *addr = v6 ? OWN6 : OWN4;
		int s = server(addr, 7000);
		struct batch b = { .w = w };
		uint16_t port;
		size_t at = 0;

		give_sizes(&b, addr, sizes, ARRAY_SIZE(sizes));
		assert_int_equal(end(&b), DROP_NONE);
		for (size_t i = 0; i < ARRAY_SIZE(sizes); at += sizes[i++])
			server_expect(s, bytes + at, sizes[i], &port);
		expect_nothing(s);
		close(s);
	}
}

/* Nothing is kept beyond the batch, and nothing is sent before it ends or another flow's datagram comes. */
static void test_other_flow(void **state)
{
	struct world *w = *state;
	int one = gro_server(OWN4, 7000), two = gro_server(OWN4, 7001);
	struct batch b = { .w = w };
	size_t at = 0, other = 200;

	give_sizes(&b, OWN4, (uint16_t[]){ 100, 100 }, 2);
	expect_nothing(one);
	assert_int_equal(give(&b, make(&b, a(OWN4), 7001, 100), 0), DROP_NONE);
	expect_message(one, &at, 200, 100);
	expect_nothing(two);
	at += 100;
	give_sizes(&b, OWN4, (uint16_t[]){ 100 }, 1);
	expect_message(two, &other, 100, 0);
	assert_int_equal(end(&b), DROP_NONE);
	expect_message(one, &at, 100, 0);
	close(one);
	close(two);
}

/* A message has 64 datagrams and 65,507 bytes at the most. */
static void test_bounds(void **state)
{
	struct world *w = *state;
	int s = gro_server(OWN4, 7000), large = 4 << 20;
	struct batch b = { .w = w };
	size_t at = 0;

	setsockopt(s, SOL_SOCKET, SO_RCVBUF, &large, sizeof(large));
	for (int i = 0; i < 130; i++)
		give_sizes(&b, OWN4, (uint16_t[]){ 10 }, 1);
	assert_int_equal(end(&b), DROP_NONE);
	expect_message(s, &at, 640, 10);
	expect_message(s, &at, 640, 10);
	expect_message(s, &at, 20, 10);
	at = 0;
	for (int i = 0; i < 45; i++)
		give_sizes(&b, OWN4, (uint16_t[]){ 1440 }, 1);
	assert_int_equal(end(&b), DROP_NONE);
	expect_message(s, &at, 45 * 1440, 1440);
	at = 0;
	for (int i = 0; i < 46; i++)
		give_sizes(&b, OWN4, (uint16_t[]){ i < 44 ? 1424 : 1423 }, 1);
	assert_int_equal(end(&b), DROP_NONE);
	expect_message(s, &at, 44 * 1424 + 1423, 1424);
	expect_message(s, &at, 1423, 0);
	at = 0;
	/* More sizes than there is room for messages: nothing is lost. */
	for (uint16_t i = 0; i < 200; i++)
		give_sizes(&b, OWN4, (uint16_t[]){ i + 1 }, 1);
	assert_int_equal(end(&b), DROP_NONE);
	for (int i = 0; i < 200; i++)
		expect_message(s, &at, i + 1, 0);
	close(s);
}

/* A frame of the guest's that stands for many (GSO_UDP). */
static void test_frame_of_many(void **state)
{
	struct world *w = *state;
	int s = gro_server(OWN4, 7000);
	struct batch b = { .w = w };
	size_t at = 0;

	assert_int_equal(give(&b, make(&b, a(OWN4), 7000, 1050), 100), DROP_NONE);
	assert_int_equal(give(&b, make(&b, a(OWN4), 7000, 200), 100), DROP_NONE);
	assert_int_equal(give(&b, make(&b, a(OWN4), 7000, 100), 0), DROP_NONE);
	assert_int_equal(give(&b, make(&b, a(OWN4), 7000, 70), 100), DROP_NONE);
	assert_int_equal(end(&b), DROP_NONE);
	expect_message(s, &at, 1050, 100);
	expect_message(s, &at, 370, 100);
	expect_nothing(s);
	at = 0;
	assert_int_equal(give(&b, make(&b, a(OWN4), 7000, 2000), 10), DROP_NONE);
	assert_int_equal(end(&b), DROP_NONE);
	for (int i = 0; i < 3; i++)
		expect_message(s, &at, 640, 10);
	expect_message(s, &at, 80, 10);
	/* A guest that asks for tens of thousands of datagrams by one frame is not served. */
	assert_int_equal(give(&b, make(&b, a(OWN4), 7000, 2570), 10), DROP_MALFORMED);
	assert_int_equal(end(&b), DROP_NONE);
	expect_nothing(s);
	close(s);
}

/* Datagrams whose headers differ do not share a message: each has its own TTL. */
static void test_headers_end_a_run(void **state)
{
	struct world *w = *state;
	int s = server(OWN4, 7000), on = 1;
	struct batch b = { .w = w };
	char data[256], control[256];

	setsockopt(s, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on));
	for (int i = 0; i < 6; i++) {
		struct packet *p = make(&b, a(OWN4), 7000, 10);

		p->ip.ttl = 60 + i / 2;
		assert_int_equal(give(&b, p, 0), DROP_NONE);
	}
	assert_int_equal(end(&b), DROP_NONE);
	for (int i = 0; i < 6; i++) {
		struct iovec iov = { data, sizeof(data) };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
		int ttl = 0;

		assert_int_equal(recvmsg(s, &m, 0), 10);
		memcpy(&ttl, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(ttl));
		assert_int_equal(ttl, 59 + i / 2);
	}
	close(s);
}

/* The identification of the packet that an ICMP error quotes. */
static uint16_t quoted_id(struct world *w, size_t index)
{
	const uint8_t *quoted = w->port[0]->frames[index].data + 14 + 20 + 8;

	return quoted[4] << 8 | quoted[5];
}

/* Too big for the path: each datagram of the run gets its own verdict and its own ICMP error. */
static void test_too_big(void **state)
{
	static const char *const far[] = { FAR4, FAR6 };
	static const uint16_t large[] = { 1400, 1400, 1400, 1400, 100 }, small[] = { 1000, 1000, 1000 };
	struct world *w = *state;
	size_t at;

	shell("ip route add 203.0.113.0/24 via 198.51.100.1 mtu 1300 && ip -6 route add 2001:db8:2::/64 via 2001:db8:1::1 mtu 1300");
	for (int v6 = 0; v6 < 2; v6++) {
		struct batch b = { .w = w };

		guest_forget(w);
		w->port[0]->port.drops[DROP_TOO_BIG] = 0;
		at = 0;
		give_sizes(&b, far[v6], large, ARRAY_SIZE(large));
		assert_int_equal(end(&b), DROP_TOO_BIG);
		assert_int_equal(w->port[0]->port.drops[DROP_TOO_BIG], 4);
		for (int i = 0; i < 4; i++) {
			if (!v6)
				assert_int_equal(quoted_id(w, at), 700 + i);
			expect_error(w, 0, &at, v6 ? w->plan.gateway6 : w->plan.gateway4, v6 ? 2 : 3, v6 ? 0 : 4, 1300, a(far[v6]),
				     "\x13\x89\x1b\x58", 4);
		}
		/* The short one went: nobody is there. */
		world_pump(w, 0, 5);
		assert_int_equal(w->port[0]->count, 5);
		/* What fits leaves as a run as before: the far end refuses that, once, and quotes one datagram of it. */
		give_sizes(&b, far[v6], small, ARRAY_SIZE(small));
		assert_int_equal(end(&b), DROP_NONE);
		world_pump(w, 0, 8);
		assert_in_range(w->port[0]->count, 6, 8);
	}
	shell("ip route del 203.0.113.0/24 && ip -6 route del 2001:db8:2::/64");
}

/* Too big for the path as well, but they may be fragmented: all arrive. */
static void test_fragments(void **state)
{
	struct world *w = *state;
	struct batch b = { .w = w };

	shell("ip route add 203.0.113.0/24 via 198.51.100.1 mtu 1300");
	for (int round = 0; round < 2; round++) {
		guest_forget(w);
		for (int i = 0; i < 8; i++) {
			struct packet *p = make(&b, a(FAR4), 7000, 1400);

			p->ip.dont_fragment = false;
			assert_int_equal(give(&b, p, 0), DROP_NONE);
		}
		assert_int_equal(end(&b), DROP_NONE);
		world_pump(w, 0, 8); /* nobody is there: each that came whole is refused */
		assert_int_equal(w->port[0]->count, 8);
	}
	shell("ip route del 203.0.113.0/24");
}

/* Nobody listens, and then somebody does. */
static void test_refused(void **state)
{
	struct world *w = *state;
	struct batch b = { .w = w };
	size_t at = 0;
	int s;

	give_sizes(&b, OWN4, (uint16_t[]){ 10, 10, 10, 5, 10, 10 }, 6);
	assert_int_equal(end(&b), DROP_NONE);
	world_pump(w, 0, 2);
	assert_int_equal(w->port[0]->count, 2); /* two messages */
	for (int i = 0; i < 2; i++) {
		const uint8_t *quoted = w->port[0]->frames[i].data + 14 + 20 + 8;

		/* What is quoted is a datagram, not the run. */
		assert_int_equal(w->port[0]->frames[i].size, 14 + 20 + 8 + 20 + 8 + 10);
		assert_int_equal(quoted[3], 20 + 8 + 10);
		expect_error(w, 0, &at, w->plan.gateway4, 3, 3, 0, a(OWN4), "\x13\x89\x1b\x58\x00\x12", 6);
	}
	/* The error of an earlier run is not this one's. */
	give_sizes(&b, OWN4, (uint16_t[]){ 10, 10 }, 2);
	assert_int_equal(end(&b), DROP_NONE);
	s = gro_server(OWN4, 7000);
	give_sizes(&b, OWN4, (uint16_t[]){ 10, 10, 10, 5 }, 4);
	assert_int_equal(end(&b), DROP_NONE);
	at = 0;
	expect_message(s, &at, 35, 10);
	expect_nothing(s);
	close(s);
}

/* HostAccess full: what loopback refused and is tried elsewhere are datagrams, not a run's bytes in a row. */
static void test_full_access(void **state)
{
	struct world *w = *state;
	struct batch b = { .w = w };
	int s = server(OWN4, 7000);
	uint16_t port;

	w->plan.host_access = HOST_ACCESS_FULL;
	for (int i = 0; i < 3; i++)
		assert_int_equal(give(&b, make(&b, w->plan.gateway4, 7000, 10), 0), DROP_NONE);
	assert_int_equal(end(&b), DROP_NONE);
	world_pump(w, 0, 1);
	for (int i = 0; i < 3; i++)
		server_expect(s, bytes + 10 * i, 10, &port);
	assert_int_equal(w->port[0]->count, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(give(&b, make(&b, w->plan.gateway4, 7000, 10), 0), DROP_NONE);
	assert_int_equal(end(&b), DROP_NONE);
	for (int i = 0; i < 3; i++)
		server_expect(s, bytes + 10 * i, 10, &port);
	close(s);
}

/* Forwards: answers leave as a run too, from the address that the client asked. */
static void test_clients(void **state)
{
	struct world *w = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		const char *own = v6 ? OWN6 : OWN4;
		int listening = server(v6 ? "::" : "0.0.0.0", 8000), client = gro_server(own, 9000);
		struct guest guest = { .mac = guest_mac_of(0), .port_id = 2 };
		struct datagram_run run = {
			.from = a(own), .from_port = 9000, .local = a(own), .segment = 100, .parts = 2,
			.iov = { { bytes, 100 }, { bytes + 100, 50 } },
		};
		struct batch b = { .w = w };
		bool fresh;
		size_t at = 0;

		assert_int_equal(hostsock_set(listening, a(own), HOSTSOCK_LOCAL, 1), 0);
		guest_forget(w);
		w->port[0]->port.takes = PORT_TAKES_ALL;
		assert_int_equal(udp_from_client(w->udp, listening, &guest, guest_addr_of(0, v6), 5001, &run, &fresh, w->now), DROP_NONE);
		assert_true(fresh);
		assert_int_equal(w->port[0]->count, 1);
		assert_int_equal(w->port[0]->frames[0].offload.gso, GSO_UDP);
		assert_int_equal(w->port[0]->frames[0].offload.segment_size, 100);
		for (int i = 0; i < 4; i++) {
			addr_t peer = v6 ? w->plan.gateway6 : w->plan.gateway4;

			assert_int_equal(give(&b, make(&b, peer, 9000, i < 3 ? 100 : 30), 0), DROP_NONE);
		}
		assert_int_equal(end(&b), DROP_NONE);
		expect_message(client, &at, 330, 100);
		expect_nothing(client);
		udp_forward_gone(w->udp, listening);
		close(listening);
		close(client);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_from_guest), TEST(test_each_by_itself), TEST(test_other_flow), TEST(test_bounds), TEST(test_frame_of_many),
		TEST(test_headers_end_a_run), TEST(test_too_big), TEST(test_fragments), TEST(test_refused), TEST(test_full_access),
		TEST(test_clients),
	};

	return RUN(tests);
}
