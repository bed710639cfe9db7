// SPDX-License-Identifier: MIT
/*
 * DHCP clients of the host where its address moves from one link to another: what each has to be told, as a line to type.
 *
 * `hospes up` moves an address to the bridge, with its lease: the MAC stays, and so the server knows no difference. But the client of the
 * host still renews it on the uplink, or puts the address back there. `hospes down` leaves the clients of the bridge without a link.
 */
#pragma once
#include "doctor/check.h"

/**
 * client_move() - the line that ends a client's work on its link, and has the same done on another
 * @to:    the other link; NULL: nobody has to go on
 * @alive: its process runs
 * Return: the line, which lives as long as @out; NULL: there is none for this client.
 */
const char *client_move(const struct facts *f, struct findings *out, const struct dhcp_client *c, const char *to, bool alive);

/** client_advice() - what has to be known about that line, or done where there is none; NULL: nothing */
const char *client_advice(const struct dhcp_client *c, struct findings *out, const char *to);

/**
 * clients_left() - the findings "port-dhcp" after a bridge was taken down: its clients, which another link needs now
 * @f:  as facts_gather_clients() found it before; its target has the bridge
 * @to: the uplink, or the bridge's own name where it was made anew; "": nobody needs a client
 * None if the uplink has a client, which was never told anything.
 */
void clients_left(const struct facts *f, const char *to, struct findings *out);
