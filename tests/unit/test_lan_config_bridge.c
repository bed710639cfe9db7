// SPDX-License-Identifier: MIT
/* The configuration of a bridge LAN. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "lan/config.h"

static int parse(struct lan_config **out, const char *name, const char *text, char *error)
{
	FILE *f = fmemopen((void *)text, strlen(text), "r");
	int r = lan_config_parse(out, name, f, "x.lan", error, 512);

	fclose(f);
	return r;
}

static void whole(void **state)
{
	_cleanup_(lan_config_freep) struct lan_config *c = NULL;
	char error[512] = "", a[ADDR_TEXT_SIZE];
	const struct bridge_config *b;

	(void)state;
	assert_int_equal(parse(&c, "office",
		"[LAN]\nIPv4 = 192.168.1.2/24\nFabric = bridge\nBridge = br0\nUplink = eth0.10\nGateway=192.168.1.1\n"
		"IPv6 = 2001:db8::2/56\n"
		"STP = yes\nForwardDelay = 9\nHello = 2\nMaxAge = 12\nMTU = 1400\nGuests = isolated\nTaps = tap0:wangji, tap1:Li_2\n"
		"Allow = wangji @kvm\n[Guest]\nName = web\nMAC = 52:54:00:12:34:57\n", error), 0);
	b = &c->bridge;
	assert_int_equal(c->fabric, FABRIC_BRIDGE);
	assert_string_equal(b->bridge, "br0");
	assert_string_equal(b->uplink, "eth0.10");
	assert_string_equal(addr_format(b->gateway4, a), "192.168.1.1");
	assert_int_equal(b->ip4, BRIDGE_IP_STATIC);
	assert_string_equal(addr_format(b->addr4, a), "192.168.1.2");
	assert_int_equal(b->bits4, 24);
	assert_int_equal(b->ip6, BRIDGE_IP_STATIC);
	assert_int_equal(b->bits6, 56);
	assert_true(b->stp && b->guests_isolated && !b->nat && !b->isolated);
	assert_int_equal(b->forward_delay, 9);
	assert_int_equal(b->hello, 2);
	assert_int_equal(b->max_age, 12);
	assert_int_equal(b->mtu, 1400);
	assert_int_equal(b->tap_count, 2);
	assert_string_equal(b->taps[1].name, "tap1");
	assert_string_equal(b->taps[1].owner, "Li_2");
	assert_int_equal(b->allow_count, 2);
	assert_true(!b->allow[0].group && b->allow[1].group);
	assert_string_equal(b->allow[1].name, "kvm");
	assert_int_equal(c->guest_count, 1);
}

static void defaults(void **state)
{
	_cleanup_(lan_config_freep) struct lan_config *c = NULL, *nat = NULL, *none = NULL;
	char error[512] = "";

	(void)state;
	assert_int_equal(parse(&c, "br0", "[LAN]\nFabric = bridge\nUplink = eth0\nIPv4 = dhcp\n", error), 0);
	assert_string_equal(c->bridge.bridge, "br0");
	assert_true(c->bridge.ip4 == BRIDGE_IP_DHCP && c->bridge.ip6 == BRIDGE_IP_AUTO);
	assert_true(c->bridge.forward_delay == -1 && c->bridge.hello == -1 && c->bridge.max_age == -1 && !c->bridge.mtu && !c->bridge.stp);
	assert_int_equal(parse(&nat, "lab", "[LAN]\nFabric = bridge\nNAT = yes\nIPv4 = 10.0.5.0/24\nLease = 10m\n", error), 0);
	assert_true(nat->bridge.nat && nat->has_net4 && nat->bits4 == 24);
	assert_int_equal(parse(&none, "lab", "[LAN]\nFabric = bridge\nUplink = eth0\nIPv4 = none\nIPv6 = none\n", error), 0);
	assert_true(none->no_ip4 && none->no_ip6 && none->bridge.ip4 == BRIDGE_IP_NONE && none->bridge.ip6 == BRIDGE_IP_NONE);
}

#define BRIDGE "[LAN]\nFabric = bridge\n"

static void mistakes(void **state)
{
	static const struct { const char *text; unsigned int line; const char *says, *expects; } rows[] = {
		{ BRIDGE "Flows = 100\nUplink = eth0\n", 3, "Flows is a word of user LANs", "Fabric = user" },
		{ BRIDGE "Bridge = averylongbridgename\n", 3, "Bridge = averylongbridgename", "1 to 15" },
		{ BRIDGE "Bridge = br 0\n", 3, "Bridge", "a letter first" }, { BRIDGE "Bridge = 0br\n", 3, "Bridge", "a letter first" },
		{ BRIDGE "Bridge = Br0\n", 3, "Bridge", "a-z" }, { BRIDGE "Bridge = all\n", 3, "Bridge", "1 to 15" },
		{ BRIDGE "Bridge = default\n", 3, "Bridge", "1 to 15" }, { BRIDGE "Bridge = ../x\n", 3, "Bridge", "1 to 15" },
		{ BRIDGE "Uplink = eth/0\n", 3, "Uplink", "network card" }, { BRIDGE "Uplink = ..\n", 3, "Uplink", "network card" },
		{ BRIDGE "Uplink = abcdefghijklmnop\n", 3, "Uplink", "network card" },
		{ BRIDGE "Bridge = br0\nUplink = br0\n", 3, "both br0", "a name of its own" },
		{ BRIDGE "Gateway = 192.168.1.1\n", 3, "no", "take the line out" },
		{ BRIDGE "Gateway = ::1\nUplink = eth0\n", 3, "Gateway", "router's IPv4" },
		{ BRIDGE "Gateway = 192.168.2.1\nUplink = eth0\nIPv4 = 192.168.1.2/24\n", 3, "192.168.2.1", "in the network" },
		{ BRIDGE "Gateway = 192.168.1.2\nUplink = eth0\nIPv4 = 192.168.1.2/24\n", 3, "192.168.1.2", "another address" },
		{ BRIDGE "IPv4 = 192.168.1.0/24\nUplink = eth0\n", 3, "192.168.1.0/24", "the host's" },
		{ BRIDGE "IPv4 = 192.168.1.255/24\nUplink = eth0\n", 3, "broadcast", "the host's" },
		{ BRIDGE "IPv4 = 127.0.0.1/8\nUplink = eth0\n", 3, "127.0.0.1", "host's address" },
		{ BRIDGE "IPv4 = 10.0.0.2/33\nUplink = eth0\n", 3, "10.0.0.2/33", "host's address" },
		{ BRIDGE "IPv6 = fe80::1/64\nUplink = eth0\n", 3, "fe80::1", "global" },
		{ BRIDGE "IPv4 = dhcp\n", 3, "without an Uplink", "expected" },
		{ BRIDGE "NAT = yes\nIPv4 = 10.0.5.1/30\n", 4, "10.0.5.1/30", "/8 to /29" },
		{ BRIDGE "NAT = yes\nUplink = wlan0\n", 3, "NAT = yes", "Uplink = none" },
		{ BRIDGE "Isolated = yes\nUplink = eth0\n", 3, "Isolated = yes", "Uplink = none" },
		{ BRIDGE "Isolated = yes\nNAT = yes\n", 3, "exclude each other", "one of the two" },
		{ BRIDGE "NAT = yes\nIPv4 = none\nIPv6 = none\n", 4, "nothing to carry", "one of the two" },
		{ BRIDGE "STP = on\n", 3, "STP", "yes or no" }, { BRIDGE "ForwardDelay = 31\n", 3, "ForwardDelay", "2 to 30" },
		{ BRIDGE "Hello = 0\n", 3, "Hello", "1 to 10" }, { BRIDGE "MaxAge = 5\n", 3, "MaxAge", "6 to 40" },
		{ BRIDGE "STP = yes\nForwardDelay = 4\nMaxAge = 20\n", 5, "STP = yes", "at most" },
		{ BRIDGE "Guests = apart\n", 3, "Guests", "isolated" },
		{ BRIDGE "Taps = tap0\n", 3, "Taps", "TAP:USER" }, { BRIDGE "Taps = tap0:a, tap0:b\n", 3, "Taps", "each tap once" },
		{ BRIDGE "Taps = tap0123456789abcd:wangji\n", 3, "Taps", "1 to 15" },
		{ BRIDGE "Taps = x:a\nUplink = x\n", 3, "x is the bridge's or the uplink's", "its own" },
		{ BRIDGE "Taps = tap0:a\n[Guest]\nName = web\nTap = tap1\n", 3, "guest web (line 4) has Tap = tap1", "Taps = tap1:wangji" },
		{ BRIDGE "[Guest]\nName = web\nTap = tap1\n", 5, "guest web (line 3) has Tap = tap1", "with its owner" },
		{ BRIDGE "[Guest]\nName = web\nTap = -\n", 5, "Tap = -", "such as tap0" },
		{ BRIDGE "Taps = tap0:a\n[Guest]\nName = a\nTap = tap0\n[Guest]\nName = b\nTap = tap0\n", 7, "guest b has the tap of guest a",
		  "its own" },
		{ "[LAN]\n[Guest]\nName = web\nTap = tap0\n", 2, "Tap is a word of bridge LANs", "Fabric = bridge" },
		{ BRIDGE "Allow = wang/ji\n", 3, "Allow", "users" }, { BRIDGE "Allow = @\n", 3, "Allow", "users" }, { BRIDGE "Allow =\n",
														     3, "Allow", "users" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lan_config *c = NULL;
		char error[512] = "", at[32];

		assert_int_equal(parse(&c, "br0", rows[i].text, error), -EINVAL);
		assert_null(c);
		snprintf(at, sizeof(at), "x.lan:%u: ", rows[i].line);
		if (strncmp(error, at, strlen(at)) || !strstr(error, rows[i].says) || !strstr(error, rows[i].expects))
			fail_msg("%s\n%s", rows[i].text, error);
	}
}

static void name_of_the_lan(void **state)
{
	struct lan_config *c = NULL;
	char error[512] = "";

	(void)state;
	assert_int_equal(parse(&c, "default", BRIDGE, error), -EINVAL);
	assert_non_null(strstr(error, "Bridge = br0"));
	assert_int_equal(parse(&c, "0", BRIDGE, error), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole), cmocka_unit_test(defaults), cmocka_unit_test(mistakes), cmocka_unit_test(name_of_the_lan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
