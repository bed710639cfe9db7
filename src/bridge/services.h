// SPDX-License-Identifier: MIT
/* DHCP, DNS and router advertisements on a bridge without an uplink: the gateway's services behind a packet port. */
#pragma once
#include "bridge/packet_pool.h"
#include "gateway/gateway.h"
#include "lan/dhcp_servers.h"

struct services;

struct services_params {
	struct loop *loop;
	struct packet_pool *sockets;
	struct guests *guests;
	const struct lan_plan *plan;       /* its MAC is the bridge's, its DNS service at the gateway's addresses */
	const char *resolv_conf;
	struct dhcp_servers *heard;        /* questions and answers of DHCP that come by are noted there */
	unsigned int link;                 /* the bridge's index */
	void (*leases_changed)(void *owner);
	void *owner;
};

/** services_new() - all is borrowed. Return: 0 or negative errno; -ENOSPC if there is no packet socket left. */
int services_new(struct services **out, const struct services_params *params);
/** services_free() - @down: guests hear that their router goes. Return: NULL. */
struct services *services_free(struct services *s, bool down);
