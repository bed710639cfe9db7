// SPDX-License-Identifier: MIT
/*
 * The plan of a LAN: its name, its networks and the addresses that are its own. It is derived once from the configuration and does not
 * change while the LAN is up, but by a reload.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "wire/addr.h"

#define LAN_NAME_SIZE 16    /* with the NUL: 1 to 15 bytes of [a-z0-9-], not first or last a "-" */
#define DNS_NAME_SIZE 256   /* text without the last dot, and a NUL */

enum host_access { HOST_ACCESS_LAN, HOST_ACCESS_FULL, HOST_ACCESS_NONE };

struct lan_plan {
	char name[LAN_NAME_SIZE];
	char domain[64];             /* "hospes" */
	struct mac mac;              /* the gateway's; 52:55:0a:00:02:02 for 10.0.2.2: locally administered, from its address */
	bool ip4, ip6;               /* which versions the LAN has */
	addr_t net4; uint8_t bits4;  /* 10.0.2.0/24 */
	addr_t gateway4, dns4;       /* 10.0.2.2, 10.0.2.3 */
	addr_t pool4_first, pool4_last; /* 10.0.2.15 to 10.0.2.254 */
	addr_t net6; uint8_t bits6;  /* a /64 of a unique local prefix (RFC 4193) made from the machine id and the LAN's name */
	addr_t gateway6, dns6;       /* PREFIX::2, PREFIX::3 */
	addr_t link_local6;          /* the gateway's, fe80:: and its EUI-64 */
	uint16_t mtu;                /* 1500 */
	uint32_t lease_seconds;      /* 86400 */
	uint32_t keepalive_seconds;  /* 7200: a TCP flow that was quiet so long is probed */
	bool no_router;              /* an isolated LAN: nothing lies beyond it, so nobody is told a default route */
	enum host_access host_access;
};

/** lan_plan_is_gateway() - is @a one of the gateway's own addresses (of either version, link-local too), the host as guests see it? */
bool lan_plan_is_gateway(const struct lan_plan *p, addr_t a);
/** lan_plan_is_dns() - is @a an address of the LAN's DNS service? */
bool lan_plan_is_dns(const struct lan_plan *p, addr_t a);
/** lan_plan_is_local() - does @a lie in one of the LAN's networks (IPv6's link-local one is among them)? */
bool lan_plan_is_local(const struct lan_plan *p, addr_t a);
/** lan_plan_broadcast4() - the last address of the IPv4 network */
addr_t lan_plan_broadcast4(const struct lan_plan *p);
/**
 * lan_plan_may_host4() - may a guest have this IPv4 address: in the network, and neither the network's, the broadcast, the gateway's nor
 * DNS's?
 */
bool lan_plan_may_host4(const struct lan_plan *p, addr_t a);
/** lan_plan_in_pool4() - may it be leased to a guest that was promised no other? */
bool lan_plan_in_pool4(const struct lan_plan *p, addr_t a);
/** lan_name_valid() - see LAN_NAME_SIZE */
bool lan_name_valid(const char *name);
/** guest_name_valid() - one DNS label (RFC 1123 section 2.1): 1 to 63 of [a-z0-9-], any case, no "-" first or last */
bool guest_name_valid(const char *name);
/**
 * guest_name_reserved() - a name that means the host ("gateway", "host", "dns"), or that every machine has for itself ("localhost"), any
 * case: no guest's
 */
bool guest_name_reserved(const char *name);
/** host_access_name() - the word that HostAccess = has for it, a constant */
const char *host_access_name(enum host_access a);
