// SPDX-License-Identifier: MIT
/* The text of the rules: what stands in it, in which order, and that it is made of checked values alone. */
#include "unit.h"

#include <stdlib.h>
#include "bridge/rules.h"

static addr_t addr(const char *text)
{
	addr_t a;

	assert_true(addr_parse(text, &a));
	return a;
}

static struct mac mac(uint8_t last) { return (struct mac){{ 0x52, 0x54, 0, 0, 0, last }}; }

/* @first comes, and before @then. */
static void assert_order(const char *text, const char *first, const char *then)
{
	const char *a = strstr(text, first), *b = strstr(text, then);

	assert_non_null(a);
	assert_non_null(b);
	assert_true(a < b);
}

static char *text_of(struct rules_tap *taps, size_t count, bool services, struct rules_forward *forwards, size_t forward_count)
{
	struct rules r = { .table = "hospes_br0", .bridge = "br0", .taps = taps, .tap_count = count, .services = services, .forwards = forwards,
			   .forward_count = forward_count, .gateway4 = addr("10.0.0.1") };
	char *text = rules_text(&r);

	assert_non_null(text);
	return text;
}

static void test_nobody_attached(_unused_ void **state)
{
	char *text = text_of(NULL, 0, false, NULL, 0);

	/* Replaced in one transaction; no set has an empty list, which nft does not take; no table of family inet is left. */
	assert_order(text, "delete table bridge hospes_br0\n", "table bridge hospes_br0 {\n");
	assert_null(strstr(text, "elements"));
	assert_non_null(strstr(text, "delete table inet hospes_br0_svc\n"));
	assert_null(strstr(text, "table inet hospes_br0_svc {"));
	free(text);
}

static void test_taps(_unused_ void **state)
{
	struct rules_tap taps[] = {
		{ .name = "hospes-0001", .bound = true, .mac = mac(1), .leased = { addr("10.0.0.15"), addr("10.0.0.16") } },
		{ .name = "tap0" },
		{ .name = "hospes-0002", .bound = true, .mac = mac(2) },
	};
	char *text = text_of(taps, ARRAY_SIZE(taps), false, NULL, 0);

	assert_non_null(strstr(text, "elements = { \"hospes-0001\", \"tap0\", \"hospes-0002\" }"));
	assert_non_null(strstr(text, "elements = { \"hospes-0001\" . 52:54:00:00:00:01, \"hospes-0002\" . 52:54:00:00:00:02 }"));
	assert_non_null(strstr(text, "elements = { \"hospes-0001\" . 10.0.0.15, \"hospes-0001\" . 10.0.0.16 }"));
	assert_non_null(strstr(text, "elements = { 10.0.0.15, 10.0.0.16 }"));
	/* What is forged is dropped before anybody is told of it, and the MAC is judged before all else (CVE-2025-52889). */
	assert_order(text, "iifname . ether saddr != @macs counter drop", "udp sport 67 counter drop");
	assert_order(text, "arp saddr ip != @lessees counter drop", "log group");
	assert_order(text, "chain from_guest", "chain first");
	free(text);
}

static void test_gateway(_unused_ void **state)
{
	char *text = text_of(NULL, 0, false, NULL, 0);

	assert_non_null(strstr(text, "arp saddr ip 10.0.0.1 counter drop"));
	assert_non_null(strstr(text, "ip saddr 10.0.0.1 counter drop"));
	assert_null(strstr(text, "ip6 saddr fe80"));
	free(text);
}

static void test_forwards(_unused_ void **state)
{
	struct rules_forward forwards[] = {
		{ .listen = addr("127.0.0.1"), .first = 8080, .last = 8081, .to = addr("10.0.0.15"), .port = 80 },
		{ .udp = true, .first = 53, .last = 53, .to = addr("fd00::15"), .port = 5353 },
	};
	struct rules r = { .forwards = forwards, .forward_count = 1 };
	char *text = text_of(NULL, 0, true, forwards, ARRAY_SIZE(forwards));

	assert_non_null(strstr(text, "ip daddr 127.0.0.1 tcp dport 8080 dnat ip to 10.0.0.15:80\n"));
	assert_non_null(strstr(text, "ip daddr 127.0.0.1 tcp dport 8081 dnat ip to 10.0.0.15:81\n"));
	assert_null(strstr(text, "dport 8082"));
	assert_non_null(strstr(text, "meta nfproto ipv6 fib daddr type local udp dport 53 dnat ip6 to [fd00::15]:5353\n"));
	assert_non_null(strstr(text, "iifname \"br0\" udp dport { 53, 67, 547 } drop"));
	/* Loopback is opened to what the host sends, and to nothing that comes in by the bridge. */
	assert_true(rules_needs_localnet(&r));
	assert_non_null(strstr(text, "iifname \"br0\" ip daddr 127.0.0.0/8 counter drop"));
	r.forwards++;
	assert_false(rules_needs_localnet(&r));
	free(text);
}

static void test_last_port(_unused_ void **state)
{
	struct rules_forward f = { .listen = addr("192.0.2.1"), .first = 65535, .last = 65535, .to = addr("10.0.0.15"), .port = 65535 };
	char *text = text_of(NULL, 0, true, &f, 1);

	assert_non_null(strstr(text, "tcp dport 65535 dnat ip to 10.0.0.15:65535\n"));
	free(text);
}

static void test_removed(_unused_ void **state)
{
	char *text = rules_remove_text("hospes_br0");

	/* Also where there is none: it is made first. */
	assert_order(text, "table bridge hospes_br0\n", "delete table bridge hospes_br0\n");
	assert_order(text, "table inet hospes_br0_svc\n", "delete table inet hospes_br0_svc\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_attached), cmocka_unit_test(test_taps), cmocka_unit_test(test_gateway), cmocka_unit_test(test_forwards),
		cmocka_unit_test(test_last_port), cmocka_unit_test(test_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
