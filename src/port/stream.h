// SPDX-License-Identifier: MIT
/*
 * The stream port: QEMU's `-netdev stream` and `-netdev socket` over a unix socket. Each frame stands behind its length, four
 * bytes in network order; there is no offload header, so segmentation and checksums are done in software before port_send().
 */
#pragma once
#include "io/loop.h"
#include "port/port.h"

/**
 * stream_port_new() - attach an accepted connection
 * @out:  the port
 * @loop: carries it
 * @sink: who it serves
 * @fd:   a connected, non-blocking unix stream socket; owned by the port when this succeeds
 * Return: 0 or negative errno.
 */
int stream_port_new(struct port **out, struct loop *loop, const struct port_sink *sink, int fd);
