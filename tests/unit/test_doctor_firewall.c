// SPDX-License-Identifier: MIT
/* The walk through a firewall's rules: what the kernel would do with a packet, on rules as nft prints them. */
#include "unit.h"
#include <stdio.h>
#include "doctor/firewall.h"

#define CHAIN(family, table, name, priority, policy)                                                                     \
	"{\"chain\":{\"family\":\"" family "\",\"table\":\"" table "\",\"name\":\"" name "\",\"type\":\"filter\",\"hook\":\"forward\","       \
	"\"prio\":" priority ",\"policy\":\"" policy "\"}}"
#define RULE(family, table, chain, handle, expr)                                                                         \
	"{\"rule\":{\"family\":\"" family "\",\"table\":\"" table "\",\"chain\":\"" chain "\",\"handle\":" handle ",\"expr\":[" expr "]}}"
#define META(op, key, right) "{\"match\":{\"op\":\"" op "\",\"left\":{\"meta\":{\"key\":\"" key "\"}},\"right\":" right "}}"
#define STATE(right) "{\"match\":{\"op\":\"in\",\"left\":{\"ct\":{\"key\":\"state\"}},\"right\":" right "}}"
#define ADDRESS(op, field, right) "{\"match\":{\"op\":\"" op "\",\"left\":{\"payload\":{\"protocol\":\"ip\",\"field\":\"" field "\"}},\"right\":" right "}}"
#define PORT(n) "{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"tcp\",\"field\":\"dport\"}},\"right\":" n "}}"
#define ACCEPT "{\"accept\":null}"
#define DROP   "{\"drop\":null}"
#define FILTER CHAIN("ip", "filter", "FORWARD", "0", "drop")

static const struct firewall_packet bridged = { .family = "ip", .in = "br0", .out = "br0", .state = "new" };

static struct firewall_verdict judge(const char *objects, const struct firewall_packet *packet)
{
	char text[16384];
	struct firewall_verdict v;
	json_error_t error;
	json_t *ruleset;

	snprintf(text, sizeof(text), "{\"nftables\":[%s]}", objects);
	ruleset = json_loads(text, 0, &error);
	if (!ruleset)
		fail_msg("%s: %s", error.text, text);
	firewall_judge(ruleset, packet, &v);
	json_decref(ruleset);
	return v;
}

#define DROPS(objects)  assert_true(judge(objects, &bridged).dropped)
#define PASSES(objects) assert_false(judge(objects, &bridged).dropped)

static void no_rules_drop_nothing(void **state)
{
	(void)state;
	PASSES("");
	PASSES("{\"metainfo\":{}}");
	PASSES(CHAIN("ip", "filter", "FORWARD", "0", "accept"));
	PASSES(CHAIN("ip6", "filter", "FORWARD", "0", "drop"));
	PASSES("{\"chain\":{\"family\":\"ip\",\"table\":\"filter\",\"name\":\"INPUT\",\"hook\":\"input\",\"prio\":0,\"policy\":\"drop\"}}");
}

static void a_policy_is_named(void **state)
{
	struct firewall_verdict v = judge(FILTER, &bridged);

	(void)state;
	assert_true(v.dropped);
	assert_int_equal(v.handle, 0);
	assert_string_equal(v.family, "ip");
	assert_string_equal(v.table, "filter");
	assert_string_equal(v.base, "FORWARD");
	assert_string_equal(v.chain, "FORWARD");
	assert_string_equal(v.through, "");
}

#define LONG64 "a-chain-whose-name-is-as-long-as-those-that-programs-make-up-and"

static void a_long_name_is_whole(void **state)
{
	struct firewall_verdict v = judge(CHAIN("ip", LONG64, LONG64 "-more", "0", "drop"), &bridged);

	(void)state;
	assert_string_equal(v.table, LONG64);
	assert_string_equal(v.base, LONG64 "-more");
	assert_string_equal(v.chain, LONG64 "-more");
}

/* Each chain jumps ten times to the next: followed to their end, that would be a walk of years. */
static void many_jumps_end(void **state)
{
	char objects[16000] = CHAIN("ip", "filter", "0", "0", "accept"), *at = objects + strlen(objects);

	(void)state;
	for (int chain = 0; chain < 14; chain++)
		for (int i = 0; i < 10; i++)
			at += snprintf(at, (size_t)(objects + sizeof(objects) - at), "," RULE("ip", "filter", "%d", "1", "{\"jump\":{\"target\":\"%d\"}}"),
				       chain, chain + 1);
	assert_true(at < objects + sizeof(objects));
	PASSES(objects);
}

static void links_are_matched(void **state)
{
	(void)state;
	PASSES(FILTER "," RULE("ip", "filter", "FORWARD", "2", META("==", "iifname", "\"br0\"") "," ACCEPT));
	PASSES(FILTER "," RULE("ip", "filter", "FORWARD", "2", META("==", "iifname", "\"br*\"") "," ACCEPT));
	PASSES(FILTER "," RULE("ip", "filter", "FORWARD", "2", META("==", "oifname", "{\"set\":[\"eth0\",\"br0\"]}") "," ACCEPT));
	PASSES(FILTER "," RULE("ip", "filter", "FORWARD", "2", META("!=", "iifname", "\"eth0\"") "," ACCEPT));
	DROPS(FILTER "," RULE("ip", "filter", "FORWARD", "2", META("==", "iifname", "\"br1\"") "," ACCEPT));
	DROPS(FILTER "," RULE("ip", "filter", "FORWARD", "2", META("!=", "iifname", "\"br0\"") "," ACCEPT));
	DROPS(FILTER "," RULE("ip", "filter", "FORWARD", "2", META("==", "iifname", "\"br0\"") "," META("==", "oifname", "\"eth0\"") "," ACCEPT));
	/* Rules of another table, or of another chain, are none of ours. */
	DROPS(FILTER "," RULE("ip", "other", "FORWARD", "2", ACCEPT));
	DROPS(FILTER "," RULE("ip", "filter", "INPUT", "2", ACCEPT));
}

static void what_is_not_known_is_not_met(void **state)
{
	(void)state;
	DROPS(FILTER "," RULE("ip", "filter", "FORWARD", "2", "{\"xt\":{\"type\":\"match\",\"name\":\"conntrack\"}}," ACCEPT));
	DROPS(FILTER "," RULE("ip", "filter", "FORWARD", "2", "{\"limit\":{\"rate\":1,\"per\":\"second\"}}," ACCEPT));
	DROPS(FILTER "," RULE("ip", "filter", "FORWARD", "2", META("==", "iifname", "\"@links\"") "," ACCEPT));
	PASSES(CHAIN("ip", "filter", "FORWARD", "0", "accept") "," RULE("ip", "filter", "FORWARD", "2", PORT("25") "," DROP));
	PASSES(CHAIN("ip", "filter", "FORWARD", "0", "accept") "," RULE("ip", "filter", "FORWARD", "2", ADDRESS("==", "saddr", "\"10.0.0.1\"") "," DROP));
	PASSES(CHAIN("ip", "filter", "FORWARD", "0", "accept") "," RULE("ip", "filter", "FORWARD", "2", ADDRESS("!=", "saddr", "\"10.0.0.1\"") "," DROP));
}

static void addresses_are_matched(void **state)
{
	struct firewall_packet packet = bridged;

	(void)state;
	assert_true(addr_parse("10.0.3.15", &packet.from));
#define FROM(op, right) judge(FILTER "," RULE("ip", "filter", "FORWARD", "2", ADDRESS(op, "saddr", right) "," ACCEPT), &packet).dropped
	assert_false(FROM("==", "\"10.0.3.15\""));
	assert_false(FROM("==", "{\"prefix\":{\"addr\":\"10.0.3.0\",\"len\":24}}"));
	assert_true(FROM("==", "{\"prefix\":{\"addr\":\"10.0.2.0\",\"len\":24}}"));
	assert_false(FROM("!=", "{\"prefix\":{\"addr\":\"10.0.2.0\",\"len\":24}}"));
	assert_true(FROM("==", "{\"range\":[\"10.0.3.1\",\"10.0.3.20\"]}"));
}

static void states_and_maps(void **state)
{
	(void)state;
	DROPS(FILTER "," RULE("ip", "filter", "FORWARD", "2", STATE("[\"established\",\"related\"]") "," ACCEPT));
	PASSES(FILTER "," RULE("ip", "filter", "FORWARD", "2", STATE("[\"established\",\"new\"]") "," ACCEPT));
	DROPS(FILTER "," RULE("ip", "filter", "FORWARD", "2",
		"{\"vmap\":{\"key\":{\"ct\":{\"key\":\"state\"}},\"data\":{\"set\":[[\"established\"," ACCEPT "]]}}}"));
	PASSES(FILTER "," RULE("ip", "filter", "FORWARD", "2",
		"{\"vmap\":{\"key\":{\"meta\":{\"key\":\"iifname\"}},\"data\":{\"set\":[[\"eth0\"," DROP "],[\"br0\"," ACCEPT "]]}}}"));
}

static void chains_are_followed(void **state)
{
	struct firewall_verdict v;

	(void)state;
	PASSES(FILTER "," RULE("ip", "filter", "FORWARD", "2", "{\"jump\":{\"target\":\"A\"}}") "," RULE("ip", "filter", "A", "3", ACCEPT));
	/* A return, and a chain's end, lead back; a goto leads to the policy. */
	PASSES(FILTER "," RULE("ip", "filter", "FORWARD", "2", "{\"jump\":{\"target\":\"A\"}}") "," RULE("ip", "filter", "FORWARD", "4", ACCEPT) ","
	       RULE("ip", "filter", "A", "3", "{\"return\":null}") "," RULE("ip", "filter", "A", "5", DROP));
	DROPS(FILTER "," RULE("ip", "filter", "FORWARD", "2", "{\"goto\":{\"target\":\"A\"}}") "," RULE("ip", "filter", "FORWARD", "4", ACCEPT));
	v = judge(CHAIN("ip", "filter", "FORWARD", "0", "accept") "," RULE("ip", "filter", "FORWARD", "2", "{\"jump\":{\"target\":\"A\"}}") ","
		  RULE("ip", "filter", "A", "9", "{\"xt\":{\"type\":\"target\",\"name\":\"REJECT\"}}"), &bridged);
	assert_true(v.dropped);
	assert_int_equal(v.handle, 9);
	assert_string_equal(v.chain, "A");
	assert_string_equal(v.base, "FORWARD");
	/* A circle, which the kernel would refuse, ends, too. */
	DROPS(FILTER "," RULE("ip", "filter", "FORWARD", "2", "{\"jump\":{\"target\":\"A\"}}") ","
	      RULE("ip", "filter", "A", "3", "{\"jump\":{\"target\":\"A\"}}"));
}

static void every_base_chain_has_its_say(void **state)
{
	struct firewall_verdict v;

	(void)state;
	/* An accept ends one of them only, whatever its priority. */
	v = judge(CHAIN("inet", "mine", "forward", "-10", "accept") "," RULE("inet", "mine", "forward", "1", ACCEPT) "," FILTER, &bridged);
	assert_true(v.dropped);
	assert_string_equal(v.table, "filter");
	/* The one that comes first is named, not the one that stands first. */
	v = judge(CHAIN("inet", "late", "forward", "10", "drop") "," FILTER, &bridged);
	assert_string_equal(v.table, "filter");
	/* Our own drop on purpose. */
	PASSES(CHAIN("inet", "hospes_br0", "forward", "0", "drop"));
}

static void docker_has_a_chain_for_the_user(void **state)
{
	struct firewall_verdict v = judge(FILTER "," RULE("ip", "filter", "FORWARD", "2", "{\"jump\":{\"target\":\"DOCKER-USER\"}}") ","
		RULE("ip", "filter", "DOCKER-USER", "3", "{\"return\":null}"), &bridged);

	(void)state;
	assert_true(v.dropped);
	assert_string_equal(v.through, "DOCKER-USER");
	/* One that nobody jumps to is of no use. */
	v = judge(FILTER "," RULE("ip", "filter", "DOCKER-USER", "3", "{\"return\":null}"), &bridged);
	assert_string_equal(v.through, "");
}

static void a_bridges_own_chains(void **state)
{
	struct firewall_packet packet = { .family = "bridge", .in = "tap0", .out = "eth0", .bridge = "br0", .state = "new" };

	(void)state;
	assert_true(judge(CHAIN("bridge", "guard", "forward", "0", "drop"), &packet).dropped);
	assert_false(judge(CHAIN("inet", "guard", "forward", "0", "drop"), &packet).dropped);
	assert_false(judge(CHAIN("bridge", "guard", "forward", "0", "drop") "," RULE("bridge", "guard", "forward", "2", META("==", "ibrname", "\"br0\"") ","
		ACCEPT), &packet).dropped);
}

static void hooks_and_masquerades_are_found(void **state)
{
	json_t *none = json_loads("{\"nftables\":[" CHAIN("inet", "hospes_x", "forward", "0", "drop") "]}", 0, NULL);
	json_t *some = json_loads("{\"nftables\":[" FILTER "," RULE("ip", "nat", "POSTROUTING", "2", "{\"xt\":{\"type\":\"target\",\"name\":\"MASQUERADE\"}}")
		"]}", 0, NULL);

	(void)state;
	assert_false(firewall_has_hook(none, NULL));
	assert_false(firewall_has_masquerade(none));
	assert_true(firewall_has_hook(some, NULL));
	assert_true(firewall_has_hook(some, "forward"));
	assert_false(firewall_has_hook(some, "input"));
	assert_true(firewall_has_masquerade(some));
	assert_false(firewall_has_hook(NULL, NULL));
	json_decref(none);
	json_decref(some);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_rules_drop_nothing),
		cmocka_unit_test(a_policy_is_named),
		cmocka_unit_test(a_long_name_is_whole),
		cmocka_unit_test(many_jumps_end),
		cmocka_unit_test(links_are_matched),
		cmocka_unit_test(what_is_not_known_is_not_met),
		cmocka_unit_test(addresses_are_matched),
		cmocka_unit_test(states_and_maps),
		cmocka_unit_test(chains_are_followed),
		cmocka_unit_test(every_base_chain_has_its_say),
		cmocka_unit_test(docker_has_a_chain_for_the_user),
		cmocka_unit_test(a_bridges_own_chains),
		cmocka_unit_test(hooks_and_masquerades_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
