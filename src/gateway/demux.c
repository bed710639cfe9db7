// SPDX-License-Identifier: MIT
/* Which packet of a guest's goes where: a service that answers, or the flow that carries it on. */
#include "base/attr.h"
#include "gateway/gateway_private.h"
#include "gateway/quoted.h"
#include "service/dhcp4.h"
#include "service/dhcp6.h"
#include "service/neigh.h"
#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/udp.h"

#define REPLY_MAX  1280
#define DHCP4_PORT 67
#define DHCP6_PORT 547
#define DNS_PORT   53

/* What a destination is to the gateway. */
struct place {
	addr_t addr;
	bool gateway, dns;       /* an address of its own */
	bool group;              /* to everybody, or to a group: DHCP, or nothing of the gateway's */
};

/* Who a frame came from; looked up once for a run of frames from one MAC, and so is where they go. */
struct sender {
	struct mac mac;
	struct port *port;
	struct guest *guest;
	addr_t learned;          /* the last source address that was learned or checked */
	addr_t checked;          /* the last source address of a packet that it may use */
	struct place to;         /* the last destination */
};

/* An IP packet on its way through demux. */
struct packet {
	struct gateway *g;
	struct sender *from;
	struct ip_packet ip;
	struct cursor l4;
	bool checksum_good;
	uint32_t segment;        /* payload bytes of each UDP datagram but the last (GSO_UDP); 0: there is only one */
	usec_t now;
};

void demux_send_reply(struct gateway *g, const struct reply *r, usec_t now)
{
	struct ip_packet ip = { .src = r->src, .dst = r->dst, .protocol = IP_ICMP6, .ttl = 255 }; /* RFC 4861 section 6.1.2 */
	uint8_t datagram[sizeof(struct udp_header) + REPLY_MAX];
	struct udp_header h = { be16(r->src_port), be16(r->dst_port), be16((uint16_t)(sizeof(h) + r->out.used)), be16(0) };
	struct iovec payload = { r->out.data, r->out.used };

	if (!r->out.used || writer_failed(&r->out))
		return;
	if (!r->src_port) {
		emit_transport(g->emitter, r->to, &ip, r->out.data, r->out.used, NULL, 0, 0, now);
	} else if (sizeof(h) + r->out.used > REPLY_MAX) {
		emit_udp(g->emitter, r->to, r->src, r->src_port, r->dst, r->dst_port, &payload, 1, 0, now);
	} else {
		/* In one piece, so that its checksum is whole: some DHCP clients read frames before the kernel completes one. */
		ip.protocol = IP_UDP;
		ip.ttl = 64;
		memcpy(datagram, &h, sizeof(h));
		memcpy(datagram + sizeof(h), r->out.data, r->out.used);
		emit_transport(g->emitter, r->to, &ip, datagram, sizeof(h) + r->out.used, NULL, 0, 0, now);
	}
}

/* The sender was seen to use @addr. Return: DROP_SPOOFED_IP if that is another's. */
static enum drop learn(struct gateway *g, struct sender *s, addr_t addr, usec_t now)
{
	if (addr_equal(addr, s->learned))
		return DROP_NONE;
	if (lan_plan_is_gateway(g->p.plan, addr) || lan_plan_is_dns(g->p.plan, addr) || !guests_learn(g->p.guests, s->guest, addr, now))
		return DROP_SPOOFED_IP;
	s->learned = addr;
	return DROP_NONE;
}

/* ---- services ---- */

static enum drop take_arp(struct gateway *g, struct sender *s, const struct eth *eth, struct cursor c, usec_t now)
{
	struct { struct eth eth; struct arp arp; } back;
	struct arp request = arp_parse(&c);
	addr_t sender = addr_of4(request.sender_ip);

	if (cursor_failed(&c) || !mac_equal(request.sender_mac, eth->from))
		return DROP_MALFORMED;
	if (!addr_is_unspecified(sender) && lan_plan_is_local(g->p.plan, sender) && learn(g, s, sender, now) != DROP_NONE)
		return DROP_SPOOFED_IP;
	if (neigh_answer_arp(g->p.plan, &request, &back.arp)) {
		back.eth = (struct eth){ eth->from, g->p.plan->mac, be16(ETHERTYPE_ARP) };
		emit_frame(g->emitter, &back, sizeof(back), now);
	}
	return DROP_NONE;
}

static enum drop take_nd(struct packet *p)
{
	struct gateway *g = p->g;
	uint8_t room[REPLY_MAX];
	struct reply r = { .out = writer_of(room, sizeof(room)) };
	addr_t claim = ADDR_ANY;
	enum drop verdict = neigh_answer_nd(g->p.plan, p->from->mac, &p->ip, p->l4, &claim, &r);

	if (verdict != DROP_NONE && verdict != DROP_SERVICE_REFUSED)
		return verdict;
	if (!addr_is_any(claim) && lan_plan_is_local(g->p.plan, claim) && learn(g, p->from, claim, p->now) != DROP_NONE)
		return DROP_SPOOFED_IP;
	if (verdict == DROP_NONE)
		demux_send_reply(g, &r, p->now);
	return DROP_NONE; /* what was refused is another guest's to answer */
}

static enum drop take_dhcp(struct packet *p, struct cursor payload)
{
	struct gateway *g = p->g;
	uint8_t room[REPLY_MAX];
	struct reply r = { .out = writer_of(room, sizeof(room)) };
	int64_t wall = usec_wall() / USEC_S;
	bool changed = false;
	enum drop verdict;

	verdict = addr_is4(p->ip.dst)
		? dhcp4_answer(g->p.plan, g->p.guests, p->from->mac, &p->ip, payload, wall, p->now, &changed, &r)
		: dhcp6_answer(g->p.plan, g->p.guests, p->from->mac, &p->ip, payload, wall, p->now, &changed, &r);
	if (changed && g->p.leases_changed)
		g->p.leases_changed(g->p.owner);
	if (verdict == DROP_NONE)
		demux_send_reply(g, &r, p->now);
	return verdict;
}

/* ---- IP ---- */

static bool checksum_right(const struct packet *p)
{
	size_t size = cursor_left(&p->l4);
	sum_t sum = p->ip.protocol == IP_ICMP ? 0 : sum_pseudo(0, p->ip.src, p->ip.dst, p->ip.protocol, (uint32_t)size);

	return p->checksum_good || sum_is_valid(sum_cursor(sum, p->l4));
}

static bool is_group(const struct gateway *g, addr_t dst)
{
	const struct lan_plan *plan = g->p.plan;

	if (addr_is_multicast(dst) || addr_equal(dst, addr_of4((struct ip4){{ 255, 255, 255, 255 }})))
		return true;
	return addr_is4(dst) && addr_in_prefix(dst, plan->net4, plan->bits4) &&
	       !~(ip4_get(addr_get4(dst)) | (plan->bits4 ? ~0u << (32 - plan->bits4) : 0));
}

static const struct place *place_of(struct packet *p)
{
	const struct lan_plan *plan = p->g->p.plan;
	struct place *to = &p->from->to;
	addr_t dst = p->ip.dst;

	if (!addr_equal(to->addr, dst))
		*to = (struct place){ dst, lan_plan_is_gateway(plan, dst), lan_plan_is_dns(plan, dst), is_group(p->g, dst) };
	return to;
}

/* A query, or a frame of several. */
static enum drop take_queries(struct packet *p, const struct udp_header *h, struct cursor rest)
{
	enum { QUERIES_MAX = 256 };
	size_t each = p->segment ? p->segment : cursor_left(&rest);
	enum drop verdict = DROP_NONE;

	if (cursor_left(&rest) > each * QUERIES_MAX)
		return DROP_MALFORMED;
	do {
		struct cursor query = rest;
		size_t size = MIN(each, cursor_left(&rest));
		enum drop drop;

		cursor_limit(&query, size);
		cursor_skip(&rest, size);
		drop = resolver_query(p->g->resolver, p->from->mac, p->ip.src, be16_get(h->src), p->ip.dst, query, p->now);
		verdict = drop ? drop : verdict;
	} while (cursor_left(&rest));
	return verdict;
}

static enum drop take_udp(struct packet *p)
{
	struct cursor payload = p->l4;
	struct udp_header h = udp_parse(&payload);
	const struct place *to = place_of(p);

	if (cursor_failed(&payload))
		return DROP_SHORT;
	/* IPv4 may do without a checksum (RFC 768); IPv6 may not (RFC 8200 section 8.1). */
	if ((be16_get(h.checksum) || p->ip.version == 6) && !checksum_right(p))
		return DROP_CHECKSUM;
	if ((to->group || to->gateway) && be16_get(h.dst) == (p->ip.version == 4 ? DHCP4_PORT : DHCP6_PORT))
		return take_dhcp(p, payload);
	if (to->group)
		return DROP_NONE;
	if (to->dns && be16_get(h.dst) == DNS_PORT)
		return take_queries(p, &h, payload);
	return udp_from_guest(p->g->udp, p->from->mac, &p->ip, p->l4, p->segment, p->now);
}

/* Does a guest say that a packet to it was too big? Then @mtu is what it says would fit. */
static bool is_too_big(const struct packet *p, const struct icmp_header *h, uint32_t *mtu)
{
	enum { TOO_BIG4 = 4 }; /* the code of "unreachable" that says so (RFC 1191) */

	*mtu = be16_get(h->sequence);
	if (p->ip.version == 4)
		return h->type == ICMP_UNREACHABLE && h->code == TOO_BIG4;
	*mtu |= (uint32_t)be16_get(h->id) << 16;
	return h->type == ICMP6_TOO_BIG;
}

/* Does a guest say that nothing is there, or that a firewall of its own will not have it? */
static bool is_unreachable(const struct packet *p, const struct icmp_header *h)
{
	return h->type == (p->ip.version == 4 ? ICMP_UNREACHABLE : ICMP6_UNREACHABLE);
}

/*
 * About TCP: segments get smaller, or an opening is refused. What a datagram is too big for, the gateway does not remember: its sender
 * does not hear of it either (RFC 1191 needs DF, which is not set).
 * @mtu: 0 if the error is "unreachable"
 */
static enum drop take_tcp_error(struct packet *p, const struct quoted *q, uint32_t mtu)
{
	struct gateway *g = p->g;
	struct flow *f;

	tcp_push(g->tcp, p->now); /* what was kept by reference may end the flow */
	f = flow_find(g->flows, &q->key);
	if (!f || !mac_equal(f->mac, p->from->mac))
		return DROP_NO_FLOW;
	if (mtu ? tcp_too_big(g->tcp, f, q->sequence, mtu, p->now) : tcp_unreachable(g->tcp, f, q->sequence))
		return DROP_NONE;
	return DROP_NO_FLOW;
}

static enum drop take_icmp(struct packet *p)
{
	struct cursor c = p->l4;
	struct icmp_header h = icmp_parse(&c);
	struct quoted q;
	uint32_t mtu;

	if (cursor_failed(&c))
		return DROP_SHORT;
	if (!checksum_right(p))
		return DROP_CHECKSUM;
	if (p->ip.protocol == IP_ICMP6 && h.type >= ICMP6_RS && h.type <= ICMP6_NA)
		return take_nd(p);
	if (place_of(p)->group)
		return DROP_NONE;
	if ((is_too_big(p, &h, &mtu) || is_unreachable(p, &h)) && quoted_read(c, p->ip.version == 4, &q) && q.key.kind == FLOW_TCP)
		return take_tcp_error(p, &q, is_too_big(p, &h, &mtu) ? MAX(mtu, 1u) : 0);
	if (is_too_big(p, &h, &mtu))
		return DROP_NO_FLOW;
	return echo_from_guest(p->g->echo, p->from->mac, &p->ip, p->l4, p->now);
}

/* The kernel answers what is not a service's: nothing here may become a flow. */
static enum drop dispatch_service(struct packet *p)
{
	struct gateway *g = p->g;
	const struct place *to = place_of(p);
	bool ours = to->group || to->gateway, dns = to->dns;
	struct cursor c = p->l4;
	uint16_t port;

	if (p->ip.version == 6 && p->ip.protocol == IP_ICMP6)
		return cursor_u8(&c) == ICMP6_RS ? take_icmp(p) : DROP_NONE;
	cursor_skip(&c, sizeof(be16_t));
	port = cursor_u16(&c);
	if (p->ip.protocol == IP_UDP && ((ours && port == (p->ip.version == 4 ? DHCP4_PORT : DHCP6_PORT)) || (dns && port == DNS_PORT)))
		return take_udp(p);
	if (p->ip.protocol == IP_TCP && dns && port == DNS_PORT)
		return checksum_right(p) ? tcp_from_guest(g->tcp, p->from->mac, &p->ip, p->l4, p->now) : DROP_CHECKSUM;
	return DROP_NONE;
}

static enum drop dispatch(struct packet *p)
{
	struct gateway *g = p->g;
	const struct place *to = place_of(p);

	if (p->ip.protocol == (p->ip.version == 4 ? IP_ICMP : IP_ICMP6))
		return take_icmp(p);
	if (p->ip.ttl <= 1 && !to->gateway && !to->dns && !to->group) {
		emit_error(g->emitter, p->from->mac, ICMP_ERROR_TTL, &p->ip, p->l4, 0, ADDR_ANY, p->now);
		return DROP_TTL;
	}
	if (p->ip.protocol == IP_UDP)
		return take_udp(p);
	if (to->group)
		return DROP_NONE;
	if (p->ip.protocol == IP_TCP)
		return checksum_right(p) ? tcp_from_guest(g->tcp, p->from->mac, &p->ip, p->l4, p->now) : DROP_CHECKSUM;
	emit_error(g->emitter, p->from->mac, ICMP_ERROR_PROTOCOL, &p->ip, p->l4, 0, ADDR_ANY, p->now);
	return DROP_NO_PROTOCOL;
}

/* May the sender use this source address? What it uses is learned. */
static enum drop check_source(struct packet *p)
{
	addr_t src = p->ip.src;

	if (addr_equal(src, p->from->checked))
		return DROP_NONE;
	if (addr_is_unspecified(src) || (p->ip.version == 6 && addr_is_link_local(src)))
		return lan_plan_is_gateway(p->g->p.plan, src) ? DROP_SPOOFED_IP : DROP_NONE;
	if (!lan_plan_is_local(p->g->p.plan, src) || is_group(p->g, src))
		return DROP_SPOOFED_IP;

	enum drop drop = learn(p->g, p->from, src, p->now);

	if (!drop)
		p->from->checked = src;
	return drop;
}

static enum drop take_ip(struct gateway *g, struct sender *s, const struct frame *f, struct cursor c, usec_t now)
{
	bool good = f->offload.checksum_good || f->offload.checksum_open;
	struct packet p = { .g = g, .from = s, .ip = ip_parse(&c), .checksum_good = good, .now = now };
	enum drop verdict;
	bool whole;

	if (cursor_failed(&c))
		return DROP_MALFORMED;
	p.l4 = c;
	if (f->offload.gso == GSO_UDP && !p.ip.is_fragment)
		p.segment = f->offload.segment_size;
	verdict = check_source(&p);
	if (verdict != DROP_NONE)
		return verdict;
	if (g->p.services_only)
		return p.ip.is_fragment ? DROP_FRAGMENT : dispatch_service(&p);
	if (!p.ip.is_fragment)
		return dispatch(&p);

	verdict = reassembly_add(g->reassembly, &p.ip, &p.l4, &whole, now);
	if (verdict != DROP_NONE || !whole)
		return verdict;
	p.checksum_good = false;
	verdict = dispatch(&p);
	/* The packet's bytes are the reassembly's only until its next call. */
	tcp_push(g->tcp, now);
	udp_push(g->udp, now);
	return verdict;
}

/* ---- frames ---- */

/* Who sent it; guests are made by their first frame. Return: false if the guest table is full. */
static bool find_sender(struct gateway *g, struct sender *s, struct mac mac, usec_t now)
{
	if (s->port && mac_equal(s->mac, mac))
		return true;
	*s = (struct sender){ .mac = mac, .port = switch_lookup(g->p.sw, mac, now), .guest = guests_add(g->p.guests, mac, now) };
	if (!s->port || !s->guest)
		return false;
	if (!g->p.services_only)
		s->guest->port_id = s->port->id;
	s->guest->seen = now;
	return true;
}

static enum drop take_frame(struct gateway *g, struct sender *s, const struct frame *f, usec_t now)
{
	struct cursor c = frame_cursor(f);
	struct eth eth = eth_parse(&c);

	if (cursor_failed(&c))
		return DROP_SHORT;
	if (!mac_is_group(eth.to) && !mac_equal(eth.to, g->p.plan->mac))
		return DROP_NONE; /* flooded, and not ours */
	if (!find_sender(g, s, eth.from, now))
		return DROP_MAC_TABLE_FULL;
	switch (be16_get(eth.type)) {
	case ETHERTYPE_ARP:
		if (g->p.services_only)
			return DROP_NONE;
		return g->p.plan->ip4 ? take_arp(g, s, &eth, c, now) : DROP_NO_PROTOCOL;
	case ETHERTYPE_IPV4:
		return g->p.plan->ip4 ? take_ip(g, s, f, c, now) : DROP_NO_PROTOCOL;
	case ETHERTYPE_IPV6:
		return g->p.plan->ip6 ? take_ip(g, s, f, c, now) : DROP_NO_PROTOCOL;
	}
	return DROP_NO_PROTOCOL;
}

void demux_frames(struct gateway *g, const struct frame *frames, size_t count, usec_t now)
{
	struct sender s = { .port = NULL };

	for (size_t i = 0; i < count; i++) {
		enum drop verdict = take_frame(g, &s, &frames[i], now);

		if (verdict != DROP_NONE)
			port_drop(s.port ? s.port : &g->port, verdict, 1);
	}
	/* The frames' bytes are ours only until now. */
	tcp_push(g->tcp, now);
	udp_push(g->udp, now);
}
