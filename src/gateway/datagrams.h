// SPDX-License-Identifier: MIT
/* Receiving datagrams of a host's socket, many in one call. */
#pragma once
#include <stddef.h>
#include <sys/uio.h>
#include "wire/addr.h"

#define DATAGRAMS 32 /* in one call at the most */

struct datagram {
	addr_t from;            /* the sender */
	uint16_t from_port;
	addr_t local;           /* the address it came to, where the socket has HOSTSOCK_LOCAL; otherwise any */
	struct iovec payload;   /* good until the next call */
};

struct datagrams;

/** datagrams_new() - buffers (2 MiB, of which the kernel gives what is used). Return: 0 or -ENOMEM. */
int datagrams_new(struct datagrams **out);
struct datagrams *datagrams_free(struct datagrams *d);

/** datagrams_receive() - take what waits, without waiting. Return: how many; 0 too where the socket has an error (which is now cleared). */
size_t datagrams_receive(struct datagrams *d, int fd);

/** datagrams_get() - one of those that were received last */
struct datagram datagrams_get(struct datagrams *d, size_t index);
