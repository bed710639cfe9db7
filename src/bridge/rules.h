// SPDX-License-Identifier: MIT
/*
 * The rules of nft that keep the guests of a bridge LAN honest, and those that hand ports of the host to them, as text.
 *
 * Two tables a LAN, beside the one that the plan makes for routing (bridge_nft_table()): family bridge, of the same name, and family inet,
 * "NAME_svc". Each text replaces its table in one
 * transaction. It is put together from numbers, addresses and names of links that were checked (link_name_valid()), never from a user's
 * words.
 *
 * Family bridge, a chain before all others (priority -400). Of what comes in by a tap of ours, in this order:
 *	dropped	another source MAC than the tap's guest has; Ethernet's own control frames; VLAN tags, which would hide the rest;
 *		what only servers and routers send (DHCP, DHCPv6, router advertisements, redirects); the gateway's addresses as sender;
 *		an address that another guest has leased; and once this guest's lease is known, every other IPv4 sender
 *	told	ARP and neighbour discovery that got so far, and DHCP's answers on their way to a tap: to the service (NFLOG), so many a second and
 *	tap
 *
 * Family inet, of a LAN that has our services: what is for DHCP and DNS at the host's own address on the bridge is dropped by the kernel,
 * which sees a copy of what our services get; and forwards.
 */
#pragma once
#include "bridge/bridge.h"

#define RULES_LOG_GROUP 0x6873      /* of NFLOG; one for the service */
#define RULES_ADDRS     4           /* leases known of one guest */

struct rules_tap {
	char name[IFNAMSIZ];
	bool bound;                 /* its guest has one MAC, and no other may be used */
	struct mac mac;
	addr_t leased[RULES_ADDRS]; /* IPv4; any (zero): no more */
};

/* A port or a range of the host's, handed to a guest whose address is known. */
struct rules_forward {
	addr_t listen;              /* IPv4 or IPv6; any (zero): all addresses of the host, of the version of @to */
	bool udp;
	uint16_t first, last;
	addr_t to;
	uint16_t port;              /* of @first; ranges go on from there */
};

struct rules {
	const char *table;          /* bridge_nft_table() */
	const char *bridge;
	const struct rules_tap *taps; size_t tap_count;
	addr_t gateway4, gateway6;  /* any (zero): not known */
	bool services;
	const struct rules_forward *forwards; size_t forward_count;
};

/** rules_text() - what makes both tables as wanted. Return: malloc'd; NULL when out of memory. */
char *rules_text(const struct rules *r);
/** rules_remove_text() - what removes both tables, whether they are there or not */
char *rules_remove_text(const char *table);

/** rules_needs_localnet() - does a forward listen on loopback, so that the bridge needs the sysctl route_localnet? */
bool rules_needs_localnet(const struct rules *r);
