// SPDX-License-Identifier: MIT
/*
 * What udp, echo and forwards need around them: a switch with two guests' ports, the way to them, flows, and the namespace of netns.h as
 * the host. The guests' packets are given to the module as the gateway's demux would; what comes back is parsed here and checked as a guest
 * would.
 */
#pragma once
#include "fake_port.h"
#include "netns.h"
#include "gateway/echo.h"
#include "gateway/emit.h"
#include "gateway/flow.h"
#include "gateway/host.h"
#include "gateway/udp.h"
#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/udp.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define GUESTS 2

struct world {
	struct lan_plan plan;
	struct switch_ *sw;
	struct fake_port *gateway, *port[GUESTS];
	struct emitter *emitter;
	struct flow_table *flows;
	struct host *host;
	struct udp *udp;
	struct echo *echo;
	usec_t now;
};

static addr_t a(const char *text)
{
	addr_t out = ADDR_ANY;

	assert_true(!*text || addr_parse(text, &out));
	return out;
}

static struct mac guest_mac_of(int guest) { return (struct mac){{ 0x52, 0x54, 0, 0, 0, 1 + guest }}; }
static addr_t guest_addr_of(int guest, bool v6)
{
	addr_t addr = v6 ? a("fd00:1::10") : a("10.0.2.16");

	addr.b[15] += guest;
	return addr;
}

static struct world *world_new(enum host_access access, uint32_t flows)
{
	struct world *w = calloc(1, sizeof(*w));

	w->plan = (struct lan_plan){
		.ip4 = true, .ip6 = true, .bits4 = 24, .bits6 = 64, .mtu = 1500, .host_access = access,
		.mac = {{ 0x52, 0x55, 10, 0, 2, 2 }},
		.net4 = a("10.0.2.0"), .gateway4 = a("10.0.2.2"), .dns4 = a("10.0.2.3"), .net6 = a("fd00:1::"), .gateway6 = a("fd00:1::2"),
		.dns6 = a("fd00:1::3"), .link_local6 = a("fe80::5055:aff:fe00:202"),
	};
	w->now = usec_now();
	assert_int_equal(switch_new(&w->sw, GUESTS + 1), 0);
	w->gateway = fake_new(1, PORT_TAKES_ALL);
	assert_int_equal(switch_add(w->sw, &w->gateway->port), 0);
	assert_int_equal(switch_register(w->sw, w->plan.mac, &w->gateway->port), 0);
	for (int i = 0; i < GUESTS; i++) {
		w->port[i] = fake_new(2 + i, 0);
		w->port[i]->port.mtu = 1500;
		assert_int_equal(switch_add(w->sw, &w->port[i]->port), 0);
		assert_int_equal(switch_register(w->sw, guest_mac_of(i), &w->port[i]->port), 0);
	}
	assert_int_equal(emitter_new(&w->emitter, w->sw, &w->gateway->port, &w->plan), 0);
	assert_int_equal(flow_table_new(&w->flows, flows, w->now), 0);
	assert_int_equal(host_new(&w->host, &w->plan), 0);
	assert_int_equal(udp_new(&w->udp, w->flows, w->emitter, w->host), 0);
	assert_int_equal(echo_new(&w->echo, w->flows, w->emitter, w->host, &w->plan), 0);
	return w;
}

static void world_free(struct world *w)
{
	echo_free(w->echo);
	udp_free(w->udp);
	flow_table_free(w->flows);
	host_free(w->host);
	emitter_free(w->emitter);
	switch_free(w->sw);
	fake_free(&w->gateway->port);
	for (int i = 0; i < GUESTS; i++)
		fake_free(&w->port[i]->port);
	free(w);
}

static void world_ready(void *owner, struct flow *f, uint32_t events)
{
	struct world *w = owner;

	if (f->key.kind == FLOW_UDP)
		udp_ready(w->udp, f, events, w->now);
	else
		echo_ready(w->echo, f, events, w->now);
}

/* Let ready sockets be served until guest @guest has @frames, or half a second has passed. */
_unused_ static void world_pump(struct world *w, int guest, size_t frames)
{
	struct pollfd p = { .fd = flow_epoll(w->flows), .events = POLLIN };

	emit_flush(w->emitter, w->now);
	while (w->port[guest]->count < frames && poll(&p, 1, 500) > 0) {
		flow_ready(w->flows, 64, world_ready, w);
		emit_flush(w->emitter, w->now);
	}
}

/* Time goes by; deadlines are due. */
_unused_ static void world_wait(struct world *w, usec_t time)
{
	struct flow *f;

	w->now += time;
	while ((f = flow_due(w->flows, w->now)))
		if (f->key.kind == FLOW_UDP)
			udp_due(w->udp, f, w->now);
		else
			echo_due(w->echo, f, w->now);
}

/* A packet of a guest's, as the demux parsed it. */
struct packet {
	struct ip_packet ip;
	struct iovec iov;
	struct cursor l4;
	uint8_t data[65536];
};

static struct packet *packet_new(addr_t src, addr_t dst, uint8_t protocol, uint8_t ttl, const void *header, size_t header_size,
				 const void *payload, size_t size)
{
	struct packet *p = malloc(sizeof(*p));

	p->ip = (struct ip_packet){
		.src = src, .dst = dst, .version = addr_is4(src) ? 4 : 6, .protocol = protocol, .ttl = ttl,
		.payload_size = header_size + size, .dont_fragment = true,
	};
	p->ip.header_size = ip_emit(p->ip.header, &p->ip, 7);
	memcpy(p->data, header, header_size);
	memcpy(p->data + header_size, payload, size);
	p->iov = (struct iovec){ p->data, header_size + size };
	p->l4 = cursor_of_iov(&p->iov, 1);
	return p;
}

/* What a guest got: the IP packet, put together where it came in fragments, and the bytes behind its header. */
struct got {
	struct ip_packet ip;
	size_t size;
	uint8_t data[65536];
};

static bool l4_checksum_right(const struct got *g)
{
	sum_t sum = g->ip.protocol == IP_ICMP ? 0 : sum_pseudo(0, g->ip.src, g->ip.dst, g->ip.protocol, g->size);

	return sum_is_valid(sum_bytes(sum, g->data, g->size));
}

/* Read frames from @first on up to the end of one packet. Return: the index of the next frame. */
static size_t guest_read(struct world *w, int guest, size_t first, struct got *out)
{
	struct fake_port *p = w->port[guest];
	bool more = true;

	out->size = 0;
	while (more) {
		assert_true(first < p->count);
		struct iovec iov;
		struct cursor c = cursor_of(&iov, p->frames[first].data, p->frames[first].size);
		struct eth eth = eth_parse(&c);
		struct ip_packet ip = ip_parse(&c);
		size_t take = cursor_left(&c);

		assert_false(cursor_failed(&c));
		assert_true(p->frames[first].size <= 1514);
		assert_true(mac_equal(eth.to, guest_mac_of(guest)) && mac_equal(eth.from, w->plan.mac));
		assert_int_equal(ip.fragment_offset, out->size);
		cursor_copy(&c, out->data + out->size, take);
		out->size += take;
		more = ip.more_fragments;
		out->ip = ip;
		first++;
	}
	assert_true(l4_checksum_right(out));
	return first;
}

_unused_ static void guest_forget(struct world *w)
{
	for (int i = 0; i < GUESTS; i++)
		fake_forget(w->port[i]);
}

/* The batch is at its end. Return: why something of it was dropped only then. */
static enum drop guest_push(struct world *w, int guest)
{
	uint64_t before[DROP_COUNT];

	memcpy(before, w->port[guest]->port.drops, sizeof(before));
	udp_push(w->udp, w->now);
	for (int i = 0; i < DROP_COUNT; i++)
		if (w->port[guest]->port.drops[i] != before[i])
			return i;
	return DROP_NONE;
}

/* A UDP datagram from a guest. */
_unused_ static enum drop guest_udp(struct world *w, int guest, uint16_t port, addr_t dst, uint16_t dst_port, const void *payload,
				    size_t size, bool may_fragment)
{
	struct udp_header h = { be16(port), be16(dst_port), be16(sizeof(h) + size), be16(0) };
	struct packet *p = packet_new(guest_addr_of(guest, !addr_is4(dst)), dst, IP_UDP, 64, &h, sizeof(h), payload, size);
	enum drop drop;

	if (may_fragment && addr_is4(dst))
		p->ip.dont_fragment = false;
	else if (may_fragment)
		p->ip.fragment_id = 99;
	drop = udp_from_guest(w->udp, guest_mac_of(guest), &p->ip, p->l4, 0, w->now);
	if (drop == DROP_NONE)
		drop = guest_push(w, guest);
	emit_flush(w->emitter, w->now);
	free(p);
	return drop;
}

/* One UDP datagram must have come. */
_unused_ static void expect_udp(struct world *w, int guest, size_t *at, addr_t src, uint16_t src_port, uint16_t port, const void *payload,
				size_t size)
{
	struct got *g = malloc(sizeof(*g));
	struct udp_header h;

	*at = guest_read(w, guest, *at, g);
	memcpy(&h, g->data, sizeof(h));
	assert_int_equal(g->ip.protocol, IP_UDP);
	assert_true(addr_equal(g->ip.src, src));
	assert_true(addr_equal(g->ip.dst, guest_addr_of(guest, !addr_is4(src))));
	assert_int_equal(be16_get(h.src), src_port);
	assert_int_equal(be16_get(h.dst), port);
	assert_int_equal(be16_get(h.size), sizeof(h) + size);
	assert_int_equal(g->size, sizeof(h) + size);
	assert_memory_equal(g->data + sizeof(h), payload, size);
	free(g);
}

/* An ICMP error must have come, that quotes a packet of the guest's: its addresses, and @quoted at the start of its payload. */
_unused_ static void expect_error(struct world *w, int guest, size_t *at, addr_t from, uint8_t type, uint8_t code, uint32_t mtu, addr_t dst,
				  const void *quoted, size_t size)
{
	struct got *g = malloc(sizeof(*g));
	bool v4 = addr_is4(dst);
	size_t ip = v4 ? 20 : 40;
	addr_t self = guest_addr_of(guest, !v4);

	*at = guest_read(w, guest, *at, g);
	assert_int_equal(g->ip.protocol, v4 ? IP_ICMP : IP_ICMP6);
	assert_int_equal(g->data[0], type);
	assert_int_equal(g->data[1], code);
	assert_true(addr_equal(g->ip.src, from));
	if (mtu)
		assert_int_equal(v4 ? be16_get((be16_t){{ g->data[6], g->data[7] }})
				 : be32_get((be32_t){{ g->data[4], g->data[5], g->data[6], g->data[7] }}), mtu);
	assert_memory_equal(g->data + 8 + (v4 ? 12 : 8), self.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	assert_memory_equal(g->data + 8 + (v4 ? 16 : 24), dst.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	assert_true(g->size >= 8 + ip + size);
	assert_memory_equal(g->data + 8 + ip, quoted, size);
	free(g);
}

/* ---- the host's side ---- */

/* A datagram socket of the host, bound. */
_unused_ static int server(const char *addr, uint16_t port)
{
	union sockaddr_any sa;
	socklen_t size = host_sockaddr(&sa, a(addr), port);
	int fd = socket(sa.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct timeval patience = { .tv_sec = 2 };

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	if (bind(fd, &sa.sa, size)) {
		print_error("cannot bind %s port %u: %s\n", addr, port, strerror(errno));
		fail();
	}
	return fd;
}

/* It must receive this. Return: from whom. */
_unused_ static addr_t server_expect(int fd, const void *payload, size_t size, uint16_t *port)
{
	static uint8_t data[65536];
	union sockaddr_any sa;
	socklen_t sa_size = sizeof(sa);
	ssize_t n = recvfrom(fd, data, sizeof(data), 0, &sa.sa, &sa_size);

	assert_int_equal(n, size);
	assert_memory_equal(data, payload, size);
	return host_addr_of(&sa, port);
}

_unused_ static void server_send(int fd, addr_t to, uint16_t port, const void *payload, size_t size)
{
	union sockaddr_any sa;
	socklen_t sa_size = host_sockaddr(&sa, to, port);

	assert_int_equal(sendto(fd, payload, size, 0, &sa.sa, sa_size), size);
}
