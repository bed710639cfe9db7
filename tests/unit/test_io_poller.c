// SPDX-License-Identifier: MIT
/* Looking before sleeping: what pollers do as they look or go to rest is not slept over, and descriptors are looked at too. */
#include "unit.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

static long sleeps(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_nvcsw;
}

static void event_came(struct watch *w, uint32_t events)
{
	eventfd_t value;

	(void)events;
	assert_int_equal(eventfd_read(w->fd, &value), 0);
}

/* One turn in which another process writes to a watched descriptor after 20 ms. Return: how often we slept. */
static long turn_with_event(usec_t spin)
{
	struct loop *l;
	struct watch watch;
	int fd = eventfd(0, EFD_NONBLOCK), status;
	long before;
	pid_t child;

	assert_int_equal(loop_new(&l), 0);
	loop_spin(l, spin);
	assert_int_equal(watch_add(&watch, l, fd, EPOLLIN, event_came), 0);
	child = fork();
	if (!child) {
		usleep(20000);
		_exit(eventfd_write(fd, 1) ? 1 : 0);
	}
	before = sleeps();
	assert_int_equal(loop_turn(l, 10 * USEC_S), 0);
	before = sleeps() - before;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_not_equal(eventfd_read(fd, &(eventfd_t){ 0 }), 0);
	watch_remove(&watch);
	close(fd);
	loop_free(l);
	return before;
}

static void descriptors_are_found_awake(void **state)
{
	(void)state;
	assert_int_equal(turn_with_event(5 * USEC_S), 0);
	assert_true(turn_with_event(SPIN_OFF) > 0);
	assert_true(turn_with_event(SPIN_AUTO) > 0); /* there was no traffic */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timer_set_at_rest_ends_the_sleep),
		cmocka_unit_test(work_left_by_a_look_is_not_slept_over),
		cmocka_unit_test(descriptors_are_found_awake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
