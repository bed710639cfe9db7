// SPDX-License-Identifier: MIT
/*
 * The gateway of a user LAN: itself a port of the switch. It parses a guest's packet once; a service answers it, or a flow takes
 * its payload to a socket of the host, and back.
 *
 * Everything is borrowed but what gateway_new() makes. The engine calls gateway_drained() when a port has room again and
 * gateway_port_gone() when one leaves.
 */
#pragma once
#include "gateway/flow.h"
#include "gateway/forward.h"
#include "io/loop.h"
#include "lan/guest.h"
#include "lan/plan.h"
#include "switch/switch.h"

struct gateway;

struct gateway_params {
	struct loop *loop;
	struct switch_ *sw;
	struct guests *guests;
	const struct lan_plan *plan;
	const char *resolv_conf;     /* "/etc/resolv.conf" */
	uint32_t flow_max;
	bool no_peek_offset;         /* do without SO_PEEK_OFF for TCP, as on kernels before 6.9: for tests */
	/*
	 * DHCP, DNS and router advertisements only, for a LAN whose frames the kernel carries: it answers ARP, ND and everything else at the
	 * gateway's own addresses, and who is behind which port is known elsewhere. The plan's MAC is then the bridge's, and DNS is at the
	 * gateway's address.
	 */
	bool services_only;
	void (*leases_changed)(void *owner); /* leases are to be saved */
	void *owner;
};

/** gateway_new() - Return: 0 or negative errno */
int gateway_new(struct gateway **out, const struct gateway_params *params);
struct gateway *gateway_free(struct gateway *g);

/** gateway_port() - the gateway as a port, for switch_add() and switch_register() with the plan's MAC; it stays the gateway's */
struct port *gateway_port(struct gateway *g);

/** gateway_drained() - a port that was short of room has some again: flows that waited go on */
void gateway_drained(struct gateway *g, struct port *p);

/**
 * gateway_guest_gone() - the guest's port has closed: its inbound clients hear of it at once; its outbound flows are probed
 * after 60 s, so that a guest that has started anew resets them and one that was away goes on
 */
void gateway_guest_gone(struct gateway *g, struct mac mac);

/** gateway_forwards() - the table of forwards, see forward.h */
struct forwards *gateway_forwards(struct gateway *g);

/**
 * gateway_connect() - hand a connected stream socket to a guest's TCP port
 * @guest:  the guest's address
 * @port:   its port
 * @fd:     a stream socket (TCP or unix), owned by the flow when this succeeds
 * @client: the client's address as the guest is to see it; any: the gateway's
 * @client_port: 0: one is chosen
 * @done:   called once, unless it is NULL or this fails: 0 when the guest has accepted, -ECONNREFUSED, or -ETIMEDOUT
 *          when it did not answer in a minute
 * @owner:  for @done
 * Return: 0 or negative errno: -EHOSTUNREACH (the guest is not attached), -ENOSPC (the flow table is full).
 */
int gateway_connect(struct gateway *g, struct guest *guest, addr_t addr, uint16_t port, int fd, addr_t client, uint16_t client_port,
		    void (*done)(void *owner, int result), void *owner);

/** gateway_advertise() - send a router advertisement to all guests; with lifetime 0 as the LAN goes down */
void gateway_advertise(struct gateway *g, bool up);

struct flow_table *gateway_flows(struct gateway *g);
