// SPDX-License-Identifier: MIT
/* The checks, on hosts that are written by hand. */
#include "unit.h"
#include <errno.h>
#include <unistd.h>
#include "doctor/check.h"
#include "doctor/gather.h"

/* A bridge as it should be, with room for what a test breaks: "..." of links, addresses, routes and sysctls behind commas. */
#define HOST(links, addresses, routes, sysctls)                                                                                              \
	"{\"machine_id\":\"m\",\"links\":[{\"name\":\"lo\"},{\"name\":\"br0\",\"kind\":\"bridge\",\"mac\":\"02:00:00:00:00:10\",\"bridge\":{}},"      \
	"{\"name\":\"eth0\",\"mac\":\"02:00:00:00:00:10\",\"master\":\"br0\"},{\"name\":\"eth1\",\"mac\":\"02:00:00:00:00:11\"}" links "],"        \
	"\"addresses\":[{\"address\":\"192.168.1.2/24\",\"dev\":\"br0\"}" addresses "],"                                                           \
	"\"routes\":[{\"to\":\"192.168.1.0/24\",\"dev\":\"br0\"},{\"to\":\"0.0.0.0/0\",\"via\":\"192.168.1.1\",\"dev\":\"br0\"}" routes "],"       \
	"\"sysctls\":{\"net/ipv4/ip_forward\":\"1\"" sysctls "}}"

static struct facts host(const char *text)
{
	struct facts f = { .target = { .bridge = "br0" }, .root = true, .user = "root", .mac_fixed = 1 };
	json_error_t where;
	json_t *json = json_loads(text, 0, &where);
	char error[256] = "";

	if (!json)
		fail_msg("%s: %s", where.text, text);
	if (snapshot_from_json(&f.net, json, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	json_decref(json);
	return f;
}

static struct findings run(struct facts *f, const char *check)
{
	struct findings out = { .check = check };

	check_find(check)->run(f, &out);
	assert_false(out.failed);
	return out;
}

/* It finds one thing, whose remedy is that (NULL: none); @f is freed. */
static void finds(struct facts f, const char *check, enum severity severity, const char *remedy)
{
	_cleanup_findings_ struct findings out = run(&f, check);

	assert_int_equal(out.count, 1);
	assert_int_equal(out.list[0].severity, severity);
	if (remedy)
		assert_string_equal(out.list[0].remedy, remedy);
	else
		assert_null(out.list[0].remedy);
	assert_true(*out.list[0].symptom && *out.list[0].cause && *out.list[0].where && (remedy || *out.list[0].advice));
	facts_fini(&f);
}

static void finds_nothing(struct facts f, const char *check)
{
	_cleanup_findings_ struct findings out = run(&f, check);

	assert_int_equal(out.count, 0);
	facts_fini(&f);
}

static void a_healthy_host(void **state)
{
	struct facts f = host(HOST("", "", "", "")), nothing = { .target = { .bridge = "br0" }, .mac_fixed = -1 };
	_cleanup_findings_ struct findings out = { 0 }, of_nothing = { 0 };

	(void)state;
	checks_run(&f, &out);
	assert_int_equal(out.count, 0);
	facts_fini(&f);
	/* Where nothing could be read, nothing is claimed. */
	checks_run(&nothing, &of_nothing);
	assert_int_equal(of_nothing.count, 0);
	nothing.target = (struct target){ .lan = "lab" };
	checks_run(&nothing, &of_nothing);
	assert_int_equal(of_nothing.count, 0);
}

static void every_check_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (size_t i = 0; check_at(i); i++)
		assert_ptr_equal(check_find(check_at(i)->name), check_at(i));
	assert_null(check_find("bogus"));
}

static void mtu(void **state)
{
	(void)state;
	finds(host(HOST(",{\"name\":\"tap 0;x\",\"kind\":\"tun\",\"master\":\"br0\",\"mtu\":1400,\"tap\":{}}", "", "", "")), "mtu", SEVERITY_WARNING,
	      "ip link set dev 'tap 0;x' mtu 1500");
	finds_nothing(host(HOST(",{\"name\":\"tap0\",\"kind\":\"tun\",\"mtu\":1400,\"tap\":{}}", "", "", "")), "mtu");
}

static void stp(void **state)
{
	struct facts f = host(HOST("", "", "", ""));

	(void)state;
	f.net->links[1].bridge.stp = true;
	finds(f, "stp", SEVERITY_WARNING, "ip link set dev br0 type bridge stp_state 0");
	f = host(HOST(",{\"name\":\"eth2\",\"master\":\"br0\",\"port\":{\"state\":1}}", "", "", ""));
	f.net->links[1].bridge.stp = true;
	f.root = false;
	finds(f, "stp", SEVERITY_ERROR, "sudo ip link set dev br0 type bridge forward_delay 200");
	/* As short as it gets, where a loop is possible. */
	f = host(HOST(",{\"name\":\"eth2\",\"master\":\"br0\"}", "", "", ""));
	f.net->links[1].bridge.stp = true;
	f.net->links[1].bridge.forward_delay = 200;
	finds_nothing(f, "stp");
}

static void addresses_on_ports(void **state)
{
	(void)state;
	finds(host(HOST("", ",{\"address\":\"192.168.1.7/24\",\"dev\":\"eth0\"}", "", "")), "port-address", SEVERITY_ERROR,
	      "ip address del 192.168.1.7/24 dev eth0 && ip address add 192.168.1.7/24 dev br0");
	finds(host(HOST("", ",{\"address\":\"192.168.1.2/24\",\"dev\":\"eth0\"}", "", "")), "port-address", SEVERITY_ERROR,
	      "ip address del 192.168.1.2/24 dev eth0");
	finds_nothing(host(HOST("", ",{\"address\":\"fe80::1/64\",\"dev\":\"eth0\"},{\"address\":\"10.0.0.1/8\",\"dev\":\"eth1\"}", "", "")), "port-address");
}

static void dhcp_clients(void **state)
{
	static char *words[] = { "dhclient", "-pf", "/run/x y", "eth0" };
	struct facts f = host(HOST("", "", "", ""));
	struct dhcp_client *c;

	(void)state;
	for (int has_address = 1; has_address >= 0; has_address--) {
		c = facts_add(&f, clients, client_count);
		*c = (struct dhcp_client){ .pid = 77, .link = "eth0", .command = strdup("dhclient"), .argc = 4, .argv = calloc(4, sizeof(char *)) };
		for (size_t i = 0; i < 4; i++)
			c->argv[i] = strdup(words[i]);
		if (!has_address)
			f.net->address_count = 0;
		finds(f, "port-dhcp", SEVERITY_ERROR, has_address ? "kill 77 && ip -4 address flush dev eth0" :
		      "kill 77 && ip -4 address flush dev eth0 && dhclient -pf '/run/x y' br0");
		f = host(HOST("", "", "", ""));
	}
	facts_fini(&f);
}

static void moving_macs(void **state)
{
	struct facts f = host(HOST("", "", "", ""));

	(void)state;
	f.mac_fixed = 0;
	finds(f, "moving-mac", SEVERITY_WARNING, "ip link set dev br0 address 02:00:00:00:00:10");
	f = host(HOST("", "", "", ""));
	f.mac_fixed = -1;
	finds_nothing(f, "moving-mac");
}

static void ways_back(void **state)
{
#define ELSEWHERE ",{\"to\":\"192.168.1.128/25\",\"dev\":\"eth1\"}"
	(void)state;
	finds(host(HOST("", "", ELSEWHERE, ",\"net/ipv4/conf/all/rp_filter\":\"1\",\"net/ipv4/conf/br0/rp_filter\":\"0\"")), "rp-filter", SEVERITY_ERROR,
	      "sysctl -w net.ipv4.conf.br0.rp_filter=2");
	finds(host(HOST("", "", ELSEWHERE, ",\"net/ipv4/conf/all/rp_filter\":\"0\",\"net/ipv4/conf/br0/rp_filter\":\"1\"")), "rp-filter", SEVERITY_ERROR,
	      "sysctl -w net.ipv4.conf.br0.rp_filter=2");
	/* Loose is the larger of the two; without another way, strict does no harm. */
	finds_nothing(host(HOST("", "", ELSEWHERE, ",\"net/ipv4/conf/all/rp_filter\":\"1\",\"net/ipv4/conf/br0/rp_filter\":\"2\"")), "rp-filter");
	finds_nothing(host(HOST("", "", ELSEWHERE, ",\"net/ipv4/conf/all/rp_filter\":\"0\",\"net/ipv4/conf/br0/rp_filter\":\"0\"")), "rp-filter");
	finds_nothing(host(HOST("", "", "", ",\"net/ipv4/conf/all/rp_filter\":\"1\"")), "rp-filter");
	finds(host(HOST("", "", ELSEWHERE, "")), "overlap", SEVERITY_ERROR, "ip route del 192.168.1.128/25 dev eth1");
	finds_nothing(host(HOST("", "", ",{\"to\":\"192.168.0.0/16\",\"dev\":\"eth1\"}", "")), "overlap");
}

static void routers(void **state)
{
	struct facts f = host(HOST("", "", "", ""));

	(void)state;
#define RA(accept) ",\"net/ipv6/conf/br0/disable_ipv6\":\"0\",\"net/ipv6/conf/br0/forwarding\":\"1\",\"net/ipv6/conf/br0/accept_ra\":\"" accept "\""
	finds(host(HOST("", "", "", RA("1"))), "accept-ra", SEVERITY_WARNING, "sysctl -w net.ipv6.conf.br0.accept_ra=2");
	finds_nothing(host(HOST("", "", "", RA("2"))), "accept-ra");
	finds_nothing(host(HOST("", "", "", RA("0"))), "accept-ra");
	finds_nothing(host(HOST("", "", ",{\"to\":\"::/0\",\"via\":\"fe80::1\",\"dev\":\"br0\"}", RA("1"))), "accept-ra");
	/* With an uplink, others route. */
	strcpy(f.net->sysctls[0].value, "0");
	finds_nothing(f, "ip-forward");
	f = host(HOST("", "", "", ""));
	strcpy(f.net->sysctls[0].value, "0");
	f.net->links[2].master = 0;
	finds(f, "ip-forward", SEVERITY_NOTE, "sysctl -w net.ipv4.ip_forward=1");
	f = host(HOST("", "", "", ""));
	strcpy(f.net->sysctls[0].value, "0");
	f.net->links[2].master = 0;
	f.target.nat = true;
	finds(f, "ip-forward", SEVERITY_ERROR, "sysctl -w net.ipv4.ip_forward=1");
}

#define TAP(more) ",{\"name\":\"tap0\",\"kind\":\"tun\",\"mac\":\"02:00:00:00:00:20\",\"master\":\"br0\",\"lower_up\":false,\"tap\":{" more "}}"

static struct facts with_nics(const char *mac, const char *other)
{
	struct facts f = host(HOST(TAP("\"owner\":1,\"user\":\"daemon\"") ",{\"name\":\"tap1\",\"kind\":\"tun\",\"master\":\"br0\",\"tap\":{}}", "", "", ""));
	struct nic_fact *n;

	n = facts_add(&f, nics, nic_count);
	*n = (struct nic_fact){ .pid = 1, .link = "tap0" };
	assert_true(mac_parse(mac, &n->mac));
	n = facts_add(&f, nics, nic_count);
	*n = (struct nic_fact){ .pid = 2, .link = "tap1" };
	assert_true(mac_parse(other, &n->mac));
	return f;
}

static void taps(void **state)
{
	struct facts f;

	(void)state;
	finds(host(HOST(TAP("\"owner\":1,\"user\":\"daemon\""), "", "", "")), "tap-alone", SEVERITY_NOTE, "ip tuntap del dev tap0 mode tap");
	finds_nothing(host(HOST(TAP("\"owner\":1,\"user\":\"daemon\""), "", "", "")), "tap-owner");
	finds(host(HOST(TAP(""), "", "", "")), "tap-owner", SEVERITY_WARNING,
	      "ip tuntap del dev tap0 mode tap && ip tuntap add dev tap0 mode tap user root && ip link set dev tap0 master br0 mtu 1500 up");
	f = host(HOST(TAP("\"owner\":1,\"user\":\"daemon\""), "", "", ""));
	*facts_add(&f, owners, owner_count) = (struct owner_wish){ .tap = "tap0", .user = "wangji", .uid = 1000 };
	finds(f, "tap-owner", SEVERITY_ERROR,
	      "ip tuntap del dev tap0 mode tap && ip tuntap add dev tap0 mode tap user wangji && ip link set dev tap0 master br0 mtu 1500 up");
	f = host(HOST(TAP("\"owner\":1000,\"user\":\"wangji\""), "", "", ""));
	*facts_add(&f, owners, owner_count) = (struct owner_wish){ .tap = "tap0", .user = "wangji", .uid = 1000 };
	finds_nothing(f, "tap-owner");
	finds(with_nics("52:54:00:12:34:56", "52:54:00:12:34:56"), "duplicate-mac", SEVERITY_ERROR, NULL);
	finds_nothing(with_nics("52:54:00:12:34:56", "52:54:00:12:34:57"), "duplicate-mac");
	finds(with_nics("02:00:00:00:00:20", "52:54:00:12:34:57"), "tap-mac", SEVERITY_ERROR, "ip link set dev tap0 address fe:00:00:00:00:20");
	finds_nothing(with_nics("52:54:00:12:34:56", "52:54:00:12:34:57"), "tap-mac");
	f = host(HOST(",{\"name\":\"tap0\",\"kind\":\"tun\",\"tap\":{}}", "", "", ""));
	*facts_add(&f, holders, holder_count) = (struct tap_holder){ .pid = 1, .program = "qemu-system-x86", .tap = "tap0" };
	finds(f, "tap-unattached", SEVERITY_WARNING, "ip link set dev tap0 master br0 up");
}

/* --- a LAN --- */

static struct facts lan(void)
{
	struct facts f = { .target = { .lan = "lab" }, .user = "wangji", .mac_fixed = -1, .lan = { .state = LAN_UP, .control = "/run/control" } };
	struct guest_fact *g;

	for (int i = 0; i < 2; i++) {
		g = facts_add(&f, lan.guests, lan.guest_count);
		*g = (struct guest_fact){ .attached = true, .leased = true, .mac = {{ 2, 0, 0, 0, 0, (uint8_t)i }}, .count = 1 };
		g->addresses[0] = addr_of4(ip4(0x0a00030fU + (uint32_t)i));
		strcpy(g->name, i ? "db" : "web");
	}
	return f;
}

static void daemons(void **state)
{
	struct facts f = lan();

	(void)state;
	finds_nothing(f, "daemon");
	f = lan();
	f.lan.state = LAN_DEAD;
	finds(f, "daemon", SEVERITY_ERROR, "hospes up lab");
	f = lan();
	f.lan.state = LAN_SILENT;
	f.lan.pid = 99;
	finds(f, "daemon", SEVERITY_ERROR, "kill -KILL 99; sleep 1; hospes up lab");
	/* That of a bridge LAN is root's. */
	f = lan();
	f.lan.state = LAN_SILENT;
	f.lan.pid = 99;
	f.root = false;
	strcpy(f.target.bridge, "br0");
	finds(f, "daemon", SEVERITY_ERROR, "sudo kill -KILL 99; sleep 1; sudo systemctl restart hospes-bridged");
	f = lan();
	f.lan.state = LAN_SILENT;
	finds(f, "daemon", SEVERITY_ERROR, NULL);
}

static void guests(void **state)
{
	struct facts f = lan();

	(void)state;
	finds_nothing(f, "no-lease");
	finds_nothing(lan(), "duplicate-address");
	f = lan();
	f.lan.guests[1].leased = false;
	f.lan.guests[1].count = 0;
	finds(f, "no-lease", SEVERITY_WARNING, NULL);
	f = lan();
	f.lan.guests[1].addresses[0] = f.lan.guests[0].addresses[0];
	finds(f, "duplicate-address", SEVERITY_ERROR, NULL);
	f = lan();
	strcpy(f.target.guest, "nobody");
	finds(f, "guest", SEVERITY_ERROR, NULL);
	f = lan();
	strcpy(f.target.guest, "DB");
	finds_nothing(f, "guest");
	f = lan();
	*facts_add(&f, lan.forwards, lan.forward_count) = (struct forward_fact){ .listen = "127.0.0.1:80", .to = "mail:80", .guest = "mail" };
	*facts_add(&f, lan.forwards, lan.forward_count) = (struct forward_fact){ .listen = "127.0.0.1:81", .to = "10.0.3.15:80", .guest = "10.0.3.15" };
	finds(f, "forward-away", SEVERITY_WARNING, "hospes -l lab forward rm 127.0.0.1:80");
}

static void one_guest_alone(void **state)
{
	struct facts f = lan();
	_cleanup_findings_ struct findings out = { 0 }, none = { 0 };

	(void)state;
	f.lan.guests[1].leased = false;
	f.lan.guests[1].count = 0;
	strcpy(f.target.guest, "db");
	checks_run(&f, &out);
	assert_int_equal(out.count, 1);
	assert_string_equal(out.list[0].guest, "db");
	strcpy(f.target.guest, "web");
	checks_run(&f, &none);
	assert_int_equal(none.count, 0);
	facts_fini(&f);
}

static void drops(void **state)
{
	static const struct { const char *reason; uint64_t frames, sent; bool said; } cases[] = {
		{ "spoofed-mac", 1, 1000000, true }, { "spoofed-ip", 1, 0, true }, { "port-full", 5, 1000, false }, { "port-full", 50, 1000, true },
		{ "port-full", 16, 40, false },
		{ "pool-exhausted", 1, 0, true }, { "ttl", 1000, 0, false }, { "checksum", 1, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct facts f = lan();
		struct drop_fact *d = facts_add(&f, lan.drops, lan.drop_count);
		_cleanup_findings_ struct findings out = { 0 };

		*d = (struct drop_fact){ .port = 1, .frames = cases[i].frames, .sent = cases[i].sent };
		strcpy(d->reason, cases[i].reason);
		strcpy(d->guest, "web");
		check_drops(&f, &out);
		assert_int_equal(out.count, cases[i].said);
		facts_fini(&f);
	}
}

static struct facts machine(const char *path, bool there, bool opens, unsigned int mode, const char *group)
{
	struct facts f = { .target = { .lan = "lab" }, .user = "wangji" };
	struct device_fact *d = facts_add(&f, devices, device_count);

	*d = (struct device_fact){ .there = there, .opens = opens, .error = 13, .mode = mode, .gid = strcmp(group, "root") ? 104 : 0 };
	strcpy(d->path, path);
	strcpy(d->group_name, group);
	return f;
}

static void devices(void **state)
{
	struct facts f;

	(void)state;
	finds(machine("/dev/net/tun", true, false, 0600, "root"), "tun-device", SEVERITY_WARNING, "sudo chmod 0666 /dev/net/tun");
	finds(machine("/dev/net/tun", false, false, 0, ""), "tun-device", SEVERITY_WARNING, "sudo modprobe tun");
	finds_nothing(machine("/dev/net/tun", true, true, 0666, "root"), "tun-device");
	finds(machine("/dev/kvm", true, false, 0660, "kvm"), "kvm", SEVERITY_WARNING, "sudo usermod -aG kvm wangji");
	finds(machine("/dev/kvm", true, false, 0660, "root"), "kvm", SEVERITY_WARNING, "sudo chmod 0666 /dev/kvm");
	finds(machine("/dev/kvm", false, false, 0, ""), "kvm", SEVERITY_NOTE, NULL);
	finds_nothing(machine("/dev/kvm", true, true, 0666, "kvm"), "kvm");
	f = machine("/dev/kvm", false, false, 0, "");
	f.processor_can = true;
	strcpy(f.processor_module, "kvm_amd");
	finds(f, "kvm", SEVERITY_WARNING, "sudo modprobe kvm_amd");
	f = machine("/dev/kvm", true, true, 0666, "kvm");
	f.kvm = KVM_BROKEN;
	finds(f, "kvm", SEVERITY_NOTE, NULL);
	finds(machine("/dev/vhost-net", false, false, 0, ""), "vhost-net", SEVERITY_NOTE, "sudo modprobe vhost_net");
}

static struct facts with_sysctl(const char *key, const char *value)
{
	struct facts f = { .target = { .lan = "lab" }, .user = "wangji", .groups = calloc(1, sizeof(gid_t)), .group_count = 1 };
	struct sysctl_fact *s = facts_add(&f, sysctls, sysctl_count);

	f.groups[0] = 1000;
	strcpy(s->key, key);
	strcpy(s->value, value);
	return f;
}

static void gates(void **state)
{
	struct facts f;

	(void)state;
	finds(with_sysctl("net/ipv4/ping_group_range", "1\t0"), "ping-sockets", SEVERITY_WARNING, "sudo sysctl -w net.ipv4.ping_group_range='0 2147483647'");
	finds(with_sysctl("net/ipv4/ping_group_range", "0\t999"), "ping-sockets", SEVERITY_WARNING, "sudo sysctl -w net.ipv4.ping_group_range='0 2147483647'");
	finds_nothing(with_sysctl("net/ipv4/ping_group_range", "1000\t1000"), "ping-sockets");
	finds(with_sysctl("user/max_user_namespaces", "0"), "user-namespaces", SEVERITY_WARNING, "sudo sysctl -w user.max_user_namespaces=15000");
	finds(with_sysctl("kernel/unprivileged_userns_clone", "0"), "user-namespaces", SEVERITY_WARNING,
	      "sudo sysctl -w kernel.unprivileged_userns_clone=1");
	finds(with_sysctl("kernel/apparmor_restrict_unprivileged_userns", "1"), "user-namespaces", SEVERITY_WARNING,
	      "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
	finds_nothing(with_sysctl("kernel/apparmor_restrict_unprivileged_userns", "0"), "user-namespaces");
	f = with_sysctl("user/max_user_namespaces", "0");
	f.root = true;
	finds_nothing(f, "user-namespaces");
	f = with_sysctl("user/max_user_namespaces", "100");
	f.userns_error = -1;
	finds(f, "user-namespaces", SEVERITY_WARNING, NULL);
}

static void resolvers(void **state)
{
	struct facts f = host(HOST("", "", "", ""));

	(void)state;
	f.resolver_read = true;
	finds(f, "resolver", SEVERITY_ERROR, "echo nameserver 192.168.1.1 | tee -a /etc/resolv.conf");
	f = host(HOST("", "", "", ""));
	f.resolver_read = true;
	f.resolved_stub = true;
	finds(f, "resolver", SEVERITY_ERROR, "ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf");
	f = host(HOST("", "", "", ""));
	f.resolver_read = true;
	f.nameservers = 1;
	finds_nothing(f, "resolver");
	f = (struct facts){ .resolver_read = true };
	finds(f, "resolver", SEVERITY_ERROR, NULL);
}

struct line { struct dhcp_client client; const char *line; };

static const struct line client_lines[] = {
	{ { .kind = CLIENT_DHCPCD, .pid = 7, .family = "-4" },
	  "{ dhcpcd -4 -x eth0 || dhcpcd -4 -x eth0; }; ip -4 address flush dev eth0; dhcpcd -4 br0" },
	{ { .kind = CLIENT_DHCPCD_ALL, .pid = 7 },
	  "printf '%s\\n' 'denyinterfaces eth0' 'interface br0' | tee -a /etc/dhcpcd.conf >/dev/null && { dhcpcd -x || dhcpcd -x; }; "
	  "ip -4 address flush dev eth0; dhcpcd" },
	{ { .kind = CLIENT_NETWORKD, .pid = 7, .identity = "IAID=0x01020304" },
	  "printf '%s\\n' '[Match]' Name=eth0 '[Link]' Unmanaged=yes | tee /etc/systemd/network/05-hospes-eth0.network >/dev/null && "
	  "printf '%s\\n' '[Match]' Name=br0 '[Network]' DHCP=ipv4 '[DHCPv4]' IAID=0x01020304 | "
	  "tee /etc/systemd/network/05-hospes-br0.network >/dev/null && systemctl restart systemd-networkd" },
	{ { .kind = CLIENT_NETWORK_MANAGER, .pid = 7 },
	  "nmcli device set eth0 managed no && nmcli device set br0 managed yes && nmcli connection add save no type bridge con-name hospes-br0 "
	  "ifname br0 bridge.stp no bridge.mac-address 02:00:00:00:00:10 ipv4.method auto ipv6.method ignore && nmcli connection up hospes-br0" },
};

static void lines_of_clients(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(client_lines); i++) {
		struct facts f = host(HOST("", "", "", ""));
		struct dhcp_client *c = facts_add(&f, clients, client_count);

		*c = client_lines[i].client;
		strcpy(c->link, "eth0");
		c->command = strdup("it");
		f.net->address_count = 0;
		finds(f, "port-dhcp", SEVERITY_ERROR, client_lines[i].line);
	}
}

static void keep_server(struct facts *f, const char *addr)
{
	struct answer_fact *a = facts_add(f, probe.dhcp, probe.dhcp_count);

	f->probe.dhcp_asked = true;
	assert_true(addr_parse(addr, &a->addr));
}

static void probes(void **state)
{
	struct facts f = host(HOST("", "", "", ""));

	(void)state;
	f.probe.own = PROBE_ANSWERED;
	f.probe.foreign = PROBE_NO_ANSWER;
	finds(f, "mac-filter", SEVERITY_ERROR, NULL);
	f = host(HOST("", "", "", ""));
	f.probe.own = f.probe.foreign = PROBE_NO_ANSWER;
	finds_nothing(f, "mac-filter");
	f = host(HOST("", "", "", ""));
	keep_server(&f, "192.168.1.1");
	finds_nothing(f, "dhcp-servers");
	f = host(HOST("", "", "", ""));
	keep_server(&f, "192.168.1.1");
	keep_server(&f, "192.168.1.9");
	finds(f, "dhcp-servers", SEVERITY_ERROR, NULL);
	/* Where we serve, one other is one too many. */
	f = host(HOST("", "", "", ""));
	f.target.nat = true;
	keep_server(&f, "192.168.1.2");
	finds_nothing(f, "dhcp-servers");
	f = host(HOST("", "", "", ""));
	f.target.nat = true;
	keep_server(&f, "192.168.1.9");
	finds(f, "dhcp-servers", SEVERITY_ERROR, NULL);
}

/* What a LAN's daemon says of itself. */
static void hear(struct facts *f, const char *json)
{
	json_t *status = json_loads(json, 0, NULL);

	assert_non_null(status);
	gather_lan_status(f, status);
	json_decref(status);
}

#define HEARD(address) "{\"address\":\"" address "\",\"mac\":\"02:00:00:00:00:09\",\"seconds\":1}"

static void servers_that_were_heard(void **state)
{
	struct facts f = host(HOST("", "", "", ""));

	(void)state;
	hear(&f, "{\"dhcp_servers\":[" HEARD("192.168.1.1") "," HEARD("nonsense") ",7]}");
	finds_nothing(f, "dhcp-servers");
	f = host(HOST("", "", "", ""));
	hear(&f, "{\"dhcp_servers\":[" HEARD("192.168.1.1") "," HEARD("192.168.1.9") "]}");
	finds(f, "dhcp-servers", SEVERITY_ERROR, NULL);
	/* Our own question is newer than what was heard. */
	f = host(HOST("", "", "", ""));
	hear(&f, "{\"dhcp_servers\":[" HEARD("192.168.1.1") "," HEARD("192.168.1.9") "]}");
	keep_server(&f, "192.168.1.1");
	finds_nothing(f, "dhcp-servers");
}

static void one_lease_for_two(void **state)
{
	struct facts f = host(HOST("", "", "", ""));

	(void)state;
	hear(&f, "{\"lease_clashes\":[{\"address\":\"192.168.1.7\",\"holder\":\"02:00:00:00:00:01\",\"second\":\"02:00:00:00:00:02\"},"
	     "{\"address\":\"x\",\"holder\":\"\",\"second\":\"\"}]}");
	finds(f, "duplicate-address", SEVERITY_ERROR, NULL);
}

/* An account's name may have 32 bytes, and stands whole in the line. */
static void long_accounts(void **state)
{
	struct facts f = host(HOST("", "", "", ""));
	struct device_fact *d = facts_add(&f, devices, device_count);

	(void)state;
	*d = (struct device_fact){ .path = "/dev/kvm", .there = true, .mode = 0660, .gid = 7, .error = EACCES };
	memset(d->group_name, 'g', sizeof(d->group_name) - 1);
	memset(f.user, 'u', sizeof(f.user) - 1);
	finds(f, "kvm", SEVERITY_WARNING, "usermod -aG gggggggggggggggggggggggggggggggg uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_that_were_heard),
		cmocka_unit_test(one_lease_for_two),
		cmocka_unit_test(a_healthy_host),
		cmocka_unit_test(every_check_has_a_name_of_its_own),
		cmocka_unit_test(mtu),
		cmocka_unit_test(stp),
		cmocka_unit_test(addresses_on_ports),
		cmocka_unit_test(dhcp_clients),
		cmocka_unit_test(lines_of_clients),
		cmocka_unit_test(moving_macs),
		cmocka_unit_test(ways_back),
		cmocka_unit_test(routers),
		cmocka_unit_test(taps),
		cmocka_unit_test(daemons),
		cmocka_unit_test(guests),
		cmocka_unit_test(one_guest_alone),
		cmocka_unit_test(drops),
		cmocka_unit_test(devices),
		cmocka_unit_test(gates),
		cmocka_unit_test(resolvers),
		cmocka_unit_test(probes),
		cmocka_unit_test(long_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
