// SPDX-License-Identifier: MIT
/* QEMU's command lines, and the words they are made of. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "cli/guest_run.h"
#include "cli/qemu.h"

static const struct qemu_program old = { "qemu", 6, 2 }, debian = { "qemu", 7, 2 }, eight = { "qemu", 8, 0 }, ten = { "qemu", 10, 0 };

static void test_version(void **state)
{
	int major, minor;

	(void)state;
	assert_true(qemu_version_parse("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright", &major, &minor));
	assert_int_equal(major, 7);
	assert_int_equal(minor, 2);
	assert_true(qemu_version_parse("QEMU emulator version 10.0.2", &major, &minor));
	assert_int_equal(major, 10);
	assert_false(qemu_version_parse("", &major, &minor));
	assert_false(qemu_version_parse("QEMU emulator version seven", &major, &minor));
	assert_true(qemu_at_least(&debian, 7, 2) && qemu_at_least(&eight, 7, 2) && qemu_at_least(&ten, 9, 2));
	assert_false(qemu_at_least(&old, 7, 2) || qemu_at_least(&debian, 7, 3) || qemu_at_least(&eight, 9, 2));
}

/* The words of a network card, as a shell line. */
static void assert_net(const struct qemu_program *q, const struct qemu_net *net, const char *wanted)
{
	_cleanup_words_ struct words w = { 0 };
	_cleanup_(freep) char *line = NULL;

	qemu_add_net(&w, q, net);
	line = words_quote(&w);
	assert_non_null(line);
	assert_string_equal(line, wanted);
}

static void test_net(void **state)
{
	struct qemu_net net = { .port = QEMU_PORT_STREAM, .mac = "52:54:00:00:00:01", .path = "/run/a,b/stream", .own_path = "/run/own" };

	(void)state;
#define CARD " -device virtio-net-pci,netdev=hospes,mac=52:54:00:00:00:01"
	assert_net(&debian, &net, "-netdev stream,id=hospes,server=off,addr.type=unix,addr.path=/run/a,,b/stream" CARD);
	assert_net(&eight, &net, "-netdev stream,id=hospes,server=off,addr.type=unix,addr.path=/run/a,,b/stream,reconnect=1" CARD);
	assert_net(&ten, &net, "-netdev stream,id=hospes,server=off,addr.type=unix,addr.path=/run/a,,b/stream,reconnect-ms=1000" CARD);
	net.no_rom = true;
	net.fd = 9;
	assert_net(&old, &net, "-netdev socket,id=hospes,fd=9" CARD ",romfile=");
	net = (struct qemu_net){ .port = QEMU_PORT_DGRAM, .mac = net.mac, .path = "/run/it's a LAN/dgram", .own_path = "/run/own" };
	assert_net(&debian, &net,
		   "-netdev 'dgram,id=hospes,local.type=unix,local.path=/run/own,remote.type=unix,remote.path=/run/it'\\''s a LAN/dgram'" CARD);
}

static bool has_pair(const struct words *w, const char *option, const char *value)
{
	for (size_t i = 0; i + 1 < w->count; i++)
		if (!strcmp(w->list[i], option) && !strcmp(w->list[i + 1], value))
			return true;
	return false;
}

static bool has(const struct words *w, const char *option)
{
	for (size_t i = 0; i < w->count; i++)
		if (!strcmp(w->list[i], option))
			return true;
	return false;
}

static void test_guest(void **state)
{
	char *extra[] = { "-m", "2G", NULL };
	struct qemu_guest g = {
		.name = "web", .mem = "1G", .cpus = 2, .accel = ACCEL_KVM, .net = { .port = QEMU_PORT_STREAM, .mac = "52:54:00:00:00:01", .path = "/run/stream" },
		.disk = "/d,1.qcow2", .format = "qcow2", .console = QEMU_CONSOLE_TERMINAL, .qmp = "/run/qmp", .serial = "/run/serial",
		.serial_log = "/run/a,b.log", .extra = extra,
	};
	_cleanup_words_ struct words kvm = { 0 }, tcg = { 0 }, own = { 0 };

	(void)state;
	qemu_add_guest(&kvm, &debian, &g);
	assert_true(has_pair(&kvm, "-accel", "kvm") && has_pair(&kvm, "-cpu", QEMU_CPU_KVM) && has(&kvm, "-nographic"));
	assert_true(has_pair(&kvm, "-drive", "if=virtio,format=qcow2,file=/d,,1.qcow2"));
	assert_true(has_pair(&kvm, "-qmp", "unix:/run/qmp,server=on,wait=off") && !has(&kvm, "-snapshot") && !has(&kvm, "-boot"));
	/* What the user wrote stands last: of two, QEMU takes that. */
	assert_string_equal(kvm.list[kvm.count - 1], "2G");
	assert_null(kvm.list[kvm.count]);

	g.accel = ACCEL_TCG, g.disk = NULL, g.cdrom = "/cd.iso", g.snapshot = true, g.console = QEMU_CONSOLE_SOCKET;
	qemu_add_guest(&tcg, &debian, &g);
	assert_true(has_pair(&tcg, "-accel", "tcg") && has_pair(&tcg, "-cpu", "max") && has_pair(&tcg, "-boot", "d") && has(&tcg, "-snapshot"));
	assert_true(has_pair(&tcg, "-drive", "media=cdrom,readonly=on,format=raw,file=/cd.iso"));
	assert_true(has_pair(&tcg, "-chardev", "socket,id=serial,server=on,wait=off,path=/run/serial,logfile=/run/a,,b.log"));
	assert_true(has_pair(&tcg, "-display", "none") && !has(&tcg, "-nographic"));

	g.own_accel = g.own_console = true;
	qemu_add_guest(&own, &debian, &g);
	assert_false(has(&own, "-accel") || has(&own, "-cpu") || has(&own, "-display") || has(&own, "-serial") || has(&own, "-chardev"));
}

/* The words of the drive that holds an image. */
static void assert_drive(const char *disk, const char *format, const char *cdrom, const char *wanted)
{
	_cleanup_words_ struct words w = { 0 };
	struct qemu_guest g = {
		.name = "web", .mem = "1G", .cpus = 1, .net = { .port = QEMU_PORT_STREAM, .mac = "52:54:00:00:00:01", .path = "/run/stream" },
		.disk = disk, .format = format, .cdrom = cdrom, .qmp = "/run/qmp",
	};

	qemu_add_guest(&w, &debian, &g);
	assert_true(has_pair(&w, "-drive", wanted));
}

static void test_drive(void **state)
{
	(void)state;
	/* QEMU guards the first sector of a raw image against the guest only where nobody has told it that it is one. */
	assert_drive("/disk.img", "raw", NULL, "if=virtio,file=/disk.img");
	/* What stands before a colon is no protocol. */
	assert_drive("nbd:x.img", "raw", NULL, "if=virtio,file=./nbd:x.img");
	assert_drive("json:{}", "qcow2", NULL, "if=virtio,format=qcow2,file=./json:{}");
	assert_drive("images/a:b.img", "qcow2", NULL, "if=virtio,format=qcow2,file=images/a:b.img");
	assert_drive(NULL, NULL, "a:b.iso", "media=cdrom,readonly=on,format=raw,file=./a:b.iso");
}

static void test_vhost(void **state)
{
	struct qemu_net net = {
		.port = QEMU_PORT_VHOST, .mac = "52:54:00:00:00:01", .path = "/run/a,b/vhost", .mem = "1G", .queues = 4, .no_rom = true,
	};
	_cleanup_words_ struct words kvm = { 0 }, tcg = { 0 }, bare = { 0 }, guest = { 0 };
	size_t memories = 0;

	(void)state;
	qemu_add_net(&kvm, &debian, &net);
	assert_true(has_pair(&kvm, "-m", "1G") && has_pair(&kvm, "-machine", "memory-backend=hospes-memory"));
	assert_true(has_pair(&kvm, "-object", "memory-backend-memfd,id=hospes-memory,size=1G,share=on"));
	assert_true(has_pair(&kvm, "-chardev", "socket,id=hospes,path=/run/a,,b/vhost,reconnect=1"));
	assert_true(has_pair(&kvm, "-netdev", "vhost-user,id=hospes,chardev=hospes,queues=4"));
	assert_true(has_pair(&kvm, "-device", "virtio-net-pci,netdev=hospes,mac=52:54:00:00:00:01,romfile=,rx_queue_size=1024,tx_queue_size=1024,"
					      "mq=on,vectors=10"));
	net.no_msix = true, net.queues = 0, net.no_rom = false;
	qemu_add_net(&tcg, &debian, &net);
	assert_true(has_pair(&tcg, "-netdev", "vhost-user,id=hospes,chardev=hospes"));
	assert_true(has_pair(&tcg, "-device", "virtio-net-pci,netdev=hospes,mac=52:54:00:00:00:01,rx_queue_size=1024,tx_queue_size=1024,vectors=0"));

	/* A bare number is MiB, for both. */
	net.mem = "512";
	qemu_add_net(&bare, &debian, &net);
	assert_true(has_pair(&bare, "-m", "512M") && has_pair(&bare, "-object", "memory-backend-memfd,id=hospes-memory,size=512M,share=on"));

	/* The guest's memory is said once. */
	qemu_add_guest(&guest, &debian, &(struct qemu_guest){ .name = "g", .mem = "1G", .cpus = 1, .net = net, .qmp = "/q", .own_console = true });
	for (size_t i = 0; i < guest.count; i++)
		memories += !strcmp(guest.list[i], "-m");
	assert_int_equal(memories, 1);
}

static void test_says(void **state)
{
	(void)state;
	assert_true(qemu_says_accel((char *[]){ "-m", "1G", "-accel", "tcg", NULL }));
	assert_true(qemu_says_accel((char *[]){ "--enable-kvm", NULL }));
	assert_true(qemu_says_accel((char *[]){ "-machine", "q35,accel=tcg", NULL }));
	assert_false(qemu_says_accel((char *[]){ "-machine", "q35", NULL }));
	assert_false(qemu_says_accel(NULL));
	assert_true(qemu_says_memory((char *[]){ "-m", "1G", NULL }) && qemu_says_memory((char *[]){ "-machine", "memory-backend=x", NULL }));
	assert_false(qemu_says_memory((char *[]){ "-smp", "2", NULL }) || qemu_says_memory(NULL));
	assert_true(qemu_says_console((char *[]){ "-m", "1G", "-vnc", ":1", NULL }));
	assert_true(qemu_says_console((char *[]){ "--nographic", NULL }));
	assert_false(qemu_says_console((char *[]){ "display", NULL }));
	assert_false(qemu_says_console(NULL));
}

static void test_port(void **state)
{
	enum qemu_port port;

	(void)state;
	assert_true(!qemu_port_parse("vhost", &port) && port == QEMU_PORT_VHOST);
	assert_true(!qemu_port_parse("dgram", &port) && port == QEMU_PORT_DGRAM);
	assert_int_equal(qemu_port_parse("vhos", &port), -EINVAL);
	assert_int_equal(qemu_port_parse("", &port), -EINVAL);
	assert_true(qemu_port_suits(QEMU_PORT_DGRAM, FABRIC_USER, "x") && qemu_port_suits(QEMU_PORT_TAP, FABRIC_BRIDGE, "x"));
	assert_false(qemu_port_suits(QEMU_PORT_TAP, FABRIC_USER, "x") || qemu_port_suits(QEMU_PORT_STREAM, FABRIC_BRIDGE, "x"));
	assert_int_equal(qemu_port_check(&old, QEMU_PORT_STREAM), 0);
	assert_int_equal(qemu_port_check(&old, QEMU_PORT_DGRAM), -EOPNOTSUPP);
	assert_int_equal(qemu_port_check(&debian, QEMU_PORT_DGRAM), 0);
}

static void test_quote(void **state)
{
	_cleanup_words_ struct words w = { 0 };
	_cleanup_(freep) char *line = NULL;

	(void)state;
	words_add(&w, "%s", "plain");
	words_add(&w, "%s", "");
	words_add_pair(&w, "-x", "%d $HOME", 5);
	words_add(&w, "%s", "it's");
	line = words_quote(&w);
	assert_string_equal(line, "plain '' -x '5 $HOME' 'it'\\''s'");
	for (int i = 0; i < 200; i++)
		words_add(&w, "%d", i);
	assert_false(w.failed);
	assert_int_equal(w.count, 205);
	assert_string_equal(w.list[204], "199");
	assert_null(w.list[205]);
}

static void assert_publish(const char *text, const char *listen, const char *port)
{
	struct guest_publish p;
	char error[256] = "";
	int r = guest_publish_parse(&p, text, error, sizeof(error));

	if (!listen) {
		assert_int_equal(r, -EINVAL);
		assert_true(*error);
		return;
	}
	assert_int_equal(r, 0);
	assert_string_equal(p.listen, listen);
	assert_string_equal(p.port, port);
}

static void test_publish(void **state)
{
	char huge[400];

	(void)state;
	assert_publish("8080:80", "8080", "80");
	assert_publish("127.0.0.1:8080:80", "127.0.0.1:8080", "80");
	assert_publish("[::1]:8080:80", "[::1]:8080", "80");
	assert_publish("8080-8090:80", "8080-8090", "80");
	assert_publish("53:53/udp", "53/udp", "53");
	assert_publish("53/udp:53", "53/udp", "53");
	assert_publish("/run/x.sock:22", "/run/x.sock", "22");
	assert_publish("80", NULL, NULL);
	assert_publish(":80", NULL, NULL);
	assert_publish("", NULL, NULL);
	assert_publish("8080:", NULL, NULL);
	assert_publish("8080:0", NULL, NULL);
	assert_publish("8080:99999", NULL, NULL);
	assert_publish("8080:800000000080", NULL, NULL);
	assert_publish("8080:80/tcp/udp", NULL, NULL);
	assert_publish("8080:80x", NULL, NULL);
	assert_publish("8080:0000080x", NULL, NULL);
	memset(huge, '1', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = 0;
	memcpy(huge + 390, ":80", 3);
	assert_publish(huge, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version), cmocka_unit_test(test_net), cmocka_unit_test(test_guest), cmocka_unit_test(test_drive),
		cmocka_unit_test(test_vhost), cmocka_unit_test(test_says),
		cmocka_unit_test(test_port), cmocka_unit_test(test_quote), cmocka_unit_test(test_publish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
