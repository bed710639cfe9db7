// SPDX-License-Identifier: MIT
/*
 * The vhost-user port: a guest whose virtio-net rings lie in memory that its front end shares with us. Frames are read from the guest's own
 * pages and written into them; there is no copy in between, and segments and checksums stay as the guest made them.
 */
#pragma once
#include "io/loop.h"
#include "port/port.h"

/**
 * vhost_port_new() - attach an accepted connection
 * @out:  the port; it takes frames as soon as the guest's driver runs
 * @loop: carries it
 * @sink: who it serves
 * @fd:   a connected, non-blocking unix stream socket; owned by the port when this succeeds
 * @mtu:  what the guest is told
 * Return: 0 or negative errno.
 */
int vhost_port_new(struct port **out, struct loop *loop, const struct port_sink *sink, int fd, uint16_t mtu);
