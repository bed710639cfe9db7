// SPDX-License-Identifier: MIT
#include "engine/ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "wire/eth.h"

#define SEEN_EVERY USEC_S /* how exactly guest->seen is kept */

struct slot {
	struct port *port;        /* NULL: free */
	struct mac seen;          /* whose frames were noted last, and need not be noted again */
	usec_t seen_until;        /* before this */
	struct fault fault;
};

struct ports {
	struct ports_params parts;
	struct gateway *gateway;  /* NULL while it is not there */
	struct port_sink sink;
	struct deferred remove;   /* those that have closed */
	uint16_t last;            /* number given last, so that one is not used again soon */
	struct slot slots[PORTS_MAX + 1]; /* by number; 0 is no port's */
};

static struct slot *slot_of(struct ports *t, const struct port *p)
{
	return &t->slots[p->id];
}

/* --- what ports tell --- */

static void note_guest(struct ports *t, struct port *from, struct mac mac, usec_t now)
{
	struct slot *s = slot_of(t, from);
	struct guest *guest;

	if (now < s->seen_until && mac_equal(mac, s->seen))
		return;
	/* The switch knows whether the MAC may be used here. */
	if (switch_lookup(t->parts.sw, mac, now) != from)
		return;
	guest = guests_add(t->parts.guests, mac, now);
	if (!guest)
		return;
	guest->port_id = from->id;
	guest->seen = now;
	s->seen = mac;
	s->seen_until = now + SEEN_EVERY;
}

static void ports_input(void *owner, struct port *from, const struct frame *frames, size_t count)
{
	struct ports *t = owner;
	usec_t now = loop_now(t->parts.loop);

	switch_input(t->parts.sw, from, frames, count, now);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *head = frames[i].iov->iov_base;
		uint8_t copy[DHCP_SERVERS_HEAD] = { 0 };
		struct mac source;

		if (frames[i].size < sizeof(struct eth))
			continue;
		if (frames[i].iov->iov_len < sizeof(copy)) {
			struct cursor c = frame_cursor(&frames[i]);

			cursor_copy(&c, copy, MIN(sizeof(copy), (size_t)frames[i].size));
			head = copy;
		}
		memcpy(&source, head + sizeof(struct mac), sizeof(source));
		note_guest(t, from, source, now);
		/* What the switch takes for forged is not believed. */
		if (t->parts.heard && dhcp_servers_care(head) && mac_equal(slot_of(t, from)->seen, source))
			dhcp_servers_hear(t->parts.heard, frame_cursor(&frames[i]), now);
	}
}

static void ports_drained(void *owner, struct port *p)
{
	struct ports *t = owner;

	if (t->gateway)
		gateway_drained(t->gateway, p);
}

static void ports_closed(void *owner, struct port *p, const char *why)
{
	struct ports *t = owner;

	log_debug("%s port %u closed: %s", p->ops->kind, p->id, why);
	deferred_add(&t->remove);
}

static void ports_remove_closed(struct deferred *d)
{
	struct ports *t = container_of(d, struct ports, remove);

	for (size_t id = PORT_ID_GATEWAY + 1; id <= PORTS_MAX; id++)
		if (t->slots[id].port && t->slots[id].port->down)
			ports_remove(t, t->slots[id].port);
}

/* --- the table --- */

int ports_new(struct ports **out, const struct ports_params *params)
{
	struct ports *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->parts = *params;
	t->last = PORT_ID_GATEWAY;
	t->sink = (struct port_sink){ .input = ports_input, .drained = ports_drained, .closed = ports_closed, .owner = t, .loop = params->loop };
	deferred_init(&t->remove, params->loop, ports_remove_closed);
	*out = t;
	return 0;
}

struct ports *ports_free(struct ports *t)
{
	if (!t)
		return NULL;
	for (size_t id = PORT_ID_GATEWAY + 1; id <= PORTS_MAX; id++)
		if (t->slots[id].port)
			ports_remove(t, t->slots[id].port);
	deferred_remove(&t->remove);
	free(t);
	return NULL;
}

int ports_set_gateway(struct ports *t, struct gateway *g)
{
	struct port *p;
	int r;

	if (!g) {
		if (t->slots[PORT_ID_GATEWAY].port)
			switch_remove(t->parts.sw, t->slots[PORT_ID_GATEWAY].port);
		t->slots[PORT_ID_GATEWAY].port = NULL;
		t->gateway = NULL;
		return 0;
	}
	p = gateway_port(g);
	p->id = PORT_ID_GATEWAY;
	r = switch_add(t->parts.sw, p);
	if (r < 0)
		return r;
	r = switch_register(t->parts.sw, t->parts.plan->mac, p);
	if (r < 0) {
		switch_remove(t->parts.sw, p);
		return r;
	}
	t->slots[PORT_ID_GATEWAY].port = p;
	t->gateway = g;
	return 0;
}

const struct port_sink *ports_sink(const struct ports *t)
{
	return &t->sink;
}

/* Return: a number that no port has, or 0. */
static uint16_t free_id(const struct ports *t)
{
	uint16_t id = t->last;

	for (size_t i = 0; i < PORTS_MAX; i++) {
		id = id < PORTS_MAX ? id + 1 : PORT_ID_GATEWAY + 1;
		if (!t->slots[id].port)
			return id;
	}
	return 0;
}

int ports_add(struct ports *t, struct port *p)
{
	uint16_t id = free_id(t);
	int r;

	if (!id)
		return -ENOSPC;
	p->id = id;
	p->mtu = t->parts.plan->mtu;
	r = switch_add(t->parts.sw, p);
	if (r < 0)
		return r;
	t->last = id;
	t->slots[id] = (struct slot){ .port = p };
	if (t->parts.fault) {
		t->slots[id].fault = *t->parts.fault;
		p->fault = &t->slots[id].fault;
	}
	return 0;
}

void ports_remove(struct ports *t, struct port *p)
{
	struct slot *s = slot_of(t, p);

	switch_remove(t->parts.sw, p);
	for (struct guest *g = guests_next(t->parts.guests, NULL); g; g = guests_next(t->parts.guests, g)) {
		if (g->port_id != p->id)
			continue;
		g->port_id = 0;
		if (t->gateway)
			gateway_guest_gone(t->gateway, g->mac);
	}
	fault_fini(&s->fault);
	*s = (struct slot){ 0 };
	port_free(p);
}

void ports_attach(struct ports *t, struct port *p, struct guest *guest)
{
	guest->port_id = p->id;
	guest->seen = loop_now(t->parts.loop);
}

struct port *ports_next(const struct ports *t, const struct port *after)
{
	for (size_t id = after ? after->id + 1u : PORT_ID_GATEWAY; id <= PORTS_MAX; id++)
		if (t->slots[id].port)
			return t->slots[id].port;
	return NULL;
}
