// SPDX-License-Identifier: MIT
/*
 * A deadline is a tick, a number of 9 digits in base 64. An index waits on the level of the highest digit in which its tick differs
 * from the wheel's own, in the slot of that digit. So all that waits on a level is due before anything on the levels above, the slots
 * of a level are due in their order, and the first slot of the lowest level in use holds the first deadline: two bit scans find it,
 * however far away it is. Slots are emptied when the wheel's tick enters them: what is not due yet moves to a level below.
 *
 * Nine digits hold every tick that a usec_t can name, so no deadline has to be cut and no level ever wraps.
 */
#include "base/wheel.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include "base/attr.h"

#define TICK   ((usec_t)8 * USEC_MS)
#define DIGIT  6 /* bits */
#define SLOTS  (1 << DIGIT)
#define LEVELS 9
#define NOBODY UINT32_MAX
_Static_assert(USEC_NEVER / TICK >> DIGIT * LEVELS == 0, "every tick has its level");

/* Where an index is. An index that was never touched is nowhere, so that a new wheel is pages of zeroes. */
enum place { PLACE_NOWHERE, PLACE_DUE, PLACE_SLOTS, PLACE_COUNT = PLACE_SLOTS + LEVELS * SLOTS };

struct node {
	uint64_t tick;
	uint32_t next, prev; /* indices or NOBODY; meaningful unless nowhere */
	uint16_t place;
};
_Static_assert(sizeof(struct node) <= WHEEL_NODE_SIZE, "what an owner counts with");

struct bucket {
	uint32_t first;
	uint64_t earliest; /* no tick in it is less; may be too early after a removal */
};

struct wheel {
	uint64_t tick;                /* the last that was entered */
	uint32_t count;
	uint16_t levels;              /* bit: the level has a slot in use */
	uint64_t slots[LEVELS];       /* bit: the slot is in use */
	struct bucket buckets[PLACE_COUNT];
	struct node nodes[];
};

int wheel_new(struct wheel **out, uint32_t count, usec_t now)
{
	struct wheel *w = calloc(1, sizeof(*w) + (size_t)count * sizeof(w->nodes[0]));

	if (!w)
		return -ENOMEM;
	w->count = count;
	w->tick = now > 0 ? (uint64_t)(now / TICK) : 0;
	for (size_t i = 0; i < PLACE_COUNT; i++)
		w->buckets[i].first = NOBODY;
	*out = w;
	return 0;
}

struct wheel *wheel_free(struct wheel *w)
{
	free(w);
	return NULL;
}

static enum place find_place(const struct wheel *w, uint64_t tick)
{
	unsigned int level;

	if (tick <= w->tick)
		return PLACE_DUE;
	level = (unsigned int)(63 - __builtin_clzll(tick ^ w->tick)) / DIGIT;
	return PLACE_SLOTS + level * SLOTS + (tick >> level * DIGIT & (SLOTS - 1));
}

static void insert(struct wheel *w, uint32_t index, uint64_t tick, enum place place)
{
	struct node *n = &w->nodes[index];
	struct bucket *b = &w->buckets[place];

	if (b->first != NOBODY)
		w->nodes[b->first].prev = index;
	else if (place >= PLACE_SLOTS) {
		unsigned int level = (place - PLACE_SLOTS) / SLOTS;

		w->slots[level] |= UINT64_C(1) << (place - PLACE_SLOTS) % SLOTS;
		w->levels |= (uint16_t)(1U << level);
	}
	if (b->first == NOBODY || tick < b->earliest)
		b->earliest = tick;
	*n = (struct node){ .tick = tick, .next = b->first, .prev = NOBODY, .place = (uint16_t)place };
	b->first = index;
}

static void mark_empty(struct wheel *w, enum place place)
{
	unsigned int level = (place - PLACE_SLOTS) / SLOTS;

	if (place < PLACE_SLOTS)
		return;
	w->slots[level] &= ~(UINT64_C(1) << (place - PLACE_SLOTS) % SLOTS);
	if (!w->slots[level])
		w->levels &= (uint16_t)~(1U << level);
}

void wheel_clear(struct wheel *w, uint32_t index)
{
	struct node *n = &w->nodes[index];

	if (n->place == PLACE_NOWHERE)
		return;
	if (n->next != NOBODY)
		w->nodes[n->next].prev = n->prev;
	if (n->prev != NOBODY)
		w->nodes[n->prev].next = n->next;
	else
		w->buckets[n->place].first = n->next;
	if (w->buckets[n->place].first == NOBODY)
		mark_empty(w, n->place);
	n->place = PLACE_NOWHERE;
}

void wheel_set(struct wheel *w, uint32_t index, usec_t deadline)
{
	struct node *n = &w->nodes[index];
	uint64_t tick = deadline > 0 ? (uint64_t)(deadline / TICK + (deadline % TICK != 0)) : 0;
	enum place place = find_place(w, tick);

	if (deadline == USEC_NEVER) {
		wheel_clear(w, index);
		return;
	}
	/* The common case: a timer that is pushed back a little stays where it is. */
	if (n->place == place) {
		n->tick = tick;
		w->buckets[place].earliest = MIN(w->buckets[place].earliest, tick);
		return;
	}
	wheel_clear(w, index);
	insert(w, index, tick, place);
}

/* The slot that is due first, which @start is the first tick of; PLACE_NOWHERE if none is in use. */
static enum place first_slot(const struct wheel *w, uint64_t *start)
{
	unsigned int level, slot;

	if (!w->levels)
		return PLACE_NOWHERE;
	level = (unsigned int)__builtin_ctz(w->levels);
	slot = (unsigned int)__builtin_ctzll(w->slots[level]);
	*start = (w->tick >> (level + 1) * DIGIT << DIGIT | slot) << level * DIGIT;
	return PLACE_SLOTS + level * SLOTS + slot;
}

/* Enter @target, and on the way there every slot in use: what it holds becomes due or moves to a level below. */
static void advance(struct wheel *w, uint64_t target)
{
	enum place place;
	uint64_t start;

	while ((place = first_slot(w, &start)) != PLACE_NOWHERE && start <= target) {
		uint32_t index = w->buckets[place].first;

		w->buckets[place].first = NOBODY;
		mark_empty(w, place);
		w->tick = start;
		while (index != NOBODY) {
			uint32_t next = w->nodes[index].next;
			uint64_t tick = w->nodes[index].tick;

			insert(w, index, tick, tick <= target ? PLACE_DUE : find_place(w, tick));
			index = next;
		}
	}
	w->tick = target;
}

uint32_t wheel_pop(struct wheel *w, usec_t now)
{
	uint64_t target = now > 0 ? (uint64_t)(now / TICK) : 0;
	uint32_t index;

	if (w->buckets[PLACE_DUE].first == NOBODY && target > w->tick)
		advance(w, target);
	index = w->buckets[PLACE_DUE].first;
	if (index != NOBODY)
		wheel_clear(w, index);
	return index;
}

usec_t wheel_next(const struct wheel *w)
{
	uint64_t start;
	enum place place = w->buckets[PLACE_DUE].first != NOBODY ? PLACE_DUE : first_slot(w, &start);

	return place == PLACE_NOWHERE ? USEC_NEVER : (usec_t)w->buckets[place].earliest * TICK;
}
