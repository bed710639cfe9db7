// SPDX-License-Identifier: MIT
/* A sink for ports under test: keeps a copy of every frame that comes in, and what else it is told. */
#pragma once
#include "unit.h"
#include "io/loop.h"
#include "port/port.h"
#include <stdlib.h>

#define RECORDED_MAX 4096

struct recorded {
	struct port *from;
	struct offload offload;
	uint32_t size;
	uint8_t *data;
};

struct recorder {
	struct port_sink sink;
	struct loop *loop;
	struct recorded frames[RECORDED_MAX];
	size_t count;
	size_t calls;          /* of input */
	int drained, closed;
	const char *why;
	void (*on_drained)(struct recorder *r, struct port *p); /* or NULL */
};

static void recorder_input(void *owner, struct port *from, const struct frame *frames, size_t count)
{
	struct recorder *r = owner;

	assert_true(count > 0 && count <= PORT_BATCH);
	r->calls++;
	for (size_t i = 0; i < count; i++) {
		struct recorded *f = &r->frames[r->count++];
		struct cursor c = frame_cursor(&frames[i]);

		assert_true(r->count <= RECORDED_MAX);
		assert_int_equal(cursor_left(&c), frames[i].size);
		*f = (struct recorded){ .from = from, .offload = frames[i].offload, .size = frames[i].size };
		f->data = malloc(f->size);
		cursor_copy(&c, f->data, f->size);
	}
}

static void recorder_drained(void *owner, struct port *p)
{
	struct recorder *r = owner;

	r->drained++;
	if (r->on_drained)
		r->on_drained(r, p);
}

static void recorder_closed(void *owner, _unused_ struct port *p, const char *why)
{
	struct recorder *r = owner;

	r->closed++;
	r->why = why;
}

static struct recorder *recorder_new(void)
{
	struct recorder *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(loop_new(&r->loop), 0);
	r->sink = (struct port_sink){ .input = recorder_input, .drained = recorder_drained, .closed = recorder_closed, .owner = r };
	return r;
}

_unused_ static void recorder_forget(struct recorder *r)
{
	while (r->count)
		free(r->frames[--r->count].data);
}

static void recorder_free(struct recorder *r)
{
	recorder_forget(r);
	loop_free(r->loop);
	free(r);
}

/* Some turns, each of which waits a millisecond at the most. */
_unused_ static void recorder_turn(struct recorder *r, int turns)
{
	while (turns--)
		assert_int_equal(loop_turn(r->loop, USEC_MS), 0);
}

/* A frame of one part; @size pseudo-random bytes that depend on @seed. */
_unused_ static struct frame frame_make(struct iovec *iov, uint8_t *data, uint32_t size, uint64_t seed)
{
	struct rng rng = { seed + 1 };

	rng_fill(&rng, data, size);
	*iov = (struct iovec){ .iov_base = data, .iov_len = size };
	return (struct frame){ .iov = iov, .parts = 1, .size = size };
}
