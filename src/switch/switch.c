// SPDX-License-Identifier: MIT
#include "switch/switch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/list.h"
#include "switch/segment.h"
#include "wire/eth.h"

#define AGE        (300 * USEC_S)
#define MACS       8192     /* known at once */
#define BUCKETS    8192     /* a power of two */
#define MACS_LEARN 256      /* learned behind one port, so that no guest fills the table for the others */

struct slot {
	struct port *port;      /* NULL: free */
	struct list learned;    /* entries not registered, the one seen longest ago first */
	struct list registered;
	size_t learned_count;
	bool given;             /* a MAC was given to it: it needs no frames for unknown ones */
};

struct entry {
	struct list node;       /* in a list of its slot, in switch_.unseen or in switch_.free */
	struct entry *next;     /* in its bucket */
	struct slot *slot;      /* NULL: registered, and nobody has used it */
	usec_t seen;
	struct mac mac;
	bool registered;
	bool given;             /* registered for this port and no other */
};

struct switch_ {
	struct hash_key key;
	struct slot *slots;
	size_t slot_count;
	struct list free, unseen;
	struct entry *buckets[BUCKETS];
	struct entry entries[MACS];
};

/* Where a frame goes. */
struct route {
	enum { ROUTE_NOWHERE, ROUTE_ONE, ROUTE_GROUP, ROUTE_UNKNOWN } kind;
	struct port *to;        /* of ROUTE_ONE: a pointer, which is good until the turn's end even if the port closes meanwhile */
};

int switch_new(struct switch_ **out, size_t ports)
{
	struct switch_ *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->slots = calloc(ports ? ports : 1, sizeof(*s->slots));
	if (!s->slots) {
		free(s);
		return -ENOMEM;
	}
	s->slot_count = ports;
	for (size_t i = 0; i < ports; i++) {
		list_init(&s->slots[i].learned);
		list_init(&s->slots[i].registered);
	}
	s->key = hash_key_random();
	list_init(&s->free);
	list_init(&s->unseen);
	for (size_t i = 0; i < MACS; i++)
		list_append(&s->free, &s->entries[i].node);
	*out = s;
	return 0;
}

struct switch_ *switch_free(struct switch_ *s)
{
	if (s)
		free(s->slots);
	free(s);
	return NULL;
}

static struct slot *slot_find(struct switch_ *s, const struct port *p)
{
	for (size_t i = 0; i < s->slot_count; i++)
		if (s->slots[i].port == p)
			return &s->slots[i];
	return NULL;
}

int switch_add(struct switch_ *s, struct port *p)
{
	struct slot *slot = slot_find(s, NULL);

	if (!slot)
		return -ENOSPC;
	slot->port = p;
	slot->given = false;
	return 0;
}

static struct entry **bucket_of(struct switch_ *s, struct mac mac)
{
	return &s->buckets[hash_bytes(&s->key, &mac, sizeof(mac)) & (BUCKETS - 1)];
}

static struct entry *entry_find(struct switch_ *s, struct mac mac)
{
	for (struct entry *e = *bucket_of(s, mac); e; e = e->next)
		if (mac_equal(e->mac, mac))
			return e;
	return NULL;
}

/* Take an entry out of the list that it is in. */
static void entry_lift(struct entry *e)
{
	if (e->slot && !e->registered)
		e->slot->learned_count--;
	list_remove(&e->node);
	e->slot = NULL;
}

/* Put an entry behind a port (or none), in the list that it belongs to; it is the last seen there. */
static void entry_place(struct switch_ *s, struct entry *e, struct slot *slot, bool registered)
{
	entry_lift(e);
	e->registered = registered;
	e->slot = slot;
	if (!slot) {
		list_append(&s->unseen, &e->node);
	} else if (registered) {
		list_append(&slot->registered, &e->node);
	} else {
		list_append(&slot->learned, &e->node);
		slot->learned_count++;
	}
}

static void entry_forget(struct switch_ *s, struct entry *e)
{
	struct entry **at = bucket_of(s, e->mac);

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	entry_lift(e);
	*e = (struct entry){ 0 };
	list_append(&s->free, &e->node);
}

/* Make room by forgetting one MAC that was learned and last seen before @limit: the oldest of them. */
static bool entry_recycle(struct switch_ *s, usec_t limit)
{
	struct entry *oldest = NULL;

	for (size_t i = 0; i < s->slot_count; i++) {
		struct slot *slot = &s->slots[i];
		struct entry *e = list_empty(&slot->learned) ? NULL : list_entry(slot->learned.next, struct entry, node);

		if (e && e->seen < limit && (!oldest || e->seen < oldest->seen))
			oldest = e;
	}
	if (oldest)
		entry_forget(s, oldest);
	return oldest;
}

/* A new entry in its bucket, placed nowhere yet; room is made as in entry_recycle(). NULL: no room. */
static struct entry *entry_new(struct switch_ *s, struct mac mac, usec_t limit)
{
	struct entry **bucket = bucket_of(s, mac), *e;

	if (list_empty(&s->free) && !entry_recycle(s, limit))
		return NULL;
	e = list_entry(s->free.next, struct entry, node);
	e->mac = mac;
	e->next = *bucket;
	*bucket = e;
	return e;
}

void switch_remove(struct switch_ *s, struct port *p)
{
	struct slot *slot = slot_find(s, p);

	if (!slot)
		return;
	list_for_each(n, &slot->learned)
		entry_forget(s, list_entry(n, struct entry, node));
	list_for_each(n, &slot->registered) {
		struct entry *e = list_entry(n, struct entry, node);

		if (e->given)
			entry_forget(s, e);
		else
			entry_place(s, e, NULL, true);
	}
	slot->port = NULL;
	slot->given = false;
}

int switch_register(struct switch_ *s, struct mac mac, struct port *p)
{
	struct slot *slot = p ? slot_find(s, p) : NULL;
	struct entry *e = entry_find(s, mac);

	if (mac_is_group(mac) || mac_is_zero(mac) || (p && !slot))
		return -EINVAL;
	if (e && e->registered && e->slot && slot && e->slot != slot)
		return -EEXIST;
	if (!e)
		e = entry_new(s, mac, USEC_NEVER);
	if (!e)
		return -ENOSPC;
	entry_place(s, e, slot ? slot : e->slot, true);
	if (slot)
		e->given = slot->given = true;
	return 0;
}

void switch_unregister(struct switch_ *s, struct mac mac)
{
	struct entry *e = entry_find(s, mac);

	if (!e || !e->registered)
		return;
	e->given = false;
	if (e->slot)
		entry_place(s, e, e->slot, false);
	else
		entry_forget(s, e);
}

/* An entry is live for as long as its port, if registered, and for AGE after its last frame, if learned. */
static bool entry_is_live(const struct entry *e, usec_t now)
{
	return e->slot && (e->registered || now - e->seen < AGE);
}

struct port *switch_lookup(struct switch_ *s, struct mac mac, usec_t now _unused_)
{
	struct entry *e = entry_find(s, mac);

	return e && e->slot ? e->slot->port : NULL;
}

/* May a registered MAC appear behind @to? A guest that has one of its own takes over none. */
static bool entry_may_move(const struct entry *e, const struct slot *to)
{
	return !e->slot || (!e->given && e->slot->port->still && list_empty(&to->registered));
}

/* A MAC that is new behind @from: not known at all, or somewhere else. */
static enum drop learn_new(struct switch_ *s, struct entry *e, struct mac mac, struct port *from, usec_t now)
{
	struct slot *slot = slot_find(s, from);

	if (!slot)
		return DROP_PORT_DOWN;
	if (e && e->registered) {
		if (!entry_may_move(e, slot))
			return DROP_SPOOFED_MAC;
		entry_place(s, e, slot, true);
		e->seen = now;
		return DROP_NONE;
	}
	if (slot->learned_count >= MACS_LEARN) {
		struct entry *oldest = list_entry(slot->learned.next, struct entry, node);

		if (entry_is_live(oldest, now))
			return DROP_MAC_TABLE_FULL;
		entry_forget(s, oldest);
	}
	if (!e)
		e = entry_new(s, mac, now - AGE);
	if (!e)
		return DROP_MAC_TABLE_FULL;
	entry_place(s, e, slot, false);
	e->seen = now;
	return DROP_NONE;
}

static enum drop learn(struct switch_ *s, struct mac mac, struct port *from, usec_t now)
{
	struct entry *e;

	if (mac_is_group(mac))
		return DROP_SPOOFED_MAC;
	if (mac_is_zero(mac))
		return DROP_MALFORMED;
	e = entry_find(s, mac);
	if (!e || !e->slot || e->slot->port != from)
		return learn_new(s, e, mac, from, now);
	if (now - e->seen >= USEC_S) { /* coarse, so that most frames write nothing */
		e->seen = now;
		entry_place(s, e, e->slot, e->registered);
	}
	return DROP_NONE;
}

/* The addresses of link-local protocols, spanning tree and its like: no bridge forwards them (IEEE 802.1Q table 8-1). */
static bool mac_is_reserved(struct mac m)
{
	return !memcmp(&m, "\x01\x80\xc2\0\0", 5) && m.b[5] <= 0x0f;
}

static enum drop route(struct switch_ *s, const struct eth *eth, struct port *from, usec_t now, struct route *out)
{
	enum drop drop = learn(s, eth->from, from, now);
	const struct entry *e;

	*out = (struct route){ ROUTE_NOWHERE };
	if (drop)
		return drop;
	if (mac_is_reserved(eth->to))
		return DROP_NOT_FOR_US;
	if (mac_is_group(eth->to)) {
		out->kind = ROUTE_GROUP;
		return DROP_NONE;
	}
	e = entry_find(s, eth->to);
	out->to = e && entry_is_live(e, now) ? e->slot->port : NULL;
	if (out->to == from)
		return DROP_NOT_FOR_US;
	out->kind = out->to ? ROUTE_ONE : ROUTE_UNKNOWN;
	return DROP_NONE;
}

/* Too large for the port, and nobody will cut it: a switch does not fragment. */
static bool is_oversize(const struct port *to, const struct frame *f)
{
	return to->mtu && !f->offload.gso && f->size > to->mtu + sizeof(struct eth) + 4 /* a VLAN tag */;
}

/* One port gets @count frames, in as few calls as its offloads allow. */
static void deliver(struct port *from, struct port *to, const struct frame *frames, size_t count)
{
	size_t start = 0;

	for (size_t i = 0; i < count; i++) {
		bool oversize = is_oversize(to, &frames[i]);

		if (!oversize && !segment_needed(to, &frames[i]))
			continue;
		if (i > start)
			port_send(to, frames + start, i - start);
		start = i + 1;
		if (oversize)
			port_drop(to, DROP_OVERSIZE, 1);
		else
			segment_send(from, to, &frames[i]);
	}
	if (count > start)
		port_send(to, frames + start, count - start);
}

void switch_send(struct port *to, const struct frame *frames, size_t count)
{
	deliver(to, to, frames, count);
}

/* A run of frames that go the same way leaves. */
static void forward(struct switch_ *s, struct port *from, const struct route *r, const struct frame *frames, size_t count)
{
	if (!count || r->kind == ROUTE_NOWHERE)
		return;
	if (r->kind == ROUTE_ONE) {
		deliver(from, r->to, frames, count);
		return;
	}
	/* By index: a port may come or go while a frame is delivered to another. */
	for (size_t i = 0; i < s->slot_count; i++) {
		const struct slot *slot = &s->slots[i];

		if (slot->port && slot->port != from && !(r->kind == ROUTE_UNKNOWN && slot->given))
			deliver(from, slot->port, frames, count);
	}
}

/* Both MACs of a frame as numbers: compared in one go, and straight from the frame into registers. */
struct macs { uint64_t low; uint32_t high; };

static inline struct macs macs_at(const void *frame)
{
	struct macs m;

	memcpy(&m.low, frame, sizeof(m.low));
	memcpy(&m.high, (const uint8_t *)frame + sizeof(m.low), sizeof(m.high));
	return m;
}
_Static_assert(offsetof(struct eth, type) == sizeof(uint64_t) + sizeof(uint32_t), "that is where the MACs end");

static inline bool has_macs(const struct frame *f, struct macs wanted)
{
	struct macs m;

	if (f->iov->iov_len < sizeof(struct eth))
		return false; /* in pieces, or too short: looked at with care */
	m = macs_at(f->iov->iov_base);
	return m.low == wanted.low && m.high == wanted.high;
}

void switch_input(struct switch_ *s, struct port *from, const struct frame *frames, size_t count, usec_t now)
{
	struct macs last = { 0 };
	struct route way = { ROUTE_NOWHERE };
	size_t start = 0;

	for (size_t i = 0; i < count; i++) {
		struct route r = way;
		struct cursor c;
		struct eth eth;
		enum drop drop;

		/* Frames of one pair of MACs come in runs: the first is looked up, the rest go after it. */
		if (i > start && way.kind == ROUTE_ONE && has_macs(&frames[i], last))
			continue;
		c = frame_cursor(&frames[i]);
		eth = eth_parse(&c);
		drop = cursor_failed(&c) ? DROP_SHORT : DROP_NONE;
		if (!drop)
			drop = route(s, &eth, from, now, &r);
		if (drop) {
			port_drop(from, drop, 1);
			r = (struct route){ ROUTE_NOWHERE };
		}
		if (r.kind != way.kind || r.to != way.to) {
			forward(s, from, &way, frames + start, i - start);
			start = i;
		}
		last = macs_at(&eth);
		way = r;
	}
	forward(s, from, &way, frames + start, count - start);
}

void switch_each_mac(struct switch_ *s, usec_t now, void (*each)(void *owner, struct mac mac, struct port *p), void *owner)
{
	for (size_t i = 0; i < MACS; i++)
		if (entry_is_live(&s->entries[i], now))
			each(owner, s->entries[i].mac, s->entries[i].slot->port);
}
