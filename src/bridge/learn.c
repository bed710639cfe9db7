// SPDX-License-Identifier: MIT
#include "bridge/learn.h"

#include "wire/arp.h"
#include "wire/dhcp4.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip.h"
#include "wire/ndp.h"
#include "wire/udp.h"

#define LEASE_FOREVER (10 * 365 * 86400LL)  /* "infinity" (RFC 2131 section 3.3), and whatever else is longer */

/* --- from a guest --- */

static struct learned from_arp(struct cursor c, struct mac from)
{
	struct arp a = arp_parse(&c);
	addr_t addr = addr_of4(a.sender_ip);

	if (cursor_failed(&c) || !mac_equal(a.sender_mac, from) || addr_is_unspecified(addr) || addr_is_multicast(addr))
		return (struct learned){ 0 };
	return (struct learned){ LEARNED_ADDRESS, from, addr };
}

static struct learned from_nd(struct cursor c, struct mac from)
{
	struct ip_packet ip = ip_parse(&c);
	struct learned l = { LEARNED_ADDRESS, from };
	struct ndp_message m;

	if (cursor_failed(&c) || ip.version != 6 || ip.protocol != IP_ICMP6 || ip.ttl != NDP_HOP_LIMIT || ip.is_fragment)
		return (struct learned){ 0 };
	m = ndp_parse(&c);
	if (cursor_failed(&c) || (m.has_link && !mac_equal(m.link, from)))
		return (struct learned){ 0 };
	if (m.type == ICMP6_NA)
		l.addr = m.target;
	else if (m.type == ICMP6_NS && addr_is_unspecified(ip.src)) /* duplicate address detection (RFC 4862 section 5.4) */
		l.addr = m.target;
	else if (m.type == ICMP6_NS && m.has_link)
		l.addr = ip.src;
	else
		return (struct learned){ 0 };
	return addr_is_unspecified(l.addr) || addr_is_multicast(l.addr) ? (struct learned){ 0 } : l;
}

struct learned learn_from_guest(const struct iovec *iov, size_t parts)
{
	struct cursor c = cursor_of_iov(iov, parts);
	struct eth eth = eth_parse(&c);

	if (cursor_failed(&c) || mac_is_group(eth.from))
		return (struct learned){ 0 };
	switch (be16_get(eth.type)) {
	case ETHERTYPE_ARP:
		return from_arp(c, eth.from);
	case ETHERTYPE_IPV6:
		return from_nd(c, eth.from);
	}
	return (struct learned){ 0 };
}

/* --- to a guest --- */

struct dhcp_answer { uint8_t type; uint32_t seconds; };

/* Options behind the header, as far as they are there. One that is split or lies in `file` is none that is looked for here. */
static struct dhcp_answer read_options(struct cursor c)
{
	struct dhcp_answer a = { 0 };

	while (cursor_left(&c)) {
		uint8_t code = cursor_u8(&c), size;
		struct cursor value;

		if (code == DHCP4_PAD)
			continue;
		if (code == DHCP4_END)
			break;
		size = cursor_u8(&c);
		value = c;
		cursor_skip(&c, size);
		if (cursor_failed(&c))
			break;
		if (code == DHCP4_TYPE && size == 1)
			a.type = cursor_u8(&value);
		else if (code == DHCP4_LEASE_TIME && size == 4)
			a.seconds = cursor_u32(&value);
	}
	return a;
}

/* A frame that was cut short for the log does not fill its lengths: only what is there is read. */
static bool read_headers(struct cursor *c)
{
	struct ip4_header ip;
	struct udp_header udp;

	cursor_copy(c, &ip, sizeof(ip));
	if (cursor_failed(c) || ip.version_ihl >> 4 != 4 || (ip.version_ihl & 15) < 5 || ip.protocol != IP_UDP || be16_get(ip.fragment) & 0x3fff)
		return false;
	cursor_skip(c, (size_t)(ip.version_ihl & 15) * 4 - sizeof(ip));
	cursor_copy(c, &udp, sizeof(udp));
	return !cursor_failed(c) && be16_get(udp.src) == DHCP4_SERVER_PORT && be16_get(udp.dst) == DHCP4_CLIENT_PORT;
}

struct learned learn_to_guest(const struct iovec *iov, size_t parts)
{
	struct cursor c = cursor_of_iov(iov, parts);
	struct eth eth = eth_parse(&c);
	struct dhcp4_header h;
	struct dhcp_answer a;
	addr_t addr;

	if (cursor_failed(&c) || be16_get(eth.type) != ETHERTYPE_IPV4 || !read_headers(&c))
		return (struct learned){ 0 };
	cursor_copy(&c, &h, sizeof(h));
	if (cursor_failed(&c) || h.op != DHCP4_BOOTREPLY || h.hardware_size != sizeof(struct mac) || be32_get(h.cookie) != DHCP4_COOKIE)
		return (struct learned){ 0 };
	a = read_options(c);
	addr = addr_of4(h.yiaddr);
	/* The answer to INFORM has no address and no time. */
	if (a.type != DHCP4_ACK || !a.seconds || addr_is_unspecified(addr) || addr_is_multicast(addr) || addr_is_loopback(addr) ||
			mac_is_group(h.chaddr))
		return (struct learned){ 0 };
	return (struct learned){ LEARNED_LEASE, h.chaddr, addr, a.seconds };
}

/* --- kept --- */

bool learn_apply(struct guests *guests, struct guest *guest, const struct learned *l, int64_t wall, usec_t now)
{
	const struct guest *holder = guests_by_addr(guests, l->addr);
	bool changed;

	switch (l->kind) {
	case LEARNED_NOTHING:
		break;
	case LEARNED_ADDRESS:
		guest->seen = now;
		guests_learn(guests, guest, l->addr, now);
		break;
	case LEARNED_LEASE:
		if (holder && holder != guest && (holder->lease4.state == LEASE_BOUND || holder->lease4.state == LEASE_OFFERED) &&
		    addr_equal(holder->lease4.addr, l->addr))
			break;
		changed = guest->lease4.state != LEASE_BOUND || !addr_equal(guest->lease4.addr, l->addr);
		guests_set_lease(guests, guest, &guest->lease4, l->addr, LEASE_BOUND, wall + MIN((int64_t)l->seconds, (int64_t)LEASE_FOREVER));
		return changed;
	}
	return false;
}
