// SPDX-License-Identifier: MIT
/*
 * When it pays to look again instead of going to sleep.
 *
 * To sleep and to be woken costs both sides some microseconds; who looks again for a short while instead spares them that if what it waits
 * for comes soon, and wastes its time if not. So the loop spins for as long as a wake-up costs both sides, while most such spins of late
 * found something; else it tries one now and then, as long as there is traffic at all. Where nothing comes it sleeps without a time-out.
 *
 * A look at a ring in shared memory costs next to nothing. One at the descriptors is a system call, and pays where little goes to and fro:
 * a request, an answer, and each wait on the way of the next. Then it spins for as long as an answer takes. Where much is moved at a time,
 * no one waits for the wake-up, and what gathers meanwhile makes the next turn cheaper.
 *
 * Each look at the descriptors offers the processor to others: who is to answer may wait for just that one. Where somebody else needed it
 * for longer (the clock jumped between two looks), there is no core to spare: it does not spin for a while, and for longer each time until
 * that has long not happened.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/usec.h"

#define SPIN_OFF  0
#define SPIN_AUTO (-1)

struct spin {
	usec_t limit;         /* SPIN_OFF, SPIN_AUTO, or how long to spin whenever there is nothing to do */
	bool pinned;          /* to one processor, which those that we wait for may need: rings alone are no reason */
	usec_t average;       /* of the waits of late, in sixteenths of a microsecond */
	unsigned int score;   /* of the spins of late, how many found something: of SPIN_SCORE */
	unsigned int waits;   /* since the last spin */
	usec_t not_before;    /* no core to spare until then */
	usec_t penalty;       /* how long the next such pause is */
	unsigned int bytes;   /* moved between two waits of late, on the average, in sixteenths */
	size_t moved;         /* since the last wait */
};

/** spin_init() - @limit: SPIN_OFF, SPIN_AUTO, or microseconds */
void spin_init(struct spin *s, usec_t limit);
/** spin_moved() - so many bytes went through since the last call */
static inline void spin_moved(struct spin *s, size_t bytes) { s->moved += bytes; }
/**
 * spin_budget() - there is nothing to do: how long to look before going to sleep; 0: not at all
 * @rings: there is a poller to look at; otherwise each look is a system call
 */
usec_t spin_budget(struct spin *s, bool rings, usec_t now);
/** spin_ended() - a spin that had a budget found something, or did not */
void spin_ended(struct spin *s, bool found);
/** spin_waited() - something came after @waited microseconds of nothing to do */
void spin_waited(struct spin *s, usec_t waited);
/** spin_looked() - @elapsed passed between two looks that take next to no time; @gave: the processor was offered to others meanwhile */
void spin_looked(struct spin *s, usec_t elapsed, bool gave, usec_t now);

/** spin_relax() - between two looks: leaves the processor to a sibling thread for a moment */
static inline void spin_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}
