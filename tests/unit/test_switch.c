// SPDX-License-Identifier: MIT
#include "fake_port.h"
#include "switch/switch.h"
#include "wire/eth.h"
#include <errno.h>

#define PORTS 4

struct world {
	struct switch_ *sw;
	struct fake_port *p[PORTS];
	usec_t now;
};

static const struct mac A = {{ 2, 0, 0, 0, 0, 0xa }}, B = {{ 2, 0, 0, 0, 0, 0xb }}, C = {{ 2, 0, 0, 0, 0, 0xc }},
	UNKNOWN = {{ 2, 0, 0, 0, 0, 0xff }};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_int_equal(switch_new(&w->sw, PORTS), 0);
	for (int i = 0; i < PORTS; i++) {
		w->p[i] = fake_new(i + 1, PORT_TAKES_ALL);
		assert_int_equal(switch_add(w->sw, &w->p[i]->port), 0);
	}
	w->now = 1000 * USEC_S;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	switch_free(w->sw);
	for (int i = 0; i < PORTS; i++)
		fake_free(&w->p[i]->port);
	free(w);
	return 0;
}

struct built { uint8_t data[PORT_BATCH][64]; struct iovec iov[PORT_BATCH]; struct frame frames[PORT_BATCH]; size_t count; };

static void build(struct built *b, struct mac from, struct mac to)
{
	struct eth eth = { .to = to, .from = from, .type = be16(0x88b5) };
	size_t i = b->count++;

	memset(b->data[i], 0, sizeof(b->data[i]));
	memcpy(b->data[i], &eth, sizeof(eth));
	b->data[i][14] = i;
	b->iov[i] = (struct iovec){ b->data[i], sizeof(b->data[i]) };
	b->frames[i] = (struct frame){ .iov = &b->iov[i], .parts = 1, .size = sizeof(b->data[i]) };
}

static void input(struct world *w, int port, const struct built *b)
{
	switch_input(w->sw, &w->p[port]->port, b->frames, b->count, w->now);
}

/* One frame; how many each port got is then in its count. */
static void send_one(struct world *w, int port, struct mac from, struct mac to)
{
	struct built b = { .count = 0 };

	for (int i = 0; i < PORTS; i++)
		fake_forget(w->p[i]);
	build(&b, from, to);
	input(w, port, &b);
}

static void assert_got(struct world *w, size_t a, size_t b, size_t c, size_t d)
{
	assert_int_equal(w->p[0]->count, a);
	assert_int_equal(w->p[1]->count, b);
	assert_int_equal(w->p[2]->count, c);
	assert_int_equal(w->p[3]->count, d);
}

static uint64_t drops(struct world *w, int port, enum drop why) { return w->p[port]->port.drops[why]; }

static void test_learns(void **state)
{
	struct world *w = *state;

	send_one(w, 0, A, B);
	assert_got(w, 0, 1, 1, 1);
	send_one(w, 1, B, A);
	assert_got(w, 1, 0, 0, 0);
	send_one(w, 0, A, B);
	assert_got(w, 0, 1, 0, 0);
	send_one(w, 0, A, MAC_BROADCAST);
	assert_got(w, 0, 1, 1, 1);
	assert_ptr_equal(switch_lookup(w->sw, B, w->now), &w->p[1]->port);
	assert_null(switch_lookup(w->sw, C, w->now));
}

static void test_ages(void **state)
{
	struct world *w = *state;

	send_one(w, 1, B, A);
	w->now += 299 * USEC_S;
	send_one(w, 0, A, B);
	assert_got(w, 0, 1, 0, 0);
	w->now += 1 * USEC_S;
	send_one(w, 0, A, B);
	assert_got(w, 0, 1, 1, 1);
	/* Who wants to reach it knows still where it was. */
	assert_ptr_equal(switch_lookup(w->sw, B, w->now), &w->p[1]->port);
	send_one(w, 1, B, A);
	w->now += 299 * USEC_S;
	send_one(w, 0, A, B);
	assert_got(w, 0, 1, 0, 0);
}

static void test_moves(void **state)
{
	struct world *w = *state;

	send_one(w, 1, B, A);
	send_one(w, 2, B, A);
	send_one(w, 0, A, B);
	assert_got(w, 0, 0, 1, 0);
}

static void test_registered_to_first(void **state)
{
	struct world *w = *state;

	assert_int_equal(switch_register(w->sw, B, NULL), 0);
	assert_null(switch_lookup(w->sw, B, w->now));
	send_one(w, 1, B, A);
	assert_got(w, 1, 0, 1, 1);
	send_one(w, 2, B, A);
	assert_got(w, 0, 0, 0, 0);
	assert_int_equal(drops(w, 2, DROP_SPOOFED_MAC), 1);
	/* It does not age. */
	w->now += 3600 * USEC_S;
	send_one(w, 2, B, A);
	assert_int_equal(drops(w, 2, DROP_SPOOFED_MAC), 2);
	send_one(w, 0, A, B);
	assert_got(w, 0, 1, 0, 0);
	/* When its port has gone, somebody else may. */
	switch_remove(w->sw, &w->p[1]->port);
	send_one(w, 2, B, A);
	assert_int_equal(drops(w, 2, DROP_SPOOFED_MAC), 2);
	assert_ptr_equal(switch_lookup(w->sw, B, w->now), &w->p[2]->port);
	/* And when nobody has it registered any more, it moves. */
	switch_unregister(w->sw, B);
	send_one(w, 3, B, A);
	assert_int_equal(drops(w, 3, DROP_SPOOFED_MAC), 0);
	assert_ptr_equal(switch_lookup(w->sw, B, w->now), &w->p[3]->port);
}

static void test_registered_and_still(void **state)
{
	struct world *w = *state;

	assert_int_equal(switch_register(w->sw, A, NULL), 0);
	assert_int_equal(switch_register(w->sw, B, NULL), 0);
	send_one(w, 0, A, B);
	send_one(w, 1, B, A);
	w->p[1]->port.still = true;
	/* Not to a neighbour. */
	send_one(w, 0, B, A);
	assert_int_equal(drops(w, 0, DROP_SPOOFED_MAC), 1);
	assert_ptr_equal(switch_lookup(w->sw, B, w->now), &w->p[1]->port);
	/* To where it has moved, and only there. */
	send_one(w, 2, B, A);
	assert_int_equal(drops(w, 2, DROP_SPOOFED_MAC), 0);
	assert_ptr_equal(switch_lookup(w->sw, B, w->now), &w->p[2]->port);
	w->p[1]->port.still = false;
	send_one(w, 1, B, A);
	assert_int_equal(drops(w, 1, DROP_SPOOFED_MAC), 1);
	/* And back again: the move failed. */
	w->p[2]->port.still = true;
	send_one(w, 1, B, A);
	assert_ptr_equal(switch_lookup(w->sw, B, w->now), &w->p[1]->port);
	/* One that was given stays. */
	assert_int_equal(switch_register(w->sw, C, &w->p[3]->port), 0);
	w->p[3]->port.still = true;
	send_one(w, 2, C, A);
	assert_int_equal(drops(w, 2, DROP_SPOOFED_MAC), 1);
}

static void test_registered_to_given(void **state)
{
	struct world *w = *state;

	assert_int_equal(switch_register(w->sw, B, &w->p[3]->port), 0);
	assert_int_equal(switch_register(w->sw, B, &w->p[3]->port), 0);
	assert_int_equal(switch_register(w->sw, B, &w->p[2]->port), -EEXIST);
	assert_int_equal(switch_register(w->sw, MAC_BROADCAST, NULL), -EINVAL);
	assert_ptr_equal(switch_lookup(w->sw, B, w->now), &w->p[3]->port);
	send_one(w, 1, B, A);
	assert_int_equal(drops(w, 1, DROP_SPOOFED_MAC), 1);
	/* A port whose MAC is known needs nothing that is for others, but what is for all. */
	send_one(w, 0, A, UNKNOWN);
	assert_got(w, 0, 1, 1, 0);
	send_one(w, 0, A, MAC_BROADCAST);
	assert_got(w, 0, 1, 1, 1);
	switch_remove(w->sw, &w->p[3]->port);
	assert_null(switch_lookup(w->sw, B, w->now));
	send_one(w, 1, B, A);
	assert_int_equal(drops(w, 1, DROP_SPOOFED_MAC), 1);
	/* A registration takes a learned MAC away. */
	assert_int_equal(switch_register(w->sw, B, &w->p[2]->port), 0);
	send_one(w, 1, B, A);
	assert_int_equal(drops(w, 1, DROP_SPOOFED_MAC), 2);
}

static void test_drops(void **state)
{
	struct world *w = *state;
	struct built b = { .count = 0 };

	send_one(w, 0, (struct mac){{ 3, 0, 0, 0, 0, 1 }}, B);
	assert_int_equal(drops(w, 0, DROP_SPOOFED_MAC), 1);
	send_one(w, 0, (struct mac){ 0 }, B);
	assert_int_equal(drops(w, 0, DROP_MALFORMED), 1);
	send_one(w, 0, A, (struct mac){{ 1, 0x80, 0xc2, 0, 0, 0xf }});
	assert_int_equal(drops(w, 0, DROP_NOT_FOR_US), 1);
	assert_got(w, 0, 0, 0, 0);
	send_one(w, 0, A, (struct mac){{ 1, 0x80, 0xc2, 0, 0, 0x10 }});
	assert_got(w, 0, 1, 1, 1);
	send_one(w, 0, B, A); /* both behind one port */
	assert_got(w, 0, 0, 0, 0);
	assert_int_equal(drops(w, 0, DROP_NOT_FOR_US), 2);
	build(&b, A, UNKNOWN);
	b.iov[0].iov_len = b.frames[0].size = 13;
	input(w, 0, &b);
	assert_int_equal(drops(w, 0, DROP_SHORT), 1);
	assert_got(w, 0, 0, 0, 0);
}

static void test_oversize(void **state)
{
	struct world *w = *state;
	struct built b = { .count = 0 };

	w->p[1]->port.mtu = 45; /* 64 bytes are 14 of header and 50 */
	w->p[2]->port.mtu = 46; /* and may be a VLAN tag and 46 */
	for (int i = 0; i < 3; i++)
		build(&b, A, MAC_BROADCAST);
	b.iov[1].iov_len = b.frames[1].size = 60;
	input(w, 0, &b);
	assert_got(w, 0, 1, 3, 3);
	assert_int_equal(drops(w, 1, DROP_OVERSIZE), 2);
}

static void test_runs(void **state)
{
	struct world *w = *state;
	struct built b = { .count = 0 };

	send_one(w, 1, B, A);
	send_one(w, 2, C, A);
	for (int i = 0; i < PORTS; i++)
		fake_forget(w->p[i]);
	for (int i = 0; i < PORT_BATCH; i++)
		build(&b, A, i < 30 ? B : i < 34 ? C : i < 60 ? B : MAC_BROADCAST);
	input(w, 0, &b);
	assert_got(w, 0, 60, 8, 4);
	assert_int_equal(w->p[1]->calls, 3);
	assert_int_equal(w->p[2]->calls, 2);
	assert_int_equal(w->p[3]->calls, 1);
	for (size_t i = 0; i < 30; i++)
		assert_int_equal(w->p[1]->frames[i].data[14], i);
	for (size_t i = 30; i < 56; i++)
		assert_int_equal(w->p[1]->frames[i].data[14], i + 4);
}

/* A frame that is dropped in the middle of a run takes none of its neighbours with it. */
static void test_runs_with_drops(void **state)
{
	struct world *w = *state;
	struct built b = { .count = 0 };

	send_one(w, 1, B, A);
	for (int i = 0; i < PORTS; i++)
		fake_forget(w->p[i]);
	for (int i = 0; i < 9; i++)
		build(&b, i % 3 == 1 ? (struct mac){ 0 } : A, B);
	input(w, 0, &b);
	assert_got(w, 0, 6, 0, 0);
	assert_int_equal(drops(w, 0, DROP_MALFORMED), 3);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(w->p[1]->frames[i].data[14], i / 2 * 3 + i % 2 * 2);
}

/* One guest that makes MACs up fills its own share and nobody else's. */
static void test_table_full(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 300; i++)
		send_one(w, 0, (struct mac){{ 2, 1, 0, 0, i >> 8, i }}, A);
	assert_int_equal(drops(w, 0, DROP_MAC_TABLE_FULL), 300 - 256);
	send_one(w, 1, B, A);
	assert_int_equal(drops(w, 1, DROP_MAC_TABLE_FULL), 0);
	/* What was not heard for long makes room. */
	w->now += 300 * USEC_S;
	send_one(w, 0, C, A);
	assert_int_equal(drops(w, 0, DROP_MAC_TABLE_FULL), 300 - 256);
	assert_ptr_equal(switch_lookup(w->sw, C, w->now), &w->p[0]->port);
}

static void remove_next(struct fake_port *f)
{
	struct world *w = f->owner;

	if (f == w->p[1])
		switch_remove(w->sw, &w->p[2]->port);
}

/* A port that leaves while frames are being delivered to another. */
static void test_removed_meanwhile(void **state)
{
	struct world *w = *state;

	w->p[1]->on_send = remove_next;
	w->p[1]->owner = w;
	send_one(w, 0, A, MAC_BROADCAST);
	assert_got(w, 0, 1, 0, 1);
	send_one(w, 0, A, MAC_BROADCAST);
	assert_got(w, 0, 1, 0, 1);
	assert_int_equal(switch_add(w->sw, &w->p[2]->port), 0);
	assert_int_equal(switch_add(w->sw, &w->p[2]->port), -ENOSPC);
}

static void count_mac(void *owner, struct mac mac, struct port *p)
{
	struct world *w = owner;

	assert_true((mac_equal(mac, A) && p == &w->p[0]->port) || (mac_equal(mac, B) && p == &w->p[1]->port));
	w->p[3]->accepts++;
}

static void test_each_mac(void **state)
{
	struct world *w = *state;

	send_one(w, 2, C, A);
	w->now += 300 * USEC_S;
	send_one(w, 0, A, B);
	send_one(w, 1, B, A);
	w->p[3]->accepts = 0;
	switch_each_mac(w->sw, w->now, count_mac, w);
	assert_int_equal(w->p[3]->accepts, 2);
}

/* The table gives the same answers as a list that is searched from end to end. */
static void test_like_a_model(void **state)
{
	struct world *w = *state;
	struct rng rng = { 5 };
	int model[64];

	memset(model, -1, sizeof(model));
	for (int step = 0; step < 20000; step++) {
		int m = rng_below(&rng, 64), p = rng_below(&rng, PORTS);

		if (rng_below(&rng, 50) == 0) {
			switch_remove(w->sw, &w->p[p]->port);
			assert_int_equal(switch_add(w->sw, &w->p[p]->port), 0);
			for (int i = 0; i < 64; i++)
				model[i] = model[i] == p ? -1 : model[i];
		} else {
			send_one(w, p, (struct mac){{ 2, 0, 0, 0, 1, m }}, UNKNOWN);
			model[m] = p;
		}
		m = rng_below(&rng, 64);
		assert_ptr_equal(switch_lookup(w->sw, (struct mac){{ 2, 0, 0, 0, 1, m }}, w->now), model[m] < 0 ? NULL
				 : &w->p[model[m]]->port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_learns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registered_to_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registered_and_still, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registered_to_given, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_oversize, setup, teardown),
		cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_runs_with_drops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each_mac, setup, teardown),
		cmocka_unit_test_setup_teardown(test_like_a_model, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
