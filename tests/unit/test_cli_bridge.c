// SPDX-License-Identifier: MIT
/* The user's side of bridge LANs, as far as it is pure: QEMU's words, errors as text, addresses to dial, and which fabric a file says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/bridge_verbs.h"
#include "cli/bridged_client.h"
#include "cli/dial.h"
#include "cli/fabric.h"
#include "cli/qemu.h"
#include "cli/qemu_line.h"

#define VALUE_LONG 5000

static const struct qemu_program qemu_7_2 = { .path = "qemu", .major = 7, .minor = 2 };

static void assert_net(const struct qemu_program *q, const struct qemu_net *net, const char *line)
{
	_cleanup_words_ struct words words = { 0 };
	_cleanup_(freep) char *text = NULL;

	qemu_add_net(&words, q, net);
	assert_false(words.failed);
	text = words_quote(&words);
	assert_string_equal(text, line);
}

static void test_words_of_a_tap(void **state)
{
	struct qemu_net net = { .port = QEMU_PORT_TAP, .mac = "52:54:00:00:00:01", .fd = 7 };

	(void)state;
	assert_net(&qemu_7_2, &net, "-netdev tap,id=hospes,fd=7 -device virtio-net-pci,netdev=hospes,mac=52:54:00:00:00:01");
	net.vhost = net.no_rom = true;
	assert_net(&qemu_7_2, &net,
		   "-netdev tap,id=hospes,fd=7,vhost=on -device virtio-net-pci,netdev=hospes,mac=52:54:00:00:00:01,romfile=");
}

/* QEMU splits at commas, so one in a path stands twice; the blank makes QEMU call a shell. */
static void test_words_of_a_helper(void **state)
{
	struct qemu_net net = {
		.port = QEMU_PORT_TAP, .mac = "52:54:00:00:00:01", .bridge = "br0", .helper = "/a,b/hospes-tap --name=web",
	};

	(void)state;
	assert_net(&qemu_7_2, &net,
		   "-netdev 'tap,id=hospes,br=br0,helper=/a,,b/hospes-tap --name=web' "
		   "-device virtio-net-pci,netdev=hospes,mac=52:54:00:00:00:01");
}

/* An old QEMU's inherited connection is no tap, though both are descriptors. */
static void test_words_of_an_old_qemu(void **state)
{
	static const struct qemu_program old = { .path = "qemu", .major = 6, .minor = 2 };
	struct qemu_net net = { .port = QEMU_PORT_STREAM, .mac = "52:54:00:00:00:01", .fd = 7 };

	(void)state;
	assert_net(&old, &net, "-netdev socket,id=hospes,fd=7 -device virtio-net-pci,netdev=hospes,mac=52:54:00:00:00:01");
}

static void test_ports_of_a_fabric(void **state)
{
	enum qemu_port port;

	(void)state;
	assert_int_equal(qemu_port_parse("tap", &port), 0);
	assert_false(qemu_port_suits(port, FABRIC_USER, "lab"));
	assert_true(qemu_port_suits(port, FABRIC_BRIDGE, "br0"));
	assert_int_equal(qemu_port_parse("dgram", &port), 0);
	assert_false(qemu_port_suits(port, FABRIC_BRIDGE, "br0"));
	assert_int_equal(qemu_port_parse("taps", &port), -EINVAL);
}

static void assert_error(const char *name, json_t *parameters, const char *part)
{
	char text[1024];

	assert_non_null(parameters);
	bridged_error_text(name, parameters, text, sizeof(text));
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
	assert_null(strchr(text, '\n'));
	json_decref(parameters);
}

static void test_errors_say_the_remedy(void **state)
{
	(void)state;
	assert_error("NotAllowed", json_pack("{ss ss}", "lan", "br0", "user", "wangji"), "\"Allow = wangji\" into /etc/hospes/br0.lan");
	assert_error("NoLan", json_pack("{ss ss}", "lan", "br0", "file", "/etc/hospes/br0.lan"), "Fabric = bridge");
	assert_error("Refused", json_pack("{ss ss}", "lan", "br0", "message", "wlan0 is wireless"), "LAN br0: wlan0 is wireless");
	assert_error("Quota", json_pack("{ss si}", "lan", "br0", "limit", 16), "16");
	assert_error("Failed", json_pack("{ss si ss sb}", "what", "step 3", "errno", EBUSY, "message", "ip link add br0", "rolled_back", 1),
		     "put back");
	assert_error("Failed", json_pack("{ss si ss sb}", "what", "step 3", "errno", EBUSY, "message", "", "rolled_back", 0),
		     "step 3: Device or resource busy");
	assert_error("Failed", json_pack("{ss si ss sb}", "what", "br0", "errno", EBUSY, "message", "tap0: Device or resource busy", "rolled_back", 1),
		     "br0: tap0: Device or resource busy; everything");
	assert_error("org.varlink.service.MethodNotFound", json_object(), "another version");
	assert_error("Strange", json_object(), "Strange");
	/* Whatever lies in an answer, nothing is read from where it is not. */
	assert_error("Quota", json_pack("{sn ss}", "lan", "limit", "many"), "taps");
	assert_error("Refused", json_array(), "LAN");
}

static void test_lans_of_a_status(void **state)
{
	_cleanup_json_ json_t *status = json_pack("{s[{ss ss}{ss ss}]}", "lans",
		"name", "office", "bridge", "br0", "name", "lab", "bridge", "br01");

	(void)state;
	assert_string_equal(lan_text(bridged_lan_of_bridge(status, "br0"), "name"), "office");
	assert_string_equal(lan_text(bridged_lan_of_bridge(status, "br01"), "name"), "lab");
	assert_null(bridged_lan_of_bridge(status, "br"));
	assert_null(bridged_lan_of_bridge(status, "br012"));
	assert_null(bridged_lan(status, "br0"));
	assert_null(bridged_lan(NULL, "lab"));
}

static void test_steps_as_lines(void **state)
{
	_cleanup_json_ json_t *reply = json_pack("{s[{ss sb}{ss sb}]}", "steps",
		"text", "ip link add br0 type bridge", "done", 1, "text", "nft -f -", "done", 0);
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	assert_int_equal(bridge_print_steps(reply, "  ", f), 2);
	fclose(f);
	assert_string_equal(text, "  ip link add br0 type bridge\n  nft -f -\n");
	free(text);
}

static void test_order_of_addresses(void **state)
{
	_cleanup_json_ json_t *guest = json_pack("{ss s[s s s i s s]}", "lease", "192.168.1.50", "addresses",
		"fe80::1", "2001:db8::5", "nonsense", 3, "192.168.1.50", "fe80::1");
	addr_t address[DIAL_MAX], expected;

	(void)state;
	assert_int_equal(dial_addresses(guest, address), 3);
	assert_true(addr_parse("192.168.1.50", &expected) && addr_equal(address[0], expected));
	assert_true(addr_parse("2001:db8::5", &expected) && addr_equal(address[1], expected));
	assert_true(addr_parse("fe80::1", &expected) && addr_equal(address[2], expected));
	assert_int_equal(dial_addresses(NULL, address), 0);
}

static void test_no_more_addresses_than_fit(void **state)
{
	_cleanup_json_ json_t *guest = json_pack("{s[]}", "addresses");
	addr_t address[DIAL_MAX];

	(void)state;
	for (int i = 0; i < 40; i++)
		json_array_append_new(json_object_get(guest, "addresses"), json_sprintf(i % 2 ? "fe80::%d" : "10.0.0.%d", i));
	assert_int_equal(dial_addresses(guest, address), DIAL_MAX);
}

/* The MACs of a line, joined by blanks. */
static void assert_macs(const char *bridge, const char *line, size_t size, const char *expected)
{
	struct mac mac[QEMU_LINE_MACS];
	size_t count = qemu_line_macs(line, size, bridge, mac);
	char text[512] = "", one[MAC_TEXT_SIZE];

	for (size_t i = 0; i < count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, mac_format(mac[i], one));
	}
	assert_string_equal(text, expected);
}

#define MACS(bridge, line, expected) assert_macs(bridge, line, sizeof(line), expected)

static void test_macs_of_a_qemu_line(void **state)
{
	(void)state;
	MACS("br0", "qemu\0-netdev\0bridge,id=n,br=br0,helper=/a,,b/hospes-tap\0-device\0virtio-net-pci,netdev=n,mac=52:54:00:00:00:01",
	     "52:54:00:00:00:01");
	MACS("br0", "qemu\0-device\0e1000,mac=52:54:00:00:00:02,netdev=n\0--netdev\0type=bridge,id=n", "52:54:00:00:00:02");
	MACS("br1", "qemu\0-netdev\0bridge,id=n\0-device\0e1000,netdev=n", "");
	MACS("br0", "qemu\0-netdev\0bridge,id=n\0-device\0e1000,netdev=n", "52:54:00:12:34:56");
	MACS("br0", "qemu\0-netdev\0tap,id=n,br=br0,helper=h x\0-device\0e1000,netdev=n,mac=52:54:00:00:00:03", "52:54:00:00:00:03");
	/* A tap by name asks nobody, nor does the card on another network; but both are cards. */
	MACS("br0", "qemu\0-netdev\0tap,id=t,ifname=tap0\0-device\0e1000,netdev=t\0-netdev\0user,id=u\0-device\0e1000,netdev=u\0"
	     "-netdev\0bridge,id=n\0-device\0e1000,netdev=n", "52:54:00:12:34:58");
	MACS("lab", "qemu\0-nic\0bridge,br=lab,mac=52:54:00:00:00:04,model=virtio\0-nic\0user\0-nic\0bridge,br=lab",
	     "52:54:00:00:00:04 52:54:00:12:34:57");
	MACS("br0", "qemu\0-net\0nic,macaddr=52:54:00:00:00:05\0-net\0bridge,br=br0", "52:54:00:00:00:05");
	MACS("br0", "qemu\0-netdev\0{\"type\":\"bridge\",\"id\":\"n\",\"br\":\"br0\"}\0-device\0"
	     "{\"driver\":\"virtio-net-pci\",\"netdev\":\"n\",\"mac\":\"52:54:00:00:00:06\"}", "52:54:00:00:00:06");
}

/* Whatever somebody runs the helper from. */
static void test_lines_that_are_none(void **state)
{
	static const char cut[] = { 'q', 0, '-', 'n', 'i', 'c', 0, 'b', 'r', 'i', 'd', 'g', 'e' };
	char flood[VALUE_LONG] = "q";

	(void)state;
	assert_macs("br0", "", 0, "");
	assert_macs("br0", cut, sizeof(cut), "");
	MACS("br0", "sh\0-c\0hospes-tap", "");
	MACS("br0", "qemu\0-device\0,,,=,netdev=,mac=\0-netdev\0,id=\0-nic\0\0-device\0{\0-netdev\0{]", "");
	memset(flood + 2, 'x', sizeof(flood) - 3);
	memcpy(flood + 2, "-nic\0bridge,br=", 15);
	flood[sizeof(flood) - 1] = 0;
	assert_macs("br0", flood, sizeof(flood), "");
}

/* A listening socket of ours on loopback. Return: its port. */
static uint16_t serve(int *fd)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(sa);

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(*fd >= 0 && !bind(*fd, (struct sockaddr *)&sa, sizeof(sa)) && !listen(*fd, 4));
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&sa, &size), 0);
	return ntohs(sa.sin_port);
}

static void test_dial(void **state)
{
	addr_t address[3];
	uint16_t port;
	int listener, fd;

	(void)state;
	port = serve(&listener);
	assert_true(addr_parse("fe80::1", &address[0]) && addr_parse("127.0.0.2", &address[1]) && addr_parse("127.0.0.1", &address[2]));
	/* The first needs a link, the second refuses, the third takes it. */
	fd = dial(address, 3, port, "");
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(dial(address, 2, port, "no-such-link"), -ECONNREFUSED);
	assert_int_equal(dial(address, 1, port, ""), -EHOSTUNREACH);
	assert_int_equal(dial(address, 0, port, ""), -EHOSTUNREACH);
	close(listener);
}

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/hospes/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A file in the user's own folder is that of a user LAN, or wrong. */
static void test_fabric_of_own_files(void **state)
{
	char folder[] = "/tmp/fabric-XXXXXX", path[64], command[80];
	enum fabric fabric;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/hospes", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	setenv("XDG_CONFIG_HOME", folder, 1);
	setenv("XDG_RUNTIME_DIR", folder, 1);
	write_file(folder, "ut-plain.lan", "[LAN]\nDomain = lab\n");
	write_file(folder, "ut-bridge.lan", "[LAN]\nFabric = bridge\n");
	write_file(folder, "ut-wrong.lan", "[LAN]\nFabric = carrier pigeon\n");
	assert_int_equal(fabric_of("ut-plain", &fabric), 0);
	assert_int_equal(fabric, FABRIC_USER);
	assert_true(fabric_is_own("ut-plain"));
	assert_int_equal(fabric_of("ut-nofile", &fabric), 0);
	assert_int_equal(fabric, FABRIC_USER);
	assert_false(fabric_is_own("ut-nofile"));
	assert_int_equal(fabric_of("ut-bridge", &fabric), -EBADMSG);
	assert_int_equal(fabric_of("ut-wrong", &fabric), -EBADMSG);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_of_a_tap),
		cmocka_unit_test(test_words_of_a_helper),
		cmocka_unit_test(test_words_of_an_old_qemu),
		cmocka_unit_test(test_ports_of_a_fabric),
		cmocka_unit_test(test_errors_say_the_remedy),
		cmocka_unit_test(test_lans_of_a_status),
		cmocka_unit_test(test_steps_as_lines),
		cmocka_unit_test(test_order_of_addresses),
		cmocka_unit_test(test_no_more_addresses_than_fit),
		cmocka_unit_test(test_macs_of_a_qemu_line),
		cmocka_unit_test(test_lines_that_are_none),
		cmocka_unit_test(test_dial),
		cmocka_unit_test(test_fabric_of_own_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
