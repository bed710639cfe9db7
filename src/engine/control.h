// SPDX-License-Identifier: MIT
/*
 * The control socket of a LAN: org.hospes.Lan, whose interface file lies beside this one and is the contract.
 *
 * The methods work on parts of the LAN that they borrow. Those that concern the LAN as a whole (Reload, Down) are the engine's to do.
 */
#pragma once
#include <jansson.h>
#include "control/lease_store.h"
#include "engine/ports.h"
#include "control/registry.h"

struct control;

struct control_parts {
	struct loop *loop;
	const struct lan_plan *plan;
	struct guests *guests;
	struct switch_ *sw;
	struct gateway *gateway;
	struct ports *ports;
	struct registry *registry;
	struct lease_store *leases;
	struct dhcp_servers *heard;

	/* Apply the configuration anew: @changes gets a text for each change. Return: 0, or negative errno with @error (1024 bytes). */
	int (*reload)(void *owner, json_t *changes, char *error);
	/* Take everything down but the control socket's connections: calls control_stop(). */
	void (*down)(void *owner);
	/* The answer to Down has left: end the loop. */
	void (*ended)(void *owner);
	void *owner;
};

/** control_new() - @fd: the listening `control` socket, owned when this succeeds. Return: 0 or negative errno. */
int control_new(struct control **out, const struct control_parts *parts, int fd);
/** control_stop() - take no more calls, and let go of all parts, before they are freed: those who wait for an answer get an error */
void control_stop(struct control *c);
struct control *control_free(struct control *c);

/** control_server() - for tests: the server, which can be given a connection */
struct varlink_server *control_server(struct control *c);
