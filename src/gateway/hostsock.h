// SPDX-License-Identifier: MIT
/* Datagram sockets of the host: their options by one name for both versions of IP. */
#pragma once
#include <stdbool.h>
#include <sys/socket.h>
#include "gateway/flow_kinds.h"
#include "wire/ip.h"

enum hostsock_option {
	HOSTSOCK_TTL,       /* of what is sent: 1 to 255 */
	HOSTSOCK_TOS,       /* traffic class */
	HOSTSOCK_FRAGMENT,  /* what is too large may be fragmented (1); or it is EMSGSIZE, and no router may do so (0, the default) */
	HOSTSOCK_ERRORS,    /* ICMP errors are queued (errqueue.h) */
	HOSTSOCK_LOCAL,     /* datagrams are received with the address they came to (datagrams.h) */
	HOSTSOCK_RUNS,      /* UDP: equal datagrams that came one behind the other are one message, with their size (udp(7), UDP_GRO) */
};

/**
 * hostsock_open() - a non-blocking datagram socket; for IPv6, one that leaves IPv4 alone
 * @like:     an address of the wanted version
 * @protocol: 0, or IPPROTO_ICMP, which stands for ICMPv6 too
 * Return: the descriptor or negative errno.
 */
int hostsock_open(addr_t like, int protocol);

/** hostsock_set() - @like: an address of the socket's version. Return: 0 or negative errno. */
int hostsock_set(int fd, addr_t like, enum hostsock_option option, int value);

/**
 * hostsock_follow() - let a socket send as the guest did: TTL less one, traffic class, whether it may be fragmented. @as: as the socket is;
 * zeroed at first.
 */
void hostsock_follow(int fd, struct sent_as *as, const struct ip_packet *ip);

/**
 * hostsock_send() - send a datagram, without waiting
 * What sendmsg(2) says at first may be the error of an earlier datagram, and then this one was not looked at: it is tried once more.
 * Return: 0 or negative errno.
 */
int hostsock_send(int fd, const struct msghdr *m);

/** hostsock_takes_runs() - does the kernel know UDP_SEGMENT (Linux 4.18)? Others would send a run as one long datagram. */
bool hostsock_takes_runs(void);

/** hostsock_may_fragment() - was this packet sent as one that may be fragmented on its way? */
bool hostsock_may_fragment(const struct ip_packet *ip);

/** hostsock_mtu() - of the path to the peer of a connected socket, as the kernel knows it. Return: 0 if it does not tell. */
unsigned int hostsock_mtu(int fd, addr_t like);

/** hostsock_exhausted() - is this a failure of hostsock_open() that closing another socket helps against? */
bool hostsock_exhausted(int result);
