// SPDX-License-Identifier: MIT
#include "lan/dhcp_servers.h"

#include "base/attr.h"
#include "wire/dhcp4.h"
#include "wire/eth.h"
#include "wire/ip.h"
#include "wire/udp.h"

#define ANSWER  (10 * USEC_S)     /* how long an answer may take: servers look first whether an address is free */
#define KEEP    (3600 * USEC_S)   /* where nobody asks any more, nothing is known any more */

/* Headers are read as they come: a frame that was cut for the log does not fill its lengths. */
static bool read_headers(struct cursor *c, struct mac *from, addr_t *src)
{
	struct eth eth = eth_parse(c);
	struct ip4_header ip;
	struct udp_header udp;

	if (cursor_failed(c) || be16_get(eth.type) != ETHERTYPE_IPV4)
		return false;
	cursor_copy(c, &ip, sizeof(ip));
	if (cursor_failed(c) || ip.protocol != IP_UDP || ip.version_ihl >> 4 != 4 || (ip.version_ihl & 15) < 5 || be16_get(ip.fragment) & 0x3fff)
		return false;
	cursor_skip(c, (size_t)(ip.version_ihl & 15) * 4 - sizeof(ip));
	cursor_copy(c, &udp, sizeof(udp));
	*from = eth.from;
	*src = addr_of4(ip.src);
	return !cursor_failed(c) && ((be16_get(udp.src) == DHCP4_SERVER_PORT && be16_get(udp.dst) == DHCP4_CLIENT_PORT) ||
				     (be16_get(udp.src) == DHCP4_CLIENT_PORT && be16_get(udp.dst) == DHCP4_SERVER_PORT));
}

/* Return: enum dhcp4_type; DHCP4_BOOTP if none is there. @server: replaced where it is named */
static uint8_t read_options(struct cursor c, addr_t *server)
{
	uint8_t type = DHCP4_BOOTP;

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
			type = cursor_u8(&value);
		else if (code == DHCP4_SERVER && size == sizeof(struct ip4))
			*server = addr_of4(ip4(cursor_u32(&value)));
	}
	return type;
}

static void keep(struct dhcp_servers *s, addr_t addr, struct mac mac, usec_t now)
{
	size_t i = 0;

	while (i < s->count && !addr_equal(s->list[i].addr, addr))
		i++;
	if (i == DHCP_SERVERS_MAX)
		return;
	s->list[i] = (struct dhcp_server){ addr, mac, now, 0 };
	s->count = MAX(s->count, i + 1);
}

/* All are asked who have not just answered: an offer may be the answer to the same question. */
static void ask_all(struct dhcp_servers *s, bool heard, usec_t now)
{
	for (size_t i = 0; i < s->count; i++)
		if (!s->list[i].asked && (heard || now - s->list[i].seen >= ANSWER))
			s->list[i].asked = now;
}

bool dhcp_servers_hear(struct dhcp_servers *s, struct cursor frame, usec_t now)
{
	struct dhcp4_header h;
	struct mac from;
	addr_t server;
	uint8_t type;

	if (!read_headers(&frame, &from, &server))
		return false;
	cursor_copy(&frame, &h, sizeof(h));
	if (cursor_failed(&frame) || be32_get(h.cookie) != DHCP4_COOKIE)
		return false;
	type = read_options(frame, &server);
	if (h.op == DHCP4_BOOTREQUEST && type == DHCP4_DISCOVER) {
		ask_all(s, true, now);
		return true;
	}
	if (h.op != DHCP4_BOOTREPLY || (type != DHCP4_OFFER && type != DHCP4_ACK && type != DHCP4_NAK) || addr_is_unspecified(server) ||
	    addr_is_multicast(server))
		return false;
	if (type == DHCP4_OFFER) /* the question may not have passed by here */
		ask_all(s, false, now);
	keep(s, server, from, now);
	return true;
}

void dhcp_servers_forget(struct dhcp_servers *s, usec_t now)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct dhcp_server *one = &s->list[i];

		if (now - one->seen < KEEP && !(one->asked && now - one->asked >= ANSWER))
			s->list[kept++] = *one;
	}
	s->count = kept;
}
