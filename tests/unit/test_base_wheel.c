// SPDX-License-Identifier: MIT
#include "unit.h"

#include "base/wheel.h"

#define TICK  (8 * USEC_MS)
#define COUNT 200

DEFINE_CLEANUP(wheel)

/* The naive model: a deadline for each index. */
struct model { usec_t deadline[COUNT]; };

/* When may and must an index expire? At the first tick that is not before its deadline. */
static usec_t expiry(usec_t deadline)
{
	return (deadline + TICK - 1) / TICK * TICK;
}

static usec_t first_deadline(const struct model *m)
{
	usec_t first = USEC_NEVER;

	for (size_t i = 0; i < COUNT; i++)
		first = MIN(first, m->deadline[i]);
	return first;
}

/* Deadlines of every magnitude, from the past to years ahead. */
static usec_t random_span(struct rng *r)
{
	return (usec_t)(rng_next(r) >> (14 + rng_below(r, 50)));
}

static void check_next(const struct wheel *w, const struct model *m)
{
	usec_t first = first_deadline(m), next = wheel_next(w);

	if (first == USEC_NEVER)
		assert_true(next == USEC_NEVER);
	else
		assert_true(next <= expiry(first) && next < first + TICK);
}

static void pop_all(struct wheel *w, struct model *m, usec_t now)
{
	uint32_t i;

	while ((i = wheel_pop(w, now)) != UINT32_MAX) {
		assert_true(i < COUNT);
		assert_true(m->deadline[i] <= now);
		m->deadline[i] = USEC_NEVER;
	}
	for (i = 0; i < COUNT; i++)
		assert_true(m->deadline[i] == USEC_NEVER || expiry(m->deadline[i]) > now);
}

static void change(struct rng *r, struct wheel *w, struct model *m, usec_t now)
{
	uint32_t i = (uint32_t)rng_below(r, COUNT);

	switch (rng_below(r, 8)) {
	case 0:
		wheel_clear(w, i);
		m->deadline[i] = USEC_NEVER;
		break;
	case 1:
		m->deadline[i] = now - MIN(now, random_span(r));
		wheel_set(w, i, m->deadline[i]);
		break;
	default:
		m->deadline[i] = now + random_span(r);
		wheel_set(w, i, m->deadline[i]);
	}
}

static void play(uint64_t seed, int steps)
{
	struct rng r = { seed };
	usec_t now = random_span(&r);
	_cleanup_(wheel_freep) struct wheel *w = NULL;
	struct model m;

	assert_int_equal(wheel_new(&w, COUNT, now), 0);
	for (size_t i = 0; i < COUNT; i++)
		m.deadline[i] = USEC_NEVER;
	while (steps--) {
		for (uint64_t n = rng_below(&r, 4); n; n--)
			change(&r, w, &m, now);
		check_next(w, &m);
		if (rng_below(&r, 3) == 0) {
			now += random_span(&r);
			pop_all(w, &m, now);
			check_next(w, &m);
		} else if (rng_below(&r, 3) == 0 && wheel_next(w) != USEC_NEVER) {
			now = MAX(now, wheel_next(w));
			pop_all(w, &m, now);
			assert_true(wheel_next(w) > now);
		}
	}
}

static void agrees_with_the_naive_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++)
		play(seed, 2000);
}

/* Sleep until wheel_next() again and again, as the loop does. Return: how often that woke up. */
static int sleep_through(struct wheel *w, usec_t *now, uint32_t expected)
{
	int wakes = 0;
	uint32_t got;

	do {
		assert_true(wheel_next(w) != USEC_NEVER);
		assert_true(wheel_next(w) > *now);
		*now = wheel_next(w);
		wakes++;
	} while ((got = wheel_pop(w, *now)) == UINT32_MAX);
	assert_int_equal(got, expected);
	return wakes;
}

static void one_timer_is_one_wake(void **state)
{
	static const usec_t spans[] = { 1, TICK, USEC_S, 7200 * USEC_S, 40 * 3600 * USEC_S, 5 * 365 * 86400 * USEC_S };
	_cleanup_(wheel_freep) struct wheel *w = NULL;
	usec_t now = 123456789;

	(void)state;
	assert_int_equal(wheel_new(&w, 4, now), 0);
	assert_true(wheel_next(w) == USEC_NEVER);
	for (size_t i = 0; i < ARRAY_SIZE(spans); i++) {
		usec_t deadline = now + spans[i];

		wheel_set(w, 2, deadline);
		assert_int_equal(sleep_through(w, &now, 2), 1);
		assert_true(now >= deadline && now < deadline + TICK);
		assert_int_equal(wheel_pop(w, now), UINT32_MAX);
		assert_true(wheel_next(w) == USEC_NEVER);
	}
}

/* A timer that was pushed back may wake its owner in vain, but at most once a level. */
static void pushed_back_timer_wakes_seldom(void **state)
{
	_cleanup_(wheel_freep) struct wheel *w = NULL;
	usec_t now = 0, pushed;

	(void)state;
	assert_int_equal(wheel_new(&w, 1, now), 0);
	for (pushed = 0; pushed < 3600 * USEC_S; pushed += USEC_S)
		wheel_set(w, 0, pushed + 7200 * USEC_S);
	assert_true(sleep_through(w, &now, 0) <= 4);
	assert_true(now >= pushed - USEC_S + 7200 * USEC_S);
}

/* Tick by tick, this would take longer than anybody waits. */
static void long_jumps_are_cheap(void **state)
{
	const usec_t year = 365 * 86400 * USEC_S;
	_cleanup_(wheel_freep) struct wheel *w = NULL;

	(void)state;
	assert_int_equal(wheel_new(&w, 2, 0), 0);
	for (int i = 0; i < 100000; i++) {
		usec_t now = i * year;

		wheel_set(w, 0, now + year);
		wheel_set(w, 1, now + year + USEC_S);
		assert_int_equal(wheel_pop(w, now), UINT32_MAX);
		assert_int_equal(wheel_pop(w, now + year), 0);
		assert_int_equal(wheel_pop(w, now + year), UINT32_MAX);
	}
}

static void edges(void **state)
{
	_cleanup_(wheel_freep) struct wheel *w = NULL;

	(void)state;
	assert_int_equal(wheel_new(&w, 1, 1000), 0);
	wheel_clear(w, 0);
	assert_int_equal(wheel_pop(w, 1000), UINT32_MAX);
	wheel_set(w, 0, -5);
	assert_int_equal(wheel_pop(w, 1000), 0);
	wheel_set(w, 0, USEC_NEVER - 1);
	assert_int_equal(wheel_pop(w, 1000000 * USEC_S), UINT32_MAX);
	wheel_set(w, 0, USEC_NEVER);
	assert_true(wheel_next(w) == USEC_NEVER);
	assert_int_equal(wheel_pop(w, USEC_NEVER), UINT32_MAX);
	wheel_set(w, 0, 1); /* long past */
	wheel_set(w, 0, 2);
	assert_int_equal(wheel_pop(w, USEC_NEVER), 0);
	assert_int_equal(wheel_pop(w, USEC_NEVER), UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_naive_model),
		cmocka_unit_test(one_timer_is_one_wake),
		cmocka_unit_test(pushed_back_timer_wakes_seldom),
		cmocka_unit_test(long_jumps_are_cheap),
		cmocka_unit_test(edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
