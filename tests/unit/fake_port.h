// SPDX-License-Identifier: MIT
/* A port under the test's control: keeps a copy of every frame that it is sent. */
#pragma once
#include "unit.h"
#include "port/port.h"
#include <stdlib.h>

#define FAKE_FRAMES 4096

struct fake_port {
	struct port port;
	struct { uint8_t *data; uint32_t size; struct offload offload; } frames[FAKE_FRAMES];
	size_t count;
	size_t calls;                           /* of send */
	size_t accepts;                         /* frames a call takes at the most */
	void (*on_send)(struct fake_port *f);   /* or NULL */
	void *owner;
};

static size_t fake_send(struct port *p, const struct frame *frames, size_t count)
{
	struct fake_port *f = container_of(p, struct fake_port, port);

	assert_true(count > 0 && count <= PORT_BATCH);
	f->calls++;
	count = MIN(count, f->accepts);
	for (size_t i = 0; i < count; i++) {
		struct cursor c = frame_cursor(&frames[i]);

		assert_true(f->count < FAKE_FRAMES);
		assert_int_equal(cursor_left(&c), frames[i].size);
		f->frames[f->count].data = malloc(frames[i].size);
		f->frames[f->count].size = frames[i].size;
		f->frames[f->count].offload = frames[i].offload;
		cursor_copy(&c, f->frames[f->count].data, frames[i].size);
		f->count++;
	}
	if (f->on_send)
		f->on_send(f);
	return count;
}

static void fake_forget(struct fake_port *f)
{
	while (f->count)
		free(f->frames[--f->count].data);
	f->calls = 0;
}

static struct port *fake_free(struct port *p)
{
	struct fake_port *f = container_of(p, struct fake_port, port);

	fake_forget(f);
	free(f);
	return NULL;
}

static const struct port_ops fake_ops = { .kind = "fake", .send = fake_send, .free = fake_free };

static struct fake_port *fake_new(uint16_t id, uint8_t takes)
{
	struct fake_port *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->port.ops = &fake_ops;
	f->port.id = id;
	f->port.takes = takes;
	f->accepts = PORT_BATCH;
	return f;
}
