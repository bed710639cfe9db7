// SPDX-License-Identifier: MIT
#include "wire/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

bool addr_is_loopback(addr_t a)
{
	return addr_is4(a) ? a.b[12] == 127 : addr_equal(a, (addr_t){{ [15] = 1 }});
}

bool addr_is_multicast(addr_t a)
{
	return addr_is4(a) ? (a.b[12] & 0xf0) == 0xe0 : a.b[0] == 0xff;
}

bool addr_is_link_local(addr_t a)
{
	return addr_is4(a) ? a.b[12] == 169 && a.b[13] == 254 : a.b[0] == 0xfe && (a.b[1] & 0xc0) == 0x80;
}

bool addr_is_unspecified(addr_t a)
{
	return addr_is_any(a) || addr_equal(a, addr_of4((struct ip4){ 0 }));
}

bool addr_in_prefix(addr_t a, addr_t prefix, unsigned int bits)
{
	unsigned int from = addr_is4(prefix) ? 96 : 0;
	unsigned int bytes, rest;

	if (addr_is4(a) != addr_is4(prefix) || bits > 128 - from)
		return false;
	bytes = (from + bits) / 8;
	rest = (from + bits) % 8;
	return !memcmp(a.b, prefix.b, bytes) && (!rest || (a.b[bytes] ^ prefix.b[bytes]) >> (8 - rest) == 0);
}

bool addr_parse(const char *text, addr_t *out)
{
	struct ip4 ip;
	addr_t a;

	if (inet_pton(AF_INET, text, &ip) == 1) {
		*out = addr_of4(ip);
		return true;
	}
	/* ::ffff:a.b.c.d would be an IPv4 address in disguise. */
	if (inet_pton(AF_INET6, text, &a) != 1 || addr_is4(a))
		return false;
	*out = a;
	return true;
}

const char *addr_format(addr_t a, char into[static ADDR_TEXT_SIZE])
{
	if (addr_is4(a))
		inet_ntop(AF_INET, &a.b[12], into, ADDR_TEXT_SIZE);
	else
		inet_ntop(AF_INET6, &a, into, ADDR_TEXT_SIZE);
	return into;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool mac_parse(const char *text, struct mac *out)
{
	struct mac m;

	for (size_t i = 0; i < sizeof(m.b); i++, text += 3) {
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0 || text[2] != (i == sizeof(m.b) - 1 ? '\0' : ':'))
			return false;
		m.b[i] = (uint8_t)(high << 4 | low);
	}
	*out = m;
	return true;
}

const char *mac_format(struct mac m, char into[static MAC_TEXT_SIZE])
{
	snprintf(into, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", m.b[0], m.b[1], m.b[2], m.b[3], m.b[4], m.b[5]);
	return into;
}

addr_t addr_eui64(addr_t prefix, struct mac mac)
{
	const uint8_t id[8] = { mac.b[0] ^ 2, mac.b[1], mac.b[2], 0xff, 0xfe, mac.b[3], mac.b[4], mac.b[5] };

	memcpy(&prefix.b[8], id, sizeof(id));
	return prefix;
}

addr_t addr_solicited_node(addr_t a)
{
	return (addr_t){{ 0xff, 2, [11] = 1, [12] = 0xff, a.b[13], a.b[14], a.b[15] }};
}

struct mac mac_of_multicast(addr_t a)
{
	if (addr_is4(a))
		return (struct mac){{ 0x01, 0x00, 0x5e, a.b[13] & 0x7f, a.b[14], a.b[15] }};
	return (struct mac){{ 0x33, 0x33, a.b[12], a.b[13], a.b[14], a.b[15] }};
}
