// SPDX-License-Identifier: MIT
/* Chains in flight: the layout that others read, and what a back end makes of one that died at any step. */
#include "unit.h"

#include <linux/virtio_ring.h>
#include <stdlib.h>
#include "port/vhost/inflight.h"

#define SIZE 8

/* Offsets of the specification's structures */
static uint16_t *u16_at(struct inflight_queue *q, size_t offset) { return (uint16_t *)((uint8_t *)q->region + offset); }
static uint8_t *split_inflight(struct inflight_queue *q, size_t id) { return (uint8_t *)q->region + 16 + 16 * id; }
static uint64_t *split_counter(struct inflight_queue *q, size_t id) { return (uint64_t *)((uint8_t *)q->region + 16 + 16 * id + 8); }

enum { VERSION = 8, COUNT = 10, LAST_BATCH_HEAD = 12, SPLIT_USED = 14, PACKED_USED = 16, PACKED_OLD_USED = 18, PACKED_WRAP = 20 };

static struct inflight_queue queue_new(bool packed)
{
	struct inflight_queue q = { .size = SIZE, .packed = packed, .region = aligned_alloc(64, inflight_size(SIZE, packed)) };

	assert_non_null(q.region);
	memset(q.region, 0, inflight_size(SIZE, packed));
	return q;
}

static void sizes(void **state)
{
	(void)state;
	assert_int_equal(inflight_size(1, false), 64);
	assert_int_equal(inflight_size(3, false), 64);
	assert_int_equal(inflight_size(4, false), 128);
	assert_int_equal(inflight_size(256, false), 4160);
	assert_int_equal(inflight_size(256, true), 8256);
	assert_int_equal(inflight_size(32768, true), 32768 * 32 + 64);
}

static void nothing_is_kept(void **state)
{
	struct inflight_queue q = { .region = NULL };
	uint16_t slot = 3;
	bool wrap = true;

	(void)state;
	inflight_start(&q, 5, &slot, &wrap);
	inflight_take(&q, 1);
	inflight_use(&q, 1);
	inflight_give_back(&q, 1);
	inflight_publish(&q, 1, true);
	inflight_published(&q, 1, true);
	inflight_stop(&q);
	assert_true(slot == 3 && wrap);
}

static void split_chains_are_tracked(void **state)
{
	struct inflight_queue q = queue_new(false);

	(void)state;
	inflight_start(&q, 65535, NULL, NULL);
	assert_int_equal(*u16_at(&q, VERSION), 1);
	assert_int_equal(*u16_at(&q, COUNT), SIZE);
	assert_int_equal(*u16_at(&q, SPLIT_USED), 65535);
	for (uint16_t id = 0; id < 4; id++)
		inflight_take(&q, (uint16_t)(2 * id % 7));
	inflight_take(&q, SIZE); /* not there */
	for (uint16_t id = 0; id < 4; id++) {
		assert_int_equal(*split_inflight(&q, 2 * id % 7), 1);
		assert_int_equal(*split_counter(&q, 2 * id % 7), id);
	}
	inflight_use(&q, 0);
	inflight_use(&q, 2);
	inflight_use(&q, 4);
	assert_int_equal(*u16_at(&q, LAST_BATCH_HEAD), 4);
	assert_int_equal(*split_inflight(&q, 0), 1);
	inflight_published(&q, 2, false);
	assert_int_equal(*u16_at(&q, SPLIT_USED), 2);
	for (uint16_t id = 0; id < SIZE; id++)
		assert_int_equal(*split_inflight(&q, id), id == 6);
	free(q.region);
}

static void chains_that_are_given_back(void **state)
{
	struct inflight_queue q = queue_new(false), packed = queue_new(true), before = queue_new(true);

	(void)state;
	inflight_start(&q, 0, NULL, NULL);
	for (uint16_t id = 0; id < 4; id++)
		inflight_take(&q, id);
	inflight_give_back(&q, 2);
	inflight_give_back(&q, 3);
	inflight_give_back(&q, SIZE); /* not there */
	for (uint16_t id = 0; id < SIZE; id++)
		assert_int_equal(*split_inflight(&q, id), id < 2);
	inflight_take(&q, 2);
	assert_int_equal(*split_inflight(&q, 2), 1);
	assert_true(*split_counter(&q, 2) > *split_counter(&q, 1));
	/* A packed ring's part says nothing of single chains. */
	memset(packed.region, 0xee, inflight_size(SIZE, true));
	memset(before.region, 0xee, inflight_size(SIZE, true));
	inflight_give_back(&packed, 2);
	assert_memory_equal(packed.region, before.region, inflight_size(SIZE, true));
	free(q.region);
	free(packed.region);
	free(before.region);
}

static void a_split_batch_was_cut_off(void **state)
{
	struct inflight_queue q = queue_new(false), next;

	(void)state;
	inflight_start(&q, 0, NULL, NULL);
	for (uint16_t id = 0; id < 5; id++)
		inflight_take(&q, id);
	inflight_use(&q, 0);
	inflight_published(&q, 1, false);
	inflight_use(&q, 1);
	inflight_use(&q, 2);
	next = (struct inflight_queue){ .region = q.region, .size = SIZE };
	/* It died right after used->idx became 3, or before. */
	inflight_start(&next, 1, NULL, NULL);
	for (uint16_t id = 0; id < SIZE; id++)
		assert_int_equal(*split_inflight(&next, id), id >= 1 && id < 5);
	inflight_start(&next, 3, NULL, NULL);
	for (uint16_t id = 0; id < SIZE; id++)
		assert_int_equal(*split_inflight(&next, id), id >= 3 && id < 5);
	assert_int_equal(*u16_at(&next, SPLIT_USED), 3);
	/* Their order goes on behind what was counted. */
	inflight_take(&next, 7);
	assert_int_equal(*split_counter(&next, 7), 5);
	/* In good order nothing is in flight, and the next start is a fresh one. */
	inflight_stop(&next);
	inflight_start(&next, 9, NULL, NULL);
	for (uint16_t id = 0; id < SIZE; id++)
		assert_int_equal(*split_inflight(&next, id), 0);
	assert_int_equal(*u16_at(&next, SPLIT_USED), 9);
	free(q.region);
}

/* Others can write in it whatever they like. Sanitizers look. */
static void regions_at_random(void **state)
{
	struct rng rng = { 42 };

	(void)state;
	for (int round = 0; round < 20000; round++) {
		bool packed = round % 2, wrap = true;
		struct inflight_queue q = queue_new(packed);
		struct vring_packed_desc slots[SIZE];
		uint16_t slot = 0, id = (uint16_t)rng_next(&rng);

		rng_fill(&rng, slots, sizeof(slots));
		rng_fill(&rng, q.region, inflight_size(SIZE, packed));
		*u16_at(&q, VERSION) = (uint16_t)(rng_next(&rng) % 2);
		*u16_at(&q, COUNT) = SIZE;
		q.slots = packed ? slots : NULL;
		inflight_start(&q, (uint16_t)rng_next(&rng), &slot, &wrap);
		inflight_take(&q, id);
		inflight_use(&q, id);
		inflight_give_back(&q, id);
		rng_fill(&rng, q.region, inflight_size(SIZE, packed));
		inflight_published(&q, (uint16_t)rng_next(&rng), true);
		free(q.region);
	}
}

static void assert_goes_on_at(const struct inflight_queue *from, const struct vring_packed_desc *slots, uint16_t slot, bool wrap)
{
	struct inflight_queue next = { .region = from->region, .size = SIZE, .packed = true, .slots = slots };
	uint16_t got = 5;
	bool got_wrap = false;

	inflight_start(&next, 0, &got, &got_wrap);
	assert_int_equal(got, slot);
	assert_int_equal(got_wrap, wrap);
	assert_int_equal(*u16_at(&next, PACKED_USED), slot);
	assert_int_equal(*u16_at(&next, PACKED_OLD_USED), slot);
	assert_int_equal(*u16_at(&next, PACKED_WRAP), wrap ? 0x101 : 0); /* and the old one */
}

static void packed_places_are_kept(void **state)
{
	const uint16_t available = 1 << VRING_PACKED_DESC_F_AVAIL, used = 1 << VRING_PACKED_DESC_F_USED;
	struct inflight_queue q = queue_new(true);
	struct vring_packed_desc slots[SIZE] = { 0 };
	uint16_t slot = 6;
	bool wrap = true;

	(void)state;
	inflight_start(&q, 0, &slot, &wrap);
	assert_int_equal(*u16_at(&q, VERSION), 1);
	assert_goes_on_at(&q, slots, 6, true);
	inflight_take(&q, 3);
	inflight_use(&q, 3);
	/* Cut off between the two: the ring tells whether it was published, in either lap. */
	slots[6].flags = available;
	inflight_publish(&q, 1, false);
	assert_goes_on_at(&q, slots, 6, true);
	inflight_publish(&q, 1, false);
	slots[6].flags = available | used;
	assert_goes_on_at(&q, slots, 1, false);
	slots[1].flags = used;
	inflight_publish(&q, 2, false);
	assert_goes_on_at(&q, slots, 1, false);
	inflight_publish(&q, 2, false);
	slots[1].flags = 0;
	assert_goes_on_at(&q, slots, 2, false);
	inflight_published(&q, 4, false);
	assert_goes_on_at(&q, slots, 4, false);
	/* In good order the front end's word counts again. */
	inflight_stop(&q);
	assert_goes_on_at(&q, slots, 5, false);
	free(q.region);
}

static void another_size_begins_anew(void **state)
{
	struct inflight_queue q = queue_new(false);

	(void)state;
	inflight_start(&q, 3, NULL, NULL);
	inflight_take(&q, 1);
	*u16_at(&q, COUNT) = SIZE / 2;
	inflight_start(&q, 4, NULL, NULL);
	assert_int_equal(*split_inflight(&q, 1), 0);
	assert_int_equal(*u16_at(&q, COUNT), SIZE);
	assert_int_equal(*u16_at(&q, SPLIT_USED), 4);
	free(q.region);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(nothing_is_kept),
		cmocka_unit_test(split_chains_are_tracked),
		cmocka_unit_test(chains_that_are_given_back),
		cmocka_unit_test(a_split_batch_was_cut_off),
		cmocka_unit_test(regions_at_random),
		cmocka_unit_test(packed_places_are_kept),
		cmocka_unit_test(another_size_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
