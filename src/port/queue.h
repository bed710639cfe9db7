// SPDX-License-Identifier: MIT
/*
 * What a port's socket did not take yet: frames copied one behind the other, each behind its length as on a stream port's wire.
 *
 * Bounded; its memory is there only while something is queued.
 */
#pragma once
#include "base/be.h"
#include "port/frame.h"
#include "wire/eth.h"

#define QUEUE_MAX    (256 * 1024)     /* bytes queued at the most: three of the longest frames */
#define FRAME_PREFIX sizeof(be32_t)   /* a frame's length, in network order */

struct queue {
	uint8_t *data;        /* QUEUE_MAX bytes, or NULL: empty */
	uint32_t start, end;  /* of what is queued in it */
};

/** frame_padded() - the frame's size towards a guest that wants whole Ethernet frames */
static inline uint32_t frame_padded(const struct frame *f) { return f->size < ETH_MIN ? ETH_MIN : f->size; }

/** queue_put() - append the next @size bytes of @c. Return: false (nothing was appended) if they do not fit or there is no memory. */
bool queue_put(struct queue *q, struct cursor *c, size_t size);

/** queue_put_frame() - append a frame, padded, behind its length; or return false, likewise */
bool queue_put_frame(struct queue *q, const struct frame *f);

/** queue_take() - the first @size bytes have gone */
void queue_take(struct queue *q, size_t size);

static inline bool queue_is_empty(const struct queue *q) { return !q->data; }
static inline const uint8_t *queue_data(const struct queue *q) { return q->data + q->start; }
static inline size_t queue_size(const struct queue *q) { return q->end - q->start; }

void queue_fini(struct queue *q);
