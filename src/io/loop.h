// SPDX-License-Identifier: MIT
/*
 * The event loop: descriptors, timers, and work for the end of the turn. One thread, one epoll set, run to completion.
 *
 * A turn: wait; read the clock once (loop_now()); call the watches that are ready; call the timers that are due; call what was
 * deferred. What can be looked at without a system call (a ring in shared memory) is a poller: those that are set are looked at before
 * the loop sleeps, and again and again for a while where that pays (spin.h); so are the descriptors. A loop with nothing to do sleeps
 * without a time-out: nothing here wakes up periodically.
 *
 * Watches, timers and deferred calls are embedded in their owners, and must be removed before the owner goes (and a watch before
 * its descriptor is closed). Any of them may be removed, or its owner freed, inside any callback: what was reported for it and
 * not delivered yet is forgotten.
 *
 * EPOLLERR and EPOLLHUP are reported whatever a watch asked for, as epoll does: an owner that ignores them spins. Not reentrant:
 * no callback turns the loop. Needs Linux 5.11 (epoll_pwait2).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include "base/list.h"
#include "base/usec.h"
#include "io/spin.h"

struct loop;

struct watch {
	int fd;                                                /* -1: not watched */
	uint32_t events;                                       /* EPOLLIN, EPOLLOUT ...; level-triggered */
	void (*ready)(struct watch *w, uint32_t events);
	struct loop *loop;
};
struct timer {
	usec_t deadline;                                       /* USEC_NEVER: not set */
	void (*due)(struct timer *t);                          /* one shot: set it again inside if it is to repeat */
	struct loop *loop;
	struct list node;
};
struct deferred {
	void (*call)(struct deferred *d);
	struct loop *loop;
	struct list node;
};
struct poller {
	/* Look, and deal with what is there. Return: was there anything? */
	bool (*look)(struct poller *p);
	/* The loop is about to sleep: what comes from now on is to wake a watch. Return: is there something already? Look again. */
	bool (*rest)(struct poller *p);
	struct loop *loop;
	struct list node;
};

/** loop_new() - Return: 0 or negative errno */
int loop_new(struct loop **out);
/** loop_free() - watches must be gone; timers and deferred calls that are still set are taken out. Return: NULL. */
struct loop *loop_free(struct loop *l);

/** loop_now() - the clock, as read at the start of this turn */
usec_t loop_now(const struct loop *l);

/** loop_run() - turn until loop_stop(). Return: what loop_stop() was given, or negative errno. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int result);

/** loop_turn() - one turn that waits at most @timeout microseconds (USEC_NEVER: as long as it takes): for tests and small tools */
int loop_turn(struct loop *l, usec_t timeout);

/* What loop_take_buffer() lends: PORT_BATCH frames of the largest size fit. */
#define LOOP_BUFFER_SIZE (64 * 66 * 1024)

/**
 * loop_take_buffer() - borrow the loop's one buffer, for bytes that are dealt with before the watch's callback returns
 *
 * All owners of watches share it, so that an idle one needs no memory of its own to receive into. Only for a watch's own
 * callback, which gives it back with loop_give_buffer().
 *
 * Return: LOOP_BUFFER_SIZE bytes, page aligned, with whatever was left in them; NULL while somebody up the stack has it.
 */
void *loop_take_buffer(struct loop *l);
void loop_give_buffer(struct loop *l);

/** watch_add() - watch @fd, which stays its owner's. Return: 0 or negative errno. */
int watch_add(struct watch *w, struct loop *l, int fd, uint32_t events, void (*ready)(struct watch *w, uint32_t events));
/** watch_set() - other events; free where they are the same */
int watch_set(struct watch *w, uint32_t events);
/** watch_remove() - harmless on one that is not watched (a zeroed struct with fd -1, or removed) */
void watch_remove(struct watch *w);

/** timer_init() - once, before the others */
void timer_init(struct timer *t, struct loop *l, void (*due)(struct timer *t));
/** timer_set() - let it be due at @deadline, instead of when it was; USEC_NEVER clears it */
void timer_set(struct timer *t, usec_t deadline);

/** loop_spin() - how long to look at pollers and descriptors before sleeping, see spin.h; SPIN_AUTO from the start */
void loop_spin(struct loop *l, usec_t limit);

/** loop_moved() - so many bytes of traffic went through: where they are few, answers are waited for, see spin.h */
void loop_moved(struct loop *l, size_t bytes);

/** poller_init() - once, before the others */
void poller_init(struct poller *p, struct loop *l, bool (*look)(struct poller *p), bool (*rest)(struct poller *p));
/** poller_set() - look at it, until it was let rest; harmless if it is set already */
void poller_set(struct poller *p);
void poller_remove(struct poller *p);

/** deferred_init() - once, before the others */
void deferred_init(struct deferred *d, struct loop *l, void (*call)(struct deferred *d));
/**
 * deferred_add() - call it at the end of this turn, once however often it was added
 *
 * What is added by a deferred call waits for the next turn, which then does not sleep.
 */
void deferred_add(struct deferred *d);
/** deferred_add_last() - likewise, after all that deferred_add() asked for in this turn and what they ask for here: to sum a turn up */
void deferred_add_last(struct deferred *d);
void deferred_remove(struct deferred *d);

/**
 * loop_on_signal() - call @signalled in the loop for SIGTERM, SIGINT and SIGHUP, which are blocked (signalfd)
 *
 * Return: 0 or negative errno.
 */
int loop_on_signal(struct loop *l, void (*signalled)(void *owner, int signal), void *owner);
