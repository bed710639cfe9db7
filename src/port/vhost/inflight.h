// SPDX-License-Identifier: MIT
/*
 * Which chains of a queue the device has taken and not used, in memory that the front end keeps (VHOST_USER_GET_INFLIGHT_FD): so that a
 * back end that comes after a crash knows what the driver still waits for.
 *
 * The memory is the front end's, too: what is read there is bounded, and otherwise believed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vring_packed_desc;

/* One queue's part of it; all NULL where the front end keeps none. Its layout is the specification's, split and packed. */
struct inflight_queue {
	void *region;
	uint16_t size;         /* descriptors that it has room for; no smaller than the ring */
	bool packed;
	uint64_t counter;      /* of the chains taken: tells their order */
	const volatile struct vring_packed_desc *slots; /* packed: the ring, to see how far a back end before came; may be NULL */
};

/** inflight_size() - bytes that one queue of @size descriptors needs, a multiple of 64 */
size_t inflight_size(uint16_t size, bool packed);

/**
 * inflight_start() - the queue starts: finish what the back end before was in the middle of
 *
 * We use chains in the order of the ring, so those in flight are the ones right behind the last that was published: a split ring goes on at
 * used->idx, a packed one at the slot and wrap counter that stand in here.
 * @used_index: split: used->idx as it stands in the ring
 * @slot, @wrap: packed: where it would start by SET_VRING_BASE; changed where something else is recorded
 */
void inflight_start(struct inflight_queue *q, uint16_t used_index, uint16_t *slot, bool *wrap);

/** inflight_take() - the chain @id was taken. Likewise inflight_use(), before it is published, and inflight_published(), after. */
void inflight_take(struct inflight_queue *q, uint16_t id);
void inflight_use(struct inflight_queue *q, uint16_t id);
/** inflight_give_back() - the chain @id was taken and not used, and counts as not taken again */
void inflight_give_back(struct inflight_queue *q, uint16_t id);
/**
 * inflight_publish() - packed: what was used will be published now, up to the slot @next_use
 *
 * Without it a crash between publication and inflight_published() would leave no way to tell where the ring goes on.
 */
void inflight_publish(struct inflight_queue *q, uint16_t next_use, bool wrap);
void inflight_published(struct inflight_queue *q, uint16_t next_use, bool wrap);

/** inflight_stop() - the queue stops in good order: nothing is in flight, and it starts again where the front end says */
void inflight_stop(struct inflight_queue *q);
