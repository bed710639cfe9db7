// SPDX-License-Identifier: MIT
#include "port/vhost/steer.h"

#include <string.h>
#include "wire/eth.h"
#include "wire/ip.h"

static uint32_t fold(uint64_t a)
{
	return (uint32_t)(a ^ a >> 32);
}

static uint32_t fold_addr(addr_t a)
{
	uint64_t half[2];

	memcpy(half, &a, sizeof(half));
	return fold(half[0] ^ half[1]);
}

uint8_t steer_place(const struct frame *f)
{
	struct cursor c = frame_cursor(f);
	struct eth eth = eth_parse(&c);
	struct ip_packet ip;
	uint32_t h;

	if (be16_get(eth.type) != ETHERTYPE_IPV4 && be16_get(eth.type) != ETHERTYPE_IPV6)
		return 0;
	ip = ip_parse(&c);
	/* Sums, not shifts: source and destination change places on the way back. */
	h = fold_addr(ip.src) + fold_addr(ip.dst);
	if (!ip.is_fragment && (ip.protocol == IP_TCP || ip.protocol == IP_UDP))
		h += cursor_u16(&c) + cursor_u16(&c);
	if (cursor_failed(&c))
		return 0;
	return (uint8_t)(h * 0x9e3779b1u >> 24);
}
