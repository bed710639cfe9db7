// SPDX-License-Identifier: MIT
/*
 * Where guests attach by themselves: the `vhost` and `stream` sockets, each connection of which is a port, and the `dgram` socket, each
 * sender to which is one.
 */
#pragma once
#include "engine/ports.h"

struct listeners;

/* Bound, non-blocking; all but dgram listening. */
struct listener_sockets { int vhost, stream, dgram; };

/**
 * listeners_new() - serve those sockets
 * @ports: borrowed
 * @mtu:   of the LAN: vhost guests are told
 * @sockets: owned when this succeeds
 * Return: 0 or negative errno.
 */
int listeners_new(struct listeners **out, struct loop *loop, struct ports *ports, uint16_t mtu, const struct listener_sockets *sockets);
/** listeners_stop() - attach no more */
void listeners_stop(struct listeners *l);
/** listeners_free() - after the ports: those of the dgram socket use it */
struct listeners *listeners_free(struct listeners *l);
