// SPDX-License-Identifier: MIT
/*
 * Does the gateway still answer? While a LAN is on trial it is asked once a second by ARP or neighbour discovery, on a packet socket,
 * whatever the host's own tables believe.
 *
 *	IDLE --trial_ask()--> ASKING --an answer, or a second without one--> IDLE, answered() is called
 *	IDLE --trial_watch()--> WATCHING --lost: it has answered before, and not for five seconds--> IDLE, lost() is called
 *	any --trial_stop()--> IDLE
 */
#pragma once
#include "io/loop.h"
#include "wire/addr.h"

#define TRIAL_PATIENCE (5 * USEC_S)

/* Who asks whom, and where. */
struct trial_way {
	unsigned int link;    /* index */
	struct mac mac;       /* the link's */
	addr_t from;          /* one of the host's addresses there, of the version of @gateway; 0.0.0.0 and :: will do for IPv4 only */
	addr_t gateway;       /* any (zero): there is none, and nothing to find out */
};

struct trial {
	struct loop *loop;
	int fd;               /* a packet socket (port/packet.h), the caller's; -1: none is free */
	struct watch watch;
	struct timer timer;
	struct trial_way way;
	bool watching, has_answered;
	int asked;            /* questions since trial_ask() */
	usec_t last;          /* it answered, or the watch began */
	void (*answered)(void *owner, bool yes);
	void (*lost)(void *owner);
	void *owner;
};

/** trial_init() - once; the callbacks and the owner are set before */
void trial_init(struct trial *t, struct loop *loop, int fd);
/** trial_ask() - does it answer at this moment? answered() says so, from the loop, never from within this call. */
void trial_ask(struct trial *t, const struct trial_way *way);
/**
 * trial_watch() - from now on, until trial_stop() or lost()
 * @has_answered: it did before, so that its silence means something from the beginning; else only once it has answered
 * @grace: how much longer than TRIAL_PATIENCE its first answer may take: a bridge with spanning tree is silent at first
 */
void trial_watch(struct trial *t, const struct trial_way *way, bool has_answered, usec_t grace);
void trial_stop(struct trial *t);

/** trial_question() - the frame that asks; Return: its size. trial_is_answer() - is this frame the answer? Pure, for tests. */
size_t trial_question(const struct trial_way *way, uint8_t into[static 96]);
bool trial_is_answer(const struct trial_way *way, const void *frame, size_t size);
