// SPDX-License-Identifier: MIT
/*
 * A hierarchical timing wheel over small indices (Varghese and Lauck, 1987): setting and clearing are O(1), however many run.
 *
 * An index (a flow's slot number) has at most one deadline. Resolution is 8 ms. The wheel holds no pointers to its owner's objects
 * and nothing that has to survive a restart: it can be rebuilt from the deadlines.
 */
#pragma once
#include <stdint.h>
#include "base/usec.h"

struct wheel;

#define WHEEL_NODE_SIZE 24 /* bytes that it keeps for each index, at most */

/**
 * wheel_new() - an empty wheel
 * @out:   the wheel; free with wheel_free()
 * @count: indices are 0 to @count - 1
 * @now:   the clock
 * Return: 0 or -ENOMEM.
 */
int wheel_new(struct wheel **out, uint32_t count, usec_t now);
struct wheel *wheel_free(struct wheel *w);

/** wheel_set() - let @index expire at @deadline (never before it), instead of when it was set to expire; USEC_NEVER clears it */
void wheel_set(struct wheel *w, uint32_t index, usec_t deadline);

/** wheel_clear() - @index expires no more */
void wheel_clear(struct wheel *w, uint32_t index);

/**
 * wheel_pop() - take an index whose deadline has passed
 * @w:   the wheel
 * @now: the clock
 * Return: the index, which is no longer set, or UINT32_MAX if none is due. Call until then.
 */
uint32_t wheel_pop(struct wheel *w, usec_t now);

/**
 * wheel_next() - a time by which wheel_pop() should be called again
 * Return: never later than the first deadline + 8 ms; earlier only where deadlines were pushed back or cleared, and then at most once a
 * level of the wheel; USEC_NEVER if nothing is set.
 */
usec_t wheel_next(const struct wheel *w);
