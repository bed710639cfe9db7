// SPDX-License-Identifier: MIT
#include "gateway_world.h"
#include "wire/icmp.h"

#define OWN4 "198.51.100.7"
#define OWN6 "2001:db8:1::7"
#define FAR4 "203.0.113.9"
#define FAR6 "2001:db8:2::9"

static void permit(void) { write_file("/proc/sys/net/ipv4/ping_group_range", "0 0"); }

/* Return: false where the namespace has only one group, so that none can be named to which it does not apply. */
static bool forbid(void)
{
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
	bool done = write(fd, "1 0", 3) == 3;

	close(fd);
	return done;
}

static int setup(void **state)
{
	permit();
	*state = world_new(HOST_ACCESS_LAN, 16);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static enum drop guest_ping(struct world *w, int guest, uint16_t id, uint16_t sequence, addr_t dst, uint8_t ttl, const void *payload,
			    size_t size, bool may_fragment)
{
	bool v4 = addr_is4(dst);
	struct icmp_header h = { .type = v4 ? ICMP_ECHO : ICMP6_ECHO, .id = be16(id), .sequence = be16(sequence) };
	struct packet *p = packet_new(guest_addr_of(guest, !v4), dst, v4 ? IP_ICMP : IP_ICMP6, ttl, &h, sizeof(h), payload, size);
	enum drop drop;

	p->ip.dont_fragment = !(v4 && may_fragment);
	p->ip.fragment_id = !v4 && may_fragment;
	drop = echo_from_guest(w->echo, guest_mac_of(guest), &p->ip, p->l4, w->now);
	emit_flush(w->emitter, w->now);
	free(p);
	return drop;
}

static void expect_reply(struct world *w, int guest, size_t *at, addr_t src, uint16_t id, uint16_t sequence, const void *payload,
			 size_t size)
{
	struct got *g = malloc(sizeof(*g));
	bool v4 = addr_is4(src);
	struct icmp_header h;

	*at = guest_read(w, guest, *at, g);
	memcpy(&h, g->data, sizeof(h));
	assert_true(addr_equal(g->ip.src, src));
	assert_int_equal(h.type, v4 ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY);
	assert_int_equal(h.code, 0);
	assert_int_equal(be16_get(h.id), id);
	assert_int_equal(be16_get(h.sequence), sequence);
	assert_int_equal(g->size, sizeof(h) + size);
	assert_memory_equal(g->data + sizeof(h), payload, size);
	free(g);
}

/* The gateway's own addresses need no socket, no TTL and no permission. */
static void test_gateway(void **state)
{
	struct world *w = *state;
	addr_t own[] = { w->plan.gateway4, w->plan.dns4, w->plan.gateway6, w->plan.dns6 };
	size_t at = 0;

	forbid();
	w->plan.host_access = HOST_ACCESS_NONE;
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		assert_int_equal(guest_ping(w, 0, 77, i, own[i], 1, "payload", 7, false), DROP_NONE);
		expect_reply(w, 0, &at, own[i], 77, i, "payload", 7);
	}
	assert_int_equal(guest_ping(w, 0, 77, 9, own[0], 1, "", 0, false), DROP_NONE);
	expect_reply(w, 0, &at, own[0], 77, 9, "", 0);
	assert_int_equal(flow_count(w->flows, FLOW_ECHO), 0);
}

static void test_not_permitted(void **state)
{
	struct world *w = *state;
	size_t at = 0;

	if (!forbid())
		skip();
	assert_int_equal(guest_ping(w, 0, 77, 1, a(FAR4), 64, "x", 1, false), DROP_NOT_PERMITTED);
	expect_error(w, 0, &at, w->plan.gateway4, 3, 13, 0, a(FAR4), "\x8\0", 2);
	assert_int_equal(guest_ping(w, 0, 77, 1, a(FAR6), 64, "x", 1, false), DROP_NOT_PERMITTED);
	expect_error(w, 0, &at, w->plan.gateway6, 1, 1, 0, a(FAR6), "\x80\0", 2);
	assert_int_equal(flow_count(w->flows, FLOW_ECHO), 0);
}

static void test_round_trip(void **state)
{
	static const char *const peers[] = { FAR4, FAR6, OWN4, OWN6 };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		size_t at[GUESTS] = { 0 };

		guest_forget(w);
		for (int sequence = 1; sequence <= 3; sequence++)
			for (int guest = 0; guest < GUESTS; guest++) {
				char payload[16];

				/* Both have the same identifier; only one can have it on the host. */
				snprintf(payload, sizeof(payload), "guest %d", guest);
				assert_int_equal(guest_ping(w, guest, 1000, sequence, a(peers[i]), 64, payload, sizeof(payload), false),
						 DROP_NONE);
				world_pump(w, guest, sequence);
				expect_reply(w, guest, &at[guest], a(peers[i]), 1000, sequence, payload, sizeof(payload));
			}
	}
	assert_int_equal(flow_count(w->flows, FLOW_ECHO), 8);
	world_wait(w, 29 * USEC_S);
	assert_int_equal(flow_count(w->flows, FLOW_ECHO), 8);
	world_wait(w, 2 * USEC_S);
	assert_int_equal(flow_count(w->flows, FLOW_ECHO), 0);
	assert_true(flow_next_deadline(w->flows) == USEC_NEVER);
}

static void test_large(void **state)
{
	static const char *const peers[] = { FAR4, FAR6 };
	static uint8_t payload[20000];
	struct world *w = *state;
	struct rng rng = { 11 };

	rng_fill(&rng, payload, sizeof(payload));
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		size_t at = 0;

		guest_forget(w);
		assert_int_equal(guest_ping(w, 0, 1, 1, a(peers[i]), 64, payload, sizeof(payload), true), DROP_NONE);
		world_pump(w, 0, 1);
		expect_reply(w, 0, &at, a(peers[i]), 1, 1, payload, sizeof(payload));
		assert_int_equal(at, w->port[0]->count);
	}
}

static void test_too_big(void **state)
{
	static uint8_t payload[1400];
	struct world *w = *state;
	size_t at = 0;

	shell("ip route add 203.0.113.0/24 via 198.51.100.1 mtu 1300 && ip -6 route add 2001:db8:2::/64 via 2001:db8:1::1 mtu 1300");
	assert_int_equal(guest_ping(w, 0, 1, 1, a(FAR4), 64, payload, sizeof(payload), false), DROP_TOO_BIG);
	expect_error(w, 0, &at, w->plan.gateway4, 3, 4, 1300, a(FAR4), "\x8\0", 2);
	assert_int_equal(guest_ping(w, 0, 1, 1, a(FAR6), 64, payload, sizeof(payload), false), DROP_TOO_BIG);
	expect_error(w, 0, &at, w->plan.gateway6, 2, 0, 1300, a(FAR6), "\x80\0", 2);
	shell("ip route del 203.0.113.0/24 && ip -6 route del 2001:db8:2::/64");
}

/* Each hop of a traceroute says so itself: the gateway, the router, then the end. */
static void test_traceroute(void **state)
{
	static const struct { const char *dst, *gateway, *router; uint8_t type, echo; } cases[] = {
		{ "192.0.2.9", "10.0.2.2", "198.51.100.1", 11, 8 }, { "2001:db8:3::9", "fd00:1::2", "2001:db8:1::1", 3, 128 },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct icmp_header quoted = { .type = cases[i].echo, .id = be16(4242), .sequence = be16(2) };
		size_t at = 0;

		guest_forget(w);
		assert_int_equal(guest_ping(w, 0, 4242, 1, a(cases[i].dst), 1, "x", 1, false), DROP_TTL);
		expect_error(w, 0, &at, a(cases[i].gateway), cases[i].type, 0, 0, a(cases[i].dst), &quoted, 2);
		assert_int_equal(guest_ping(w, 0, 4242, 2, a(cases[i].dst), 2, "x", 1, false), DROP_NONE);
		world_pump(w, 0, 2);
		/* Of the guest's own packet, with its own identifier. */
		expect_error(w, 0, &at, a(cases[i].router), cases[i].type, 0, 0, a(cases[i].dst), &quoted, sizeof(quoted));
	}
	size_t at = 0;

	guest_forget(w);
	assert_int_equal(guest_ping(w, 0, 4242, 3, a(FAR4), 2, "x", 1, false), DROP_NONE);
	world_pump(w, 0, 1);
	expect_reply(w, 0, &at, a(FAR4), 4242, 3, "x", 1);
}

static void test_unreachable(void **state)
{
	struct world *w = *state;
	size_t at = 0;

	assert_int_equal(guest_ping(w, 0, 5, 1, a("2001:db8:77::1"), 64, "x", 1, false), DROP_NONE);
	world_pump(w, 0, 1);
	expect_error(w, 0, &at, a("2001:db8:1::1"), 1, 0, 0, a("2001:db8:77::1"), "\x80\0", 2);
	assert_int_equal(guest_ping(w, 0, 5, 1, a("127.0.0.1"), 64, "x", 1, false), DROP_MARTIAN);
	w->plan.host_access = HOST_ACCESS_NONE;
	assert_int_equal(guest_ping(w, 0, 5, 1, a(OWN4), 64, "x", 1, false), DROP_POLICY);
	expect_error(w, 0, &at, w->plan.gateway4, 3, 13, 0, a(OWN4), "\x8\0", 2);
}

static void test_eviction(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(guest_ping(w, 0, 100 + i, 1, a(FAR4), 64, "x", 1, false), DROP_NONE);
		w->now += 100 * USEC_MS;
	}
	assert_int_equal(flow_count(w->flows, FLOW_ECHO), 16);
	for (int i = 0; i < 20; i++) {
		struct flow_key key = { .guest = guest_addr_of(0, false), .peer = a(FAR4), .guest_port = 100 + i, .kind = FLOW_ECHO };

		assert_int_equal(flow_find(w->flows, &key) != NULL, i >= 4);
	}
}

/* An ICMP message of a guest's, as it is. */
static enum drop guest_icmp(struct world *w, int guest, addr_t dst, const void *message, size_t size)
{
	bool v4 = addr_is4(dst);
	struct packet *p = packet_new(guest_addr_of(guest, !v4), dst, v4 ? IP_ICMP : IP_ICMP6, 64, message, size, "", 0);
	enum drop drop = echo_from_guest(w->echo, guest_mac_of(guest), &p->ip, p->l4, w->now);

	free(p);
	return drop;
}

/* A guest says that nobody listens for the answers of a flow: it ends. Only that guest may say so. */
static void guest_error(struct world *w, const char *peer, uint8_t type, uint8_t code)
{
	bool v4 = addr_is4(a(peer));
	struct ip_packet inner = { .src = a(peer), .dst = guest_addr_of(0, !v4), .protocol = IP_UDP, .ttl = 60, .payload_size = 1000 };
	uint8_t message[8 + IP_HEADER_MAX + 8] = { type, code };
	size_t ip = ip_emit(message + 8, &inner, 1);
	struct udp_header h = { be16(7000), be16(5001), be16(1000), be16(0) };

	memcpy(message + 8 + ip, &h, sizeof(h));
	assert_int_equal(guest_udp(w, 0, 5001, a(peer), 7000, "x", 1, false), DROP_NONE);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 1);
	assert_int_equal(guest_icmp(w, 1, a(peer), message, 8 + ip + 8), DROP_NO_FLOW);
	assert_int_equal(guest_icmp(w, 0, a(peer), message, 8 + ip + 3), DROP_NO_FLOW);
	world_wait(w, USEC_S);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 1);
	assert_int_equal(guest_icmp(w, 0, a(peer), message, 8 + ip + 8), DROP_NONE);
	world_wait(w, USEC_S);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 0);
	/* Its port is free again. */
	assert_int_equal(guest_udp(w, 1, 5001, a(peer), 7000, "x", 1, false), DROP_NONE);
	struct flow_key key = { .guest = guest_addr_of(1, !v4), .peer = a(peer), .guest_port = 5001, .peer_port = 7000, .kind = FLOW_UDP };

	assert_int_equal(flow_find(w->flows, &key)->udp.host_port, 5001);
	world_wait(w, 200 * USEC_S);
}

static void test_guest_error(void **state)
{
	guest_error(*state, FAR4, 3, 3);
	guest_error(*state, FAR6, 1, 4);
}

static void test_malformed(void **state)
{
	struct world *w = *state;
	uint8_t message[64] = { 8, 1 };

	assert_int_equal(guest_icmp(w, 0, a(FAR4), message, 7), DROP_SHORT);
	assert_int_equal(guest_icmp(w, 0, a(FAR4), message, 8), DROP_MALFORMED);
	for (int type = 0; type < 256; type++) {
		message[0] = type;
		message[1] = 0;
		for (size_t size = 8; size < sizeof(message); size++)
			if (type != 8)
				assert_int_not_equal(guest_icmp(w, 0, a(FAR4), message, size), DROP_NONE);
	}
	assert_int_equal(flow_count(w->flows, FLOW_ECHO), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_gateway), TEST(test_not_permitted), TEST(test_round_trip), TEST(test_large), TEST(test_too_big),
		TEST(test_traceroute), TEST(test_unreachable), TEST(test_eviction), TEST(test_guest_error), TEST(test_malformed),
	};
	pid_t router = netns_enter();
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	netns_leave(router);
	return r;
}
