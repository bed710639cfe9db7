// SPDX-License-Identifier: MIT
/*
 * The packet port: the services of a LAN whose frames the kernel carries, on its bridge.
 *
 * A packet socket (packet(7)) hears what guests send to the host or to everybody, as far as a filter in the kernel lets it pass: DHCP, DNS
 * and
 * router solicitations, nothing else. What it sends leaves as if the host itself had sent it. Frames come with their offload header, since
 * a
 * guest's checksums may still be open.
 *
 * A socket is opened while the process has CAP_NET_RAW, and bound when it is needed, which takes no privilege.
 */
#pragma once
#include "io/loop.h"
#include "port/port.h"

/** packet_socket() - an unbound socket, which hears nothing yet. Return: a descriptor or negative errno. */
int packet_socket(void);

/**
 * packet_socket_bind() - let it hear frames of one type on one link. What lay in it is forgotten.
 * @ethertype: 0x0003 (ETH_P_ALL): all
 * Return: 0 or negative errno
 */
int packet_socket_bind(int fd, unsigned int link, uint16_t ethertype);

/** packet_socket_park() - let it hear nothing again */
void packet_socket_park(int fd);

/**
 * packet_port_new() - the services' port
 * @fd:   from packet_socket(); stays the caller's, who parks it when the port has been freed
 * @link: index of the bridge
 * Return: 0 or negative errno.
 */
int packet_port_new(struct port **out, struct loop *loop, const struct port_sink *sink, int fd, unsigned int link);
