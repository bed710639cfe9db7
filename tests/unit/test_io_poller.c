// SPDX-License-Identifier: MIT
/* Pollers of the event loop: what they do as they look or go to rest is not slept over. */
#include "unit.h"

#include "io/loop.h"

struct lookout {
	struct poller poller;
	struct timer timer;
	struct deferred deferred;
	bool wants_timer, wants_deferred;
	int timers, calls;
};

static bool lookout_look(struct poller *p)
{
	struct lookout *o = container_of(p, struct lookout, poller);

	if (o->wants_deferred)
		deferred_add(&o->deferred);
	o->wants_deferred = false;
	return false;
}

static bool lookout_rest(struct poller *p)
{
	struct lookout *o = container_of(p, struct lookout, poller);

	if (o->wants_timer)
		timer_set(&o->timer, loop_now(p->loop) + USEC_MS);
	o->wants_timer = false;
	return false;
}

static void lookout_due(struct timer *t) { container_of(t, struct lookout, timer)->timers++; }
static void lookout_called(struct deferred *d) { container_of(d, struct lookout, deferred)->calls++; }

/* One turn that may take ten seconds. Return: how long it took. */
static usec_t turn(struct lookout *o)
{
	struct loop *l;
	usec_t start = usec_now();

	assert_int_equal(loop_new(&l), 0);
	poller_init(&o->poller, l, lookout_look, lookout_rest);
	timer_init(&o->timer, l, lookout_due);
	deferred_init(&o->deferred, l, lookout_called);
	poller_set(&o->poller);
	assert_int_equal(loop_turn(l, 10 * USEC_S), 0);
	poller_remove(&o->poller);
	loop_free(l);
	return usec_now() - start;
}

static void timer_set_at_rest_ends_the_sleep(void **state)
{
	struct lookout o = { .wants_timer = true };

	(void)state;
	assert_true(turn(&o) < 5 * USEC_S);
	assert_int_equal(o.timers, 1);
}

static void work_left_by_a_look_is_not_slept_over(void **state)
{
	struct lookout o = { .wants_deferred = true };

	(void)state;
	assert_true(turn(&o) < 5 * USEC_S);
	assert_int_equal(o.calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timer_set_at_rest_ends_the_sleep),
		cmocka_unit_test(work_left_by_a_look_is_not_slept_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
