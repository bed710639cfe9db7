// SPDX-License-Identifier: MIT
/* What every unit test needs: cmocka with its includes, and pseudo-random numbers that are the same in every run. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"

struct rng { uint64_t state; }; /* any seed but 0 */

/** rng_next() - xorshift64* (Marsaglia 2003, Vigna 2014) */
static inline uint64_t rng_next(struct rng *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * UINT64_C(2685821657736338717);
}

/** rng_below() - 0 to @limit - 1 */
static inline uint64_t rng_below(struct rng *r, uint64_t limit)
{
	return rng_next(r) % limit;
}

/** rng_fill() - @size pseudo-random bytes */
static inline void rng_fill(struct rng *r, void *into, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)into)[i] = (uint8_t)(rng_next(r) >> 32);
}
