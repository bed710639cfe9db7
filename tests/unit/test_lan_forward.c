// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>

#include "lan/forward.h"

static void reads(void **state)
{
	static const struct {
		const char *listen, *to;
		enum forward_kind kind;
		const char *address, *guest; /* NULL: the default */
		uint16_t first, last, port;
		const char *again;           /* as it is written back; NULL: as it was */
	} rows[] = {
		{ "8080", "web:80", FORWARD_TCP, NULL, "web", 8080, 8080, 80, NULL },
		{ "8080/tcp", "web:80", FORWARD_TCP, NULL, "web", 8080, 8080, 80, "8080" },
		{ "8080/udp", "10.0.2.15:53", FORWARD_UDP, NULL, "10.0.2.15", 8080, 8080, 53, NULL },
		{ "127.0.0.1:8080", "web:80", FORWARD_TCP, "127.0.0.1", "web", 8080, 8080, 80, NULL },
		{ "[::1]:8080-8090", "[fd00::15]:80", FORWARD_TCP, "::1", "fd00::15", 8080, 8090, 80, NULL },
		{ "0.0.0.0:53/udp", "dnsbox:53", FORWARD_UDP, "0.0.0.0", "dnsbox", 53, 53, 53, NULL },
		{ "[::]:1-65535", "web:1", FORWARD_TCP, "::", "web", 1, 65535, 1, NULL },
		{ "*:80", "web:80", FORWARD_TCP, "::", "web", 80, 80, 80, "[::]:80" },
		{ "65535", "web:65535", FORWARD_TCP, NULL, "web", 65535, 65535, 65535, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct forward_rule f, again;
		char error[256], listen[FORWARD_TEXT_SIZE], to[FORWARD_TEXT_SIZE], text[ADDR_TEXT_SIZE];

		assert_int_equal(forward_parse(&f, rows[i].listen, rows[i].to, error, sizeof(error)), 0);
		assert_int_equal(f.kind, rows[i].kind);
		assert_int_equal(f.listen_default, !rows[i].address);
		assert_string_equal(addr_format(f.listen, text), rows[i].address ? rows[i].address : "127.0.0.1");
		assert_string_equal(f.guest, rows[i].guest);
		assert_int_equal(f.first, rows[i].first);
		assert_int_equal(f.last, rows[i].last);
		assert_int_equal(f.to, rows[i].port);
		forward_format(&f, listen, to);
		assert_string_equal(listen, rows[i].again ? rows[i].again : rows[i].listen);
		assert_string_equal(to, rows[i].to);
		assert_int_equal(forward_parse(&again, listen, to, error, sizeof(error)), 0);
		assert_memory_equal(&f, &again, sizeof(f));
	}
}

static void unix_sockets(void **state)
{
	char path[200] = "/", error[256], listen[FORWARD_TEXT_SIZE], to[FORWARD_TEXT_SIZE];
	struct forward_rule f;

	(void)state;
	assert_int_equal(forward_parse(&f, "/run/a b:c/x.sock", "web:80", error, sizeof(error)), 0);
	assert_int_equal(f.kind, FORWARD_UNIX);
	assert_string_equal(f.path, "/run/a b:c/x.sock");
	forward_format(&f, listen, to);
	assert_string_equal(listen, "/run/a b:c/x.sock");
	assert_string_equal(to, "web:80");
	memset(path + 1, 'p', 106);
	assert_int_equal(forward_parse(&f, path, "web:80", error, sizeof(error)), 0);
	path[107] = 'p'; /* refused and never cut */
	assert_int_equal(forward_parse(&f, path, "web:80", error, sizeof(error)), -EINVAL);
	assert_int_equal(forward_parse(&f, "/", "web:80", error, sizeof(error)), -EINVAL);
}

static void refuses(void **state)
{
	static const struct { const char *listen, *to, *says; } rows[] = {
		{ "", "web:80", "listen \"\"" }, { "0", "web:80", "listen" }, { "65536", "web:80", "listen" }, { "-1", "web:80", "listen" },
		{ "8080-", "web:80", "listen" }, { "8090-8080", "web:80", "listen" }, { "80 ", "web:80", "listen" },
		{ "+80", "web:80", "listen" },
		{ "8080/sctp", "web:80", "listen" }, { "80/tcp/udp", "web:80", "listen" }, { "localhost:80", "web:80", "listen" },
		{ "[::1]80", "web:80", "listen" }, { "[::1", "web:80", "listen" }, { "224.0.0.1:80", "web:80", "listen" },
		{ "99999999999999999999", "web:80", "listen" }, { ":80", "web:80", "listen" },
		{ "80", "", "to \"\"" }, { "80", "web", "to" }, { "80", ":80", "to" }, { "80", "web:", "to" }, { "80", "web:0", "to" },
		{ "80", "web:80-90", "to" }, { "80", "web:80/udp", "to" }, { "80", "we_b:80", "to" }, { "80", "web.hospes:80", "to" },
		{ "80", "10.0.2.15", "to" }, { "80", "[10.0.2.15:80", "to" }, { "80-90", "web:65530", "below 65536" },
	};
	char error[256], big[400];
	struct forward_rule f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		error[0] = 0;
		assert_int_equal(forward_parse(&f, rows[i].listen, rows[i].to, error, sizeof(error)), -EINVAL);
		if (!strstr(error, rows[i].says) || !strstr(error, "expected"))
			fail_msg("%s to %s: %s", rows[i].listen, rows[i].to, error);
	}
	memset(big, '8', sizeof(big));
	big[sizeof(big) - 1] = 0;
	assert_int_equal(forward_parse(&f, big, "web:80", error, sizeof(error)), -EINVAL);
	assert_int_equal(forward_parse(&f, "80", big, error, sizeof(error)), -EINVAL);
	assert_int_equal(forward_parse(&f, "80", big, error, 4), -EINVAL);
	assert_int_equal(strlen(error), 3);
}

static void overlaps(void **state)
{
	static const struct { const char *a, *b; bool overlap; } rows[] = {
		{ "80", "80", true }, { "80", "81", false }, { "80", "80/udp", false }, { "80-90", "85", true }, { "80-90", "90-95", true },
		{ "80-90", "91-95", false }, { "80", "127.0.0.1:80", true }, { "80", "[::1]:80", true }, { "80", "127.0.0.2:80", false },
		{ "80", "0.0.0.0:80", true }, { "80", "[::]:80", true }, { "192.168.1.2:80", "[::]:80", true },
		{ "192.168.1.2:80", "0.0.0.0:80", true },
		{ "192.168.1.2:80", "[::1]:80", false }, { "0.0.0.0:80", "[::1]:80", false }, { "192.168.1.2:80", "192.168.1.2:80", true },
		{ "192.168.1.2:80", "192.168.1.3:80", false }, { "/run/x", "/run/x", true }, { "/run/x", "/run/y", false },
		{ "/run/x", "80", false },
	};
	char error[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct forward_rule a, b;

		assert_int_equal(forward_parse(&a, rows[i].a, "web:1", error, sizeof(error)), 0);
		assert_int_equal(forward_parse(&b, rows[i].b, "db:1", error, sizeof(error)), 0);
		if (forward_overlaps(&a, &b) != rows[i].overlap || forward_overlaps(&b, &a) != rows[i].overlap)
			fail_msg("%s and %s", rows[i].a, rows[i].b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads), cmocka_unit_test(unix_sockets), cmocka_unit_test(refuses), cmocka_unit_test(overlaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
