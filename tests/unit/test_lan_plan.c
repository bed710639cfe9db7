// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>

#include "lan/config.h"

#define A4(a, b, c, d) ((addr_t){{ [10] = 0xff, [11] = 0xff, a, b, c, d }})
#define MACHINE "0123456789abcdef0123456789abcdef\n"

static struct lan_config config(const char *name)
{
	struct lan_config c = { .domain = "hospes", .mtu = 1500, .lease_seconds = 86400, .flow_max = 65536 };

	strcpy(c.name, name);
	return c;
}

static addr_t addr(const char *text)
{
	addr_t a;

	assert_true(addr_parse(text, &a));
	return a;
}

static void defaults(void **state)
{
	static const struct mac mac = {{ 0x52, 0x55, 10, 0, 2, 2 }};
	struct lan_config c = config("default");
	char error[512];
	struct lan_plan p;

	(void)state;
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, NULL, 0, error, sizeof(error)), 0);
	assert_true(p.ip4 && p.ip6);
	assert_true(mac_equal(p.mac, mac));
	assert_true(addr_equal(p.net4, addr("10.0.2.0")));
	assert_int_equal(p.bits4, 24);
	assert_true(addr_equal(p.gateway4, addr("10.0.2.2")));
	assert_true(addr_equal(p.dns4, addr("10.0.2.3")));
	assert_true(addr_equal(p.pool4_first, addr("10.0.2.15")));
	assert_true(addr_equal(p.pool4_last, addr("10.0.2.254")));
	assert_int_equal(p.net6.b[0], 0xfd);
	assert_int_equal(p.bits6, 64);
	assert_memory_equal(p.net6.b + 8, "\0\0\0\0\0\0\0\0", 8);
	assert_true(addr_in_prefix(p.gateway6, p.net6, 64) && p.gateway6.b[15] == 2);
	assert_true(addr_in_prefix(p.dns6, p.net6, 64) && p.dns6.b[15] == 3);
	assert_true(addr_equal(p.link_local6, addr("fe80::5055:aff:fe00:202")));
	assert_string_equal(p.name, "default");
	assert_string_equal(p.domain, "hospes");
	assert_int_equal(p.mtu, 1500);
	assert_int_equal(p.lease_seconds, 86400);
}

/* These are promises to guests that were set up long ago: a change of them shows here. */
static void stays_the_same(void **state)
{
	struct lan_config a = config("default"), b = config("other");
	struct lan_plan p, q, r;
	char error[512];
	struct mac m = guest_mac(MACHINE, "default", "web");

	(void)state;
	assert_int_equal(lan_plan_make(&p, &a, MACHINE, NULL, 0, error, sizeof(error)), 0);
	assert_int_equal(lan_plan_make(&q, &b, MACHINE, NULL, 0, error, sizeof(error)), 0);
	assert_int_equal(lan_plan_make(&r, &a, "another machine", NULL, 0, error, sizeof(error)), 0);
	assert_memory_equal(&p.net6, &q.net6, 6);   /* one site a machine, */
	assert_false(addr_equal(p.net6, q.net6));   /* one subnet a LAN */
	assert_memory_not_equal(&p.net6, &r.net6, 6);
	assert_memory_equal(m.b, "\x52\x54\0", 3);
	assert_true(mac_equal(m, guest_mac("0123456789abcdef0123456789abcdef", "default", "web")));
	assert_false(mac_equal(m, guest_mac(MACHINE, "default", "db")));
	assert_false(mac_equal(m, guest_mac(MACHINE, "other", "web")));
	assert_false(mac_equal(m, guest_mac("another machine", "default", "web")));
	assert_false(mac_equal(guest_mac("m", "ab", "c"), guest_mac("m", "a", "bc")));
	assert_true(addr_equal(p.net6, addr("fd87:c3d2:40d3:df93::")));
	assert_string_equal(mac_format(m, error), "52:54:00:fc:72:cc");
}

static void other_lans_take_what_is_free(void **state)
{
	struct lan_config c = config("lab");
	struct net4 taken[256 * 2];
	size_t n = 0;
	char error[512];
	struct lan_plan p;

	(void)state;
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, NULL, 0, error, sizeof(error)), 0);
	assert_true(addr_equal(p.net4, addr("10.0.3.0")));
	assert_int_equal(p.mac.b[4], 3);
	taken[n++] = (struct net4){ addr("0.0.0.0"), 0 };
	taken[n++] = (struct net4){ addr("0.0.0.0"), 1 };
	taken[n++] = (struct net4){ addr("10.0.3.128"), 30 };
	taken[n++] = (struct net4){ addr("10.0.4.0"), 23 };
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, taken, n, error, sizeof(error)), 0);
	assert_true(addr_equal(p.net4, addr("10.0.6.0")));
	taken[n++] = (struct net4){ addr("10.0.0.0"), 8 };
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, taken, n, error, sizeof(error)), 0);
	assert_true(addr_equal(p.net4, addr("192.168.3.0")));
	taken[n++] = (struct net4){ addr("192.168.0.0"), 16 };
	taken[n++] = (struct net4){ addr("172.16.0.0"), 16 };
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, taken, n, error, sizeof(error)), 0);
	assert_true(addr_equal(p.net4, addr("172.17.0.0")));
	taken[n++] = (struct net4){ addr("172.16.0.0"), 12 };
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, taken, n, error, sizeof(error)), -EADDRINUSE);
	assert_non_null(strstr(error, "IPv4 = none"));
}

static void overlap_is_refused(void **state)
{
	static const struct { const char *net; uint8_t bits; int result; } rows[] = {
		{ "10.0.2.0", 24, -EADDRINUSE }, { "10.0.2.128", 25, -EADDRINUSE }, { "10.0.0.0", 16, -EADDRINUSE },
		{ "10.0.2.7", 32, -EADDRINUSE },
		{ "10.0.3.0", 24, 0 }, { "10.0.1.0", 24, 0 }, { "0.0.0.0", 0, 0 }, { "128.0.0.0", 1, 0 },
	};
	struct lan_config c = config("default");
	struct lan_plan p;
	char error[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net4 taken = { addr(rows[i].net), rows[i].bits };

		assert_int_equal(lan_plan_make(&p, &c, MACHINE, &taken, 1, error, sizeof(error)), rows[i].result);
		if (!rows[i].result)
			continue;
		assert_non_null(strstr(error, "10.0.2.0/24"));
		assert_non_null(strstr(error, rows[i].net));
		assert_non_null(strstr(error, "IPv4 = 1"));
		assert_non_null(strstr(error, "default.lan"));
	}
}

static void small_networks(void **state)
{
	static const struct { uint8_t bits; const char *first, *last; } rows[] = {
		{ 29, "10.9.8.4", "10.9.8.6" }, { 28, "10.9.8.4", "10.9.8.14" }, { 27, "10.9.8.15", "10.9.8.30" },
		{ 22, "10.9.8.15", "10.9.11.254" },
	};
	struct lan_config c = config("default");
	struct lan_plan p;
	char error[512];

	(void)state;
	c.has_net4 = true;
	c.net4 = addr("10.9.8.0");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		c.bits4 = rows[i].bits;
		assert_true(lan_net_valid4(c.net4, c.bits4));
		assert_int_equal(lan_plan_make(&p, &c, MACHINE, NULL, 0, error, sizeof(error)), 0);
		assert_true(addr_equal(p.pool4_first, addr(rows[i].first)));
		assert_true(addr_equal(p.pool4_last, addr(rows[i].last)));
		assert_true(lan_plan_in_pool4(&p, p.pool4_first) && lan_plan_in_pool4(&p, p.pool4_last));
		assert_false(lan_plan_in_pool4(&p, p.gateway4) || lan_plan_in_pool4(&p, p.dns4));
	}
}

static void networks_that_cannot_be(void **state)
{
	static const struct { const char *net; unsigned int bits; bool valid; } rows[] = {
		{ "10.0.2.0", 24, true }, { "10.0.0.0", 8, true }, { "10.0.2.1", 24, false }, { "10.0.2.0", 30, false },
		{ "10.0.0.0", 7, false },
		{ "127.1.0.0", 16, false }, { "0.0.0.0", 8, false }, { "224.0.0.0", 8, false }, { "240.0.0.0", 8, false },
		{ "169.254.0.0", 16, false },
		{ "169.254.7.0", 24, false }, { "169.0.0.0", 8, false }, { "169.253.0.0", 16, true }, { "fd00::", 24, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (lan_net_valid4(addr(rows[i].net), rows[i].bits) != rows[i].valid)
			fail_msg("%s/%u", rows[i].net, rows[i].bits);
}

static void one_version_alone(void **state)
{
	struct lan_config c = config("default");
	struct net4 taken = { addr("10.0.2.0"), 24 };
	struct lan_plan p;
	char error[512];

	(void)state;
	c.no_ip4 = true;
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, &taken, 1, error, sizeof(error)), 0);
	assert_false(p.ip4);
	assert_true(p.ip6);
	assert_memory_equal(p.mac.b, "\x52\x56", 2);
	assert_false(lan_plan_is_gateway(&p, ADDR_ANY));
	assert_false(lan_plan_is_local(&p, addr("10.0.2.15")));
	c.no_ip4 = false;
	c.no_ip6 = true;
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, NULL, 0, error, sizeof(error)), 0);
	assert_false(p.ip6);
	assert_false(lan_plan_is_gateway(&p, ADDR_ANY) || lan_plan_is_dns(&p, ADDR_ANY) || lan_plan_is_local(&p, addr("fe80::1")));
	c.no_ip6 = false;
	c.has_net6 = true;
	c.net6 = addr("2001:db8:1:2::");
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, NULL, 0, error, sizeof(error)), 0);
	assert_true(addr_equal(p.gateway6, addr("2001:db8:1:2::2")));
}

static void whose_address(void **state)
{
	static const struct { const char *addr; bool gateway, dns, local, host, pool; } rows[] = {
		{ "10.0.2.2", true, false, true, false, false }, { "10.0.2.3", false, true, true, false, false },
		{ "10.0.2.0", false, false, true, false, false }, { "10.0.2.255", false, false, true, false, false },
		{ "10.0.2.1", false, false, true, true, false }, { "10.0.2.14", false, false, true, true, false },
		{ "10.0.2.15", false, false, true, true, true }, { "10.0.2.254", false, false, true, true, true },
		{ "10.0.3.15", false, false, false, false, false }, { "fe80::5055:aff:fe00:202", true, false, true, false, false },
		{ "2001:db8::2", true, false, true, false, false }, { "2001:db8::3", false, true, true, false, false },
		{ "2001:db8::4", false, false, true, false, false }, { "2001:db9::2", false, false, false, false, false },
		{ "fe80::1", false, false, true, false, false }, { "::", false, false, false, false, false },
	};
	struct lan_config c = config("default");
	struct lan_plan p;
	char error[512];

	(void)state;
	c.has_net6 = true;
	c.net6 = addr("2001:db8::");
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, NULL, 0, error, sizeof(error)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		addr_t a = addr(rows[i].addr);

		if (lan_plan_is_gateway(&p, a) != rows[i].gateway || lan_plan_is_dns(&p, a) != rows[i].dns ||
		    lan_plan_is_local(&p, a) != rows[i].local ||
		    lan_plan_may_host4(&p, a) != rows[i].host || lan_plan_in_pool4(&p, a) != rows[i].pool)
			fail_msg("%s", rows[i].addr);
	}
}

static void guests_must_fit(void **state)
{
	static const char *const bad[] = { "10.0.3.20", "10.0.2.2", "10.0.2.3", "10.0.2.255", "10.0.2.0" };
	struct guest_config g = { .name = "web", .line = 17 };
	struct lan_config c = config("default");
	struct lan_plan p;
	char error[512];

	(void)state;
	c.guests = &g;
	c.guest_count = 1;
	g.ip4 = addr("10.0.2.5");
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, NULL, 0, error, sizeof(error)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		g.ip4 = addr(bad[i]);
		assert_int_equal(lan_plan_make(&p, &c, MACHINE, NULL, 0, error, sizeof(error)), -EINVAL);
		assert_non_null(strstr(error, bad[i]));
		assert_non_null(strstr(error, "line 17"));
	}
	c.no_ip4 = true;
	assert_int_equal(lan_plan_make(&p, &c, MACHINE, NULL, 0, error, sizeof(error)), -EINVAL);
}

static void lan_names(void **state)
{
	static const char *const good[] = { "a", "default", "lab-2", "0", "abcdefghijklmno" }, *const bad[] = {
		"", "-", "-a", "a-", "A", "a.b", "a/b", "..", "a b", "abcdefghijklmnop", "a\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(lan_name_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(lan_name_valid(bad[i]));
	assert_true(guest_name_valid("WEB-1"));
	assert_false(guest_name_valid("web."));
	assert_true(guest_name_reserved("Gateway"));
	assert_false(guest_name_reserved("gateway2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults), cmocka_unit_test(stays_the_same), cmocka_unit_test(other_lans_take_what_is_free),
		cmocka_unit_test(overlap_is_refused), cmocka_unit_test(small_networks), cmocka_unit_test(networks_that_cannot_be),
		cmocka_unit_test(one_version_alone), cmocka_unit_test(whose_address), cmocka_unit_test(guests_must_fit),
		cmocka_unit_test(lan_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
