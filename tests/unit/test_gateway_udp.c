// SPDX-License-Identifier: MIT
#include "gateway_world.h"
#include <sys/resource.h>

#define OWN4 "198.51.100.7"
#define OWN6 "2001:db8:1::7"

static int setup(void **state)
{
	*state = world_new(HOST_ACCESS_LAN, 64);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void round_trip(struct world *w, const char *addr)
{
	int s = server(addr, 7000);
	uint16_t port;
	size_t at = 0;
	addr_t from;

	guest_forget(w);
	assert_int_equal(guest_udp(w, 0, 5001, a(addr), 7000, "hello", 5, false), DROP_NONE);
	from = server_expect(s, "hello", 5, &port);
	assert_int_equal(port, 5001);
	assert_true(addr_equal(from, a(addr)));
	server_send(s, from, port, "world!", 6);
	server_send(s, from, port, "", 0);
	world_pump(w, 0, 2);
	expect_udp(w, 0, &at, a(addr), 7000, 5001, "world!", 6);
	expect_udp(w, 0, &at, a(addr), 7000, 5001, "", 0);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 1);
	world_wait(w, 121 * USEC_S);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 0);
	close(s);
}

static void test_round_trip(void **state)
{
	round_trip(*state, OWN4);
	round_trip(*state, OWN6);
}

/* To the gateway's address: the host sees its own address, the guest the gateway's. */
static void test_gateway(void **state)
{
	struct world *w = *state;
	int s = server("0.0.0.0", 7000);
	uint16_t port;
	size_t at = 0;
	addr_t from;

	assert_int_equal(guest_udp(w, 1, 5001, w->plan.gateway4, 7000, "hello", 5, false), DROP_NONE);
	from = server_expect(s, "hello", 5, &port);
	assert_true(addr_equal(from, a(OWN4)));
	server_send(s, from, port, "x", 1);
	world_pump(w, 1, 1);
	expect_udp(w, 1, &at, w->plan.gateway4, 7000, 5001, "x", 1);
	close(s);
}

/* One port of a guest is one of the host's for all peers; a second guest with the same one gets another. */
static void test_ports(void **state)
{
	struct world *w = *state;
	int s1 = server(OWN4, 7001), s2 = server(OWN4, 7002);
	uint16_t first, second, other;
	size_t at = 0;
	addr_t from;

	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 7001, "a", 1, false), DROP_NONE);
	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 7002, "b", 1, false), DROP_NONE);
	assert_int_equal(guest_udp(w, 1, 5001, a(OWN4), 7002, "c", 1, false), DROP_NONE);
	assert_int_equal(guest_udp(w, 1, 5001, a(OWN4), 7001, "d", 1, false), DROP_NONE);
	server_expect(s1, "a", 1, &first);
	from = server_expect(s2, "b", 1, &second);
	assert_int_equal(first, 5001);
	assert_int_equal(second, 5001);
	server_expect(s2, "c", 1, &second);
	server_expect(s1, "d", 1, &other);
	assert_int_not_equal(second, 5001);
	assert_int_equal(second, other);
	server_send(s2, from, second, "to the second", 13);
	server_send(s2, from, 5001, "to the first", 12);
	world_pump(w, 0, 1);
	world_pump(w, 1, 1);
	expect_udp(w, 0, &at, a(OWN4), 7002, 5001, "to the first", 12);
	at = 0;
	expect_udp(w, 1, &at, a(OWN4), 7002, 5001, "to the second", 13);
	/* When all of the first's flows are gone, its port is free for anybody. */
	world_wait(w, 200 * USEC_S);
	assert_int_equal(guest_udp(w, 1, 5001, a(OWN4), 7001, "e", 1, false), DROP_NONE);
	server_expect(s1, "e", 1, &other);
	assert_int_equal(other, 5001);
	close(s1);
	close(s2);
}

/* A port that a program of the host has stays that program's, even where it would share it. */
static void test_port_of_host(void **state)
{
	struct world *w = *state;
	int s = server(OWN4, 7000), holder = server("0.0.0.0", 5001), on = 1;
	uint16_t port;

	assert_int_equal(setsockopt(holder, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	server_expect(s, "a", 1, &port);
	assert_int_not_equal(port, 5001);
	close(s);
	close(holder);
}

static void test_strangers(void **state)
{
	struct world *w = *state;
	int s = server(OWN4, 7000), stranger = server(OWN4, 7999);
	size_t at = 0;
	uint16_t port;

	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	server_expect(s, "a", 1, &port);
	server_send(stranger, a(OWN4), port, "evil", 4);
	server_send(s, a(OWN4), port, "good", 4);
	world_pump(w, 0, 2);
	expect_udp(w, 0, &at, a(OWN4), 7000, 5001, "good", 4);
	assert_int_equal(w->port[0]->count, 1);
	/* Nor what came before the socket was connected, when the kernel did not look at the sender yet. */
	struct flow *f = flow_next(w->flows, NULL);

	f->udp.remote_port = 7999;
	server_send(s, a(OWN4), port, "late", 4);
	world_pump(w, 0, 2);
	f->udp.remote_port = 7000;
	f->udp.remote = a("198.51.100.1");
	server_send(s, a(OWN4), port, "late", 4);
	world_pump(w, 0, 2);
	assert_int_equal(w->port[0]->count, 1);
	close(s);
	close(stranger);
}

static void test_refused(void **state)
{
	static const struct { const char *addr, *from; uint8_t type, code; } cases[] = {
		{ OWN4, "10.0.2.2", 3, 3 }, { OWN6, "fd00:1::2", 1, 4 }, { "203.0.113.9", "203.0.113.9", 3, 3 },
		{ "2001:db8:2::9", "2001:db8:2::9", 1, 4 },
	};
	static const uint8_t datagram[] = { 5001 >> 8, 5001 & 255, 7777 >> 8, 7777 & 255, 0, 11 };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t at = 0;

		guest_forget(w);
		assert_int_equal(guest_udp(w, 0, 5001, a(cases[i].addr), 7777, "abc", 3, false), DROP_NONE);
		world_pump(w, 0, 1);
		expect_error(w, 0, &at, a(cases[i].from), cases[i].type, cases[i].code, 0, a(cases[i].addr), datagram, sizeof(datagram));
		/* The flow goes on, and nothing is left that would wake the loop. */
		world_pump(w, 0, 2);
		assert_int_equal(w->port[0]->count, 1);
		assert_int_equal(guest_udp(w, 0, 5001, a(cases[i].addr), 7777, "abc", 3, false), DROP_NONE);
		world_pump(w, 0, 2);
		assert_int_equal(w->port[0]->count, 2);
	}
}

/* Many refused at once: every error is told, and every datagram sent. */
static void test_refused_run(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 20; i++)
		assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 7777, "abc", 3, false), DROP_NONE);
	world_pump(w, 0, 20);
	assert_int_equal(w->port[0]->count, 20);
}

static void test_unreachable(void **state)
{
	struct world *w = *state;
	size_t at = 0;

	/* The router knows no way to it. */
	assert_int_equal(guest_udp(w, 0, 5001, a("100.64.1.1"), 7777, "abc", 3, false), DROP_NONE);
	world_pump(w, 0, 1);
	expect_error(w, 0, &at, a("198.51.100.1"), 3, 0, 0, a("100.64.1.1"), "\x13\x89\x1e\x61", 4);
	assert_int_equal(guest_udp(w, 0, 5001, a("2001:db8:77::1"), 7777, "abc", 3, false), DROP_NONE);
	world_pump(w, 0, 2);
	expect_error(w, 0, &at, a("2001:db8:1::1"), 1, 0, 0, a("2001:db8:77::1"), "\x13\x89\x1e\x61", 4);
	/* The host itself does not. */
	shell("ip route add unreachable 100.64.2.0/24");
	assert_int_equal(guest_udp(w, 0, 5001, a("100.64.2.1"), 7777, "abc", 3, false), DROP_NO_ROUTE);
	expect_error(w, 0, &at, w->plan.gateway4, 3, 0, 0, a("100.64.2.1"), "\x13\x89\x1e\x61", 4);
	shell("ip route del unreachable 100.64.2.0/24");
	assert_int_equal(guest_udp(w, 0, 5001, a("127.0.0.1"), 7777, "abc", 3, false), DROP_MARTIAN);
	assert_int_equal(w->port[0]->count, 3);
}

static void test_policy(void **state)
{
	struct world *w = *state;
	size_t at = 0;

	w->plan.host_access = HOST_ACCESS_NONE;
	assert_int_equal(guest_udp(w, 0, 5001, w->plan.gateway4, 7777, "abc", 3, false), DROP_POLICY);
	expect_error(w, 0, &at, w->plan.gateway4, 3, 13, 0, w->plan.gateway4, "\x13\x89\x1e\x61", 4);
	assert_int_equal(guest_udp(w, 0, 5001, a(OWN6), 7777, "abc", 3, false), DROP_POLICY);
	expect_error(w, 0, &at, w->plan.gateway6, 1, 1, 0, a(OWN6), "\x13\x89\x1e\x61", 4);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 0);
}

/* HostAccess full: loopback first, then the host's own address; what loopback refused is not lost. */
static void test_full_access(void **state)
{
	struct world *w = *state;
	int loopback = server("127.0.0.1", 7000), own = server(OWN4, 7001);
	uint16_t port;
	size_t at = 0;
	addr_t from;

	w->plan.host_access = HOST_ACCESS_FULL;
	assert_int_equal(guest_udp(w, 0, 5001, w->plan.gateway4, 7000, "one", 3, false), DROP_NONE);
	from = server_expect(loopback, "one", 3, &port);
	assert_true(addr_equal(from, a("127.0.0.1")));
	assert_int_equal(guest_udp(w, 0, 5001, w->plan.gateway4, 7001, "two", 3, false), DROP_NONE);
	world_pump(w, 0, 1);
	from = server_expect(own, "two", 3, &port);
	assert_true(addr_equal(from, a(OWN4)));
	assert_int_equal(w->port[0]->count, 0);
	server_send(own, from, port, "back", 4);
	world_pump(w, 0, 1);
	expect_udp(w, 0, &at, w->plan.gateway4, 7001, 5001, "back", 4);
	/* Nobody at either: the guest hears of it. */
	assert_int_equal(guest_udp(w, 0, 5001, w->plan.gateway4, 7002, "three", 5, false), DROP_NONE);
	world_pump(w, 0, 2);
	expect_error(w, 0, &at, w->plan.gateway4, 3, 3, 0, w->plan.gateway4, "\x13\x89\x1b\x5a", 4);
	close(loopback);
	close(own);
}

/* What may not be fragmented is told the MTU that the host has for the path. */
static void test_too_big(void **state)
{
	static uint8_t payload[1400];
	struct world *w = *state;
	size_t at = 0;

	shell("ip route add 203.0.113.0/24 via 198.51.100.1 mtu 1300 && ip -6 route add 2001:db8:2::/64 via 2001:db8:1::1 mtu 1300");
	assert_int_equal(guest_udp(w, 0, 5001, a("203.0.113.9"), 7777, payload, sizeof(payload), false), DROP_TOO_BIG);
	expect_error(w, 0, &at, w->plan.gateway4, 3, 4, 1300, a("203.0.113.9"), "\x13\x89\x1e\x61", 4);
	assert_int_equal(guest_udp(w, 0, 5001, a("2001:db8:2::9"), 7777, payload, sizeof(payload), false), DROP_TOO_BIG);
	expect_error(w, 0, &at, w->plan.gateway6, 2, 0, 1300, a("2001:db8:2::9"), "\x13\x89\x1e\x61", 4);
	/* The kernel's own note about it is not told a second time. */
	world_pump(w, 0, 3);
	assert_int_equal(w->port[0]->count, 2);
	/* What may be fragmented arrives: the router refuses it, as nobody is there. */
	assert_int_equal(guest_udp(w, 0, 5001, a("203.0.113.9"), 7777, payload, sizeof(payload), true), DROP_NONE);
	world_pump(w, 0, 3);
	expect_error(w, 0, &at, a("203.0.113.9"), 3, 3, 0, a("203.0.113.9"), "\x13\x89\x1e\x61", 4);
	assert_int_equal(guest_udp(w, 0, 5001, a("2001:db8:2::9"), 7777, payload, sizeof(payload), true), DROP_NONE);
	world_pump(w, 0, 4);
	expect_error(w, 0, &at, a("2001:db8:2::9"), 1, 4, 0, a("2001:db8:2::9"), "\x13\x89\x1e\x61", 4);
	shell("ip route del 203.0.113.0/24 && ip -6 route del 2001:db8:2::/64");
}

static void test_large(void **state)
{
	static const struct { const char *addr; size_t size; } cases[] = { { OWN4, 1472 }, { OWN4, 1473 }, { OWN4, 65507 }, { OWN6, 1453 },
		{ OWN6, 65000 } };
	struct world *w = *state;
	uint8_t *payload = malloc(65536);
	struct rng rng = { 9 };

	rng_fill(&rng, payload, 65536);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int s = server(cases[i].addr, 7000);
		uint16_t port;
		size_t at = 0;
		addr_t from;

		guest_forget(w);
		assert_int_equal(guest_udp(w, 0, 5001, a(cases[i].addr), 7000, payload, cases[i].size, true), DROP_NONE);
		from = server_expect(s, payload, cases[i].size, &port);
		server_send(s, from, port, payload, cases[i].size);
		world_pump(w, 0, 1);
		expect_udp(w, 0, &at, a(cases[i].addr), 7000, 5001, payload, cases[i].size);
		assert_int_equal(at, w->port[0]->count);
		close(s);
	}
	free(payload);
}

/* A run of datagrams leaves in batches, in order. */
static void test_many(void **state)
{
	struct world *w = *state;
	int s = server(OWN4, 7000);
	uint16_t port;
	size_t at = 0;
	addr_t from;

	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	from = server_expect(s, "a", 1, &port);
	for (uint32_t i = 0; i < 100; i++)
		server_send(s, from, port, &i, sizeof(i));
	world_pump(w, 0, 100);
	for (uint32_t i = 0; i < 100; i++)
		expect_udp(w, 0, &at, a(OWN4), 7000, 5001, &i, sizeof(i));
	close(s);
}

static void test_header(void **state)
{
	struct udp_header h = { be16(5001), be16(7000), be16(9), be16(0) };
	struct packet *p = packet_new(guest_addr_of(0, false), a(OWN4), IP_UDP, 9, &h, sizeof(h), "a", 1);
	struct world *w = *state;
	int s = server(OWN4, 7000), on = 1, ttl = -1, tos = -1;
	char data[16], control[256];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };

	setsockopt(s, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on));
	setsockopt(s, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
	p->ip.traffic_class = 0xb8;
	assert_int_equal(udp_from_guest(w->udp, guest_mac_of(0), &p->ip, p->l4, 0, w->now), DROP_NONE);
	assert_int_equal(guest_push(w, 0), DROP_NONE);
	assert_int_equal(recvmsg(s, &m, 0), 1);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == IP_TTL)
			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
		if (c->cmsg_type == IP_TOS)
			tos = *CMSG_DATA(c);
	}
	assert_int_equal(ttl, 8);
	assert_int_equal(tos, 0xb8);
	free(p);
	close(s);
}

static void test_timeouts(void **state)
{
	struct world *w = *state;
	int s = server(OWN4, 7000), dns = server(OWN4, 53);
	uint16_t port;
	addr_t from;

	/* Not answered: 30 s after the last packet. */
	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	world_wait(w, 25 * USEC_S);
	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	world_wait(w, 29 * USEC_S);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 1);
	world_wait(w, 2 * USEC_S);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 0);
	/* Answered: 120 s. */
	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 7000, "b", 1, false), DROP_NONE);
	server_expect(s, "a", 1, &port);
	server_expect(s, "a", 1, &port);
	from = server_expect(s, "b", 1, &port);
	server_send(s, from, port, "c", 1);
	world_pump(w, 0, 1);
	world_wait(w, 119 * USEC_S);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 1);
	world_wait(w, 2 * USEC_S);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 0);
	/* An answered query: 10 s. */
	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 53, "b", 1, false), DROP_NONE);
	from = server_expect(dns, "b", 1, &port);
	server_send(dns, from, port, "c", 1);
	world_pump(w, 0, 2);
	world_wait(w, 9 * USEC_S);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 1);
	world_wait(w, 2 * USEC_S);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 0);
	assert_true(flow_next_deadline(w->flows) == USEC_NEVER);
	close(s);
	close(dns);
}

static bool has_flow(struct world *w, uint16_t port, uint16_t peer_port)
{
	struct flow_key key = { .guest = guest_addr_of(0, false), .peer = a(OWN4), .guest_port = port, .peer_port = peer_port,
		.kind = FLOW_UDP };

	return flow_find(w->flows, &key);
}

/* When the table is full, the flow idle for longest gives way. */
static void test_eviction(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 64; i++) {
		assert_int_equal(guest_udp(w, 0, 6000 + i, a(OWN4), 7000, "a", 1, false), DROP_NONE);
		w->now += 100 * USEC_MS;
	}
	assert_int_equal(guest_udp(w, 0, 6000, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	assert_int_equal(guest_udp(w, 0, 6064, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	assert_int_equal(guest_udp(w, 0, 6065, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 64);
	assert_true(has_flow(w, 6000, 7000) && has_flow(w, 6064, 7000) && has_flow(w, 6065, 7000) && has_flow(w, 6003, 7000));
	assert_false(has_flow(w, 6001, 7000) || has_flow(w, 6002, 7000));
}

/* And when descriptors run out. */
static void test_no_descriptors(void **state)
{
	struct world *w = *state;
	struct rlimit was, now;
	int next;

	assert_int_equal(guest_udp(w, 0, 6000, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	w->now += 2 * USEC_S;
	assert_int_equal(guest_udp(w, 0, 6001, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	w->now += 2 * USEC_S;
	getrlimit(RLIMIT_NOFILE, &was);
	next = dup(0);
	close(next);
	now = (struct rlimit){ next, was.rlim_max }; /* the lowest that is free may not be had */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	assert_int_equal(guest_udp(w, 0, 6002, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	assert_false(has_flow(w, 6000, 7000));
	assert_true(has_flow(w, 6001, 7000) && has_flow(w, 6002, 7000));
	world_wait(w, 200 * USEC_S);
	now.rlim_cur = next - 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	assert_int_equal(guest_udp(w, 0, 6003, a(OWN4), 7000, "a", 1, false), DROP_NO_DESCRIPTOR);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

static void test_malformed(void **state)
{
	struct udp_header h = { be16(5001), be16(7000), be16(100), be16(0) };
	struct packet *p = packet_new(guest_addr_of(0, false), a(OWN4), IP_UDP, 64, &h, sizeof(h), "abc", 3);
	struct world *w = *state;

	assert_int_equal(udp_from_guest(w->udp, guest_mac_of(0), &p->ip, p->l4, 0, w->now), DROP_SHORT);
	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 0, "a", 1, false), DROP_MALFORMED);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 0);
	free(p);
}

/* A module that is made anew over the same flows goes on with them. */
static void test_taken_over(void **state)
{
	struct world *w = *state;
	int s = server(OWN4, 7000), s2 = server(OWN4, 7001);
	uint16_t port;
	size_t at = 0;
	addr_t from;

	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 7000, "a", 1, false), DROP_NONE);
	from = server_expect(s, "a", 1, &port);
	udp_free(w->udp);
	assert_int_equal(udp_new(&w->udp, w->flows, w->emitter, w->host), 0);
	server_send(s, from, port, "b", 1);
	world_pump(w, 0, 1);
	expect_udp(w, 0, &at, a(OWN4), 7000, 5001, "b", 1);
	assert_int_equal(guest_udp(w, 0, 5001, a(OWN4), 7001, "c", 1, false), DROP_NONE);
	server_expect(s2, "c", 1, &port);
	assert_int_equal(port, 5001);
	close(s);
	close(s2);
}

/*
 * Clients of a forward: two behind one address as the guest sees it, which the guest tells apart, and who get their own answers, from the
 * address they asked.
 */
static void test_clients(void **state)
{
	struct world *w = *state;
	int listening = server("0.0.0.0", 8000), one = server("127.0.0.2", 9000), two = server("127.0.0.3", 9000), on = 1;
	struct guest guest = { .mac = guest_mac_of(0), .port_id = 2 };
	addr_t to = guest_addr_of(0, false), from;
	struct datagram_run run = { .from_port = 9000, .local = a("127.0.0.9"), .parts = 1, .iov[0] = { (char *)"query", 5 } };
	struct got *g = malloc(sizeof(*g));
	uint16_t ports[2], port;
	bool fresh;

	assert_int_equal(setsockopt(listening, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)), 0);
	for (int i = 0; i < 2; i++) {
		run.from = a(i ? "127.0.0.3" : "127.0.0.2");
		assert_int_equal(udp_from_client(w->udp, listening, &guest, to, 80, &run, &fresh, w->now), DROP_NONE);
		assert_true(fresh);
		guest_read(w, 0, i, g);
		assert_true(addr_equal(g->ip.src, w->plan.gateway4));
		assert_int_equal(be16_get((be16_t){{ g->data[2], g->data[3] }}), 80);
		ports[i] = be16_get((be16_t){{ g->data[0], g->data[1] }});
	}
	assert_int_equal(ports[0], 9000);
	assert_int_not_equal(ports[1], 9000);
	/* The same client again: the same flow. */
	assert_int_equal(udp_from_client(w->udp, listening, &guest, to, 80, &run, &fresh, w->now), DROP_NONE);
	assert_false(fresh);
	guest_read(w, 0, 2, g);
	assert_int_equal(be16_get((be16_t){{ g->data[0], g->data[1] }}), ports[1]);

	assert_int_equal(guest_udp(w, 0, 80, w->plan.gateway4, ports[1], "to two", 6, false), DROP_NONE);
	assert_int_equal(guest_udp(w, 0, 80, w->plan.gateway4, ports[0], "to one", 6, false), DROP_NONE);
	from = server_expect(one, "to one", 6, &port);
	assert_true(addr_equal(from, a("127.0.0.9")));
	assert_int_equal(port, 8000);
	from = server_expect(two, "to two", 6, &port);
	assert_true(addr_equal(from, a("127.0.0.9")));

	/* One on the internet is seen as it is. */
	run.from = a("203.0.113.50");
	run.local = a(OWN4);
	assert_int_equal(udp_from_client(w->udp, listening, &guest, to, 80, &run, &fresh, w->now), DROP_NONE);
	guest_read(w, 0, 3, g);
	assert_true(addr_equal(g->ip.src, a("203.0.113.50")));
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 3);
	udp_forward_gone(w->udp, listening);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 0);
	assert_int_equal(fcntl(listening, F_GETFD), 0 | FD_CLOEXEC);
	guest.port_id = 0;
	assert_int_equal(udp_from_client(w->udp, listening, &guest, to, 80, &run, &fresh, w->now), DROP_PORT_DOWN);
	free(g);
	close(listening);
	close(one);
	close(two);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip), TEST(test_gateway), TEST(test_ports), TEST(test_port_of_host), TEST(test_strangers),
		TEST(test_refused), TEST(test_refused_run),
		TEST(test_unreachable), TEST(test_policy), TEST(test_full_access), TEST(test_too_big), TEST(test_large), TEST(test_many),
		TEST(test_header),
		TEST(test_timeouts), TEST(test_eviction), TEST(test_no_descriptors), TEST(test_malformed), TEST(test_taken_over),
		TEST(test_clients),
	};
	pid_t router = netns_enter();
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	netns_leave(router);
	return r;
}
