// SPDX-License-Identifier: MIT
#include "unit.h"

#include "wire/addr.h"

static addr_t a(const char *text)
{
	addr_t out;

	assert_true(addr_parse(text, &out));
	return out;
}

/* What is written is what RFC 5952 section 4 asks for, whatever was read. */
static void text_is_canonical(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "2001:0db8::0001", "2001:db8::1" },
		{ "2001:db8:0:0:0:0:2:1", "2001:db8::2:1" },
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" }, /* one group is not shortened */
		{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },          /* the longest run */
		{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },    /* the first of two */
		{ "2001:DB8:AAAA::BBBB", "2001:db8:aaaa::bbbb" },
		{ "0:0:0:0:0:0:0:0", "::" },
		{ "0:0:0:0:0:0:0:1", "::1" },
		{ "fe80:0::", "fe80::" },
		{ "10.0.2.15", "10.0.2.15" },
		{ "255.255.255.255", "255.255.255.255" },
	};
	char text[ADDR_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(addr_format(a(cases[i].in), text), cases[i].out);
}

static void text_makes_the_round_trip(void **state)
{
	struct rng r = { 7 };
	char text[ADDR_TEXT_SIZE];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		addr_t in, out;

		rng_fill(&r, &in, sizeof(in));
		for (int group = 0; group < 8; group++)
			if (rng_below(&r, 2))
				in.b[group * 2] = in.b[group * 2 + 1] = 0;
		if (round % 4 == 0)
			in = addr_of4((struct ip4){{ in.b[0], in.b[1], in.b[2], in.b[3] }});
		assert_true(addr_parse(addr_format(in, text), &out));
		assert_true(addr_equal(in, out));
	}
}

static void bad_text_is_refused(void **state)
{
	static const char *const bad[] = {
		"", " ", "10.0.2", "10.0.2.256", "10.0.2.15 ", " 10.0.2.15", "010.0.2.15", "10.0.2.15.1", "0x0a000201", "1", "web",
		":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "fe80::1%eth0", "::g", "12345::", "::ffff:10.0.2.15",
		"10.0.2.15/24",
	};
	addr_t out = ADDR_ANY;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (addr_parse(bad[i], &out))
			fail_msg("'%s' was taken for an address", bad[i]);
	assert_true(addr_is_any(out));
}

static void kinds(void **state)
{
	(void)state;
	assert_true(addr_is4(a("0.0.0.0")));
	assert_false(addr_is4(a("::")));
	assert_true(addr_is_loopback(a("127.255.0.1")) && addr_is_loopback(a("::1")));
	assert_false(addr_is_loopback(a("128.0.0.1")) || addr_is_loopback(a("::2")) || addr_is_loopback(a("7f00::")));
	assert_true(addr_is_multicast(a("224.0.0.1")) && addr_is_multicast(a("239.255.255.255")) && addr_is_multicast(a("ff02::1")));
	assert_false(addr_is_multicast(a("223.0.0.1")) || addr_is_multicast(a("240.0.0.1")) || addr_is_multicast(a("fe80::1")));
	assert_true(addr_is_link_local(a("169.254.9.9")) && addr_is_link_local(a("fe80::1")) && addr_is_link_local(a("febf::1")));
	assert_false(addr_is_link_local(a("169.253.9.9")) || addr_is_link_local(a("fec0::1")) || addr_is_link_local(a("ff80::1")));
	assert_true(addr_is_unspecified(a("::")) && addr_is_unspecified(a("0.0.0.0")));
	assert_false(addr_is_unspecified(a("::1")) || addr_is_unspecified(a("0.0.0.1")));
}

static void prefixes(void **state)
{
	(void)state;
	assert_true(addr_in_prefix(a("10.0.2.15"), a("10.0.2.0"), 24));
	assert_false(addr_in_prefix(a("10.0.3.15"), a("10.0.2.0"), 24));
	assert_true(addr_in_prefix(a("10.0.3.15"), a("10.0.2.0"), 23));
	assert_true(addr_in_prefix(a("10.0.2.15"), a("10.0.2.15"), 32));
	assert_false(addr_in_prefix(a("10.0.2.14"), a("10.0.2.15"), 32));
	assert_true(addr_in_prefix(a("10.0.2.14"), a("10.0.2.15"), 31));
	assert_true(addr_in_prefix(a("1.2.3.4"), a("0.0.0.0"), 0));
	assert_false(addr_in_prefix(a("fd00::1"), a("0.0.0.0"), 0));
	assert_false(addr_in_prefix(a("1.2.3.4"), a("::"), 0));
	assert_false(addr_in_prefix(a("1.2.3.4"), a("1.2.3.4"), 33));
	assert_true(addr_in_prefix(a("fd00:1:2:3::9"), a("fd00:1:2:3::"), 64));
	assert_false(addr_in_prefix(a("fd00:1:2:4::9"), a("fd00:1:2:3::"), 64));
	assert_true(addr_in_prefix(a("fd00::1"), a("fc00::"), 7));
	assert_false(addr_in_prefix(a("fe00::1"), a("fc00::"), 7));
	assert_true(addr_in_prefix(a("fd00::1"), a("fd00::1"), 128));
	assert_false(addr_in_prefix(a("fd00::1"), a("fd00::1"), 129));
}

static void mac_text(void **state)
{
	static const char *const bad[] = {
		"", "52", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:56:", "52:54:00:12:34:56:78", "52-54-00-12-34-56",
		"5g:54:00:12:34:56", " 52:54:00:12:34:56", "52:54:0:12:34:56", "+1:54:00:12:34:56", "52:54:00:12:34:56 ", ":::::",
	};
	const struct mac want = {{ 0x52, 0x54, 0, 0x1a, 0xbc, 0xde }};
	char text[MAC_TEXT_SIZE];
	struct mac m;

	(void)state;
	assert_true(mac_parse("52:54:00:1A:bC:dE", &m));
	assert_true(mac_equal(m, want));
	assert_string_equal(mac_format(m, text), "52:54:00:1a:bc:de");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (mac_parse(bad[i], &m))
			fail_msg("'%s' was taken for a MAC", bad[i]);
	assert_true(mac_equal(m, want));
	assert_true(mac_is_group(MAC_BROADCAST) && !mac_is_group(want));
}

static void derived_addresses(void **state)
{
	const struct mac m = {{ 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 }};

	(void)state;
	assert_true(addr_equal(addr_eui64(a("fe80::"), m), a("fe80::5054:ff:fe12:3456")));
	/* RFC 4291: what stood in the lower half goes. */
	assert_true(addr_equal(addr_eui64(a("fd00:1:2:3:4:5:6:7"), m), a("fd00:1:2:3:5054:ff:fe12:3456")));
	assert_true(addr_equal(addr_solicited_node(a("fd00::1:2312:3456")), a("ff02::1:ff12:3456")));
	assert_true(mac_equal(mac_of_multicast(a("239.129.2.3")), (struct mac){{ 0x01, 0, 0x5e, 0x01, 2, 3 }}));
	assert_true(mac_equal(mac_of_multicast(a("ff02::1:ff12:3456")), (struct mac){{ 0x33, 0x33, 0xff, 0x12, 0x34, 0x56 }}));
	assert_int_equal(ip4_get(addr_get4(a("1.2.3.4"))), 0x01020304);
	assert_true(addr_equal(addr_of4(ip4(0x0a00020f)), a("10.0.2.15")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_canonical),
		cmocka_unit_test(text_makes_the_round_trip),
		cmocka_unit_test(bad_text_is_refused),
		cmocka_unit_test(kinds),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(mac_text),
		cmocka_unit_test(derived_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
