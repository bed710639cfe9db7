// SPDX-License-Identifier: MIT
#include "netns.h"
#include "gateway/host.h"

static struct lan_plan plan_make(enum host_access access)
{
	struct lan_plan p = { .ip4 = true, .ip6 = true, .bits4 = 24, .bits6 = 64, .mtu = 1500, .host_access = access };

	assert_true(addr_parse("10.0.2.0", &p.net4) && addr_parse("10.0.2.2", &p.gateway4) && addr_parse("10.0.2.3", &p.dns4));
	assert_true(addr_parse("fd00:1::", &p.net6) && addr_parse("fd00:1::2", &p.gateway6) && addr_parse("fd00:1::3", &p.dns6));
	assert_true(addr_parse("fe80::5055:aff:fe00:202", &p.link_local6));
	return p;
}

static addr_t a(const char *text)
{
	addr_t out = ADDR_ANY;

	assert_true(!*text || addr_parse(text, &out));
	return out;
}

struct expectation { const char *dst; enum drop drop; const char *to, *fallback; };

static void check(enum host_access access, const struct expectation *e, size_t count)
{
	struct lan_plan plan = plan_make(access);
	struct host *h;

	assert_int_equal(host_new(&h, &plan), 0);
	for (size_t i = 0; i < count; i++) {
		char text[ADDR_TEXT_SIZE];
		addr_t to, fallback;
		enum drop drop = host_target(h, a(e[i].dst), &to, &fallback);

		if (drop != e[i].drop)
			fail_msg("%s: verdict %s, expected %s", e[i].dst, drop_name(drop), drop_name(e[i].drop));
		if (!drop && !addr_equal(to, a(e[i].to)))
			fail_msg("%s: goes to %s, expected %s", e[i].dst, addr_format(to, text), e[i].to);
		if (!drop && !addr_equal(fallback, a(e[i].fallback)))
			fail_msg("%s: falls back on %s, expected %s", e[i].dst, addr_format(fallback, text), e[i].fallback);
	}
	host_free(h);
}
#define CHECK(access, ...) \
	do { \
		const struct expectation e[] = { __VA_ARGS__ }; \
		check(access, e, ARRAY_SIZE(e)); \
	} while (0)

#define OWN4 "198.51.100.7"
#define OWN6 "2001:db8:1::7"

static void test_lan(void **state _unused_)
{
	CHECK(HOST_ACCESS_LAN, { "10.0.2.2", DROP_NONE, OWN4, "" }, { "fd00:1::2", DROP_NONE, OWN6, "" },
	      { "fe80::5055:aff:fe00:202", DROP_NONE, OWN6, "" },
	      { OWN4, DROP_NONE, OWN4, "" }, { OWN6, DROP_NONE, OWN6, "" }, { "203.0.113.5", DROP_NONE, "203.0.113.5", "" },
	      { "2001:db8:9::1", DROP_NONE, "2001:db8:9::1", "" });
}

static void test_full(void **state _unused_)
{
	CHECK(HOST_ACCESS_FULL, { "10.0.2.2", DROP_NONE, "127.0.0.1", OWN4 }, { "fd00:1::2", DROP_NONE, "::1", OWN6 },
	      { OWN4, DROP_NONE, OWN4, "" }, { "127.0.0.1", DROP_MARTIAN }, { "::1", DROP_MARTIAN });
}

static void test_none(void **state _unused_)
{
	CHECK(HOST_ACCESS_NONE, { "10.0.2.2", DROP_POLICY }, { "fd00:1::2", DROP_POLICY }, { "fe80::5055:aff:fe00:202", DROP_POLICY },
	      { OWN4, DROP_POLICY }, { OWN6, DROP_POLICY }, { "203.0.113.5", DROP_NONE, "203.0.113.5", "" });
}

static void test_never(void **state _unused_)
{
	for (enum host_access access = HOST_ACCESS_LAN; access <= HOST_ACCESS_NONE; access++)
		CHECK(access, { "10.0.2.3", DROP_POLICY }, { "fd00:1::3", DROP_POLICY }, { "127.0.0.1", DROP_MARTIAN },
		      { "127.9.9.9", DROP_MARTIAN }, { "::1", DROP_MARTIAN }, { "0.0.0.0", DROP_MARTIAN }, { "0.1.2.3", DROP_MARTIAN },
		      { "::", DROP_MARTIAN }, { "224.0.0.251", DROP_MARTIAN }, { "ff02::fb", DROP_MARTIAN }, { "255.255.255.255", DROP_MARTIAN },
		      { "240.1.1.1", DROP_MARTIAN }, { "169.254.169.254", DROP_MARTIAN },
		      { "fe80::1", DROP_MARTIAN }, { "10.0.2.99", DROP_MARTIAN }, { "fd00:1::99", DROP_MARTIAN }, { "198.51.100.255", DROP_MARTIAN });
}

static void test_no_route(void **state _unused_)
{
	shell("ip route add blackhole 203.0.113.128/25 && ip route add unreachable 203.0.113.64/26 && "
	      "ip -6 route add unreachable 2001:db8:9::/48");
	CHECK(HOST_ACCESS_LAN, { "203.0.113.129", DROP_NO_ROUTE }, { "203.0.113.65", DROP_NO_ROUTE }, { "2001:db8:9::1", DROP_NO_ROUTE });
	shell("ip route del blackhole 203.0.113.128/25 && ip route del unreachable 203.0.113.64/26 && "
	      "ip -6 route del unreachable 2001:db8:9::/48");
}

/* A host that is cut off, bit by bit. */
static void test_cut_off(void **state _unused_)
{
	shell("ip route del default && ip -6 route del default");
	CHECK(HOST_ACCESS_LAN, { "203.0.113.5", DROP_NO_ROUTE }, { "2001:db8:9::1", DROP_NO_ROUTE }, { "10.0.2.2", DROP_NONE, OWN4, "" },
	      { "fd00:1::2", DROP_NONE, OWN6, "" });
	shell("ip link set uplink down && ip addr del 198.51.100.7/24 dev uplink");
	CHECK(HOST_ACCESS_LAN, { "10.0.2.2", DROP_NO_ROUTE }, { "fd00:1::2", DROP_NO_ROUTE });
	CHECK(HOST_ACCESS_FULL, { "10.0.2.2", DROP_NONE, "127.0.0.1", "" }, { "fd00:1::2", DROP_NONE, "::1", "" });
	shell("ip addr add 198.51.100.7/24 dev uplink && ip link set uplink up && "
	      "ip -6 addr replace 2001:db8:1::7/64 dev uplink nodad && ip route add default via 198.51.100.1 && "
	      "ip -6 route add default via 2001:db8:1::1");
}

/* An address on loopback that is not of loopback is one of the host's own, too; one of the LAN's networks is not taken for it. */
static void test_own_address(void **state _unused_)
{
	shell("ip route del default && ip addr add 10.0.2.77/32 dev uplink && ip addr del 198.51.100.7/24 dev uplink && "
	      "ip addr add 192.0.2.7/32 dev lo");
	CHECK(HOST_ACCESS_LAN, { "10.0.2.2", DROP_NONE, "192.0.2.7", "" });
	shell("ip addr del 192.0.2.7/32 dev lo && ip addr del 10.0.2.77/32 dev uplink && "
	      "ip addr add 198.51.100.7/24 dev uplink && ip route add default via 198.51.100.1");
}

static void test_guest_view(void **state _unused_)
{
	static const struct { const char *client, *guest, *view; } cases[] = {
		{ "203.0.113.5", "10.0.2.15", "203.0.113.5" }, { "198.51.100.9", "10.0.2.15", "198.51.100.9" },
		{ "2001:db8:9::1", "fd00:1::15", "2001:db8:9::1" },
		{ OWN4, "10.0.2.15", "10.0.2.2" }, { "127.0.0.1", "10.0.2.15", "10.0.2.2" }, { "127.0.0.53", "10.0.2.15", "10.0.2.2" },
		{ "::1", "10.0.2.15", "10.0.2.2" }, { "2001:db8:9::1", "10.0.2.15", "10.0.2.2" }, { "", "10.0.2.15", "10.0.2.2" },
		{ "10.0.2.77", "10.0.2.15", "10.0.2.2" }, { "169.254.1.1", "10.0.2.15", "10.0.2.2" },
		{ "fe80::7", "fd00:1::15", "fd00:1::2" },
		{ "::1", "fd00:1::15", "fd00:1::2" }, { OWN6, "fd00:1::15", "fd00:1::2" }, { "203.0.113.5", "fd00:1::15", "fd00:1::2" },
		{ "::1", "fe80::15", "fe80::5055:aff:fe00:202" },
	};
	struct lan_plan plan = plan_make(HOST_ACCESS_LAN);
	struct host *h;

	assert_int_equal(host_new(&h, &plan), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[ADDR_TEXT_SIZE];
		addr_t view = host_guest_view(h, a(cases[i].client), a(cases[i].guest));

		if (!addr_equal(view, a(cases[i].view)))
			fail_msg("%s sees %s as %s, expected %s", cases[i].guest, cases[i].client, addr_format(view, text), cases[i].view);
	}
	host_free(h);
}

static void test_sockaddr(void **state _unused_)
{
	static const char *const texts[] = { "10.1.2.3", "0.0.0.0", "::", "2001:db8::7" };
	union sockaddr_any sa;
	uint16_t port;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		socklen_t size = host_sockaddr(&sa, a(texts[i]), 8080);

		assert_int_equal(size, strchr(texts[i], ':') ? 28 : 16);
		assert_int_equal(sa.sa.sa_family, strchr(texts[i], ':') ? AF_INET6 : AF_INET);
		assert_true(addr_equal(host_addr_of(&sa, &port), a(texts[i])));
		assert_int_equal(port, 8080);
	}
	sa.sa.sa_family = AF_UNIX;
	assert_true(addr_is_any(host_addr_of(&sa, &port)));
	assert_int_equal(port, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lan), cmocka_unit_test(test_full), cmocka_unit_test(test_none), cmocka_unit_test(test_never),
		cmocka_unit_test(test_no_route),
		cmocka_unit_test(test_cut_off), cmocka_unit_test(test_own_address), cmocka_unit_test(test_guest_view),
		cmocka_unit_test(test_sockaddr),
	};
	pid_t router = netns_enter();
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	netns_leave(router);
	return r;
}
