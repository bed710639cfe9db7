// SPDX-License-Identifier: MIT
#include "unit.h"
#include "io/spin.h"

#define NOW 1000000

/* As many waits of that length as make them the rule; every spin that is tried finds something, or does not. Return: how many were tried. */
static unsigned int live(struct spin *s, unsigned int waits, usec_t each, bool found)
{
	unsigned int tried = 0;

	for (unsigned int i = 0; i < waits; i++) {
		if (spin_budget(s, true, NOW)) {
			tried++;
			spin_ended(s, found);
		}
		spin_waited(s, each);
	}
	return tried;
}

static struct spin automatic(void)
{
	struct spin s;

	spin_init(&s, SPIN_AUTO);
	s.pinned = false; /* also where the test has one processor only */
	return s;
}

static void idle_never_spins(void **state)
{
	struct spin s = automatic();

	(void)state;
	assert_int_equal(live(&s, 1000, 100000, true), 0);
}

static void spins_while_it_pays(void **state)
{
	struct spin s = automatic();

	(void)state;
	live(&s, 1000, 5, true);
	assert_int_equal(live(&s, 100, 5, true), 100);
	/* It ends by itself, first because nothing is found, then because nothing comes. */
	live(&s, 50, 50, false);
	assert_in_range(live(&s, 160, 50, false), 5, 15);
	live(&s, 100, 10000, false);
	assert_int_equal(live(&s, 100, 10000, false), 0);
}

static void no_core_to_spare(void **state)
{
	struct spin s = automatic();

	(void)state;
	live(&s, 1000, 5, true);
	assert_true(spin_budget(&s, true, NOW));
	spin_looked(&s, 10, false, NOW);
	assert_true(spin_budget(&s, true, NOW));
	spin_looked(&s, 4000, false, NOW);
	assert_false(spin_budget(&s, true, NOW) || spin_budget(&s, true, NOW + 9999));
	assert_true(spin_budget(&s, true, NOW + 10000));
	/* The second time it stays away for longer. */
	spin_looked(&s, 4000, false, NOW);
	assert_false(spin_budget(&s, true, NOW + 19999));
	assert_true(spin_budget(&s, true, NOW + 20000));
}

static void an_offered_processor_may_be_taken(void **state)
{
	struct spin s = automatic();

	(void)state;
	live(&s, 1000, 5, true);
	spin_looked(&s, 500, true, NOW);
	assert_true(spin_budget(&s, true, NOW));
	spin_looked(&s, 2000, true, NOW);
	assert_false(spin_budget(&s, true, NOW));
}

/* After a long time without a jump, the pause is as short as at first. */
static void pauses_grow_short_again(void **state)
{
	struct spin s = automatic();
	usec_t later = NOW + 100 * USEC_S;

	(void)state;
	live(&s, 1000, 5, true);
	for (int i = 0; i < 10; i++)
		spin_looked(&s, 4000, false, NOW);
	assert_false(spin_budget(&s, true, NOW + 500 * USEC_MS));
	spin_looked(&s, 4000, false, later);
	assert_false(spin_budget(&s, true, later + 9999));
	assert_true(spin_budget(&s, true, later + 10000));
}

/* Requests and answers of that size, with that wait between them. Return: for how long it would spin in the end. */
static usec_t talk(struct spin *s, bool rings, size_t bytes, usec_t each)
{
	usec_t budget = 0;

	for (int i = 0; i < 1000; i++) {
		spin_moved(s, bytes);
		budget = spin_budget(s, rings, NOW);
		if (budget)
			spin_ended(s, true);
		spin_waited(s, each);
	}
	return budget;
}

static void descriptors_are_looked_at_for_answers_alone(void **state)
{
	struct spin s = automatic();
	usec_t rings;

	(void)state;
	assert_true(talk(&s, false, 100, 40) > 40);
	/* Much is moved, or the answer takes long: no. It comes back by itself. */
	assert_int_equal(talk(&s, false, 40000, 10), 0);
	assert_true(talk(&s, false, 100, 40) > 40);
	assert_int_equal(talk(&s, false, 100, 100), 0);
	assert_true(talk(&s, true, 100, 40) > 40);
	/* Rings are looked at for a wake-up's cost all the same, but not on the only processor. */
	rings = talk(&s, true, 40000, 10);
	assert_in_range(rings, 1, 40);
	s.pinned = true;
	assert_int_equal(talk(&s, true, 40000, 10), 0);
	assert_true(talk(&s, true, 100, 40) > 40);
}

static void as_told(void **state)
{
	struct spin off, always;

	(void)state;
	spin_init(&off, SPIN_OFF);
	spin_init(&always, 300);
	assert_int_equal(live(&off, 100, 1, true), 0);
	assert_int_equal(spin_budget(&always, true, NOW), 300);
	live(&always, 100, 100000, false);
	assert_int_equal(spin_budget(&always, true, NOW), 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_never_spins),
		cmocka_unit_test(spins_while_it_pays),
		cmocka_unit_test(no_core_to_spare),
		cmocka_unit_test(an_offered_processor_may_be_taken),
		cmocka_unit_test(pauses_grow_short_again),
		cmocka_unit_test(descriptors_are_looked_at_for_answers_alone),
		cmocka_unit_test(as_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
