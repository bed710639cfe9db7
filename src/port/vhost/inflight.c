// SPDX-License-Identifier: MIT
#include "port/vhost/inflight.h"

#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>

#include "base/attr.h"

#define ALIGNMENT 64
#define VERSION   1

/* As in QEMU's docs/interop/vhost-user.rst, "Inflight I/O tracking". */
struct split_state {
	uint8_t inflight, padding[5];
	uint16_t next;                 /* of the last batch */
	uint64_t counter;
};

struct split_region {
	uint64_t features;
	uint16_t version, count, last_batch_head, used_index;
	struct split_state state[];
};
_Static_assert(sizeof(struct split_region) == 16 && sizeof(struct split_state) == 16, "as the specification has it");

struct packed_state {
	uint8_t inflight, padding;
	uint16_t next, last, num;
	uint64_t counter;
	uint16_t id, flags;
	uint32_t size;
	uint64_t address;
};

struct packed_region {
	uint64_t features;
	uint16_t version, count, free_head, old_free_head, used_index, old_used_index;
	uint8_t used_wrap, old_used_wrap, padding[7];
	struct packed_state state[];
};
_Static_assert(offsetof(struct packed_region, state) == 32 && sizeof(struct packed_state) == 32, "as the specification has it");

/* A crash leaves our stores as we made them, in order; only the compiler must keep it. */
static void in_order(void) { atomic_signal_fence(memory_order_seq_cst); }

size_t inflight_size(uint16_t size, bool packed)
{
	size_t bytes = packed ? sizeof(struct packed_region) + size * sizeof(struct packed_state) :
				sizeof(struct split_region) + size * sizeof(struct split_state);

	return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

/* --- split --- */

static uint16_t load(const uint16_t *from) { return __atomic_load_n(from, __ATOMIC_RELAXED); }

/* The batch was published: none of it is in flight any more. The list is bounded, and read once, since others can write in it. */
static void split_finish(struct inflight_queue *q, struct split_region *r, uint16_t used_index)
{
	uint16_t id = load(&r->last_batch_head), left = (uint16_t)(used_index - load(&r->used_index));

	for (left = MIN(left, q->size); left && id < q->size; left--) {
		r->state[id].inflight = 0;
		id = load(&r->state[id].next);
	}
	in_order();
	r->used_index = used_index;
}

static void split_start(struct inflight_queue *q, struct split_region *r, uint16_t used_index)
{
	q->counter = 0;
	if (r->version != VERSION || r->count != q->size) {
		memset(r, 0, inflight_size(q->size, false));
		r->count = q->size;
		r->used_index = used_index;
		in_order();
		r->version = VERSION;
		return;
	}
	if (r->used_index != used_index)
		split_finish(q, r, used_index);
	for (uint16_t i = 0; i < q->size; i++)
		q->counter = MAX(q->counter, r->state[i].counter + 1);
}

/* --- packed --- */

/*
 * The states of single chains stay as they were made: that would take their descriptors, and nobody needs them where chains are used in
 * the order of the ring. Whoever reads this sees that none was in flight, and where the ring stands.
 */
static void packed_init(struct inflight_queue *q, struct packed_region *r, uint16_t slot, bool wrap)
{
	memset(r, 0, inflight_size(q->size, true));
	r->count = q->size;
	for (uint16_t i = 0; i < q->size; i++)
		r->state[i].next = (uint16_t)(i + 1);
	r->used_index = r->old_used_index = slot;
	r->used_wrap = r->old_used_wrap = wrap;
	in_order();
	r->version = VERSION;
}

/* A publication was under way. Did it happen? Then the first of its slots does not read as available any more. */
static bool packed_was_published(const struct inflight_queue *q, const struct packed_region *r)
{
	const uint16_t available = 1 << VRING_PACKED_DESC_F_AVAIL, used = 1 << VRING_PACKED_DESC_F_USED;
	uint16_t flags, slot = __atomic_load_n(&r->old_used_index, __ATOMIC_RELAXED);

	if (!q->slots || slot >= q->size)
		return true;
	flags = q->slots[slot].flags & (available | used);
	return flags != (r->old_used_wrap ? available : used);
}

static void packed_start(struct inflight_queue *q, struct packed_region *r, uint16_t *slot, bool *wrap)
{
	if (r->version != VERSION || r->count != q->size) {
		packed_init(q, r, *slot, *wrap);
		return;
	}
	if (r->used_index == r->old_used_index && r->used_wrap == r->old_used_wrap) {
		/* nothing was under way */
	} else if (packed_was_published(q, r)) {
		r->old_used_index = r->used_index;
		r->old_used_wrap = r->used_wrap;
	} else {
		r->used_index = r->old_used_index;
		r->used_wrap = r->old_used_wrap;
	}
	*slot = r->used_index;
	*wrap = r->used_wrap;
}

/* --- both --- */

void inflight_start(struct inflight_queue *q, uint16_t used_index, uint16_t *slot, bool *wrap)
{
	if (!q->region)
		return;
	if (q->packed)
		packed_start(q, q->region, slot, wrap);
	else
		split_start(q, q->region, used_index);
}

void inflight_take(struct inflight_queue *q, uint16_t id)
{
	struct split_region *r = q->region;

	if (!r || q->packed || id >= q->size)
		return;
	r->state[id].counter = q->counter++;
	in_order();
	r->state[id].inflight = 1;
}

void inflight_give_back(struct inflight_queue *q, uint16_t id)
{
	struct split_region *r = q->region;

	if (r && !q->packed && id < q->size)
		r->state[id].inflight = 0;
}

void inflight_use(struct inflight_queue *q, uint16_t id)
{
	struct split_region *r = q->region;

	if (!r || q->packed || id >= q->size)
		return;
	r->state[id].next = r->last_batch_head;
	in_order();
	r->last_batch_head = id;
}

void inflight_publish(struct inflight_queue *q, uint16_t next_use, bool wrap)
{
	struct packed_region *r = q->region;

	if (!r || !q->packed)
		return;
	r->used_index = next_use;
	r->used_wrap = wrap;
	in_order();
}

void inflight_published(struct inflight_queue *q, uint16_t next_use, bool wrap)
{
	struct packed_region *r = q->region;

	if (!r)
		return;
	in_order();
	if (!q->packed) {
		split_finish(q, q->region, next_use);
		return;
	}
	r->used_index = r->old_used_index = next_use;
	r->used_wrap = r->old_used_wrap = wrap;
}

void inflight_stop(struct inflight_queue *q)
{
	/* Both forms have it in the same place. Zero: not set up. */
	if (q->region)
		((struct split_region *)q->region)->version = 0;
}
