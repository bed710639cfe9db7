// SPDX-License-Identifier: MIT
/* The packed virtqueue: virtio 1.2 section 2.8. */
#include <errno.h>
#include <stdatomic.h>

#include "port/vhost/virtqueue_private.h"

#define DESC_AVAIL   (1u << VRING_PACKED_DESC_F_AVAIL)
#define DESC_USED    (1u << VRING_PACKED_DESC_F_USED)
#define COUNT_MOST   64
#define EVENT_WRAP   (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/* A place in the ring: a slot, and how often the ring was gone round, as one bit. */
struct place { uint16_t slot; bool wrap; };

static struct place place_after(const struct virtqueue *r, struct place p, uint16_t slots)
{
	uint32_t slot = (uint32_t)p.slot + slots;

	if (slot >= r->size)
		return (struct place){ (uint16_t)(slot - r->size), !p.wrap };
	return (struct place){ (uint16_t)slot, p.wrap };
}

/* Available: the first bit is as the wrap counter, the second is not (section 2.8.1). */
static bool is_available(uint16_t flags, bool wrap)
{
	return !!(flags & DESC_AVAIL) == wrap && !!(flags & DESC_USED) != wrap;
}

static struct descriptor copy_descriptor(const volatile struct vring_packed_desc *d, uint16_t flags)
{
	return (struct descriptor){ .address = d->addr, .size = d->len, .flags = flags, .next = d->id };
}

static void log_slot(struct virtqueue *r, const volatile void *at, uint64_t size)
{
	if (unlikely(r->log->bits))
		vhost_log_mark_host(r->log, r->memory, (const void *)at, size);
}

/* In an indirect table all descriptors belong to the chain, in their order (section 2.8.7). */
static bool walk_table(struct virtqueue *r, struct parts *p, const struct descriptor *of)
{
	const volatile struct vring_packed_desc *table;
	uint32_t count;

	table = virtqueue_indirect_table(r, of, &count);
	if (unlikely(!table || count > r->size))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct descriptor d = copy_descriptor(&table[i], table[i].flags);

		/* DPDK's driver (22.11) leaves "writable" standing in tables of what it sends; to read such a buffer harms nobody. */
		if (!p->to_driver && !p->request)
			d.flags &= (uint16_t)~VRING_DESC_F_WRITE;
		if (unlikely(d.flags & VRING_DESC_F_INDIRECT || !virtqueue_add_part(r, p, &d)))
			return false;
	}
	return true;
}

/* Follow a chain from slot to slot; its last descriptor has the id of all. */
static bool walk_slots(struct virtqueue *r, struct parts *p, struct descriptor d, struct place at)
{
	uint16_t slots = 1;

	for (;;) {
		if (unlikely(d.flags & VRING_DESC_F_INDIRECT || !virtqueue_add_part(r, p, &d)))
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			break;
		if (unlikely(slots++ == r->size))
			return false;
		at = place_after(r, at, 1);
		d = copy_descriptor(&r->slots[at.slot], r->slots[at.slot].flags);
	}
	p->chain->id = d.next;
	p->chain->slots = slots;
	return true;
}

int packed_take(struct virtqueue *r, struct parts *p)
{
	struct place at = { r->next_take, r->take_wrap };
	uint16_t flags = __atomic_load_n(&r->slots[at.slot].flags, __ATOMIC_ACQUIRE);
	struct descriptor d;

	if (!is_available(flags, at.wrap))
		return 0;
	d = copy_descriptor(&r->slots[at.slot], flags);
	if (d.flags & VRING_DESC_F_INDIRECT) {
		if (unlikely(!walk_table(r, p, &d)))
			return -EPROTO;
		p->chain->id = d.next;
		p->chain->slots = 1;
	} else if (unlikely(!walk_slots(r, p, d, at))) {
		return -EPROTO;
	}
	at = place_after(r, at, p->chain->slots);
	r->next_take = at.slot;
	r->take_wrap = at.wrap;
	return 1;
}

/* Whoever writes "used" into a descriptor, the device in the first round or the driver in the second, leaves a mark that stays. */
bool packed_is_fresh(const struct virtqueue *r)
{
	for (uint16_t i = 0; i < r->size; i++)
		if (r->slots[i].flags & DESC_USED)
			return false;
	return true;
}

bool packed_has_more(struct virtqueue *r)
{
	return is_available(__atomic_load_n(&r->slots[r->next_take].flags, __ATOMIC_ACQUIRE), r->take_wrap);
}

uint16_t packed_available(struct virtqueue *r)
{
	struct place at = { r->next_take, r->take_wrap };
	uint16_t chains = 0;

	for (uint16_t slots = 0; slots < MIN(r->size, VIRTQUEUE_PARTS_MAX) && chains < COUNT_MOST; slots++, at = place_after(r, at, 1)) {
		uint16_t flags = __atomic_load_n(&r->slots[at.slot].flags, __ATOMIC_ACQUIRE);

		if (!is_available(flags, at.wrap))
			break;
		chains += !(flags & VRING_DESC_F_NEXT);
	}
	return chains;
}

bool packed_ahead(struct virtqueue *r, uint16_t ahead, uint64_t *address)
{
	struct place at = place_after(r, (struct place){ r->next_take, r->take_wrap }, ahead);

	if (ahead >= r->size || !is_available(r->slots[at.slot].flags, at.wrap))
		return false;
	*address = r->slots[at.slot].addr;
	return true;
}

/* Used: both bits are as the wrap counter. */
static uint16_t used_flags(bool wrap, uint32_t written)
{
	return (uint16_t)((wrap ? DESC_AVAIL | DESC_USED : 0) | (written ? VRING_DESC_F_WRITE : 0));
}

/* One descriptor stands for the whole chain; the driver looks at the first of a batch, so that one's flags are written last. */
void packed_use(struct virtqueue *r, const struct virtqueue_chain *c, uint32_t written)
{
	volatile struct vring_packed_desc *d = &r->slots[r->next_use];
	uint16_t flags = used_flags(r->use_wrap, written);
	struct place next = place_after(r, (struct place){ r->next_use, r->use_wrap }, c->slots);

	d->id = c->id;
	d->len = written;
	if (!r->unpublished)
		r->first_flags = flags;
	else
		__atomic_store_n(&d->flags, flags, __ATOMIC_RELEASE);
	log_slot(r, d, sizeof(*d));
	r->unpublished = (uint16_t)(r->unpublished + c->slots);
	r->next_use = next.slot;
	r->use_wrap = next.wrap;
}

/* Does the driver want a call for something between @before and where we are now? (Section 2.8.10; slots are counted in one round.) */
static bool event_passed(const struct virtqueue *r, uint16_t event, uint16_t before)
{
	uint16_t slot = event & (EVENT_WRAP - 1), now = r->published;

	if (now <= before)
		before = (uint16_t)(before - r->size);
	if (r->published_wrap != !!(event & EVENT_WRAP))
		slot = (uint16_t)(slot - r->size);
	return vring_need_event(slot, now, before);
}

void packed_show(struct virtqueue *r)
{
	volatile struct vring_packed_desc *first = &r->slots[r->published];

	__atomic_store_n(&first->flags, r->first_flags, __ATOMIC_RELEASE);
	log_slot(r, first, sizeof(*first));
	r->published = r->next_use;
	r->published_wrap = r->use_wrap;
}

bool packed_wants_call(const struct virtqueue *r)
{
	uint16_t flags = __atomic_load_n(&r->driver_event->flags, __ATOMIC_ACQUIRE), event = r->driver_event->off_wrap;

	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !r->event_idx)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	/* More than one round passes every event. */
	return !r->signalled_valid || r->unasked > r->size || event_passed(r, event, r->signalled);
}

static void ask(struct virtqueue *r, uint16_t flags)
{
	if (r->device_event->flags == flags)
		return;
	__atomic_store_n(&r->device_event->flags, flags, __ATOMIC_RELEASE);
	log_slot(r, r->device_event, sizeof(*r->device_event));
}

void packed_silence(struct virtqueue *r)
{
	ask(r, VRING_PACKED_EVENT_FLAG_DISABLE);
}

void packed_listen(struct virtqueue *r)
{
	if (!r->event_idx) {
		ask(r, VRING_PACKED_EVENT_FLAG_ENABLE);
		return;
	}
	r->device_event->off_wrap = (uint16_t)(r->next_take | (r->take_wrap ? EVENT_WRAP : 0));
	log_slot(r, r->device_event, sizeof(*r->device_event));
	ask(r, VRING_PACKED_EVENT_FLAG_DESC);
}
