// SPDX-License-Identifier: MIT
/* Receiving datagrams of a host's socket, many in one call; and equal ones that follow each other as one run. */
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

/* Datagrams of one sender that came one behind the other. */
struct datagram_run {
	addr_t from, local;     /* as in struct datagram */
	uint16_t from_port;
	uint32_t segment;       /* bytes of each of them but the last, which may have fewer, never none; 0: there is only one */
	size_t parts;
	struct iovec iov[DATAGRAMS]; /* their payload together; good until the next call */
};

struct datagrams;

/** datagrams_new() - buffers (2 MiB, of which the kernel gives what is used). Return: 0 or -ENOMEM. */
int datagrams_new(struct datagrams **out);
struct datagrams *datagrams_free(struct datagrams *d);

/** datagrams_receive() - take what waits, without waiting. Return: how many; 0 too where the socket has an error (which is now cleared). */
size_t datagrams_receive(struct datagrams *d, int fd);

/** datagrams_get() - one of those that were received last */
struct datagram datagrams_get(struct datagrams *d, size_t index);

/**
 * datagrams_run() - those from one of the last received on that are alike: of one sender, to one address, of one size
 * @index: of the first, below @count
 * @count: what datagrams_receive() returned
 * @run:   filled in. What the kernel had put together already (HOSTSOCK_RUNS) is taken with the rest. 65,507 bytes at the most.
 * Return: the index behind the last of them.
 */
size_t datagrams_run(struct datagrams *d, size_t index, size_t count, struct datagram_run *run);
