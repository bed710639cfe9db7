// SPDX-License-Identifier: MIT
/*
 * The flow table: which flow of a guest is which socket of the host.
 *
 * It lies in a shared memory file (memfd) at fixed slots that hold indices and descriptor numbers and no pointers, so that it
 * outlives the process that wrote it. Look-up is by keyed hash (the key lies in the file too), chained by index. Beside it, in
 * the process and rebuilt when it starts anew: the timing wheel. The epoll set of all flow sockets is a descriptor of its own:
 * its events carry the slot's index and generation, so an event for a slot that was reused is noticed.
 *
 * States of a slot:   FLOW_FREE --flow_add()--> in use --flow_remove()--> FLOW_FREE, generation + 1
 *
 * Invariants: a flow in use is in exactly one hash chain; its descriptor, if any, is owned by the slot and watched by the epoll
 * set of the table, unless FLOW_SHARED_FD says that it is a forward's listening socket.
 */
#pragma once
#include <stddef.h>
#include "base/usec.h"
#include "gateway/flow_kinds.h"
#include "wire/addr.h"

#define FLOW_MAX  65536
#define FLOW_NONE UINT32_MAX

enum flow_kind { FLOW_FREE, FLOW_TCP, FLOW_UDP, FLOW_ECHO, FLOW_KINDS };

/* A flow as the guest sees it; hashed as bytes, so it has no holes and unused bytes are zero. */
struct flow_key {
	addr_t guest, peer;
	uint16_t guest_port, peer_port;  /* echo: the identifier, and 0 */
	uint32_t kind;                   /* enum flow_kind */
};
_Static_assert(sizeof(struct flow_key) == 40, "no holes");

enum flow_flag { FLOW_SHARED_FD = 1, FLOW_INBOUND = 2 };

struct flow {
	struct flow_key key;
	struct mac mac;                  /* the guest's */
	uint16_t flags;                  /* enum flow_flag */
	int32_t fd;                      /* the host's socket, -1 if none */
	uint32_t next;                   /* in the hash chain or the free list */
	uint32_t generation;
	uint32_t events;                 /* what the epoll set watches for */
	usec_t deadline;                 /* USEC_NEVER: none */
	usec_t active;                   /* last packet either way */
	union {
		struct tcp_flow tcp;
		struct udp_flow udp;
		struct echo_flow echo;
	};
};

struct flow_table;

/** flow_table_new() - an empty table of @max slots (at most FLOW_MAX). Return: 0 or negative errno. */
int flow_table_new(struct flow_table **out, uint32_t max, usec_t now);
/** flow_table_free() - closes all sockets that the slots own */
struct flow_table *flow_table_free(struct flow_table *t);

/** flow_find() - Return: the flow in use with this key, or NULL */
struct flow *flow_find(struct flow_table *t, const struct flow_key *key);
/** flow_add() - take a slot for @key, which has none; zeroed but for key, fd -1, deadline never. Return: NULL if the table is full. */
struct flow *flow_add(struct flow_table *t, const struct flow_key *key, usec_t now);
/** flow_remove() - close its socket (unless FLOW_SHARED_FD) and free the slot */
void flow_remove(struct flow_table *t, struct flow *f);

/**
 * flow_watch() - watch the flow's socket
 * @events: EPOLLIN and so on, level-triggered unless EPOLLET is among them; 0: only errors and hang-up; FLOW_UNWATCHED: not at all
 * Free if nothing changes, but with EPOLLET, where asking again makes the kernel look again. Return: 0 or negative errno.
 */
#define FLOW_UNWATCHED (1u << 27) /* a bit that epoll does not use */
int flow_watch(struct flow_table *t, struct flow *f, uint32_t events);

/** flow_set_deadline() - let the flow's kind be told at @when; USEC_NEVER: not */
void flow_set_deadline(struct flow_table *t, struct flow *f, usec_t when);
/** flow_due() - take a flow whose deadline has passed (it has none any more). Return: NULL if none is. */
struct flow *flow_due(struct flow_table *t, usec_t now);
/** flow_next_deadline() - when flow_due() wants to be called again; USEC_NEVER: not */
usec_t flow_next_deadline(const struct flow_table *t);

/** flow_epoll() - the descriptor that is readable when a flow's socket is ready; the table's own */
int flow_epoll(const struct flow_table *t);
/**
 * flow_ready() - fetch ready sockets
 * @each: called for each with its flow, which is in use; it may remove any flow
 * @max:  at most this many (up to 256)
 * Return: how many were fetched.
 */
size_t flow_ready(struct flow_table *t, size_t max, void (*each)(void *owner, struct flow *f, uint32_t events), void *owner);

/** flow_index() - the slot's number, and flow_at() back; FLOW_NONE and NULL stand for each other */
uint32_t flow_index(const struct flow_table *t, const struct flow *f);
struct flow *flow_at(struct flow_table *t, uint32_t index);

/** flow_next() - all flows in use: start with NULL. Return: NULL at the end. */
struct flow *flow_next(struct flow_table *t, const struct flow *after);
uint32_t flow_count(const struct flow_table *t, enum flow_kind kind);
