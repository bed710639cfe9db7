// SPDX-License-Identifier: MIT
#include "bridge/trial.h"

#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/writer.h"
#include "port/packet.h"
#include "wire/arp.h"
#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip.h"
#include "wire/ndp.h"

#define ASK_EACH     (200 * USEC_MS)
#define ASK_TIMES    5
#define WATCH_EACH   USEC_S
#define FRAMES_A_TURN 64

/* --- frames --- */

static size_t arp_question(const struct trial_way *way, uint8_t *into)
{
	struct eth eth = { MAC_BROADCAST, way->mac, be16(ETHERTYPE_ARP) };
	struct arp arp = { .target_mac = {{ 0 }},
		.hardware = be16(1), .protocol = be16(ETHERTYPE_IPV4), .hardware_size = 6, .protocol_size = 4, .op = be16(ARP_REQUEST),
		.sender_mac = way->mac, .sender_ip = addr_is4(way->from) ? addr_get4(way->from) : (struct ip4){{ 0 }},
				.target_ip = addr_get4(way->gateway),
	};

	memset(into, 0, ETH_MIN);
	memcpy(into, &eth, sizeof(eth));
	memcpy(into + sizeof(eth), &arp, sizeof(arp));
	return ETH_MIN;
}

static size_t nd_question(const struct trial_way *way, uint8_t *into)
{
	addr_t group = addr_solicited_node(way->gateway);
	struct eth eth = { mac_of_multicast(group), way->mac, be16(ETHERTYPE_IPV6) };
	struct ip_packet ip = { .src = way->from, .dst = group, .protocol = IP_ICMP6, .ttl = NDP_HOP_LIMIT, .payload_size = 32 };
	uint8_t message[32] = { ICMP6_NS, [24] = NDP_SOURCE_LINK, [25] = 1 };
	be16_t sum;

	memcpy(message + 8, &way->gateway, sizeof(way->gateway));
	memcpy(message + 26, &way->mac, sizeof(way->mac));
	sum = sum_fold(sum_bytes(sum_pseudo(0, ip.src, ip.dst, IP_ICMP6, sizeof(message)), message, sizeof(message)));
	memcpy(message + 2, &sum, sizeof(sum));
	memcpy(into, &eth, sizeof(eth));
	ip_emit(into + sizeof(eth), &ip, 0);
	memcpy(into + sizeof(eth) + 40, message, sizeof(message));
	return sizeof(eth) + 40 + sizeof(message);
}

size_t trial_question(const struct trial_way *way, uint8_t into[static 96])
{
	return addr_is4(way->gateway) ? arp_question(way, into) : nd_question(way, into);
}

bool trial_is_answer(const struct trial_way *way, const void *frame, size_t size)
{
	struct iovec iov;
	struct cursor c = cursor_of(&iov, frame, size);
	struct eth eth = eth_parse(&c);
	struct ndp_message m;
	struct ip_packet ip;
	struct arp arp;

	if (be16_get(eth.type) == ETHERTYPE_ARP && addr_is4(way->gateway)) {
		arp = arp_parse(&c);
		return !cursor_failed(&c) && be16_get(arp.op) == ARP_REPLY && addr_equal(addr_of4(arp.sender_ip), way->gateway);
	}
	if (be16_get(eth.type) != ETHERTYPE_IPV6 || addr_is4(way->gateway))
		return false;
	ip = ip_parse(&c);
	if (cursor_failed(&c) || ip.protocol != IP_ICMP6 || ip.ttl != NDP_HOP_LIMIT)
		return false;
	m = ndp_parse(&c);
	return !cursor_failed(&c) && m.type == ICMP6_NA && addr_equal(m.target, way->gateway);
}

/* --- asking --- */

static void send_question(struct trial *t)
{
	struct virtio_net_hdr none = { 0 };
	uint8_t frame[96];
	struct iovec iov[] = { { &none, sizeof(none) }, { frame, trial_question(&t->way, frame) } };

	/* If it cannot be sent nobody will answer, which is what we want to know. */
	if (t->fd >= 0 && writev(t->fd, iov, ARRAY_SIZE(iov)) < 0)
		return;
}

static void finish_asking(struct trial *t)
{
	bool yes = t->has_answered;

	trial_stop(t);
	t->answered(t->owner, yes);
}

static void trial_due(struct timer *timer)
{
	struct trial *t = container_of(timer, struct trial, timer);
	usec_t now = loop_now(t->loop);

	if (!t->watching && (t->has_answered || t->asked == ASK_TIMES || t->fd < 0 || addr_is_any(t->way.gateway))) {
		finish_asking(t);
		return;
	}
	if (t->watching && t->has_answered && now - t->last >= TRIAL_PATIENCE) {
		trial_stop(t);
		t->lost(t->owner);
		return;
	}
	send_question(t);
	t->asked++;
	timer_set(&t->timer, now + (t->watching ? WATCH_EACH : ASK_EACH));
}

static void trial_ready(struct watch *w, _unused_ uint32_t events)
{
	struct trial *t = container_of(w, struct trial, watch);
	uint8_t buffer[sizeof(struct virtio_net_hdr) + 512];

	for (int i = 0; i < FRAMES_A_TURN && t->watch.fd >= 0; i++) {
		ssize_t n = recv(t->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (n < 0)
			return; /* also what a link that is down says, once */
		if (n <= (ssize_t)sizeof(struct virtio_net_hdr) ||
		    !trial_is_answer(&t->way, buffer + sizeof(struct virtio_net_hdr), (size_t)n - sizeof(struct virtio_net_hdr)))
			continue;
		t->has_answered = true;
		t->last = MAX(t->last, loop_now(t->loop));
		if (!t->watching) {
			timer_set(&t->timer, loop_now(t->loop));
			return;
		}
	}
}

static void begin(struct trial *t, const struct trial_way *way)
{
	trial_stop(t);
	t->way = *way;
	t->asked = 0;
	if (t->fd < 0 || addr_is_any(way->gateway))
		return;
	if (packet_socket_bind(t->fd, way->link, addr_is4(way->gateway) ? ETHERTYPE_ARP : ETHERTYPE_IPV6) < 0 ||
	    watch_add(&t->watch, t->loop, t->fd, EPOLLIN, trial_ready) < 0)
		t->watch.fd = -1;
}

void trial_init(struct trial *t, struct loop *loop, int fd)
{
	t->loop = loop;
	t->fd = fd;
	t->watch.fd = -1;
	timer_init(&t->timer, loop, trial_due);
}

void trial_ask(struct trial *t, const struct trial_way *way)
{
	begin(t, way);
	t->watching = t->has_answered = false;
	timer_set(&t->timer, loop_now(t->loop));
}

void trial_watch(struct trial *t, const struct trial_way *way, bool has_answered, usec_t grace)
{
	begin(t, way);
	t->watching = true;
	t->has_answered = has_answered && t->watch.fd >= 0;
	t->last = usec_now() + grace; /* what came before in this turn may have taken seconds */
	if (t->watch.fd >= 0)
		timer_set(&t->timer, loop_now(t->loop));
}

void trial_stop(struct trial *t)
{
	timer_set(&t->timer, USEC_NEVER);
	if (t->watch.fd < 0)
		return;
	watch_remove(&t->watch);
	t->watch.fd = -1;
	packet_socket_park(t->fd);
}
