// SPDX-License-Identifier: MIT
/*
 * The fault layer: loses, duplicates and reorders frames at a port on purpose, in either direction, so that tests can see what
 * the rest does about it. Pseudo-random from a seed, so that a run can be repeated. It sits in port_send() and port_input();
 * without one they cost a NULL test.
 *
 * A fault belongs to one port, which borrows it: it may hold a frame of that port back.
 */
#pragma once
#include <stdint.h>
#include "port/frame.h"

#define FAULT_ALL 10000 /* chances are of this many frames */

enum fault_way { FAULT_FROM_GUEST, FAULT_TO_GUEST, FAULT_WAYS };

/* A copy of a frame that is to come after the next one. */
struct fault_held {
	uint8_t *data;       /* NULL: none */
	uint32_t size;
	struct offload offload;
};

struct fault {
	uint32_t lose;       /* of FAULT_ALL frames, on average, each way */
	uint32_t duplicate;
	uint32_t reorder;    /* held back until the next frame that way has passed, however long that takes */
	uint64_t random;     /* the generator's state: the seed at first */
	struct fault_held held[FAULT_WAYS];
};

/**
 * fault_parse() - from text: "lose=1%,duplicate=0.5%,reorder=1%,seed=7"
 * @out:  filled in; what the text does not name is 0, the seed 1
 * @text: percentages from 0% to 100% with up to two decimals; each name once at the most
 * Return: 0, or -EINVAL with @out zeroed.
 */
int fault_parse(struct fault *out, const char *text);

/** fault_fini() - free the frames held back */
void fault_fini(struct fault *f);

/**
 * fault_apply() - decide what becomes of a frame
 * @f:     the fault
 * @way:   where it goes
 * @frame: the frame
 * @pass:  called for what goes on: not at all, once or twice for @frame itself, and once for a frame that was held back
 * @owner: for @pass
 * Return: false if the frame is lost; the caller counts it.
 */
bool fault_apply(struct fault *f, enum fault_way way, const struct frame *frame,
		 void (*pass)(void *owner, const struct frame *frame), void *owner);
