// SPDX-License-Identifier: MIT
/* The event loop: order, removal inside callbacks, and that an idle one sleeps. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "io/loop.h"

/* A pipe with something to read in it, and its watch. */
struct source {
	int pipe[2];
	struct watch watch;
	struct source *victim;  /* freed by this one's callback */
	int calls;
	uint32_t events;
	struct source **survivor;
};

static void source_free(struct source *s)
{
	watch_remove(&s->watch);
	close(s->pipe[0]);
	close(s->pipe[1]);
	free(s);
}

static void source_ready(struct watch *w, uint32_t events)
{
	struct source *s = container_of(w, struct source, watch);

	s->calls++;
	s->events = events;
	if (s->victim) {
		source_free(steal(&s->victim));
		*s->survivor = s;
	}
}

static struct source *source_new(struct loop *l, bool full)
{
	struct source *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	assert_int_equal(pipe2(s->pipe, O_CLOEXEC | O_NONBLOCK), 0);
	if (full)
		assert_int_equal(write(s->pipe[1], "x", 1), 1);
	assert_int_equal(watch_add(&s->watch, l, s->pipe[0], EPOLLIN, source_ready), 0);
	return s;
}

static int setup(void **state)
{
	struct loop *l;

	if (loop_new(&l) < 0)
		return -1;
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	loop_free(*state);
	return 0;
}

static void watch_is_called_while_ready(void **state)
{
	struct source *s = source_new(*state, true), *silent = source_new(*state, false);
	char byte;

	loop_turn(*state, 0);
	loop_turn(*state, 0);
	assert_int_equal(s->calls, 2);
	assert_true(s->events & EPOLLIN);
	assert_int_equal(read(s->pipe[0], &byte, 1), 1);
	loop_turn(*state, 0);
	assert_int_equal(s->calls, 2);
	assert_int_equal(silent->calls, 0);
	source_free(s);
	source_free(silent);
}

/* Both are ready in one batch, and whichever comes first frees the other: the other's event must not be delivered (ASan would see it). */
static void watch_freed_by_another_is_not_called(void **state)
{
	struct source *a = source_new(*state, true), *b = source_new(*state, true), *left = NULL;

	a->victim = b, b->victim = a;
	a->survivor = b->survivor = &left;
	loop_turn(*state, 0);
	assert_non_null(left);
	assert_int_equal(left->calls, 1);
	loop_turn(*state, 0);
	assert_int_equal(left->calls, 2);
	source_free(left);
}

struct suicide {
	struct watch watch;
	struct deferred deferred;
	int pipe[2];
	int calls;
	struct suicide *other;
};

static void free_both(struct deferred *d);

static void suicide_ready(struct watch *w, _unused_ uint32_t events)
{
	struct suicide *s = container_of(w, struct suicide, watch);

	s->calls++;
	watch_remove(&s->watch);
	deferred_add(&s->deferred);
}

static void free_both(struct deferred *d)
{
	struct suicide *s = container_of(d, struct suicide, deferred);

	assert_int_equal(s->calls, 1);
	deferred_remove(&s->other->deferred);
	watch_remove(&s->other->watch);
	close(s->other->pipe[0]), close(s->other->pipe[1]);
	close(s->pipe[0]), close(s->pipe[1]);
	free(s->other);
	free(s);
}

/* The idiom of a port that closes: remove the watch, free at the turn's end; here the first deferred call frees the second's owner, too. */
static void deferred_removed_by_another_is_not_called(void **state)
{
	struct suicide *s[2];

	for (int i = 0; i < 2; i++) {
		s[i] = calloc(1, sizeof(*s[i]));
		assert_int_equal(pipe2(s[i]->pipe, O_CLOEXEC), 0);
		assert_int_equal(write(s[i]->pipe[1], "x", 1), 1);
		deferred_init(&s[i]->deferred, *state, free_both);
		assert_int_equal(watch_add(&s[i]->watch, *state, s[i]->pipe[0], EPOLLIN, suicide_ready), 0);
	}
	s[0]->other = s[1], s[1]->other = s[0];
	loop_turn(*state, 0);
	loop_turn(*state, 0);
}

static void reuse_ready(struct watch *w, _unused_ uint32_t events)
{
	struct source *s = container_of(w, struct source, watch), *other = s->victim;

	s->calls++;
	if (!other)
		return;
	/* The other's memory and descriptor get a new life at once, and nothing to read. */
	s->victim = NULL;
	other->victim = NULL;
	watch_remove(&other->watch);
	close(other->pipe[0]), close(other->pipe[1]);
	assert_int_equal(pipe2(other->pipe, O_CLOEXEC), 0);
	assert_int_equal(watch_add(&other->watch, w->loop, other->pipe[0], EPOLLIN, reuse_ready), 0);
}

static void reused_watch_gets_no_stale_event(void **state)
{
	struct source *a = source_new(*state, true), *b = source_new(*state, true);

	a->watch.ready = b->watch.ready = reuse_ready;
	a->victim = b, b->victim = a;
	loop_turn(*state, 0);
	assert_int_equal(a->calls + b->calls, 1);
	source_free(a);
	source_free(b);
}

static void quiet_other(struct watch *w, _unused_ uint32_t events)
{
	struct source *s = container_of(w, struct source, watch);

	s->calls++;
	if (s->victim)
		watch_set(&s->victim->watch, 0);
}

static void watch_set_holds_within_the_turn(void **state)
{
	struct source *a = source_new(*state, true), *b = source_new(*state, true);

	a->watch.ready = b->watch.ready = quiet_other;
	a->victim = b, b->victim = a;
	loop_turn(*state, 0);
	assert_int_equal(a->calls + b->calls, 1);
	source_free(a);
	source_free(b);
}

static void watch_errors(void **state)
{
	struct watch never = { .fd = -1 };
	struct source *s = source_new(*state, true);
	struct watch again;

	watch_remove(&never);
	assert_int_equal(watch_add(&again, *state, -1, EPOLLIN, source_ready), -EBADF);
	watch_remove(&again);
	assert_int_equal(watch_add(&again, *state, s->pipe[0], EPOLLIN, source_ready), -EEXIST);
	watch_remove(&again); /* must not take the first one out */
	loop_turn(*state, 0);
	assert_int_equal(s->calls, 1);
	watch_remove(&s->watch);
	watch_remove(&s->watch);
	source_free(s);
}

struct ticker {
	struct timer timer;
	int calls;
	int order;
	int *counter;
	usec_t again;            /* set again so much after the turn's clock; USEC_NEVER: not */
	struct ticker *victim;
};

static void ticker_due(struct timer *t)
{
	struct ticker *k = container_of(t, struct ticker, timer);

	assert_true(t->deadline == USEC_NEVER);
	k->calls++;
	k->order = ++*k->counter;
	if (k->again != USEC_NEVER)
		timer_set(t, loop_now(t->loop) + k->again);
	if (k->victim) {
		timer_set(&k->victim->timer, USEC_NEVER);
		free(steal(&k->victim));
	}
}

static struct ticker *ticker_new(struct loop *l, int *counter, usec_t deadline)
{
	struct ticker *k = calloc(1, sizeof(*k));

	assert_non_null(k);
	k->counter = counter;
	k->again = USEC_NEVER;
	timer_init(&k->timer, l, ticker_due);
	timer_set(&k->timer, deadline);
	return k;
}

static void timers_are_due_in_order(void **state)
{
	usec_t now = usec_now();
	int counter = 0;
	struct ticker *late = ticker_new(*state, &counter, now + 3 * USEC_MS), *first = ticker_new(*state, &counter, now + USEC_MS);
	struct ticker *second = ticker_new(*state, &counter, now + USEC_MS), *moved = ticker_new(*state, &counter, now);
	struct ticker *cleared = ticker_new(*state, &counter, now + USEC_MS);

	timer_set(&moved->timer, now + 2 * USEC_MS);
	timer_set(&cleared->timer, USEC_NEVER);
	while (!late->calls)
		loop_turn(*state, USEC_NEVER);
	assert_true(loop_now(*state) >= now + 3 * USEC_MS);
	assert_int_equal(first->order, 1);
	assert_int_equal(second->order, 2);
	assert_int_equal(moved->order, 3);
	assert_int_equal(late->order, 4);
	assert_int_equal(cleared->calls, 0);
	free(late), free(first), free(second), free(moved), free(cleared);
}

/* Due before its time never; and not much later, though "much" on a busy machine is a lot. */
static void timer_is_not_early(void **state)
{
	int counter = 0;

	for (int i = 1; i < 20; i++) {
		usec_t deadline = usec_now() + 37 * i;
		struct ticker *k = ticker_new(*state, &counter, deadline);

		while (!k->calls)
			loop_turn(*state, USEC_NEVER);
		assert_true(usec_now() >= deadline);
		assert_true(loop_now(*state) >= deadline);
		free(k);
	}
}

static void timer_freed_by_another_is_not_called(void **state)
{
	int counter = 0;
	struct ticker *killer = ticker_new(*state, &counter, 1);

	killer->victim = ticker_new(*state, &counter, 2);
	loop_turn(*state, 0);
	assert_int_equal(counter, 1);
	free(killer);
}

/* A timer that sets itself to a time past is called once a turn, not for ever within one. */
static void timer_in_the_past_does_not_hold_the_turn(void **state)
{
	int counter = 0;
	struct ticker *k = ticker_new(*state, &counter, 1);

	k->again = -USEC_S;
	loop_turn(*state, USEC_NEVER);
	assert_int_equal(k->calls, 1);
	loop_turn(*state, USEC_NEVER);
	assert_int_equal(k->calls, 2);
	timer_set(&k->timer, USEC_NEVER);
	free(k);
}

static void timers_may_outlive_the_loop(void **state)
{
	struct loop *l;
	int counter = 0;

	(void)state;
	assert_int_equal(loop_new(&l), 0);
	struct ticker *k = ticker_new(l, &counter, usec_now() + USEC_S);

	loop_free(l);
	timer_set(&k->timer, USEC_NEVER);
	free(k);
}

struct chore { struct deferred deferred; int calls, again; };

static void chore_call(struct deferred *d)
{
	struct chore *c = container_of(d, struct chore, deferred);

	c->calls++;
	if (c->again-- > 0)
		deferred_add(d);
}

static void deferred_runs_once_a_turn(void **state)
{
	struct chore c = { .again = 1 };

	deferred_init(&c.deferred, *state, chore_call);
	deferred_add(&c.deferred);
	deferred_add(&c.deferred);
	loop_turn(*state, USEC_NEVER);
	assert_int_equal(c.calls, 1);
	loop_turn(*state, USEC_NEVER); /* it added itself: this one does not sleep */
	assert_int_equal(c.calls, 2);
	loop_turn(*state, 0);
	assert_int_equal(c.calls, 2);
	deferred_add(&c.deferred);
	deferred_remove(&c.deferred);
	loop_turn(*state, 0);
	assert_int_equal(c.calls, 2);
}

struct order { struct deferred deferred; char *said; char name; struct deferred *asks; };

static void order_call(struct deferred *d)
{
	struct order *o = container_of(d, struct order, deferred);

	o->said[strlen(o->said)] = o->name;
	if (o->asks)
		deferred_add_last(o->asks);
}

/* What sums a turn up comes after the others, also if one of those asked for it. */
static void deferred_last_is_last(void **state)
{
	char said[4] = { 0 };
	struct order last = { .said = said, .name = 'l' }, first = { .said = said, .name = 'f' }, second = { .said = said, .name = 's' };

	second.asks = &last.deferred;
	deferred_init(&last.deferred, *state, order_call);
	deferred_init(&first.deferred, *state, order_call);
	deferred_init(&second.deferred, *state, order_call);
	deferred_add_last(&last.deferred);
	deferred_add(&second.deferred);
	deferred_add(&first.deferred);
	loop_turn(*state, 0);
	assert_string_equal(said, "sfl");
}

static void stop_call(struct deferred *d)
{
	loop_stop(d->loop, 42);
}

static void run_returns_what_stop_was_given(void **state)
{
	struct deferred d;

	deferred_init(&d, *state, stop_call);
	deferred_add(&d);
	assert_int_equal(loop_run(*state), 42);
	deferred_add(&d);
	assert_int_equal(loop_run(*state), 42);
}

/* With a watch that has nothing to say, a timer far away and a deferred call that is not added, one turn is one long sleep. */
static void idle_loop_sleeps(void **state)
{
	struct source *s = source_new(*state, false);
	struct rusage before, after;
	int counter = 0, turns = 0;
	struct ticker *far = ticker_new(*state, &counter, usec_now() + 3600 * USEC_S);
	usec_t start = usec_now();

	getrusage(RUSAGE_THREAD, &before);
	do {
		loop_turn(*state, 200 * USEC_MS - (usec_now() - start));
		turns++;
	} while (usec_now() - start < 200 * USEC_MS);
	getrusage(RUSAGE_THREAD, &after);
	assert_int_equal(turns, 1);
	assert_true(after.ru_nvcsw - before.ru_nvcsw <= 2);
	assert_int_equal(s->calls + counter, 0);
	timer_set(&far->timer, USEC_NEVER);
	free(far);
	source_free(s);
}

static void heard_signal(void *owner, int signal)
{
	*(int *)owner = signal;
}

static void signals_arrive_in_the_loop(void **state)
{
	int heard = 0;

	assert_int_equal(loop_on_signal(*state, heard_signal, &heard), 0);
	assert_int_equal(loop_on_signal(*state, heard_signal, &heard), -EBUSY);
	raise(SIGHUP);
	assert_int_equal(heard, 0);
	loop_turn(*state, USEC_S);
	assert_int_equal(heard, SIGHUP);
	raise(SIGTERM);
	loop_turn(*state, USEC_S);
	assert_int_equal(heard, SIGTERM);
}

static void buffer_is_lent_once(void **state)
{
	uint8_t *buffer = loop_take_buffer(*state);

	assert_non_null(buffer);
	buffer[0] = buffer[LOOP_BUFFER_SIZE - 1] = 1;
	assert_null(loop_take_buffer(*state));
	loop_give_buffer(*state);
	assert_ptr_equal(loop_take_buffer(*state), buffer);
	loop_give_buffer(*state);
}

/* More watches ready than a turn takes events: all are called in the end, none starves. */
static void many_watches_all_get_their_turn(void **state)
{
	struct source *s[200];
	int calls = 0;

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		s[i] = source_new(*state, true);
	for (int turn = 0; turn < 8; turn++)
		loop_turn(*state, 0);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		assert_true(s[i]->calls >= 1);
		calls += s[i]->calls;
		source_free(s[i]);
	}
	assert_int_equal(calls, 8 * 64);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(watch_is_called_while_ready),
		test(watch_freed_by_another_is_not_called),
		test(deferred_removed_by_another_is_not_called),
		test(reused_watch_gets_no_stale_event),
		test(watch_set_holds_within_the_turn),
		test(watch_errors),
		test(timers_are_due_in_order),
		test(timer_is_not_early),
		test(timer_freed_by_another_is_not_called),
		test(timer_in_the_past_does_not_hold_the_turn),
		test(timers_may_outlive_the_loop),
		test(deferred_runs_once_a_turn),
		test(deferred_last_is_last),
		test(run_returns_what_stop_was_given),
		test(idle_loop_sleeps),
		test(signals_arrive_in_the_loop),
		test(buffer_is_lent_once),
		test(many_watches_all_get_their_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
