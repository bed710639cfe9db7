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
	addr_t reserved[] = { addr("10.0.0.1"), addr("fe80::1") };
	struct rules r = { .table = "hospes_br0", .bridge = "br0", .taps = taps, .tap_count = count, .services = services, .forwards = forwards,
			   .forward_count = forward_count, .reserved = reserved, .reserved_count = ARRAY_SIZE(reserved), .host = mac(9) };
	char *text = rules_text(&r);

	assert_non_null(text);
	return text;
}

static void test_nobody_attached(_unused_ void **state)
{
	char *text = text_of(NULL, 0, false, NULL, 0);

	/* Replaced in one transaction; no set has an empty list, which nft does not take; no table of family inet is left. */
	assert_order(text, "delete table bridge hospes_br0\n", "table bridge hospes_br0 {\n");
	assert_null(strstr(text, "{ }"));
	assert_non_null(strstr(text, "\tset taps {\n\t\ttype ifname\n\t}\n"));
	assert_non_null(strstr(text, "delete table inet hospes_br0_svc\n"));
	assert_null(strstr(text, "table inet hospes_br0_svc {"));
	free(text);
}

static void test_taps(_unused_ void **state)
{
	struct rules_tap taps[] = {
		{ .name = "hospes-0001", .mac = mac(1), .own = { addr("10.0.0.15"), addr("fd00::15") } },
		{ .name = "tap0", .binding = RULES_WAITING },
		{ .name = "tap1", .binding = RULES_FREE },
		{ .name = "tap2" }, /* bound to none: nothing gets through */
		{ .name = "hospes-0002", .mac = mac(2), .own = { addr("fe80::2") } },
	};
	char *text = text_of(taps, ARRAY_SIZE(taps), false, NULL, 0);

	assert_non_null(strstr(text, "elements = { \"hospes-0001\", \"tap0\", \"tap1\", \"tap2\", \"hospes-0002\" }"));
	assert_non_null(strstr(text, "elements = { \"hospes-0001\", \"tap2\", \"hospes-0002\" }"));
	assert_non_null(strstr(text, "elements = { \"hospes-0001\" . 52:54:00:00:00:01, \"hospes-0002\" . 52:54:00:00:00:02 }"));
	assert_non_null(strstr(text, "elements = { 52:54:00:00:00:09, 52:54:00:00:00:01, 52:54:00:00:00:02 }"));
	assert_null(strstr(text, "00:00:00:00:00:00 }"));
	assert_non_null(strstr(text, "\tset waiting {\n\t\ttype ifname\n\t\telements = { \"tap0\" }\n"));
	assert_non_null(strstr(text, "\tset held {\n\t\ttype ifname\n\t\telements = { \"hospes-0001\" }\n"));
	assert_non_null(strstr(text, "elements = { 10.0.0.1, 10.0.0.15 }"));
	assert_non_null(strstr(text, "elements = { fe80::1, fd00::15, fe80::2 }"));
	assert_non_null(strstr(text, "elements = { \"hospes-0001\" . 10.0.0.15 }"));
	assert_non_null(strstr(text, "elements = { \"hospes-0001\" . fd00::15, \"hospes-0002\" . fe80::2 }"));
	/* The same as numbers, for the target of an advertisement. */
	assert_non_null(strstr(text, "@th,64,128 { 0xfe800000000000000000000000000001, 0xfd000000000000000000000000000015, "));
	assert_non_null(strstr(text, "iifname . @th,64,128 != { \"hospes-0001\" . 0xfd000000000000000000000000000015, "));
	/* What is forged is dropped before anybody is told of it, and the MAC is judged before all else (CVE-2025-52889). */
	assert_order(text, "iifname . ether saddr != @macs goto", "iifname @waiting update");
	assert_order(text, "iifname @waiting drop", "udp sport 67 goto");
	assert_order(text, "arp saddr ip != @own4 goto", "ether type arp update @told");
	assert_order(text, "ip6 saddr @known6 iifname . ip6 saddr != @own6 goto", "nd-neighbor-advert } update @told");
	assert_order(text, "chain from_guest", "chain first");
	free(text);
}

/* Every reason has a set and a chain that drops, and every verdict one of these chains. */
static void test_reasons(_unused_ void **state)
{
	struct rules_tap taps[] = {
		{ .name = "hospes-0001", .mac = mac(1), .drops = { [DROP_SPOOFED_IP] = 7 } }, { .name = "hospes-0002", .mac = mac(2) },
	};
	char *text = text_of(taps, ARRAY_SIZE(taps), false, NULL, 0), wanted[300], set[RULES_SET_SIZE];
	size_t verdicts = 0;

	for (size_t i = 0; i < rules_reason_count; i++) {
		rules_reason_set(rules_reasons[i], set);
		snprintf(wanted, sizeof(wanted), "\tchain %s {\n\t\tadd @%s { iifname counter }\n\t\tdrop\n\t}\n", set, set);
		assert_non_null(strstr(text, wanted));
		snprintf(wanted, sizeof(wanted), "\tset %s {\n", set);
		assert_order(text, wanted, "chain from_guest");
	}
	for (const char *at = text; (at = strstr(at, "goto ")); verdicts++) {
		at += strlen("goto ");
		snprintf(wanted, sizeof(wanted), "\tchain %.*s {\n", (int)strcspn(at, "\n"), at);
		assert_order(text, wanted, "chain from_guest");
	}
	assert_true(verdicts > 10);
	/* The kernel goes on from what was counted before. */
	assert_non_null(strstr(text, "\t\tcounter\n\t\telements = { \"hospes-0001\" counter packets 7 bytes 0 }\n"));
	free(text);
}

static void test_reserved(_unused_ void **state)
{
	char *text = text_of(NULL, 0, false, NULL, 0);
	struct rules r = { .table = "hospes_br0", .bridge = "br0" };

	assert_non_null(strstr(text, "elements = { 10.0.0.1 }"));
	assert_non_null(strstr(text, "elements = { fe80::1 }"));
	assert_non_null(strstr(text, "nd-neighbor-advert @th,64,128 { 0xfe800000000000000000000000000001 } goto dropped-spoofed-ip\n"));
	free(text);
	text = rules_text(&r);
	assert_null(strstr(text, "@th,64,128"));
	assert_null(strstr(text, "elements"));
	free(text);
}

static void test_isolated(_unused_ void **state)
{
	struct rules_tap taps[] = { { .name = "hospes-0001", .mac = mac(1) } };
	struct rules r = { .table = "hospes_br0", .bridge = "br0", .taps = taps, .tap_count = 1 };
	char *text = rules_text(&r);

	assert_null(strstr(text, "dropped-policy\n\t\tether type arp update"));
	free(text);
	r.isolated = true;
	text = rules_text(&r);
	assert_non_null(strstr(text, "ether daddr @guests iifname . ether daddr != @macs goto dropped-policy\n"));
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
		cmocka_unit_test(test_nobody_attached), cmocka_unit_test(test_taps), cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_reserved), cmocka_unit_test(test_isolated), cmocka_unit_test(test_forwards),
		cmocka_unit_test(test_last_port), cmocka_unit_test(test_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
