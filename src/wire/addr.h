// SPDX-License-Identifier: MIT
/*
 * Addresses: of Ethernet, of IPv4, and of both versions of IP in one type.
 *
 * An addr_t is 16 bytes as an IPv6 header carries them; an IPv4 address is kept as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). So
 * everything above the parsers has one code path for both versions. A packet on the wire whose IPv6 addresses are of that form is
 * malformed, so the two cannot be mixed up.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/be.h"

struct mac { uint8_t b[6]; };
struct ip4 { uint8_t b[4]; };
typedef struct { uint8_t b[16]; } addr_t;

#define MAC_BROADCAST ((struct mac){{ 255, 255, 255, 255, 255, 255 }})
#define MAC_TEXT_SIZE  18  /* "52:54:00:12:34:56" and a NUL */
#define ADDR_TEXT_SIZE 46  /* INET6_ADDRSTRLEN */
#define ADDR_ANY ((addr_t){ 0 })

static inline bool mac_equal(struct mac a, struct mac b) { return !memcmp(&a, &b, sizeof(a)); }
static inline bool mac_is_group(struct mac m) { return m.b[0] & 1; }
static inline bool mac_is_zero(struct mac m) { return mac_equal(m, (struct mac){ 0 }); }
static inline bool addr_equal(addr_t a, addr_t b) { return !memcmp(&a, &b, sizeof(a)); }
static inline bool addr_is_any(addr_t a) { return addr_equal(a, ADDR_ANY); }

/** addr_is4() - is it an IPv4 address? */
static inline bool addr_is4(addr_t a) { return !memcmp(&a, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12); }
/** addr_of4() - from an IPv4 address */
static inline addr_t addr_of4(struct ip4 ip)
{
	return (addr_t){{ [10] = 0xff, [11] = 0xff, ip.b[0], ip.b[1], ip.b[2], ip.b[3] }};
}
/** addr_get4() - the IPv4 address in @a, which is one */
static inline struct ip4 addr_get4(addr_t a) { return (struct ip4){{ a.b[12], a.b[13], a.b[14], a.b[15] }}; }
/** ip4_get() - as a number in host order, and ip4() back */
static inline uint32_t ip4_get(struct ip4 ip) { return be32_get((be32_t){{ ip.b[0], ip.b[1], ip.b[2], ip.b[3] }}); }
static inline struct ip4 ip4(uint32_t v) { be32_t b = be32(v); return (struct ip4){{ b.b[0], b.b[1], b.b[2], b.b[3] }}; }

/** addr_is_loopback() - 127.0.0.0/8 or ::1 */
bool addr_is_loopback(addr_t a);
/** addr_is_multicast() - 224.0.0.0/4 or ff00::/8 */
bool addr_is_multicast(addr_t a);
/** addr_is_link_local() - 169.254.0.0/16 or fe80::/10 */
bool addr_is_link_local(addr_t a);
/** addr_is_unspecified() - 0.0.0.0 or :: */
bool addr_is_unspecified(addr_t a);
/**
 * addr_in_prefix() - are the first @bits bits the same?
 * For IPv4, @bits counts from the IPv4 address (0 to 32); versions never match each other, and nothing matches more bits than there are.
 */
bool addr_in_prefix(addr_t a, addr_t prefix, unsigned int bits);

/** addr_parse() - from text, either version, no zone, not ::ffff:a.b.c.d. Return: false if it is none. */
bool addr_parse(const char *text, addr_t *out);
/** addr_format() - as text (RFC 5952). Return: @into, which holds ADDR_TEXT_SIZE bytes. */
const char *addr_format(addr_t a, char into[static ADDR_TEXT_SIZE]);
/** mac_parse() - from "52:54:00:12:34:56", any case. Return: false if it is none. */
bool mac_parse(const char *text, struct mac *out);
const char *mac_format(struct mac m, char into[static MAC_TEXT_SIZE]);

/** addr_eui64() - the address that a MAC gives itself in a /64 (RFC 4291 appendix A) */
addr_t addr_eui64(addr_t prefix, struct mac mac);
/** addr_solicited_node() - ff02::1:ffXX:XXXX (RFC 4291 section 2.7.1) */
addr_t addr_solicited_node(addr_t a);
/** mac_of_multicast() - the group MAC of a multicast address (RFC 1112 section 6.4, RFC 2464 section 7) */
struct mac mac_of_multicast(addr_t a);
