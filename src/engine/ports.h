// SPDX-License-Identifier: MIT
/*
 * The ports of a LAN: their numbers, and what ties them to switch, gateway and guests.
 *
 * A port that closes is removed at the end of the turn; the guests behind it are then not attached any more, and the gateway hears of each.
 * A guest is attached to the port that the switch has learned its MAC at.
 */
#pragma once
#include "gateway/gateway.h"
#include "io/loop.h"
#include "lan/dhcp_servers.h"
#include "lan/guest.h"
#include "port/port.h"
#include "switch/switch.h"

#define PORTS_MAX  1024     /* the gateway's is among them */
#define PORT_ID_GATEWAY 1

struct ports;

struct ports_params {
	struct loop *loop;
	struct switch_ *sw;
	struct guests *guests;
	const struct lan_plan *plan;
	struct dhcp_servers *heard; /* guests that serve DHCP are noted there; NULL: nobody wants to know */
	const struct fault *fault;  /* what every guest's port gets a copy of; NULL: none */
};

/** ports_new() - all parts are borrowed. Return: 0 or -ENOMEM. */
int ports_new(struct ports **out, const struct ports_params *params);
/** ports_free() - frees all ports but the gateway's, which has gone before */
struct ports *ports_free(struct ports *t);

/** ports_set_gateway() - tie the gateway in; NULL before it is freed. Return: 0 or negative errno. */
int ports_set_gateway(struct ports *t, struct gateway *g);

/** ports_sink() - for the kinds of port, when they are made */
const struct port_sink *ports_sink(const struct ports *t);

/** ports_add() - take a guest's port in; it is owned by @t when this succeeds. Return: 0 or -ENOSPC. */
int ports_add(struct ports *t, struct port *p);
/** ports_remove() - out with it, at once; frees it */
void ports_remove(struct ports *t, struct port *p);
/** ports_attach() - @guest is known to be behind @p before its first frame */
void ports_attach(struct ports *t, struct port *p, struct guest *guest);

/** ports_next() - all of them, the gateway's too, by number: start with NULL. Return: NULL at the end. */
struct port *ports_next(const struct ports *t, const struct port *after);
