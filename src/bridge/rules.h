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
 *	dropped	another source MAC than the tap's guest has, or one that is a guest's behind another tap or the host's; Ethernet's own
 *		control frames; VLAN tags, which would hide the rest; what only servers and routers send (DHCP, DHCPv6, router
 *		advertisements, redirects); as sender, or as what a neighbour advertisement is about, an address of the host, of its
 *		routers or of another guest; and once this guest's lease is known, every other IPv4 sender
 *	told	ARP and neighbour discovery that got so far, and the answers of DHCP and DHCPv6 on their way to a tap: to the service (NFLOG),
 *		so many a second and tap; all of a tap that waits to be bound to a MAC, of which nothing is carried
 *
 * What is dropped is counted for each tap and reason, in a dynamic set a reason (rules_reason_set()), by the names of enum drop. A set has
 * no room for a tap it does not know only if there are more taps than its size; the frame is dropped all the same.
 *
 * Family inet, of a LAN that has our services: what is for DHCP and DNS at the host's own address on the bridge is dropped by the kernel,
 * which sees a copy of what our services get; and forwards.
 */
#pragma once
#include "base/drop.h"
#include "bridge/bridge.h"

#define RULES_LOG_GROUP 0x6873      /* of NFLOG; one for the service */
#define RULES_ADDRS     12          /* addresses known of one guest: leases, what it was seen with, its link-local one */

/* How a tap's frames are judged by their source MAC. */
enum rules_binding {
	RULES_BOUND,                /* its guest's alone; no MAC (zero): none at all */
	RULES_WAITING,              /* a persistent one whose first frame is awaited */
	RULES_FREE,                 /* nobody listens who could bind it: any but those of others */
};

struct rules_tap {
	char name[IFNAMSIZ];
	enum rules_binding binding;
	struct mac mac;
	addr_t own[RULES_ADDRS];    /* its guest's and nobody else's; any (zero): no more. IPv4: leased, so that no other IPv4 may be used */
	uint64_t drops[DROP_COUNT]; /* frames dropped so far, from which the kernel counts on */
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
	const addr_t *reserved; size_t reserved_count; /* of the host and its routers; each once, and no guest's */
	struct mac host;            /* the bridge's own; zero: not known */
	bool isolated;              /* guests are kept apart: what they say to each other is counted, where the kernel would drop it silently */
	bool services;
	const struct rules_forward *forwards; size_t forward_count;
};

/* Reasons that are counted. */
extern const enum drop rules_reasons[];
extern const size_t rules_reason_count;

#define RULES_SET_SIZE 64
/** rules_reason_set() - the set whose elements are taps with a counter each. Return: @into */
const char *rules_reason_set(enum drop why, char into[static RULES_SET_SIZE]);

/** rules_text() - what makes both tables as wanted. Return: malloc'd; NULL when out of memory. */
char *rules_text(const struct rules *r);
/** rules_remove_text() - what removes both tables, whether they are there or not */
char *rules_remove_text(const char *table);

/** rules_needs_localnet() - does a forward listen on loopback, so that the bridge needs the sysctl route_localnet? */
bool rules_needs_localnet(const struct rules *r);
