// SPDX-License-Identifier: MIT
/* Sockets that forwards listen on, and what to say when there is none to be had. */
#pragma once
#include "lan/forward.h"

/** forward_socket_addresses() - what a rule for ports listens on: one address or two, the second of which is IPv6. Return: how many. */
size_t forward_socket_addresses(const struct forward_rule *rule, addr_t into[static 2]);

/**
 * forward_socket_open() - a listening (TCP) or bound (UDP) socket
 * @error: 512 bytes; on failure what, where, why, and what to do
 * Return: the descriptor, non-blocking, or negative errno.
 */
int forward_socket_open(enum forward_kind kind, addr_t addr, uint16_t port, char error[static 512]);

/**
 * forward_socket_unix() - a listening unix socket for this user alone. One that nobody listens on any more is replaced; one that is live is
 * not, nor is anything else that lies there. Otherwise as above.
 */
int forward_socket_unix(const char *path, char error[static 512]);
