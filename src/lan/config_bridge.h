// SPDX-License-Identifier: MIT
/* The part of a LAN's configuration that says how a bridge LAN (Fabric = bridge) is made: a model, and the keys that set it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "wire/addr.h"

#define LINK_NAME_SIZE 16   /* IFNAMSIZ */
#define USER_NAME_SIZE 33   /* useradd(8): 32 bytes */
#define BRIDGE_TAPS_MAX  64
#define BRIDGE_ALLOW_MAX 64

/* Where the host's own address on the LAN comes from. */
enum bridge_ip {
	BRIDGE_IP_AUTO,      /* not said: what the uplink has moves over; without an uplink: chosen, as bridge_plan_lan() does */
	BRIDGE_IP_DHCP,      /* the uplink's moves over, and a DHCP client of the host keeps it */
	BRIDGE_IP_STATIC,
	BRIDGE_IP_NONE,      /* the host has none */
};

struct bridge_tap { char name[LINK_NAME_SIZE]; char owner[USER_NAME_SIZE]; };
struct bridge_allow { char name[USER_NAME_SIZE]; bool group; };

struct bridge_config {
	char bridge[LINK_NAME_SIZE]; /* Bridge; the LAN's name if it is not said */
	char uplink[LINK_NAME_SIZE]; /* "": none */
	addr_t gateway4;             /* any (zero): none */
	enum bridge_ip ip4, ip6;
	addr_t addr4, addr6;         /* the host's, with BRIDGE_IP_STATIC; in a LAN without an uplink perhaps only the network */
	uint8_t bits4, bits6;
	bool stp;
	int forward_delay, hello, max_age; /* seconds; -1: as the kernel has them */
	uint16_t mtu;                /* 0: as the uplink has it */
	bool nat, isolated;          /* with no uplink; neither: routed */
	bool guests_isolated;        /* Guests = isolated: kept apart from each other */
	struct bridge_tap taps[BRIDGE_TAPS_MAX]; size_t tap_count;       /* persistent ones with an owner */
	struct bridge_allow allow[BRIDGE_ALLOW_MAX]; size_t allow_count; /* users and (@) groups that may attach guests */
};

/**
 * link_name_valid() - may a bridge or tap of ours be called so? 1 to 15 bytes of [a-z0-9-], a letter first, none of the kernel's own
 * ("all", "default", "lo")
 */
bool link_name_valid(const char *name);
/** link_name_possible() - could any link of the host be called so? 1 to 15 bytes of [A-Za-z0-9_.@-], not "." or ".." */
bool link_name_possible(const char *name);
