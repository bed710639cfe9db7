// SPDX-License-Identifier: MIT
/* When a driver wants a call that was put off, and what a migration's log has of each step: rings with a driver played by hand. */
#include "unit.h"
#include "port/vhost/virtqueue.h"

#define SIZE  16
#define GUEST 0x10000

struct driver {
	struct vring_desc desc[SIZE];
	struct { uint16_t flags, idx, ring[SIZE], event; } avail;
	struct { uint16_t flags, idx; struct vring_used_elem ring[SIZE]; uint16_t event; } used __attribute__((aligned(4)));
	struct vring_packed_desc slots[SIZE];
	struct vring_packed_desc_event driver_event, device_event;
	uint8_t buffer[64];
};

_Static_assert(sizeof(struct driver) <= VHOST_LOG_PAGE, "one page of the log");

struct world { struct driver driver; struct vhost_memory memory; uint8_t bits[4]; struct vhost_log log; struct virtqueue ring; };

static void world_init(struct world *w, bool packed)
{
	struct driver *d = &w->driver;

	*w = (struct world){ .memory.count = 1 };
	w->memory.regions[0] = (struct vhost_region){ .guest = GUEST, .size = sizeof(*d), .host = (uint8_t *)d };
	w->ring = (struct virtqueue){ .size = SIZE, .memory = &w->memory, .log = &w->log, .packed = packed, .event_idx = true };
	if (packed) {
		w->ring.slots = d->slots;
		w->ring.driver_event = &d->driver_event;
		w->ring.device_event = &d->device_event;
	} else {
		w->ring.descriptors = d->desc;
		w->ring.avail = (void *)&d->avail;
		w->ring.used = (void *)&d->used;
	}
	virtqueue_start(&w->ring, packed ? 0x80008000 : 0);
}

static void use(struct world *w, unsigned int count)
{
	struct virtqueue_chain chain = { .slots = 1 };

	for (unsigned int i = 0; i < count; i++)
		virtqueue_use(&w->ring, &chain, 0);
	virtqueue_show(&w->ring);
}

static void a_split_ring(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false);
	assert_false(virtqueue_wants_call(&w.ring));
	use(&w, 2);
	assert_int_equal(w.driver.used.idx, 2);
	assert_true(virtqueue_wants_call(&w.ring)); /* the first: nobody has asked before */
	virtqueue_forget_call(&w.ring);
	assert_false(virtqueue_wants_call(&w.ring));
	w.driver.avail.event = 3;
	use(&w, 1);
	assert_false(virtqueue_wants_call(&w.ring)); /* not the fourth yet */
	use(&w, 1);
	assert_true(virtqueue_wants_call(&w.ring));
	use(&w, 1);
	assert_true(virtqueue_wants_call(&w.ring)); /* still, as long as nobody was called */
	w.driver.avail.event = 5;
	assert_false(virtqueue_wants_call(&w.ring)); /* but not when the driver has seen it by itself */
	virtqueue_forget_call(&w.ring);
	use(&w, 1);
	assert_true(virtqueue_publish(&w.ring));
	assert_false(virtqueue_publish(&w.ring));
}

static void driver_event(struct world *w, uint16_t slot, bool wrap)
{
	w->driver.driver_event = (struct vring_packed_desc_event){
		(uint16_t)(slot | (wrap ? 1 << VRING_PACKED_EVENT_F_WRAP_CTR : 0)), VRING_PACKED_EVENT_FLAG_DESC };
}

static void a_packed_ring(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true);
	use(&w, 2);
	virtqueue_forget_call(&w.ring);
	driver_event(&w, 3, true);
	use(&w, 1);
	assert_false(virtqueue_wants_call(&w.ring));
	use(&w, 1);
	assert_true(virtqueue_wants_call(&w.ring));
	driver_event(&w, 5, true);
	assert_false(virtqueue_wants_call(&w.ring));
	use(&w, SIZE - 3);
	assert_true(virtqueue_wants_call(&w.ring)); /* 17 slots since then: the event was passed, wherever it is */
	use(&w, 1);
	driver_event(&w, 1, false);
	assert_true(virtqueue_wants_call(&w.ring));
	virtqueue_forget_call(&w.ring);
	assert_false(virtqueue_wants_call(&w.ring));
	driver_event(&w, 1, false);
	use(&w, 1);
	assert_int_equal(w.ring.published, 3);
	assert_false(virtqueue_wants_call(&w.ring)); /* passed, and called for */
}

/* --- the log --- */

static void log_begin(struct world *w)
{
	w->log.bits = w->bits;
	w->log.size = sizeof(w->bits);
	w->ring.log_used = GUEST + offsetof(struct driver, used);
}

/* What a migration does now and then: is the driver's page marked? Then it is copied, and must be marked again for what is written later. */
static bool log_sync(struct world *w)
{
	bool marked = w->bits[GUEST / VHOST_LOG_PAGE / 8] & 1 << GUEST / VHOST_LOG_PAGE % 8;

	memset(w->bits, 0, sizeof(w->bits));
	return marked;
}

/* The front end may copy the page between any two of our stores: the last of each step is followed by its mark. */
static void each_step_is_logged(bool packed, bool event_idx)
{
	struct virtqueue_chain chain = { .slots = 1 };
	struct world w;

	world_init(&w, packed);
	w.ring.event_idx = event_idx;
	log_begin(&w);
	for (unsigned int batch = 0; batch < 2 * SIZE; batch++) {
		assert_false(log_sync(&w));
		for (unsigned int i = 0; i < 1 + batch % 3; i++) {
			virtqueue_use(&w.ring, &chain, 0);
			assert_true(log_sync(&w));
		}
		virtqueue_show(&w.ring);
		assert_true(log_sync(&w));
		virtqueue_show(&w.ring); /* nothing more to show */
	}
	virtqueue_silence(&w.ring);
	assert_int_equal(log_sync(&w), packed || !event_idx);
	virtqueue_silence(&w.ring);
	assert_false(log_sync(&w));
	virtqueue_listen(&w.ring);
	assert_true(log_sync(&w));
	/* The place to be kicked for is said again and again. */
	virtqueue_listen(&w.ring);
	assert_int_equal(log_sync(&w), event_idx);
}

static void a_split_ring_is_logged(void **state)
{
	(void)state;
	each_step_is_logged(false, false);
	each_step_is_logged(false, true);
}

static void a_packed_ring_is_logged(void **state)
{
	(void)state;
	each_step_is_logged(true, false);
	each_step_is_logged(true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_split_ring),
		cmocka_unit_test(a_packed_ring),
		cmocka_unit_test(a_split_ring_is_logged),
		cmocka_unit_test(a_packed_ring_is_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
