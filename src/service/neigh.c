// SPDX-License-Identifier: MIT
#include "service/neigh.h"

#include "wire/checksum.h"
#include "wire/ip.h"
#include "wire/ndp.h"

#define CHECKSUM_OFFSET  2
#define GUEST_HOP_LIMIT  64
#define PREFIX_VALID     2592000  /* 30 days and 7 days: RFC 4861 section 6.2.1 */
#define PREFIX_PREFERRED 604800

#define ALL_NODES ((addr_t){{ 0xff, 0x02, [15] = 1 }})

static bool is_ours(const struct lan_plan *plan, addr_t a)
{
	return lan_plan_is_gateway(plan, a) || lan_plan_is_dns(plan, a);
}

bool neigh_answer_arp(const struct lan_plan *plan, const struct arp *request, struct arp *reply)
{
	if (!plan->ip4 || be16_get(request->op) != ARP_REQUEST || !is_ours(plan, addr_of4(request->target_ip)))
		return false;

	*reply = *request;
	reply->op = be16(ARP_REPLY);
	reply->sender_mac = plan->mac;
	reply->sender_ip = request->target_ip;
	reply->target_mac = request->sender_mac;
	reply->target_ip = request->sender_ip;
	return true;
}

static void finish(struct reply *reply)
{
	sum_t sum = sum_pseudo(0, reply->src, reply->dst, IP_ICMP6, (uint32_t)reply->out.used);

	reply->src_port = reply->dst_port = 0;
	if (!writer_failed(&reply->out))
		writer_patch_u16(&reply->out, CHECKSUM_OFFSET, be16_get(sum_fold(sum_bytes(sum, reply->out.data, reply->out.used))));
}

/* What makes a message of its type invalid (RFC 4861 sections 6.1.1, 7.1.1 and 7.1.2) beyond what does not even parse. */
static bool is_valid(const struct ndp_message *m, const struct ip_packet *ip)
{
	bool probe = addr_is_unspecified(ip->src);

	if (ip->ttl != NDP_HOP_LIMIT || m->code || addr_is_multicast(ip->src))
		return false;
	switch (m->type) {
	case ICMP6_RS:
		return !(probe && m->has_link);
	case ICMP6_NS:
		return !addr_is_multicast(m->target) && !(probe && (m->has_link || !addr_equal(ip->dst, addr_solicited_node(m->target))));
	case ICMP6_NA:
		return !probe && !addr_is_multicast(m->target) && !(addr_is_multicast(ip->dst) && m->flags & NDP_SOLICITED);
	}
	return false;
}

/* The address that a valid message shows its sender to use: only what goes together with the MAC that the frame really came from. */
static addr_t claimed(const struct lan_plan *plan, struct mac from, const struct ip_packet *ip, const struct ndp_message *m)
{
	bool probe = m->type == ICMP6_NS && addr_is_unspecified(ip->src);
	addr_t a = probe || m->type == ICMP6_NA ? m->target : ip->src;

	if (!probe && !(m->has_link && mac_equal(m->link, from)))
		return ADDR_ANY;
	return lan_plan_is_local(plan, a) || addr_is_link_local(a) ? a : ADDR_ANY;
}

static void answer_neighbour(const struct lan_plan *plan, struct mac from, const struct ip_packet *ip, addr_t target, struct reply *reply)
{
	uint8_t flags = NDP_ROUTER | NDP_OVERRIDE;

	reply->src = target;
	if (addr_is_unspecified(ip->src)) {
		/* Somebody is about to take our address: everybody shall hear whose it is (section 7.2.4). */
		reply->dst = ALL_NODES;
		reply->to = mac_of_multicast(ALL_NODES);
	} else {
		reply->dst = ip->src;
		reply->to = from;
		flags |= NDP_SOLICITED;
	}
	ndp_emit_neighbour(&reply->out, target, flags, plan->mac);
	finish(reply);
}

static void advertise(const struct lan_plan *plan, struct mac to, addr_t dst, uint16_t lifetime, struct reply *reply)
{
	const struct ndp_router router = {
		.hop_limit = GUEST_HOP_LIMIT,
		.flags = NDP_MANAGED | NDP_OTHER,
		.lifetime = plan->no_router ? 0 : lifetime,
		.link = plan->mac,
		.mtu = plan->mtu,
		.prefix = plan->net6,
		.prefix_bits = plan->bits6,
		.prefix_flags = NDP_ON_LINK | NDP_AUTONOMOUS,
		.prefix_valid = PREFIX_VALID,
		/* A gateway that goes keeps the guests' addresses, but another network's are the better ones. */
		.prefix_preferred = lifetime ? PREFIX_PREFERRED : 0,
		.dns = plan->dns6,
		.domain = plan->domain,
		.dns_lifetime = lifetime,
	};

	reply->to = to;
	reply->src = plan->link_local6;
	reply->dst = dst;
	ndp_emit_router(&reply->out, &router);
	finish(reply);
}

static enum drop answer(const struct lan_plan *plan, struct mac from, const struct ip_packet *ip, const struct ndp_message *m,
			struct reply *reply)
{
	switch (m->type) {
	case ICMP6_RS:
		if (addr_is_unspecified(ip->src))
			advertise(plan, mac_of_multicast(ALL_NODES), ALL_NODES, NEIGH_ROUTER_LIFETIME, reply);
		else
			advertise(plan, from, ip->src, NEIGH_ROUTER_LIFETIME, reply);
		return DROP_NONE;
	case ICMP6_NS:
		if (!is_ours(plan, m->target))
			return DROP_SERVICE_REFUSED;
		answer_neighbour(plan, from, ip, m->target, reply);
		return DROP_NONE;
	}
	return DROP_NONE; /* an advertisement: heard, and nothing to say */
}

enum drop neigh_answer_nd(const struct lan_plan *plan, struct mac from, const struct ip_packet *ip, struct cursor icmp, addr_t *claim,
			  struct reply *reply)
{
	struct cursor type = icmp;
	struct ndp_message m;

	*claim = ADDR_ANY;
	switch (cursor_u8(&type)) {
	case ICMP6_RS:
	case ICMP6_NS:
	case ICMP6_NA:
		break;
	default: /* guests are no routers here: advertisements and redirects of theirs mean nothing to the gateway */
		return DROP_SERVICE_REFUSED;
	}
	m = ndp_parse(&icmp);
	if (cursor_failed(&icmp) || !is_valid(&m, ip))
		return DROP_MALFORMED;
	if (!plan->ip6)
		return DROP_SERVICE_REFUSED;
	if (is_ours(plan, ip->src) || (m.type == ICMP6_NA && is_ours(plan, m.target)))
		return DROP_SPOOFED_IP;

	*claim = claimed(plan, from, ip, &m);
	if (is_ours(plan, *claim))
		*claim = ADDR_ANY;
	return answer(plan, from, ip, &m, reply);
}

void neigh_advertise(const struct lan_plan *plan, uint16_t lifetime_seconds, struct reply *reply)
{
	if (plan->ip6)
		advertise(plan, mac_of_multicast(ALL_NODES), ALL_NODES, lifetime_seconds, reply);
}
