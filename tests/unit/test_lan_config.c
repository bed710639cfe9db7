// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lan/config.h"

static int parse(struct lan_config **out, const char *text, size_t size, char error[static 512])
{
	FILE *f = fmemopen((void *)text, size, "r");
	int r;

	assert_non_null(f);
	error[0] = 0;
	r = lan_config_parse(out, "default", f, "x.lan", error, 512);
	fclose(f);
	return r;
}

static void check_defaults(const struct lan_config *c)
{
	assert_string_equal(c->name, "default");
	assert_string_equal(c->domain, "hospes");
	assert_int_equal(c->fabric, FABRIC_USER);
	assert_false(c->has_net4 || c->no_ip4 || c->has_net6 || c->no_ip6);
	assert_int_equal(c->mtu, 1500);
	assert_int_equal(c->lease_seconds, 86400);
	assert_int_equal(c->keepalive_seconds, 7200);
	assert_int_equal(c->poll, CONFIG_POLL_AUTO);
	assert_int_equal(c->host_access, HOST_ACCESS_LAN);
	assert_int_equal(c->flow_max, 65536);
	assert_int_equal(c->guest_count, 0);
	assert_int_equal(c->forward_count, 0);
}

static void defaults(void **state)
{
	static const char *const empty[] = { "\n", "# nothing\n", "; nothing", "[LAN]\n", "\xef\xbb\xbf[LAN]\n", "\r\n\r\n" };
	char error[512];

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(empty); i++) {
		_cleanup_(lan_config_freep) struct lan_config *c = NULL;

		if (i == ARRAY_SIZE(empty))
			assert_int_equal(lan_config_load(&c, "default", NULL, error, sizeof(error)), 0);
		else
			assert_int_equal(parse(&c, empty[i], strlen(empty[i]), error), 0);
		check_defaults(c);
	}
}

static void everything(void **state)
{
	static const char text[] =
		"# a LAN\n"
		"[LAN]\n"
		"Fabric = user      ; carried by ourselves\n"
		"Domain = Lab.Example\t# a comment\n"
		"IPv4=192.168.7.0/24\n"
		"  IPv6 = fd12:3456:789a:1::/64\n"
		"mtu = 9000\r\n"
		"Lease = 12h\n"
		"HostAccess = FULL\n"
		"Flows = 1024\n"
		"\n"
		"[Guest]\n"
		"Name = Web\n"
		"MAC = 52:54:00:12:34:57\n"
		"IPv4 = 192.168.7.20\n"
		"[guest]\n"
		"Name = db\n"
		"[Forward]\n"
		"Listen = 127.0.0.1:8080/tcp\n"
		"To = web:80\n"
		"[Forward]\n"
		"To = db:5432\n"
		"Listen = /run/user/1000/a#b;c.sock\n";
	static const struct mac mac = {{ 0x52, 0x54, 0, 0x12, 0x34, 0x57 }};
	_cleanup_(lan_config_freep) struct lan_config *c = NULL;
	char error[512], a[ADDR_TEXT_SIZE];

	(void)state;
	assert_int_equal(parse(&c, text, strlen(text), error), 0);
	assert_string_equal(c->domain, "lab.example");
	assert_true(c->has_net4 && c->has_net6);
	assert_string_equal(addr_format(c->net4, a), "192.168.7.0");
	assert_int_equal(c->bits4, 24);
	assert_string_equal(addr_format(c->net6, a), "fd12:3456:789a:1::");
	assert_int_equal(c->mtu, 9000);
	assert_int_equal(c->lease_seconds, 43200);
	assert_int_equal(c->host_access, HOST_ACCESS_FULL);
	assert_int_equal(c->flow_max, 1024);
	assert_int_equal(c->guest_count, 2);
	assert_string_equal(c->guests[0].name, "web");
	assert_true(mac_equal(c->guests[0].mac, mac));
	assert_string_equal(addr_format(c->guests[0].ip4, a), "192.168.7.20");
	assert_int_equal(c->guests[0].line, 12);
	assert_string_equal(c->guests[1].name, "db");
	assert_true(mac_is_zero(c->guests[1].mac) && addr_is_any(c->guests[1].ip4));
	assert_int_equal(c->forward_count, 2);
	assert_int_equal(c->forwards[0].first, 8080);
	assert_string_equal(c->forwards[0].guest, "web");
	assert_int_equal(c->forwards[1].kind, FORWARD_UNIX);
	assert_string_equal(c->forwards[1].path, "/run/user/1000/a#b;c.sock");
}

static void poll_values(void **state)
{
	static const struct { const char *value; int32_t poll; } rows[] = {
		{ "auto", CONFIG_POLL_AUTO }, { "Auto", CONFIG_POLL_AUTO }, { "off", 0 }, { "OFF", 0 }, { "0", 0 }, { "1", 1 }, { "50", 50 },
		{ "1000000", 1000000 }, { "1000001", -EINVAL }, { "-1", -EINVAL }, { "4294967296", -EINVAL }, { "50us", -EINVAL }, { "on", -EINVAL },
		{ "", -EINVAL },
	};
	char error[512], text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(lan_config_freep) struct lan_config *c = NULL;
		int r, size = snprintf(text, sizeof(text), "[LAN]\nPoll = %s\n", rows[i].value);

		r = parse(&c, text, (size_t)size, error);
		if (rows[i].poll == -EINVAL && (r != -EINVAL || !strstr(error, "x.lan:2: ") || !strstr(error, "auto, off, or up to 1000000")))
			fail_msg("%s\n-> %d, %s", text, r, error);
		else if (rows[i].poll != -EINVAL && (r || c->poll != rows[i].poll))
			fail_msg("%s\n-> %d, %s", text, r ? r : c->poll, error);
	}
}

static void many(void **state)
{
	char *text = test_malloc(1 << 20), error[512];
	size_t n = 0;

	(void)state;
	for (unsigned int i = 1; i <= 700; i++)
		n += (size_t)sprintf(text + n, "[Guest]\nName=g%u\n[Forward]\nListen=%u\nTo=g%u:22\n", i, 2000 + i, i);
	{
		_cleanup_(lan_config_freep) struct lan_config *c = NULL;

		assert_int_equal(parse(&c, text, n, error), 0);
		assert_int_equal(c->guest_count, 700);
		assert_int_equal(c->forward_count, 700);
		assert_string_equal(c->guests[699].name, "g700");
		assert_int_equal(c->forwards[699].first, 2700);
	}
	test_free(text);
}

/* Each mistake, the line that is named, and what the message must say. */
static void mistakes(void **state)
{
	static const struct { const char *text; unsigned int line; const char *says, *expects; } rows[] = {
		{ "[LAN]\nBridge = br0\n", 2, "Bridge is a word of bridge LANs", "Fabric = bridge" },
		{ "[LAN]\nAllow = wangji, @kvm\nFabric = user\nSTP = no\n", 2, "Allow is a word of bridge LANs", "Fabric = bridge" },
		{ "[LAN]\nFabric = ether\n", 2, "Fabric = ether", "expected user or bridge" },
		{ "[LAN]\nColour = red\n", 2, "Colour", "Fabric, Domain, IPv4, IPv6, MTU, Lease, HostAccess, Flows" },
		{ "[Guest]\nName = a\nDomain = x\n", 3, "Domain", "expected one of Name, MAC, IPv4" },
		{ "[LAN]\nMTU = 1500\n\nMTU = 1400\n", 4, "MTU is there twice", "expected one" },
		{ "[LAN]\n[LAN]\n", 2, "second [LAN]", "expected one" },
		{ "[Land]\n", 1, "[Land]", "expected [LAN], [Guest] or [Forward]" }, { "[]\n", 1, "[]", "expected [LAN]" },
		{ "[LAN\n", 1, "[LAN", "expected [LAN]" },
		{ "[LAN] x\n", 1, "[LAN] x", "expected [LAN]" }, { "MTU = 1500\n", 1, "MTU stands before any section", "expected [LAN]" },
		{ "[LAN]\nhello\n", 2, "neither a section nor a key", "Key = value" },
		{ "[LAN]\n\n= 5\n", 3, " is no key", "expected one of" },
		{ "[LAN]\nhello\nMTU = 1\n", 2, "neither a section nor a key", "Key = value" },
		{ "[LAN]\nMTU = 1279\n", 2, "MTU = 1279", "1280 to 65520" }, { "[LAN]\nMTU = 65521\n", 2, "MTU", "1280 to 65520" },
		{ "[LAN]\nMTU = 99999999999\n", 2, "MTU", "1280" }, { "[LAN]\nMTU = 1500x\n", 2, "MTU", "1280" },
		{ "[LAN]\nMTU = -1\n", 2, "MTU", "1280" },
		{ "[LAN]\nMTU =\n", 2, "MTU", "1280" }, { "[LAN]\nLease = 1m\n", 2, "Lease", "two minutes" },
		{ "[LAN]\nLease = 366d\n", 2, "Lease", "a year" },
		{ "[LAN]\nLease = d\n", 2, "Lease", "two minutes" }, { "[LAN]\nLease = 5w\n", 2, "Lease", "two minutes" },
		{ "[LAN]\nLease = 4294967295d\n", 2, "Lease", "a year" },
		{ "[LAN]\nHostAccess = yes\n", 2, "HostAccess", "lan, full or none" },
		{ "[LAN]\nFlows = 15\n", 2, "Flows", "16 to 65536" }, { "[LAN]\nFlows = 65537\n", 2, "Flows", "16 to 65536" },
		{ "[LAN]\nDomain = a..b\n", 2, "Domain", "DNS name" }, { "[LAN]\nDomain = -a\n", 2, "Domain", "DNS name" },
		{ "[LAN]\nDomain = a.\n", 2, "Domain", "DNS name" },
		{ "[LAN]\nDomain = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 2, "Domain", "63" },
		{ "[LAN]\nIPv4 = 10.0.2.1/24\n", 2, "IPv4 = 10.0.2.1/24", "network without host bits" },
		{ "[LAN]\nIPv4 = dhcp\n", 2, "IPv4", "10.0.2.0/24" },
		{ "[LAN]\nIPv4 = 10.0.2.0\n", 2, "IPv4", "10.0.2.0/24" }, { "[LAN]\nIPv4 = 127.0.0.0/8\n", 2, "IPv4", "10.0.2.0/24" },
		{ "[LAN]\nIPv4 = 10.0.2.0/30\n", 2, "IPv4", "/29" }, { "[LAN]\nIPv4 = fd00::/64\n", 2, "IPv4", "10.0.2.0/24" },
		{ "[LAN]\nIPv6 = fd00::/48\n", 2, "IPv6", "/64" }, { "[LAN]\nIPv6 = fd00::1/64\n", 2, "IPv6", "/64" },
		{ "[LAN]\nIPv6 = fe80::/64\n", 2, "IPv6", "unique local" },
		{ "[LAN]\nIPv6 = ff02::/64\n", 2, "IPv6", "global" }, { "[LAN]\nIPv6 = 10.0.0.0/64\n", 2, "IPv6", "/64" },
		{ "[LAN]\nIPv4 = none\nIPv6 = none\n", 3, "nothing to carry", "expected" },
		{ "[Guest]\nName = we_b\n", 2, "Name = we_b", "letters" }, { "[Guest]\nName = host\n", 2, "Name = host", "other than" },
		{ "[Guest]\nMAC = 53:54:00:00:00:01\n", 2, "MAC", "unicast" },
		{ "[Guest]\nMAC = 00:00:00:00:00:00\n", 2, "MAC", "unicast" },
		{ "[Guest]\nMAC = 5254.0000.0001\n", 2, "MAC", "unicast" },
		{ "[Guest]\nName = a\nIPv4 = fd00::1\n", 3, "IPv4", "IPv4 address" },
		{ "[LAN]\n[Guest]\nMAC = 52:54:00:00:00:01\n[LAN]\n", 2, "no Name", "expected" }, { "[Guest]", 1, "no Name", "expected" },
		{ "[Guest]\nName=a\n[Guest]\nName=A\n", 3, "guest a is at line 1", "expected" },
		{ "[Guest]\nName=a\nMAC=52:54:00:00:00:01\n[Guest]\nName=b\nMAC=52:54:00:00:00:01\n", 4, "MAC of guest a", "expected" },
		{ "[Guest]\nName=a\nIPv4=10.0.2.20\n[Guest]\nName=b\nIPv4=10.0.2.20\n", 4, "address of guest a", "expected" },
		{ "[Forward]\nListen = 80\n", 1, "no To", "both" }, { "[Forward]\nTo = a:80\n\n[LAN]\n", 1, "no Listen", "both" },
		{ "[Forward]\nListen = 99999\nTo = a:80\n", 1, "99999", "expected" },
		{ "[Forward]\nListen = 80\nTo = a\n", 1, "\"a\"", "GUEST:PORT" },
		{ "[Forward]\nListen =\nTo = a:1\n", 2, "Listen", "PORT" },
		{ "[Forward]\nListen=80-90\nTo=a:80\n[Forward]\nListen=85\nTo=b:1\n", 4, "overlaps the forward of 80-90", "expected" },
	};
	char error[512], where[20];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(lan_config_freep) struct lan_config *c = NULL;

		assert_int_equal(parse(&c, rows[i].text, strlen(rows[i].text), error), -EINVAL);
		assert_null(c);
		snprintf(where, sizeof(where), "x.lan:%u: ", rows[i].line);
		if (strncmp(error, where, strlen(where)) || !strstr(error, rows[i].says) || !strstr(error, rows[i].expects))
			fail_msg("%s\n-> %s", rows[i].text, error);
	}
}

static void no_text(void **state)
{
	char error[512], big[1000];
	struct lan_config *c = NULL;

	(void)state;
	assert_int_equal(parse(&c, "[LAN]\nMTU = 15\0000\n", 18, error), -EINVAL);
	assert_non_null(strstr(error, "x.lan:2: a NUL"));
	memset(big, 'x', sizeof(big));
	memcpy(big, "[LAN]\nMTU = ", 12);
	assert_int_equal(parse(&c, big, sizeof(big), error), -EINVAL);
	assert_non_null(strstr(error, "x.lan:2: the line is too long"));
	memset(big, ' ', sizeof(big));
	memcpy(big, "[LAN]\n# ", 8); /* but a long comment, or blanks, are nobody's fault */
	big[20] = '\n';
	assert_int_equal(parse(&c, big, sizeof(big), error), 0);
	c = lan_config_free(c);
	/* A short buffer holds what fits. */
	assert_int_equal(lan_config_load(&c, "no such name!", NULL, error, 10), -EINVAL);
	assert_int_equal(strlen(error), 9);
}

static void files(void **state)
{
	char folder[] = "/tmp/config-XXXXXX", path[80], error[512];
	struct lan_config *c = NULL;
	char *found;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(folder));
	setenv("XDG_CONFIG_HOME", folder, 1);
	assert_null(lan_config_find("no-such-lan"));
	assert_null(lan_config_find("../x"));
	snprintf(path, sizeof(path), "%s/hospes", folder);
	assert_int_equal(lan_config_load(&c, "lab", "/nonexistent/lab.lan", error, sizeof(error)), -ENOENT);
	assert_string_equal(error, "/nonexistent/lab.lan: No such file or directory");
	assert_int_equal(lan_config_load(&c, "lab", folder, error, sizeof(error)), -EINVAL);
	assert_int_equal(lan_config_load(&c, "lab", "/dev/zero", error, sizeof(error)), -EINVAL);
	assert_int_equal(mkdir(path, 0700), 0);
	strcat(path, "/lab.lan");
	f = fopen(path, "we");
	fputs("[LAN]\nMTU = 1400\n", f);
	fclose(f);
	found = lan_config_find("lab");
	assert_string_equal(found, path);
	assert_int_equal(lan_config_load(&c, "lab", found, error, sizeof(error)), 0);
	assert_int_equal(c->mtu, 1400);
	assert_string_equal(c->name, "lab");
	lan_config_free(c);
	free(found);
	assert_int_equal(unlink(path), 0);
	*strrchr(path, '/') = 0;
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults), cmocka_unit_test(everything), cmocka_unit_test(poll_values), cmocka_unit_test(many),
		cmocka_unit_test(mistakes), cmocka_unit_test(no_text),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
