// SPDX-License-Identifier: MIT
/* The frames of probes: what is sent, and what is read of the answers. */
#include "doctor/probe.h"

#include "base/writer.h"
#include "wire/arp.h"
#include "wire/checksum.h"
#include "wire/dhcp4.h"
#include "wire/eth.h"
#include "wire/ip.h"
#include "wire/udp.h"

#define ARP_ETHERNET 1
#define TTL          64

static void put_eth(struct writer *w, struct mac to, struct mac from, uint16_t type)
{
	struct eth eth = { .to = to, .from = from, .type = be16(type) };

	writer_put(w, &eth, sizeof(eth));
}

size_t probe_arp(uint8_t into[static PROBE_FRAME_MAX], struct mac from, addr_t sender, addr_t asked)
{
	struct writer w = writer_of(into, PROBE_FRAME_MAX);
	struct arp arp = {
		.hardware = be16(ARP_ETHERNET), .protocol = be16(ETHERTYPE_IPV4), .hardware_size = sizeof(struct mac),
		.protocol_size = sizeof(struct ip4), .op = be16(ARP_REQUEST), .sender_mac = from, .sender_ip = addr_get4(sender),
		.target_ip = addr_get4(asked),
	};

	put_eth(&w, MAC_BROADCAST, from, ETHERTYPE_ARP);
	writer_put(&w, &arp, sizeof(arp));
	writer_fill(&w, 0, ETH_MIN - w.used);
	return w.used;
}

static void put_discover(struct writer *w, struct mac from, uint32_t xid)
{
	struct dhcp4_header header = {
		.op = DHCP4_BOOTREQUEST, .hardware = ARP_ETHERNET, .hardware_size = sizeof(struct mac), .xid = be32(xid),
		.flags = be16(DHCP4_BROADCAST), .chaddr = from, .cookie = be32(DHCP4_COOKIE),
	};
	uint8_t type = DHCP4_DISCOVER;

	writer_put(w, &header, sizeof(header));
	dhcp4_emit_option(w, DHCP4_TYPE, &type, 1);
	dhcp4_emit_end(w);
}

size_t probe_discover(uint8_t into[static PROBE_FRAME_MAX], struct mac from, uint32_t xid)
{
	uint8_t message[DHCP4_MESSAGE_MIN], header[IP_HEADER_MAX];
	struct writer body = writer_of(message, sizeof(message)), w = writer_of(into, PROBE_FRAME_MAX);
	addr_t any = addr_of4(ip4(0)), all = addr_of4(ip4(UINT32_MAX));
	struct udp_header udp = { .src = be16(DHCP4_CLIENT_PORT), .dst = be16(DHCP4_SERVER_PORT) };
	struct ip_packet ip = { .src = any, .dst = all, .protocol = IP_UDP, .ttl = TTL };
	sum_t sum;

	put_discover(&body, from, xid);
	udp.size = be16((uint16_t)(sizeof(udp) + body.used));
	ip.payload_size = be16_get(udp.size);
	sum = sum_pseudo(0, any, all, IP_UDP, ip.payload_size);
	sum = sum_bytes(sum, &udp, sizeof(udp));
	udp.checksum = sum_fold_udp(sum_bytes(sum, message, body.used));
	put_eth(&w, MAC_BROADCAST, from, ETHERTYPE_IPV4);
	writer_put(&w, header, ip_emit(header, &ip, 0));
	writer_put(&w, &udp, sizeof(udp));
	writer_put(&w, message, body.used);
	return writer_failed(&w) || writer_failed(&body) ? 0 : w.used;
}

bool probe_read_arp(const void *frame, size_t size, struct answer_fact *who, struct mac *to)
{
	struct iovec iov;
	struct cursor c = cursor_of(&iov, frame, size);
	struct eth eth = eth_parse(&c);
	struct arp arp;

	if (cursor_failed(&c) || be16_get(eth.type) != ETHERTYPE_ARP)
		return false;
	arp = arp_parse(&c);
	if (cursor_failed(&c) || be16_get(arp.op) != ARP_REPLY)
		return false;
	*who = (struct answer_fact){ .addr = addr_of4(arp.sender_ip), .mac = arp.sender_mac };
	*to = arp.target_mac;
	return true;
}

/* Return: is it an offer that names its server? */
static bool read_options(struct cursor *c, addr_t *server)
{
	uint8_t type = DHCP4_BOOTP;
	bool named = false;

	while (cursor_left(c)) {
		uint8_t code = cursor_u8(c), size;
		struct cursor value;

		if (code == DHCP4_END)
			break;
		if (code == DHCP4_PAD)
			continue;
		size = cursor_u8(c);
		value = *c;
		cursor_skip(c, size);
		if (code == DHCP4_TYPE && size == 1)
			type = cursor_u8(&value);
		if (code == DHCP4_SERVER && size == sizeof(struct ip4)) {
			*server = addr_of4(ip4(cursor_u32(&value)));
			named = true;
		}
	}
	return !cursor_failed(c) && named && type == DHCP4_OFFER;
}

bool probe_read_offer(const void *frame, size_t size, uint32_t xid, struct answer_fact *server)
{
	struct iovec iov;
	struct cursor c = cursor_of(&iov, frame, size);
	struct eth eth = eth_parse(&c);
	struct dhcp4_header header;
	struct udp_header udp;
	struct ip_packet ip;

	if (cursor_failed(&c) || be16_get(eth.type) != ETHERTYPE_IPV4)
		return false;
	ip = ip_parse(&c);
	if (cursor_failed(&c) || ip.protocol != IP_UDP || ip.is_fragment)
		return false;
	udp = udp_parse(&c);
	cursor_copy(&c, &header, sizeof(header));
	if (cursor_failed(&c) || be16_get(udp.dst) != DHCP4_CLIENT_PORT || header.op != DHCP4_BOOTREPLY || be32_get(header.xid) != xid ||
	    be32_get(header.cookie) != DHCP4_COOKIE)
		return false;
	server->mac = eth.from;
	return read_options(&c, &server->addr);
}
