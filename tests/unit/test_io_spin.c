// SPDX-License-Identifier: MIT
#include "unit.h"
#include "io/spin.h"

#define NOW 1000000

/* As many waits of that length as make them the rule; every spin that is tried finds something, or does not. Return: how many were tried. */
static unsigned int live(struct spin *s, unsigned int waits, usec_t each, bool found)
{
	unsigned int tried = 0;

	for (unsigned int i = 0; i < waits; i++) {
		if (spin_budget(s, NOW)) {
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
	s.limit = SPIN_AUTO; /* also where the test has one processor only */
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
	assert_true(spin_budget(&s, NOW));
	spin_looked(&s, 10, NOW);
	assert_true(spin_budget(&s, NOW));
	spin_looked(&s, 4000, NOW);
	assert_false(spin_budget(&s, NOW) || spin_budget(&s, NOW + 9999));
	assert_true(spin_budget(&s, NOW + 10000));
	/* The second time it stays away for longer. */
	spin_looked(&s, 4000, NOW);
	assert_false(spin_budget(&s, NOW + 19999));
	assert_true(spin_budget(&s, NOW + 20000));
}

static void as_told(void **state)
{
	struct spin off, always;

	(void)state;
	spin_init(&off, SPIN_OFF);
	spin_init(&always, 300);
	assert_int_equal(live(&off, 100, 1, true), 0);
	assert_int_equal(spin_budget(&always, NOW), 300);
	live(&always, 100, 100000, false);
	assert_int_equal(spin_budget(&always, NOW), 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_never_spins),
		cmocka_unit_test(spins_while_it_pays),
		cmocka_unit_test(no_core_to_spare),
		cmocka_unit_test(as_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
