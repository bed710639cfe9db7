// SPDX-License-Identifier: MIT
#include "port/port.h"

#include <stddef.h>
#include "io/loop.h"

#define RATE_STEP   (250 * USEC_MS) /* a shorter time says little about a rate */
#define RATE_MEMORY USEC_S          /* how long a rate remembers */

static void port_count(struct port *p, struct port_counters *c, const struct frame *frames, size_t count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += frames[i].size;
	c->frames += count;
	c->bytes += bytes;
	if (p->sink && p->sink->loop)
		loop_moved(p->sink->loop, bytes);
}

static size_t port_give(struct port *p, const struct frame *frames, size_t count)
{
	size_t taken = p->down ? 0 : p->ops->send(p, frames, count);

	port_count(p, &p->to_guest, frames, taken);
	if (taken < count)
		port_drop(p, p->down ? DROP_PORT_DOWN : DROP_PORT_FULL, count - taken);
	return taken;
}

static void port_take(struct port *p, const struct frame *frames, size_t count)
{
	if (p->down || !count)
		return;
	port_count(p, &p->from_guest, frames, count);
	p->sink->input(p->sink->owner, p, frames, count);
}

static void port_give_one(void *owner, const struct frame *frame)
{
	port_give(owner, frame, 1);
}

static void port_take_one(void *owner, const struct frame *frame)
{
	port_take(owner, frame, 1);
}

static void port_apply_fault(struct port *p, enum fault_way way, const struct frame *frames, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!fault_apply(p->fault, way, &frames[i], way == FAULT_TO_GUEST ? port_give_one : port_take_one, p))
			port_drop(p, DROP_FAULT, 1);
}

size_t port_send(struct port *p, const struct frame *frames, size_t count)
{
	if (!p->fault)
		return port_give(p, frames, count);
	/* A lost frame was taken, as far as its sender can see; and so was one that the port refused behind the fault. */
	port_apply_fault(p, FAULT_TO_GUEST, frames, count);
	return count;
}

void port_input(struct port *p, const struct frame *frames, size_t count)
{
	if (p->fault)
		port_apply_fault(p, FAULT_FROM_GUEST, frames, count);
	else
		port_take(p, frames, count);
}

size_t port_room(struct port *p, size_t want)
{
	size_t room = SIZE_MAX;

	if (p->down)
		return 0;
	if (p->ops->room)
		room = p->ops->room(p);
	if (room < want)
		p->short_of_room = true;
	return room;
}

size_t port_reserve(struct port *p, const struct frame *head, size_t least, size_t most, struct iovec *iov, size_t room, size_t *got)
{
	/* What is lent cannot be lost on purpose any more. */
	if (p->down || p->fault || !p->ops->reserve)
		return 0;
	return p->ops->reserve(p, head, least, most, iov, room, got);
}

void port_commit(struct port *p, const struct frame *f)
{
	if (f->size)
		port_count(p, &p->to_guest, f, 1);
	p->ops->commit(p, f);
}

void port_drained(struct port *p)
{
	if (!p->short_of_room || p->down)
		return;
	p->short_of_room = false;
	p->sink->drained(p->sink->owner, p);
}

void port_close(struct port *p, const char *why)
{
	if (p->down)
		return;
	p->down = true;
	p->sink->closed(p->sink->owner, p, why);
}

/* Exponential smoothing; dt / (dt + memory) is near enough to 1 - exp(-dt / memory). */
static uint64_t port_smooth(uint64_t rate, uint64_t bytes, usec_t elapsed)
{
	double fresh = (double)bytes * USEC_S / (double)elapsed;
	double weight = (double)elapsed / (double)(elapsed + RATE_MEMORY);

	return (uint64_t)((double)rate + weight * (fresh - (double)rate) + 0.5);
}

void port_rates(struct port *p, usec_t now)
{
	usec_t elapsed = now - p->rate_time;

	if (p->rate_time && elapsed < RATE_STEP)
		return;
	if (p->rate_time) {
		p->rate_from = port_smooth(p->rate_from, p->from_guest.bytes - p->rate_from_seen, elapsed);
		p->rate_to = port_smooth(p->rate_to, p->to_guest.bytes - p->rate_to_seen, elapsed);
	}
	p->rate_time = now;
	p->rate_from_seen = p->from_guest.bytes;
	p->rate_to_seen = p->to_guest.bytes;
}

struct port *port_free(struct port *p)
{
	return p ? p->ops->free(p) : NULL;
}
