// SPDX-License-Identifier: MIT
/*
 * What the tests of runs of datagrams share: bytes that every payload is a part of, a guest's batch, and sockets of the host that say, by
 * UDP_GRO, what was one message to the kernel.
 */
#pragma once
#include "gateway_world.h"
#include <netinet/udp.h>

#define OWN4 "198.51.100.7"
#define OWN6 "2001:db8:1::7"
#define FAR4 "203.0.113.9"
#define FAR6 "2001:db8:2::9"
#define MOST 400

static uint8_t bytes[65536]; /* every datagram is a part of these, from its place in the run on */

static int setup(void **state)
{
	*state = world_new(HOST_ACCESS_LAN, 64);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

/* A batch of a guest's, whose frames stay until it is sent. */
struct batch {
	struct world *w;
	struct packet *packets[MOST];
	size_t count;
	size_t at;      /* in bytes[] */
};

_unused_ static struct packet *make(struct batch *b, addr_t dst, uint16_t dst_port, size_t size)
{
	struct udp_header h = { be16(5001), be16(dst_port), be16(sizeof(h) + size), be16(0x1234) };
	struct packet *p = packet_new(guest_addr_of(0, !addr_is4(dst)), dst, IP_UDP, 64, &h, sizeof(h), bytes + b->at, size);

	p->ip.header_size = ip_emit(p->ip.header, &p->ip, 700 + b->count);
	p->ip.fragment_id = addr_is4(dst) ? 700 + b->count : 0;
	b->at += size;
	assert_true(b->count < MOST && b->at <= sizeof(bytes));
	return b->packets[b->count++] = p;
}

_unused_ static enum drop give(struct batch *b, struct packet *p, uint32_t segment)
{
	return udp_from_guest(b->w->udp, guest_mac_of(0), &p->ip, p->l4, segment, b->w->now);
}

_unused_ static enum drop end(struct batch *b)
{
	enum drop drop = guest_push(b->w, 0);

	emit_flush(b->w->emitter, b->w->now);
	while (b->count)
		free(b->packets[--b->count]);
	b->at = 0;
	return drop;
}

_unused_ static void give_sizes(struct batch *b, const char *dst, const uint16_t *sizes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_int_equal(give(b, make(b, a(dst), 7000, sizes[i]), 0), DROP_NONE);
}

_unused_ static int gro_server(const char *addr, uint16_t port)
{
	int fd = server(addr, port), on = 1;

	assert_int_equal(setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)), 0);
	return fd;
}

/* One message of @size bytes, of datagrams of @segment bytes (0: of one), must have come; its bytes are those from *@at on. */
_unused_ static void expect_message(int fd, size_t *at, size_t size, int segment)
{
	static uint8_t data[65536];
	char control[128];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int found = 0;

	assert_int_equal(recvmsg(fd, &m, 0), size);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&found, CMSG_DATA(c), sizeof(found));
	assert_int_equal(found, segment);
	assert_memory_equal(data, bytes + *at, size);
	*at += size;
}

_unused_ static void expect_nothing(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RUN(tests) run_all(#tests, tests, ARRAY_SIZE(tests))

static int run_all(const char *name, const struct CMUnitTest *tests, size_t count)
{
	struct rng rng = { 4 };
	pid_t router = netns_enter();
	int r;

	rng_fill(&rng, bytes, sizeof(bytes));
	r = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
	netns_leave(router);
	return r;
}
