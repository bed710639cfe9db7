// SPDX-License-Identifier: MIT
/* The split virtqueue: virtio 1.2 section 2.7. */
#include <errno.h>
#include <stdatomic.h>

#include "port/vhost/virtqueue_private.h"

static uint16_t mask_of(const struct virtqueue *r) { return (uint16_t)(r->size - 1); }

/* The event fields lie behind the rings (sections 2.7.6 and 2.7.8). */
static uint16_t used_event(const struct virtqueue *r) { return r->avail->ring[r->size]; }
static volatile uint16_t *avail_event(struct virtqueue *r) { return (volatile uint16_t *)&r->used->ring[r->size]; }

static uint16_t load_index(const volatile uint16_t *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void copy_descriptor(struct descriptor *to, const volatile struct vring_desc *d)
{
	to->address = d->addr;
	to->size = d->len;
	to->flags = d->flags;
	to->next = d->next;
}

static void log_used(struct virtqueue *r, const volatile void *at, uint64_t size)
{
	if (unlikely(r->log_used))
		vhost_log_mark(r->log, r->log_used + (uint64_t)((const volatile uint8_t *)at - (const volatile uint8_t *)r->used), size);
}

/* Follow a chain through a table of @count descriptors from @d on; as many steps as the table is long are enough for an honest one. */
static bool walk(struct virtqueue *r, struct parts *p, const volatile struct vring_desc *table, uint32_t count, struct descriptor *d)
{
	for (uint32_t steps = 1;; steps++) {
		if (unlikely(d->flags & VRING_DESC_F_INDIRECT || !virtqueue_add_part(r, p, d)))
			return false;
		if (!(d->flags & VRING_DESC_F_NEXT))
			return true;
		if (unlikely(steps == count || d->next >= count))
			return false;
		copy_descriptor(d, &table[d->next]);
	}
}

int split_take(struct virtqueue *r, struct parts *p)
{
	const volatile struct vring_desc *table;
	struct descriptor d;
	uint32_t count;
	uint16_t head;

	if (r->next_take == r->available && !split_has_more(r))
		return r->broken ? -EPROTO : 0;
	head = r->avail->ring[r->next_take & mask_of(r)];
	if (unlikely(head >= r->size))
		return -EPROTO;
	p->chain->id = head;
	p->chain->slots = 1;
	copy_descriptor(&d, &r->descriptors[head]);
	if (d.flags & VRING_DESC_F_INDIRECT) {
		table = virtqueue_indirect_table(r, &d, &count);
		if (unlikely(!table))
			return -EPROTO;
		copy_descriptor(&d, table);
		if (unlikely(!walk(r, p, table, count, &d)))
			return -EPROTO;
	} else if (unlikely(!walk(r, p, r->descriptors, r->size, &d))) {
		return -EPROTO;
	}
	r->next_take++;
	return 1;
}

uint16_t split_available(struct virtqueue *r)
{
	r->available = load_index(&r->avail->idx);
	if (unlikely((uint16_t)(r->available - r->next_take) > r->size)) {
		virtqueue_break(r);
		r->available = r->next_take;
	}
	return (uint16_t)(r->available - r->next_take);
}

bool split_has_more(struct virtqueue *r)
{
	return r->next_take != r->available || split_available(r);
}

bool split_ahead(struct virtqueue *r, uint16_t ahead, uint64_t *address)
{
	uint16_t head;

	if ((uint16_t)(r->available - r->next_take) <= ahead)
		return false;
	head = r->avail->ring[(uint16_t)(r->next_take + ahead) & mask_of(r)];
	if (head < r->size)
		*address = r->descriptors[head].addr;
	return head < r->size;
}

void split_use(struct virtqueue *r, const struct virtqueue_chain *c, uint32_t written)
{
	volatile struct vring_used_elem *e = &r->used->ring[r->next_use++ & mask_of(r)];

	e->id = c->id;
	e->len = written;
	r->unpublished++;
	log_used(r, e, sizeof(*e));
}

void split_show(struct virtqueue *r)
{
	__atomic_store_n(&r->used->idx, r->next_use, __ATOMIC_RELEASE);
	log_used(r, &r->used->idx, sizeof(r->used->idx));
	r->published = r->next_use;
}

bool split_wants_call(const struct virtqueue *r)
{
	if (!r->event_idx)
		return !(r->avail->flags & VRING_AVAIL_F_NO_INTERRUPT);
	return !r->signalled_valid || vring_need_event(used_event(r), r->published, r->signalled);
}

void split_silence(struct virtqueue *r)
{
	/* With the event index nothing needs to be said: the driver kicks only when it passes the place that was asked for. */
	if (r->event_idx || r->used->flags & VRING_USED_F_NO_NOTIFY)
		return;
	r->used->flags = VRING_USED_F_NO_NOTIFY;
	log_used(r, &r->used->flags, sizeof(r->used->flags));
}

void split_listen(struct virtqueue *r)
{
	if (r->event_idx) {
		*avail_event(r) = r->next_take;
		log_used(r, avail_event(r), sizeof(uint16_t));
	} else if (r->used->flags & VRING_USED_F_NO_NOTIFY) {
		r->used->flags = 0;
		log_used(r, &r->used->flags, sizeof(r->used->flags));
	}
}
