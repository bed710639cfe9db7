// SPDX-License-Identifier: MIT
/*
 * Forwards that run: listening sockets of the host whose clients are handed to a guest, TCP, UDP and unix. Added, listed and removed while
 * everything runs; removing one leaves its connections alone.
 */
#pragma once
#include "gateway/udp.h"
#include "io/loop.h"
#include "lan/forward.h"
#include "lan/guest.h"

struct forwards;

struct forwards_params {
	struct loop *loop;
	struct guests *guests;
	struct udp *udp;             /* takes clients of UDP forwards */
	struct deferred *turn_end;   /* asked for when a datagram was handed to it */
	/* takes a TCP or unix client; the descriptor is its own when it returns 0 */
	int (*accepted)(void *owner, struct guest *guest, addr_t addr, uint16_t port, int fd, addr_t client, uint16_t client_port);
	void *owner;
};

int forwards_new(struct forwards **out, const struct forwards_params *params);
struct forwards *forwards_free(struct forwards *f);

/**
 * forwards_add() - listen
 * @error: 512 bytes; on failure which address and port, why, and what to do: in use (by whom, if it is a forward of ours), not permitted
 *         below net.ipv4.ip_unprivileged_port_start (with the port to use instead and the sysctl)
 * Return: 0 or negative errno; nothing is left half done (all ports of a range or none).
 */
int forwards_add(struct forwards *f, const struct forward_rule *rule, char error[static 512]);
/** forwards_remove() - stop listening. Return: 0 or -ENOENT. */
int forwards_remove(struct forwards *f, const struct forward_rule *rule);
/** forwards_each() - @clients: how many connections were taken so far */
void forwards_each(struct forwards *f, void (*each)(void *owner, const struct forward_rule *rule, uint64_t clients), void *owner);
