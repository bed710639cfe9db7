// SPDX-License-Identifier: MIT
#include "unit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/nameservers.h"

static void addresses(void **state)
{
	static const struct { const char *text, *addr; uint16_t port; unsigned int scope; } good[] = {
		{ "127.0.0.53", "127.0.0.53", 53, 0 },
		{ "[127.0.0.1]:5353", "127.0.0.1", 5353, 0 },
		{ "2001:db8::1", "2001:db8::1", 53, 0 },
		{ "[::1]:65535", "::1", 65535, 0 },
		{ "fe80::1%lo", "fe80::1", 53, 1 },
		{ "fe80::1%7", "fe80::1", 53, 7 },
		{ "[fe80::1%lo]:54", "fe80::1", 54, 1 },
	};
	static const char *const bad[] = {
		"", "localhost", "1.2.3", "1.2.3.4:53", "[::1]", "[::1]:", "[::1]:0", "[::1]:65536", "[::1]:5x", "[::1]53",
		"fe80::1%", "fe80::1%nosuch0",
		"127.0.0.1%lo", "224.0.0.1", "ff02::fb",
		"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]:53",
	};
	struct nameserver n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint16_t port;
		addr_t want;

		assert_true(nameserver_parse(good[i].text, &n));
		assert_true(addr_parse(good[i].addr, &want));
		assert_true(addr_equal(host_addr_of(&n.addr, &port), want));
		assert_int_equal(port, good[i].port);
		assert_int_equal(n.addr.sa.sa_family, addr_is4(want) ? AF_INET : AF_INET6);
		assert_int_equal(n.size, addr_is4(want) ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		if (!addr_is4(want))
			assert_int_equal(((struct sockaddr_in6 *)&n.addr)->sin6_scope_id, good[i].scope);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(nameserver_parse(bad[i], &n));
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void files(void **state)
{
	char path[] = "/tmp/hospes-nameservers.XXXXXX";
	struct nameservers n = { 0 };
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	nameservers_refresh(&n, path);
	assert_int_equal(n.count, 0);
	write_file(path, "# nameserver 1.1.1.1\n;nameserver 1.1.1.1\nnameservers 1.1.1.1\n\tnameserver\t10.0.0.1 # the first\r\n"
			 "nameserver\noptions edns0\nnameserver bad\nnameserver ::1\nnameserver 10.0.0.3\nnameserver 10.0.0.4");
	nameservers_refresh(&n, path);
	assert_int_equal(n.count, 3);
	assert_int_equal(n.servers[1].addr.sa.sa_family, AF_INET6);
	n.count = 2; /* not read again as long as it is the same */
	nameservers_refresh(&n, path);
	assert_int_equal(n.count, 2);
	write_file(path, "nameserver 10.0.0.9");
	nameservers_refresh(&n, path);
	assert_int_equal(n.count, 1);
	unlink(path);
	nameservers_refresh(&n, path);
	assert_int_equal(n.count, 0);
	nameservers_refresh(&n, "/");
	assert_int_equal(n.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(addresses), cmocka_unit_test(files) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
