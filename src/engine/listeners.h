// SPDX-License-Identifier: MIT
/*
 * Where guests attach by themselves: the `stream` socket, each connection of which is a port, and the `dgram` socket, each sender to which
 * is one.
 */
#pragma once
#include "engine/ports.h"

struct listeners;

/**
 * listeners_new() - @ports is borrowed; the sockets (bound, non-blocking; @stream listening) are owned when this succeeds. Return: 0 or
 * negative errno.
 */
int listeners_new(struct listeners **out, struct loop *loop, struct ports *ports, int stream, int dgram);
/** listeners_stop() - attach no more */
void listeners_stop(struct listeners *l);
/** listeners_free() - after the ports: those of the dgram socket use it */
struct listeners *listeners_free(struct listeners *l);
