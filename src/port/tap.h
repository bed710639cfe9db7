// SPDX-License-Identifier: MIT
/*
 * The tap port: a tap device of some network namespace, by descriptor. It carries the offload header (IFF_VNET_HDR), so that TCP
 * segments of 64 KiB stay whole in both directions, and with Linux 6.2 runs of equal UDP datagrams too.
 */
#pragma once
#include "io/loop.h"
#include "port/port.h"

/**
 * tap_port_new() - attach an open tap
 * @fd: from /dev/net/tun after TUNSETIFF with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR; made non-blocking; owned by the port when this succeeds.
 *      Offloads (TUNSETOFFLOAD) and the header's size (TUNSETVNETHDRSZ) are set here.
 * Return: 0 or negative errno; -EINVAL if it is no such descriptor.
 */
int tap_port_new(struct port **out, struct loop *loop, const struct port_sink *sink, int fd);
