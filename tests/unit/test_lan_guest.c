// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>

#include "lan/guest.h"

#define A4(last) ((addr_t){{ [10] = 0xff, [11] = 0xff, 10, 0, 2, last }})
#define A6(last) ((addr_t){{ 0xfd, 0x11, 0x22, [15] = last }})
#define LL6(last) ((addr_t){{ 0xfe, 0x80, [15] = last }})
#define MAC(n) ((struct mac){{ 0x52, 0x54, 0, 0, (uint8_t)((n) >> 8), (uint8_t)(n) }})
#define NOW (3600 * USEC_S)

static int set_up(void **state)
{
	return guests_new((struct guests **)state);
}

static int tear_down(void **state)
{
	guests_free(*state);
	return 0;
}

static void by_mac(void **state)
{
	struct guests *g = *state;
	struct guest *a = guests_add(g, MAC(1), NOW);

	assert_null(guests_find(g, MAC(2)));
	assert_ptr_equal(guests_find(g, MAC(1)), a);
	assert_ptr_equal(guests_add(g, MAC(1), NOW + 1), a);
	assert_null(guests_add(g, MAC_BROADCAST, NOW));
	assert_null(guests_add(g, (struct mac){{ 1, 0, 0x5e, 0, 0, 1 }}, NOW));
	assert_null(guests_add(g, (struct mac){ 0 }, NOW));
	guests_remove(g, a);
	assert_null(guests_find(g, MAC(1)));
	assert_null(guests_next(g, NULL));
}

static void names(void **state)
{
	struct guests *g = *state;
	struct guest *a = guests_add(g, MAC(1), NOW), *b = guests_add(g, MAC(2), NOW);

	assert_null(guests_by_name(g, "web"));
	assert_int_equal(guests_set_name(g, a, "Web", NAME_FROM_DHCP), 0);
	assert_string_equal(a->name, "web");
	assert_ptr_equal(guests_by_name(g, "WEB"), a);
	assert_int_equal(guests_set_name(g, b, "web", NAME_FROM_DHCP), -EEXIST);
	assert_string_equal(b->name, "");
	/* Who registers a name takes it from one that only told it. */
	assert_int_equal(guests_set_name(g, b, "web", NAME_REGISTERED), 0);
	assert_ptr_equal(guests_by_name(g, "web"), b);
	assert_string_equal(a->name, "");
	assert_int_equal(guests_set_name(g, a, "web", NAME_REGISTERED), -EEXIST);
	assert_int_equal(guests_set_name(g, b, "other", NAME_FROM_DHCP), 0);
	assert_string_equal(b->name, "web");
	assert_int_equal(guests_set_name(g, b, "db", NAME_REGISTERED), 0);
	assert_null(guests_by_name(g, "web"));
	assert_ptr_equal(guests_by_name(g, "db"), b);
	assert_int_equal(guests_set_name(g, b, "", NAME_NONE), 0);
	assert_null(guests_by_name(g, "db"));
	assert_int_equal(b->name_origin, NAME_NONE);
	assert_int_equal(guests_set_name(g, a, "db", NAME_FROM_DHCP), 0);
	guests_remove(g, a);
	assert_null(guests_by_name(g, "db"));
}

static void bad_names(void **state)
{
	static const char *const bad[] = { "", "-a", "a-", "a.b", "a_b", "a b", "\xc3\xa4", "gateway", "HOST", "dns", "localhost",
		"0123456789012345678901234567890123456789012345678901234567890123" };
	struct guests *g = *state;
	struct guest *a = guests_add(g, MAC(1), NOW);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(guests_set_name(g, a, bad[i], NAME_REGISTERED), -EINVAL);
		assert_null(guests_by_name(g, bad[i]));
	}
	assert_int_equal(guests_set_name(g, a, "012345678901234567890123456789012345678901234567890123456789012", NAME_REGISTERED), 0);
}

static void learning(void **state)
{
	struct guests *g = *state;
	struct guest *a = guests_add(g, MAC(1), NOW), *b = guests_add(g, MAC(2), NOW);
	addr_t got;

	assert_false(guest_address(a, 4, &got));
	assert_true(guests_learn(g, a, A4(20), NOW));
	assert_ptr_equal(guests_by_addr(g, A4(20)), a);
	assert_true(guest_address(a, 4, &got));
	assert_true(addr_equal(got, A4(20)));
	assert_false(guest_address(a, 6, &got));
	/* Of two that only use it, the later has it. */
	assert_true(guests_learn(g, b, A4(20), NOW + 1));
	assert_ptr_equal(guests_by_addr(g, A4(20)), b);
	assert_true(guests_learn(g, a, A4(20), NOW + 2));
	assert_ptr_equal(guests_by_addr(g, A4(20)), a);
	/* What nobody can have alone. */
	assert_false(guests_learn(g, a, ADDR_ANY, NOW));
	assert_false(guests_learn(g, a, addr_of4(ip4(0)), NOW));
	assert_false(guests_learn(g, a, addr_of4(ip4(0xe0000001)), NOW));
	assert_false(guests_learn(g, a, (addr_t){{ 0xff, 2, [15] = 1 }}, NOW));
	assert_null(guests_by_addr(g, ADDR_ANY));
	guests_remove(g, a);
	assert_ptr_equal(guests_by_addr(g, A4(20)), b);
	guests_remove(g, b);
	assert_null(guests_by_addr(g, A4(20)));
}

static void learned_addresses_are_bounded(void **state)
{
	struct guests *g = *state;
	struct guest *a = guests_add(g, MAC(1), NOW);
	addr_t got;

	for (unsigned int i = 0; i < GUEST_ADDRS; i++)
		assert_true(guests_learn(g, a, A6((uint8_t)(1 + i)), NOW + i));
	assert_true(guests_learn(g, a, A6(1), NOW + 50)); /* seen again: no longer the oldest */
	assert_true(guests_learn(g, a, A6(99), NOW + 51));
	assert_ptr_equal(guests_by_addr(g, A6(1)), a);
	assert_null(guests_by_addr(g, A6(2)));
	assert_ptr_equal(guests_by_addr(g, A6(99)), a);
	/* A link-local one is the last resort, however fresh. */
	assert_true(guests_learn(g, a, LL6(1), NOW + 60));
	assert_true(guest_address(a, 6, &got));
	assert_true(addr_equal(got, A6(99)));
}

static void leases(void **state)
{
	struct guests *g = *state;
	struct guest *a = guests_add(g, MAC(1), NOW), *b = guests_add(g, MAC(2), NOW);
	addr_t got;

	guests_learn(g, b, A4(15), NOW);
	guests_learn(g, b, A4(16), NOW);
	guests_set_lease(g, a, &a->lease4, A4(15), LEASE_BOUND, 1000);
	guests_set_lease(g, a, &a->lease6, A6(15), LEASE_BOUND, 1000);
	assert_ptr_equal(guests_by_addr(g, A4(15)), a);
	assert_ptr_equal(guests_by_addr(g, A6(15)), a);
	/* The other is told, whatever it says; it keeps what else it has. */
	assert_false(guests_learn(g, b, A4(15), NOW + 1));
	assert_ptr_equal(guests_by_addr(g, A4(15)), a);
	assert_ptr_equal(guests_by_addr(g, A4(16)), b);
	assert_true(guests_learn(g, a, A4(15), NOW));
	/* A lease comes before what was seen. */
	guests_learn(g, a, A4(30), NOW + 100);
	assert_true(guest_address(a, 4, &got));
	assert_true(addr_equal(got, A4(15)));
	/* Expired, it is still its own as long as nobody takes it. */
	guests_expire(g, 999);
	assert_int_equal(a->lease4.state, LEASE_BOUND);
	guests_expire(g, 1000);
	assert_int_equal(a->lease4.state, LEASE_EXPIRED);
	assert_int_equal(a->lease6.state, LEASE_EXPIRED);
	assert_null(guests_by_addr(g, A4(15)));
	assert_int_equal(guests_addr_use(g, A4(15), a, NOW), ADDR_FREE);
	assert_int_equal(guests_addr_use(g, A4(15), b, NOW), ADDR_EXPIRED);
	guests_set_lease(g, b, &b->lease4, A4(15), LEASE_OFFERED, 2000);
	assert_int_equal(a->lease4.state, LEASE_FREE);
	assert_true(addr_is_any(a->lease4.addr));
	assert_int_equal(guests_addr_use(g, A4(15), a, NOW), ADDR_TAKEN);
	assert_int_equal(a->lease6.state, LEASE_EXPIRED);
	/* The earliest end of several is kept in sight. */
	guests_set_lease(g, a, &a->lease4, A4(40), LEASE_BOUND, 3000);
	guests_expire(g, 2500);
	assert_int_equal(b->lease4.state, LEASE_EXPIRED);
	assert_int_equal(a->lease4.state, LEASE_BOUND);
	guests_expire(g, 3500);
	assert_int_equal(a->lease4.state, LEASE_EXPIRED);
}

static void promised_addresses(void **state)
{
	struct guests *g = *state;
	struct guest *a = guests_add(g, MAC(1), NOW), *b = guests_add(g, MAC(2), NOW);

	guests_learn(g, b, A4(50), NOW);
	assert_int_equal(guests_set_fixed4(g, a, A4(50)), 0);
	assert_int_equal(guests_set_fixed4(g, a, A4(50)), 0);
	assert_int_equal(guests_set_fixed4(g, b, A4(50)), -EEXIST);
	assert_ptr_equal(guests_by_addr(g, A4(50)), a);
	assert_false(guests_learn(g, b, A4(50), NOW));
	assert_int_equal(guests_addr_use(g, A4(50), b, NOW), ADDR_TAKEN);
	assert_int_equal(guests_addr_use(g, A4(50), a, NOW), ADDR_FREE);
	assert_int_equal(guests_set_fixed4(g, a, ADDR_ANY), 0);
	assert_null(guests_by_addr(g, A4(50)));
	assert_int_equal(guests_set_fixed4(g, b, A4(50)), 0);
}

static void uses(void **state)
{
	struct guests *g = *state;
	struct guest *a = guests_add(g, MAC(1), NOW), *b = guests_add(g, MAC(2), NOW);

	guests_learn(g, a, A4(60), NOW);
	assert_int_equal(guests_addr_use(g, A4(60), b, NOW), ADDR_TAKEN);
	assert_int_equal(guests_addr_use(g, A4(60), b, NOW + GUEST_REST), ADDR_FREE);
	guests_rest(g, A4(61), NOW);
	assert_int_equal(guests_addr_use(g, A4(61), a, NOW + GUEST_REST - 1), ADDR_TAKEN);
	assert_int_equal(guests_addr_use(g, A4(61), a, NOW + GUEST_REST), ADDR_FREE);
	/* One that declines everything frees what it declined first. */
	for (unsigned int i = 0; i < GUEST_RESTING; i++)
		guests_rest(g, A4((uint8_t)(100 + i)), NOW);
	assert_int_equal(guests_addr_use(g, A4(61), a, NOW), ADDR_FREE);
	assert_int_equal(guests_addr_use(g, A4(100), a, NOW), ADDR_TAKEN);
}

static void full_table(void **state)
{
	struct guests *g = *state;
	unsigned int count = 0;

	for (unsigned int i = 0; i < GUEST_MAX; i++)
		assert_non_null(guests_add(g, MAC(i), NOW + i));
	guests_find(g, MAC(0))->registered = true;
	guests_find(g, MAC(1))->port_id = 7;
	guests_set_lease(g, guests_find(g, MAC(2)), &guests_find(g, MAC(2))->lease4, A4(15), LEASE_BOUND, 1000);
	guests_set_fixed4(g, guests_find(g, MAC(3)), A4(16));
	guests_find(g, MAC(4))->seen = NOW + 1000000;
	guests_set_name(g, guests_find(g, MAC(5)), "five", NAME_FROM_DHCP);
	/* The longest unseen that need not stay goes, with its name. */
	assert_non_null(guests_add(g, MAC(2000), NOW + 2000));
	assert_null(guests_find(g, MAC(5)));
	assert_null(guests_by_name(g, "five"));
	for (unsigned int i = 0; i < 5; i++)
		assert_non_null(guests_find(g, MAC(i)));
	for (struct guest *i = guests_next(g, NULL); i; i = guests_next(g, i))
		i->registered = true, count++;
	assert_int_equal(count, GUEST_MAX);
	assert_null(guests_add(g, MAC(3000), NOW));
}

/* The same operations on the table and on a plain list that is looked through: both must say the same. */
struct shadow { bool used; addr_t learned[GUEST_ADDRS]; usec_t seen[GUEST_ADDRS]; unsigned int count; };

static void shadow_learn(struct shadow *s, addr_t a, usec_t now)
{
	unsigned int at = s->count, oldest = 0;

	for (unsigned int i = 0; i < s->count; i++) {
		if (addr_equal(s->learned[i], a))
			at = i;
		if (s->seen[i] < s->seen[oldest])
			oldest = i;
	}
	if (at == GUEST_ADDRS)
		at = oldest;
	else if (at == s->count)
		s->count++;
	s->learned[at] = a;
	s->seen[at] = now;
}

static int shadow_find(const struct shadow *s, size_t count, addr_t a)
{
	usec_t best = -1;
	int found = -1;

	for (size_t i = 0; i < count; i++)
		for (unsigned int j = 0; s[i].used && j < s[i].count; j++)
			if (addr_equal(s[i].learned[j], a) && s[i].seen[j] > best)
				best = s[i].seen[j], found = (int)i;
	return found;
}

static void against_a_plain_list(void **state)
{
	static struct shadow shadow[40];
	struct guests *g = *state;
	struct rng r = { 42 };

	memset(shadow, 0, sizeof(shadow));
	for (unsigned int step = 0; step < 20000; step++) {
		unsigned int n = (unsigned int)rng_below(&r, ARRAY_SIZE(shadow));
		addr_t a = A6((uint8_t)(1 + rng_below(&r, 60)));
		struct guest *guest = guests_find(g, MAC(n));
		int expected;

		assert_int_equal(guest != NULL, shadow[n].used);
		if (guest && !rng_below(&r, 20)) {
			guests_remove(g, guest);
			shadow[n] = (struct shadow){ 0 };
		} else {
			shadow[n].used = true;
			assert_true(guests_learn(g, guests_add(g, MAC(n), NOW), a, NOW + step));
			shadow_learn(&shadow[n], a, NOW + step);
		}
		a = A6((uint8_t)(1 + rng_below(&r, 60)));
		expected = shadow_find(shadow, ARRAY_SIZE(shadow), a);
		assert_ptr_equal(guests_by_addr(g, a), expected < 0 ? NULL : guests_find(g, MAC(expected)));
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(by_mac), T(names), T(bad_names), T(learning), T(learned_addresses_are_bounded), T(leases), T(promised_addresses), T(uses),
		T(full_table), T(against_a_plain_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
