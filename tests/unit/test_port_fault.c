// SPDX-License-Identifier: MIT
/* The fault layer, alone and in a port that takes everything. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include "base/be.h"
#include "port/port.h"

/* A port that notes which frames it was given, by their first four bytes. */
struct sponge {
	struct port port;
	uint32_t seen[200000];
	size_t count;
	bool full;
};

static size_t sponge_send(struct port *p, const struct frame *frames, size_t count)
{
	struct sponge *s = container_of(p, struct sponge, port);

	for (size_t i = 0; i < count && !s->full; i++) {
		struct cursor c = frame_cursor(&frames[i]);

		assert_int_equal(frames[i].size, 64);
		assert_int_equal(frames[i].offload.segment_size, 99);
		s->seen[s->count++] = cursor_u32(&c);
	}
	return s->full ? 0 : count;
}

static struct port *sponge_free(_unused_ struct port *p)
{
	return NULL;
}

static const struct port_ops sponge_ops = { .kind = "sponge", .send = sponge_send, .free = sponge_free };

static void sponge_input(void *owner, struct port *from, const struct frame *frames, size_t count)
{
	(void)owner;
	sponge_send(from, frames, count);
}

static const struct port_sink sponge_sink = { .input = sponge_input };

/* Send frames 0 to @count - 1 in batches, either way. Return: what port_send() said was taken. */
static size_t sponge_feed(struct sponge *s, uint32_t count, bool input)
{
	static uint8_t data[PORT_BATCH][64];
	struct iovec iov[PORT_BATCH];
	struct frame frames[PORT_BATCH];
	size_t taken = 0;

	for (uint32_t at = 0, n; at < count; at += n) {
		n = MIN(count - at, (uint32_t)PORT_BATCH);
		for (uint32_t i = 0; i < n; i++) {
			be32_t number = be32(at + i);

			memcpy(data[i], &number, sizeof(number));
			iov[i] = (struct iovec){ data[i], 64 };
			frames[i] = (struct frame){ .offload.segment_size = 99, .iov = &iov[i], .parts = 1, .size = 64 };
		}
		if (input)
			port_input(&s->port, frames, n);
		else
			taken += port_send(&s->port, frames, n);
		memset(data, 0xee, sizeof(data)); /* what is held back must be a copy */
	}
	return taken;
}

static struct sponge *sponge_new(struct fault *f)
{
	struct sponge *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->port = (struct port){ .ops = &sponge_ops, .sink = &sponge_sink, .fault = f };
	return s;
}

static void parses(void **state)
{
	struct fault f;

	(void)state;
	assert_int_equal(fault_parse(&f, "lose=1%,duplicate=0.5%,reorder=12.25%,seed=7"), 0);
	assert_int_equal(f.lose, 100);
	assert_int_equal(f.duplicate, 50);
	assert_int_equal(f.reorder, 1225);
	assert_int_equal(f.random, 7);
	assert_int_equal(fault_parse(&f, "seed=18446744073709551615,lose=100%"), 0);
	assert_int_equal(f.lose, FAULT_ALL);
	assert_true(f.random == UINT64_MAX);
	assert_int_equal(fault_parse(&f, "reorder=0.05%"), 0);
	assert_int_equal(f.reorder, 5);
	assert_int_equal(f.lose, 0);
	assert_int_equal(f.random, 1);
}

static void refuses_nonsense(void **state)
{
	static const char *const wrong[] = {
		"", "lose", "lose=", "lose=1", "lose=%", "lose=-1%", "lose=101%", "lose=100.01%", "lose=1.%", "lose=.5%", "lose=1.234%",
		"lose=1%,", ",lose=1%",
		"lose=1%,,seed=1", "lose=1%,lose=2%", "lose=1% ", " lose=1%", "seed=", "seed=1%", "seed=18446744073709551616",
		"seed=x", "drop=1%", "LOSE=1%",
		"lose=1%;seed=1", "lose=99999999999999999999999%", "lose=1.99999999999999999999999%", "lose=1%seed=1",
	};
	struct fault f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (fault_parse(&f, wrong[i]) != -EINVAL)
			fail_msg("taken: \"%s\"", wrong[i]);
		assert_int_equal(f.lose + f.duplicate + f.reorder, 0);
	}
}

static void loses_its_share(void **state)
{
	struct fault f;
	struct sponge *s = sponge_new(&f);

	(void)state;
	assert_int_equal(fault_parse(&f, "lose=10%,seed=3"), 0);
	assert_int_equal(sponge_feed(s, 100000, false), 100000);
	assert_in_range(s->port.drops[DROP_FAULT], 9500, 10500);
	assert_int_equal(s->count, 100000 - s->port.drops[DROP_FAULT]);
	assert_int_equal(s->port.to_guest.frames, s->count);
	for (size_t i = 1; i < s->count; i++)
		assert_true(s->seen[i] > s->seen[i - 1]);
	free(s);
}

static void duplicates_its_share(void **state)
{
	struct fault f;
	struct sponge *s = sponge_new(&f);
	size_t twice = 0;

	(void)state;
	assert_int_equal(fault_parse(&f, "duplicate=5%"), 0);
	sponge_feed(s, 100000, true);
	for (size_t i = 1; i < s->count; i++) {
		assert_true(s->seen[i] == s->seen[i - 1] || s->seen[i] == s->seen[i - 1] + 1);
		twice += s->seen[i] == s->seen[i - 1];
	}
	assert_in_range(twice, 4500, 5500);
	assert_int_equal(s->count, 100000 + twice);
	assert_int_equal(s->port.from_guest.frames, s->count);
	assert_int_equal(s->port.drops[DROP_FAULT], 0);
	free(s);
}

static void reorders_its_share(void **state)
{
	struct fault f;
	struct sponge *s = sponge_new(&f);
	static uint8_t times[100000];
	size_t swapped = 0;

	(void)state;
	assert_int_equal(fault_parse(&f, "reorder=5%"), 0);
	sponge_feed(s, 100000, false);
	assert_true(s->count >= 99999); /* one may be held back still */
	for (size_t i = 0; i < s->count; i++) {
		assert_true(s->seen[i] < 100000);
		times[s->seen[i]]++;
		swapped += i && s->seen[i] == s->seen[i - 1] - 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		assert_true(times[i] == 1 || (i == 99999 && s->count == 99999));
	assert_in_range(swapped, 4300, 5300);
	fault_fini(&f);
	free(s);
}

static void same_seed_same_faults(void **state)
{
	struct sponge *s[3];
	struct fault f[3];
	const char *texts[] = {
		"lose=2%,duplicate=2%,reorder=2%,seed=11",
		"lose=2%,duplicate=2%,reorder=2%,seed=11",
		"lose=2%,duplicate=2%,reorder=2%,seed=12",
	};

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fault_parse(&f[i], texts[i]), 0);
		s[i] = sponge_new(&f[i]);
		sponge_feed(s[i], 20000, false);
		fault_fini(&f[i]);
	}
	assert_int_equal(s[0]->count, s[1]->count);
	assert_memory_equal(s[0]->seen, s[1]->seen, s[0]->count * sizeof(s[0]->seen[0]));
	assert_true(s[0]->count != s[2]->count || memcmp(s[0]->seen, s[2]->seen, s[0]->count * sizeof(s[0]->seen[0])));
	for (int i = 0; i < 3; i++)
		free(s[i]);
}

static void both_ways_hold_apart(void **state)
{
	struct fault f;
	struct sponge *s = sponge_new(&f);

	(void)state;
	assert_int_equal(fault_parse(&f, "reorder=100%"), 0);
	sponge_feed(s, 1, false);
	sponge_feed(s, 1, true);
	assert_int_equal(s->count, 0);
	assert_int_equal(s->port.to_guest.frames + s->port.from_guest.frames, 0);
	sponge_feed(s, 1, false);
	assert_int_equal(s->port.to_guest.frames, 2);
	assert_int_equal(s->port.from_guest.frames, 0);
	fault_fini(&f);
	free(s);
}

static void full_and_down_are_counted_behind_it(void **state)
{
	struct fault f;
	struct sponge *s = sponge_new(&f);

	(void)state;
	assert_int_equal(fault_parse(&f, "seed=1"), 0);
	s->full = true;
	sponge_feed(s, 10, false);
	assert_int_equal(s->port.drops[DROP_PORT_FULL], 10);
	s->port.fault = NULL;
	assert_int_equal(sponge_feed(s, 10, false), 0);
	assert_int_equal(s->port.drops[DROP_PORT_FULL], 20);
	s->port.down = true;
	assert_int_equal(sponge_feed(s, 10, false), 0);
	assert_int_equal(s->port.drops[DROP_PORT_DOWN], 10);
	assert_int_equal(s->port.to_guest.frames, 0);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses),
		cmocka_unit_test(refuses_nonsense),
		cmocka_unit_test(loses_its_share),
		cmocka_unit_test(duplicates_its_share),
		cmocka_unit_test(reorders_its_share),
		cmocka_unit_test(same_seed_same_faults),
		cmocka_unit_test(both_ways_hold_apart),
		cmocka_unit_test(full_and_down_are_counted_behind_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
