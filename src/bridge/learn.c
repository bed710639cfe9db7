// SPDX-License-Identifier: MIT
#include "bridge/learn.h"

#include "wire/arp.h"
#include "wire/dhcp4.h"
#include "wire/dhcp6.h"
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

static struct learned from_dhcp4(struct cursor c)
{
	struct dhcp4_header h;
	struct dhcp_answer a;
	addr_t addr;

	if (!read_headers(&c))
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

/* An option of DHCPv6, and what it holds. Return: false at the end, also where the frame was cut. */
static bool next_option6(struct cursor *c, uint16_t *code, struct cursor *value)
{
	uint16_t size;

	*code = cursor_u16(c);
	size = cursor_u16(c);
	*value = *c;
	cursor_limit(value, size);
	cursor_skip(c, size);
	return !cursor_failed(c);
}

/* The first address of an identity association that is good for some time; the answer to a release has none. */
static bool read_association(struct cursor c, struct learned *l)
{
	struct cursor value;
	uint16_t code;

	cursor_skip(&c, 12); /* its number and two times */
	while (next_option6(&c, &code, &value)) {
		if (code != DHCP6_IA_ADDRESS)
			continue;
		cursor_copy(&value, &l->addr, sizeof(l->addr));
		cursor_skip(&value, 4); /* for how long it is preferred */
		l->seconds = cursor_u32(&value);
		if (!cursor_failed(&value) && l->seconds && !addr_is4(l->addr) && !addr_is_unspecified(l->addr) && !addr_is_multicast(l->addr) &&
		    !addr_is_loopback(l->addr))
			return true;
	}
	return false;
}

/* Servers send no extension headers. As above, only what is there is read. */
static struct learned from_dhcp6(struct cursor c, struct mac to)
{
	struct learned l = { LEARNED_LEASE, to };
	struct dhcp6_header h;
	struct ip6_header ip;
	struct udp_header udp;
	struct cursor value;
	uint16_t code;

	cursor_copy(&c, &ip, sizeof(ip));
	cursor_copy(&c, &udp, sizeof(udp));
	cursor_copy(&c, &h, sizeof(h));
	if (cursor_failed(&c) || be32_get(ip.version_class_flow) >> 28 != 6 || ip.next != IP_UDP || be16_get(udp.src) != DHCP6_SERVER_PORT ||
	    be16_get(udp.dst) != DHCP6_CLIENT_PORT || h.type != DHCP6_REPLY || mac_is_group(to))
		return (struct learned){ 0 };
	while (next_option6(&c, &code, &value))
		if (code == DHCP6_IA_NA && read_association(value, &l))
			return l;
	return (struct learned){ 0 };
}

struct learned learn_to_guest(const struct iovec *iov, size_t parts)
{
	struct cursor c = cursor_of_iov(iov, parts);
	struct eth eth = eth_parse(&c);

	if (cursor_failed(&c))
		return (struct learned){ 0 };
	switch (be16_get(eth.type)) {
	case ETHERTYPE_IPV4:
		return from_dhcp4(c);
	case ETHERTYPE_IPV6:
		return from_dhcp6(c, eth.to);
	}
	return (struct learned){ 0 };
}

/* --- kept --- */

static struct lease *lease_for(struct guest *guest, addr_t addr)
{
	return addr_is4(addr) ? &guest->lease4 : &guest->lease6;
}

static bool is_known(const struct guest *guest, addr_t addr)
{
	for (size_t i = 0; i < GUEST_ADDRS; i++)
		if (addr_equal(guest->addrs[i].addr, addr))
			return true;
	return addr_equal(guest->lease6.addr, addr) && guest->lease6.state == LEASE_BOUND;
}

static bool keep_address(struct guests *guests, struct guest *guest, addr_t addr, usec_t now)
{
	const struct guest *holder = guests_by_addr(guests, addr);
	bool known = is_known(guest, addr);

	guest->seen = now;
	if (!addr_is4(addr) && !known && holder && holder != guest && holder->port_id)
		return false;
	return guests_learn(guests, guest, addr, now) && !known && !addr_is4(addr);
}

static bool keep_lease(struct guests *guests, struct guest *guest, const struct learned *l, int64_t wall)
{
	struct guest *holder = guests_by_addr(guests, l->addr);
	const struct lease *other = holder && holder != guest ? lease_for(holder, l->addr) : NULL;
	struct lease *lease = lease_for(guest, l->addr);
	bool changed = lease->state != LEASE_BOUND || !addr_equal(lease->addr, l->addr);

	if (other && (other->state == LEASE_BOUND || other->state == LEASE_OFFERED) && addr_equal(other->addr, l->addr))
		return false;
	guests_set_lease(guests, guest, lease, l->addr, LEASE_BOUND, wall + MIN((int64_t)l->seconds, (int64_t)LEASE_FOREVER));
	return changed;
}

bool learn_apply(struct guests *guests, struct guest *guest, const struct learned *l, int64_t wall, usec_t now)
{
	switch (l->kind) {
	case LEARNED_NOTHING:
		break;
	case LEARNED_ADDRESS:
		return keep_address(guests, guest, l->addr, now);
	case LEARNED_LEASE:
		return keep_lease(guests, guest, l, wall);
	}
	return false;
}
