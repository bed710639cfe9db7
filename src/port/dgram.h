// SPDX-License-Identifier: MIT
/*
 * The dgram ports: QEMU's `-netdev dgram` over unix datagram sockets, one frame a datagram, no offload header.
 *
 * All guests send to one socket path of the LAN; each has a path of its own (its "local" address), by which it is told apart and
 * to which its frames are sent. A port is made when the first frame comes from a new path. It closes when the process that sent
 * from there ends (where its pid can be seen), or when sending to that path says that nobody is there. A datagram from a socket
 * without a path, or with a relative one, is dropped: there is nowhere to answer to.
 */
#pragma once
#include "io/loop.h"
#include "port/port.h"

#define DGRAM_PORTS_MAX 1024 /* of one hub */

struct dgram_hub;

/**
 * dgram_hub_new() - take frames from a bound datagram socket
 * @out:   the hub; free it with dgram_hub_free(), after its ports
 * @loop:  carries it
 * @sink:  for the ports
 * @fd:    a bound, non-blocking unix datagram socket; owned by the hub when this succeeds
 * @added: called when a port was made, before its first frame is passed on: the engine takes it over. Return of non-zero refuses it.
 * @owner: for @added
 * Return: 0 or negative errno.
 */
int dgram_hub_new(struct dgram_hub **out, struct loop *loop, const struct port_sink *sink, int fd,
		  int (*added)(void *owner, struct port *p), void *owner);
struct dgram_hub *dgram_hub_free(struct dgram_hub *h);

/**
 * dgram_hub_refused() - datagrams that came from no port, and could not make one: no usable path, nobody listening there, too
 * many, or refused by added()
 */
uint64_t dgram_hub_refused(const struct dgram_hub *h);
