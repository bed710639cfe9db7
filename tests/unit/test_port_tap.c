// SPDX-License-Identifier: MIT
/*
 * Virtio's header to and from ours; and the tap port on taps in network namespaces of this test's own, between which the
 * kernel's TCP runs. Where such a namespace or /dev/net/tun is not to be had, those tests are skipped by name.
 */
#include "recorder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/be.h"
#include "base/fd.h"
#include "port/tap.h"
#include "port/virtio.h"
#include "wire/eth.h"

#define EXPERIMENT 0x88b5 /* an EtherType for local experiments, IEEE 802 */

static void header_good(void **state)
{
	struct virtio_net_hdr_v1 h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN,
		.hdr_len = 74, .gso_size = 1440, .csum_start = 54, .csum_offset = 16,
	};
	struct iovec iov = { NULL, 60000 };
	struct frame f = { .iov = &iov, .parts = 1, .size = 60000 };
	struct virtio_net_hdr_v1 emitted;

	(void)state;
	assert_int_equal(virtio_header_parse(&h, 60000, &f.offload), DROP_NONE);
	assert_int_equal(f.offload.gso, GSO_TCP6);
	assert_true(f.offload.checksum_open && f.offload.checksum_good);
	assert_int_equal(f.offload.segment_size, 1440);
	assert_int_equal(f.offload.checksum_start, 54);
	assert_int_equal(f.offload.checksum_offset, 16);
	h.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	h.num_buffers = 1;
	virtio_header_emit(&f, &emitted);
	assert_memory_equal(&h, &emitted, sizeof(h));

	h = (struct virtio_net_hdr_v1){ .flags = VIRTIO_NET_HDR_F_DATA_VALID };
	assert_int_equal(virtio_header_parse(&h, 60, &f.offload), DROP_NONE);
	assert_true(f.offload.checksum_good && !f.offload.checksum_open);
	virtio_header_emit(&f, &emitted);
	assert_int_equal(emitted.flags, VIRTIO_NET_HDR_F_DATA_VALID);
	h.flags = 0;
	assert_int_equal(virtio_header_parse(&h, 14, &f.offload), DROP_NONE);
	assert_false(f.offload.checksum_good || f.offload.checksum_open || f.offload.gso);
}

static void header_hostile(void **state)
{
	enum { CSUM = VIRTIO_NET_HDR_F_NEEDS_CSUM, TCP4 = VIRTIO_NET_HDR_GSO_TCPV4 };
	static const struct { struct virtio_net_hdr_v1 h; uint32_t size; enum drop verdict; } cases[] = {
		{ { .flags = 0 }, 13, DROP_SHORT },
		{ { .gso_type = VIRTIO_NET_HDR_GSO_UDP }, 1000, DROP_MALFORMED },
		{ { .gso_type = 2 }, 1000, DROP_MALFORMED },
		{ { .gso_type = 0x7f }, 1000, DROP_MALFORMED },
		{ { .flags = CSUM, .csum_start = 34, .csum_offset = 6 }, 41, DROP_MALFORMED },
		{ { .flags = CSUM, .csum_start = 34, .csum_offset = 6 }, 42, DROP_NONE },
		{ { .flags = CSUM, .csum_start = 13, .csum_offset = 6 }, 1000, DROP_MALFORMED },
		{ { .flags = CSUM, .csum_start = 14, .csum_offset = 0 }, 16, DROP_NONE },
		{ { .flags = CSUM, .csum_start = 65535, .csum_offset = 65535 }, FRAME_MAX, DROP_MALFORMED },
		{ { .flags = CSUM, .csum_start = 65535, .csum_offset = 3 }, 100, DROP_MALFORMED },
		{ { .flags = CSUM, .csum_start = 14, .csum_offset = 65535 }, 100, DROP_MALFORMED },
		{ { .gso_type = TCP4, .gso_size = 1448 }, 3000, DROP_MALFORMED },
		{ { .flags = CSUM, .csum_start = 34, .csum_offset = 16, .gso_type = TCP4 }, 3000, DROP_MALFORMED },
		{ { .flags = CSUM, .csum_start = 34, .csum_offset = 16, .gso_type = TCP4, .gso_size = 1 }, 3000, DROP_NONE },
		{ { .flags = CSUM, .csum_start = 34, .csum_offset = 8, .gso_type = 5, .gso_size = 1 }, 3000, DROP_NONE },
	};
	struct offload o;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (virtio_header_parse(&cases[i].h, cases[i].size, &o) != cases[i].verdict)
			fail_msg("case %zu", i);
}

/* A header length from outside that is longer than the frame does not reach the kernel, which would refuse the frame. */
static void header_length_is_bounded(void **state)
{
	struct virtio_net_hdr_v1 h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 100, .hdr_len = 65535,
	};
	struct frame f = { .size = 3000 };

	(void)state;
	assert_int_equal(virtio_header_parse(&h, f.size, &f.offload), DROP_NONE);
	assert_true(f.offload.header_size <= 3000);
	virtio_header_emit(&f, &h);
	assert_true(h.hdr_len <= 3000);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		print_message("%s: %s\n", path, strerror(errno));
	fd_close(fd);
}

/* A fresh network namespace for this process. Return: false if this user may have none. */
static bool enter_network(void)
{
	static bool mine; /* the user namespace is made once */
	char map[64];
	unsigned int uid = getuid(), gid = getgid();

	if (!mine && geteuid() != 0) {
		if (unshare(CLONE_NEWUSER) < 0)
			return false;
		write_file("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", uid);
		write_file("/proc/self/uid_map", map);
		snprintf(map, sizeof(map), "0 %u 1", gid);
		write_file("/proc/self/gid_map", map);
	}
	mine = true;
	return unshare(CLONE_NEWNET) == 0;
}

static int tap_open(const char *name, int flags)
{
	struct ifreq ifr = { .ifr_flags = (short)flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return fd_close(fd);
	return fd;
}

static void ip(const char *arguments)
{
	char command[128];

	snprintf(command, sizeof(command), "ip %s", arguments);
	assert_int_equal(system(command), 0);
}

/* A tap "t0" in a namespace that this process is in then, with a port; NULL if that is not possible here. */
static struct port *tap_new(struct recorder *r, const char *addr4, const char *addr6)
{
	struct port *p = NULL;
	char text[96];
	int fd;

	if (!enter_network())
		return NULL;
	fd = tap_open("t0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	if (fd < 0)
		return NULL;
	assert_int_equal(tap_port_new(&p, r->loop, &r->sink, fd), 0);
	snprintf(text, sizeof(text), "addr add %s/24 dev t0", addr4);
	ip(text);
	snprintf(text, sizeof(text), "addr add %s/64 dev t0 nodad", addr6);
	ip(text);
	ip("link set t0 up");
	return p;
}

static int packet_socket(void)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(EXPERIMENT), .sll_ifindex = (int)if_nametoindex("t0") };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(EXPERIMENT));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* A broadcast frame of the experimental type. */
static struct frame experiment(struct iovec *iov, uint8_t *data, uint32_t size, uint64_t seed)
{
	struct frame f = frame_make(iov, data, size, seed);
	struct eth e = { .to = MAC_BROADCAST, .from = {{ 2, 0, 0, 0, 0, 9 }}, .type = be16(EXPERIMENT) };

	memcpy(data, &e, sizeof(e));
	return f;
}

static bool is_experiment(const struct recorded *f)
{
	return f->size >= sizeof(struct eth) && f->data[12] == EXPERIMENT >> 8 && f->data[13] == (EXPERIMENT & 0xff);
}

static void carries_frames_both_ways(void **state)
{
	struct recorder *r = recorder_new();
	struct port *p = tap_new(r, "10.9.9.1", "fd00:9::1");
	uint8_t data[1514], got[2000];
	struct iovec iov;
	size_t seen = 0;
	int packet;

	(void)state;
	if (!p) {
		recorder_free(r);
		skip();
	}
	packet = packet_socket();
	for (uint32_t i = 0; i < 100; i++) {
		struct frame f = experiment(&iov, data, 14 + i * 15, i);

		assert_int_equal(port_send(p, &f, 1), 1);
		assert_int_equal(recv(packet, got, sizeof(got), 0), f.size);
		assert_memory_equal(got, data, f.size);
	}
	assert_int_equal(p->to_guest.frames, 100);
	for (uint32_t i = 0; i < 100; i++) {
		struct frame f = experiment(&iov, data, 60 + i * 14, i);

		assert_int_equal(send(packet, data, f.size, 0), f.size);
	}
	recorder_turn(r, 10);
	for (size_t i = 0; i < r->count; i++)
		if (is_experiment(&r->frames[i])) {
			struct frame f = experiment(&iov, data, 60 + (uint32_t)seen * 14, seen);

			assert_int_equal(r->frames[i].size, f.size);
			assert_memory_equal(r->frames[i].data, data, f.size);
			seen++;
		}
	assert_int_equal(seen, 100);
	assert_int_equal(p->from_guest.frames, r->count);
	close(packet);
	port_free(p);
	recorder_free(r);
}

/* A header that the kernel refuses costs its own frame only; one to an interface that is down is said to be so. */
static void refused_frames_are_counted(void **state)
{
	struct recorder *r = recorder_new();
	struct port *p = tap_new(r, "10.9.9.1", "fd00:9::1");
	uint8_t data[3][1000], got[2000];
	struct iovec iov[3];
	struct frame frames[3];
	int packet;

	(void)state;
	if (!p) {
		recorder_free(r);
		skip();
	}
	packet = packet_socket();
	for (int i = 0; i < 3; i++)
		frames[i] = experiment(&iov[i], data[i], 1000, (uint64_t)i);
	frames[1].offload = (struct offload){ .checksum_open = true, .checksum_start = 60000, .checksum_offset = 60000 };
	assert_int_equal(port_send(p, frames, 3), 3);
	assert_int_equal(p->drops[DROP_MALFORMED], 1);
	assert_int_equal(recv(packet, got, sizeof(got), 0), 1000);
	assert_memory_equal(got, data[0], 1000);
	assert_int_equal(recv(packet, got, sizeof(got), 0), 1000);
	assert_memory_equal(got, data[2], 1000);
	ip("link set t0 down");
	assert_int_equal(port_send(p, frames, 1), 1);
	assert_int_equal(p->drops[DROP_PORT_DOWN], 1);
	assert_int_equal(r->closed, 0);
	close(packet);
	port_free(p);
	recorder_free(r);
}

static void deleted_interface_closes(void **state)
{
	struct recorder *r = recorder_new();
	struct port *p = tap_new(r, "10.9.9.1", "fd00:9::1");
	uint8_t data[100];
	struct iovec iov;
	struct frame f;

	(void)state;
	if (!p) {
		recorder_free(r);
		skip();
	}
	ip("link del t0");
	recorder_turn(r, 3);
	assert_int_equal(r->closed, 1);
	f = experiment(&iov, data, sizeof(data), 1);
	assert_int_equal(port_send(p, &f, 1), 0);
	assert_int_equal(r->closed, 1);
	port_free(p);

	/* And when sending finds it first. */
	p = tap_new(r, "10.9.9.1", "fd00:9::1");
	ip("link del t0");
	assert_int_equal(port_send(p, &f, 1), 0);
	assert_int_equal(r->closed, 2);
	assert_int_equal(p->drops[DROP_PORT_DOWN], 1);
	port_free(p);
	recorder_free(r);
}

static void refuses_what_is_no_such_tap(void **state)
{
	struct recorder *r = recorder_new();
	struct port *p = NULL;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(tap_port_new(&p, r->loop, &r->sink, fd), -EINVAL);
	close(fd);
	fd = enter_network() ? tap_open("t1", IFF_TAP | IFF_NO_PI) : -1;
	if (fd >= 0)
		assert_int_equal(tap_port_new(&p, r->loop, &r->sink, fd), -EINVAL);
	fd_close(fd);
	assert_null(p);
	recorder_free(r);
}

/* Two namespaces, their taps' ports wired to each other as a switch would. */
struct cable {
	struct recorder *r;
	struct port *ports[2];
	uint32_t largest[2];      /* frame from each */
	size_t open_checksums;
};

static void cable_input(void *owner, struct port *from, const struct frame *frames, size_t count)
{
	struct cable *c = owner;
	int side = from == c->ports[1];

	for (size_t i = 0; i < count; i++) {
		c->largest[side] = MAX(c->largest[side], frames[i].size);
		c->open_checksums += frames[i].offload.checksum_open;
	}
	port_send(c->ports[!side], frames, count);
}

#define TRANSFER (8 << 20)

/* Send TRANSFER bytes by TCP from @from to @to while the loop runs. */
static void transfer(struct cable *c, int from, int to)
{
	static uint8_t data[TRANSFER], got[TRANSFER];
	struct iovec iov;
	size_t sent = 0, have = 0;
	usec_t end = usec_now() + 30 * USEC_S;

	frame_make(&iov, data, sizeof(data), 5);
	while (have < sizeof(got) && usec_now() < end) {
		ssize_t n = send(from, data + sent, sizeof(data) - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		loop_turn(c->r->loop, USEC_MS);
		n = recv(to, got + have, sizeof(got) - have, MSG_DONTWAIT);
		have += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(have, sizeof(got));
	assert_memory_equal(got, data, sizeof(got));
}

/* The kernel's TCP across: segments stay whole, and every byte arrives. */
static void tcp_across(int family, const struct sockaddr *server, socklen_t size)
{
	struct cable c = { .r = recorder_new() };
	int listener, client, accepted = -1;

	c.r->sink.input = cable_input;
	c.r->sink.owner = &c;
	c.ports[0] = tap_new(c.r, "10.9.9.1", "fd00:9::1");
	if (!c.ports[0]) {
		recorder_free(c.r);
		skip();
	}
	client = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	c.ports[1] = tap_new(c.r, "10.9.9.2", "fd00:9::2");
	assert_non_null(c.ports[1]);
	listener = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, server, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_true(connect(client, server, size) == 0 || errno == EINPROGRESS);
	for (usec_t end = usec_now() + 10 * USEC_S; accepted < 0 && usec_now() < end;) {
		loop_turn(c.r->loop, USEC_MS);
		accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	assert_true(accepted >= 0);
	transfer(&c, client, accepted);
	transfer(&c, accepted, client);
	assert_true(c.largest[0] > 20000 && c.largest[1] > 20000);
	assert_true(c.open_checksums > 100);
	for (int i = 0; i < 2; i++)
		for (int d = 0; d < DROP_COUNT; d++)
			assert_int_equal(c.ports[i]->drops[d], 0);
	close(listener), close(client), close(accepted);
	port_free(c.ports[0]), port_free(c.ports[1]);
	recorder_free(c.r);
}

static void tcp4_across(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7777), .sin_addr.s_addr = inet_addr("10.9.9.2") };

	(void)state;
	tcp_across(AF_INET, (struct sockaddr *)&a, sizeof(a));
}

static void tcp6_across(void **state)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(7777) };

	(void)state;
	inet_pton(AF_INET6, "fd00:9::2", &a.sin6_addr);
	tcp_across(AF_INET6, (struct sockaddr *)&a, sizeof(a));
}

#define DATAGRAM  1000
#define DATAGRAMS 40

/* The kernel's UDP across: a run that a program sends as one message is one frame on its way, and one message where it arrives. */
static void udp_across(int family, const struct sockaddr *server, socklen_t size)
{
	static uint8_t data[DATAGRAM * DATAGRAMS - 300], got[65536];
	struct cable c = { .r = recorder_new() };
	int client, receiver, segment = DATAGRAM, on = 1;
	usec_t end = usec_now() + 10 * USEC_S;
	struct iovec iov;
	ssize_t n = -1;

	c.r->sink.input = cable_input;
	c.r->sink.owner = &c;
	c.ports[0] = tap_new(c.r, "10.9.9.1", "fd00:9::1");
	if (!c.ports[0] || !(c.ports[0]->takes & PORT_TAKES_UDP_SEGMENTS)) {
		print_message("no tap to be had, or this kernel's taps know no UDP segmentation offload (Linux 6.2)\n");
		port_free(c.ports[0]);
		recorder_free(c.r);
		skip();
	}
	client = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	c.ports[1] = tap_new(c.r, "10.9.9.2", "fd00:9::2");
	assert_non_null(c.ports[1]);
	receiver = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(receiver, server, size), 0);
	assert_int_equal(setsockopt(receiver, SOL_UDP, UDP_GRO, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(client, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	assert_int_equal(connect(client, server, size), 0);
	frame_make(&iov, data, sizeof(data), 5);
	assert_int_equal(send(client, data, sizeof(data), 0), sizeof(data));
	for (; n < 0 && usec_now() < end; n = recv(receiver, got, sizeof(got), MSG_DONTWAIT))
		loop_turn(c.r->loop, USEC_MS);
	assert_int_equal(n, sizeof(data));
	assert_memory_equal(got, data, sizeof(data));
	assert_true(c.largest[0] > sizeof(data));
	for (int i = 0; i < 2; i++)
		for (int d = 0; d < DROP_COUNT; d++)
			assert_int_equal(c.ports[i]->drops[d], 0);
	close(client), close(receiver);
	port_free(c.ports[0]), port_free(c.ports[1]);
	recorder_free(c.r);
}

static void udp4_across(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7777), .sin_addr.s_addr = inet_addr("10.9.9.2") };

	(void)state;
	udp_across(AF_INET, (struct sockaddr *)&a, sizeof(a));
}

static void udp6_across(void **state)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(7777) };

	(void)state;
	inet_pton(AF_INET6, "fd00:9::2", &a.sin6_addr);
	udp_across(AF_INET6, (struct sockaddr *)&a, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_good),
		cmocka_unit_test(header_hostile),
		cmocka_unit_test(header_length_is_bounded),
		cmocka_unit_test(carries_frames_both_ways),
		cmocka_unit_test(refused_frames_are_counted),
		cmocka_unit_test(deleted_interface_closes),
		cmocka_unit_test(refuses_what_is_no_such_tap),
		cmocka_unit_test(tcp4_across),
		cmocka_unit_test(tcp6_across),
		cmocka_unit_test(udp4_across),
		cmocka_unit_test(udp6_across),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
