// SPDX-License-Identifier: MIT
#include "port/queue.h"

#include <stdlib.h>
#include <string.h>

/* Make sure that @size more bytes can be written at the end. */
static bool queue_reserve(struct queue *q, size_t size)
{
	if (size > QUEUE_MAX - queue_size(q))
		return false;
	if (!q->data) {
		q->data = malloc(QUEUE_MAX);
		q->start = q->end = 0;
		return q->data;
	}
	if (size > QUEUE_MAX - q->end) {
		memmove(q->data, queue_data(q), queue_size(q));
		q->end -= q->start;
		q->start = 0;
	}
	return true;
}

bool queue_put(struct queue *q, struct cursor *c, size_t size)
{
	if (!size || !queue_reserve(q, size))
		return !size;
	cursor_copy(c, q->data + q->end, size);
	q->end += (uint32_t)size;
	return true;
}

bool queue_put_frame(struct queue *q, const struct frame *f)
{
	uint32_t padded = frame_padded(f);
	be32_t prefix = be32(padded);
	struct cursor c = frame_cursor(f);

	if (!queue_reserve(q, sizeof(prefix) + padded))
		return false;
	memcpy(q->data + q->end, &prefix, sizeof(prefix));
	q->end += sizeof(prefix);
	cursor_copy(&c, q->data + q->end, f->size);
	memset(q->data + q->end + f->size, 0, padded - f->size);
	q->end += padded;
	return true;
}

void queue_take(struct queue *q, size_t size)
{
	q->start += (uint32_t)size;
	if (q->start == q->end)
		queue_fini(q);
}

void queue_fini(struct queue *q)
{
	free(q->data);
	*q = (struct queue){ 0 };
}
