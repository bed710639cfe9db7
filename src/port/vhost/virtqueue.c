// SPDX-License-Identifier: MIT
#include "port/vhost/virtqueue.h"

#include <errno.h>
#include <stdatomic.h>

#include "port/vhost/virtqueue_private.h"

#define DESCRIPTOR_SIZE 16
#define CACHE_LINE      64
#define WRAP            0x8000
#define BASE_PACKED     0x80008000 /* where a packed ring begins: slot 0, wrap counters 1 */

int virtqueue_break(struct virtqueue *r)
{
	r->broken = true;
	return -EPROTO;
}

/* One more part, or one more descriptor that holds nothing: to follow it costs the same, so it takes a part's place. */
static inline bool has_place(struct parts *p)
{
	if (likely((size_t)p->chain->parts + p->chain->empty < p->room))
		return true;
	p->full = !p->request && p->room < VIRTQUEUE_PARTS_MAX;
	return false;
}

bool virtqueue_add_part(struct virtqueue *r, struct parts *p, const struct descriptor *d)
{
	struct virtqueue_chain *c = p->chain;
	uint64_t address = d->address;
	uint32_t left = d->size;

	if (unlikely(p->request))
		p->to_driver |= d->flags & VRING_DESC_F_WRITE;
	if (!!(d->flags & VRING_DESC_F_WRITE) != p->to_driver || __builtin_add_overflow(c->size, left, &c->size))
		return false;
	if (unlikely(!left)) {
		if (!has_place(p))
			return false;
		c->empty++;
	}
	while (left) {
		uint32_t size = left;
		uint8_t *at = vhost_memory_at(r->memory, address, &size);

		if (unlikely(!at || !has_place(p)))
			return false;
		p->iov[c->parts++] = (struct iovec){ at, size };
		address += size;
		left -= size;
	}
	if (!p->to_driver)
		c->readable = c->parts;
	return true;
}

const volatile void *virtqueue_indirect_table(struct virtqueue *r, const struct descriptor *d, uint32_t *count)
{
	uint32_t size = d->size;
	const volatile void *table;

	if (!r->indirect || d->flags & VRING_DESC_F_NEXT || !size || size % DESCRIPTOR_SIZE)
		return NULL;
	table = vhost_memory_at(r->memory, d->address, &size);
	/* In one piece and in its place, or not at all: nobody lays a table across two regions. */
	if (!table || size < d->size || (uintptr_t)table % _Alignof(uint64_t))
		return NULL;
	*count = size / DESCRIPTOR_SIZE;
	return table;
}

void virtqueue_start(struct virtqueue *r, uint32_t base)
{
	r->broken = r->signalled_valid = false;
	r->unpublished = r->unasked = 0;
	if (r->packed) {
		/* User-mode Linux knows no wrap counters, and says 0 of a new ring: true only of one that was gone round. */
		if (!base && packed_is_fresh(r))
			base = BASE_PACKED;
		r->next_take = base & (WRAP - 1);
		r->take_wrap = base & WRAP;
		r->next_use = base >> 16 & (WRAP - 1);
		r->use_wrap = base >> 16 & WRAP;
		inflight_start(&r->inflight, 0, &r->next_use, &r->use_wrap);
		if (r->inflight.region) {
			r->next_take = r->next_use;
			r->take_wrap = r->use_wrap;
		}
		/* Slots that are not there would be followed out of the ring. */
		r->broken = r->next_take >= r->size || r->next_use >= r->size;
	} else {
		r->next_use = r->used->idx;
		r->next_take = r->available = (uint16_t)base;
		inflight_start(&r->inflight, r->next_use, NULL, NULL);
		if (r->inflight.region)
			r->next_take = r->available = r->next_use;
	}
	r->published = r->signalled = r->next_use;
	r->published_wrap = r->use_wrap;
	r->started = true;
}

uint32_t virtqueue_base(const struct virtqueue *r)
{
	/* All that was taken is used and published by the turn's end: the two places are the same then. */
	if (!r->packed)
		return r->next_take;
	return (uint32_t)(r->next_take | (r->take_wrap ? WRAP : 0)) | (uint32_t)(r->next_use | (r->use_wrap ? WRAP : 0)) << 16;
}

static inline int take(struct virtqueue *r, struct parts *p)
{
	struct virtqueue_chain *out = p->chain;
	int taken;

	if (unlikely(r->broken))
		return -EPROTO;
	out->parts = out->empty = out->readable = 0;
	out->size = 0;
	taken = r->packed ? packed_take(r, p) : split_take(r, p);
	if (unlikely(taken < 0))
		return p->full ? -ENOBUFS : virtqueue_break(r);
	if (unlikely(r->inflight.region) && taken)
		inflight_take(&r->inflight, out->id);
	return taken;
}

int virtqueue_take(struct virtqueue *r, bool to_driver, struct iovec *iov, size_t room, struct virtqueue_chain *out)
{
	return take(r, &(struct parts){ .iov = iov, .room = room, .chain = out, .to_driver = to_driver });
}

int virtqueue_take_request(struct virtqueue *r, struct iovec *iov, size_t room, struct virtqueue_chain *out)
{
	return take(r, &(struct parts){ .iov = iov, .room = room, .chain = out, .request = true });
}

bool virtqueue_has_more(struct virtqueue *r)
{
	return !r->broken && (r->packed ? packed_has_more(r) : split_has_more(r));
}

uint16_t virtqueue_available(struct virtqueue *r)
{
	if (r->broken)
		return 0;
	return r->packed ? packed_available(r) : split_available(r);
}

void virtqueue_prefetch(struct virtqueue *r, uint16_t ahead)
{
	uint32_t size = CACHE_LINE;
	uint64_t address;
	uint8_t *at;

	if (r->broken || !(r->packed ? packed_ahead(r, ahead, &address) : split_ahead(r, ahead, &address)))
		return;
	at = vhost_memory_at(r->memory, address, &size);
	if (at) {
		__builtin_prefetch(at, 1);
		__builtin_prefetch(at + CACHE_LINE, 1);
	}
}

void virtqueue_use(struct virtqueue *r, const struct virtqueue_chain *c, uint32_t written)
{
	if (unlikely(r->inflight.region))
		inflight_use(&r->inflight, c->id);
	if (r->packed)
		packed_use(r, c, written);
	else
		split_use(r, c, written);
}

void virtqueue_show(struct virtqueue *r)
{
	if (!r->unpublished || r->broken)
		return;
	if (unlikely(r->inflight.region))
		inflight_publish(&r->inflight, r->next_use, r->use_wrap);
	if (r->packed)
		packed_show(r);
	else
		split_show(r);
	if (unlikely(r->inflight.region))
		inflight_published(&r->inflight, r->next_use, r->use_wrap);
	r->unasked = (uint16_t)MIN(r->unasked + (uint32_t)r->unpublished, (uint32_t)UINT16_MAX);
	r->unpublished = 0;
}

bool virtqueue_wants_call(const struct virtqueue *r)
{
	if (!r->unasked || r->broken)
		return false;
	/* The driver writes its event and then looks for used buffers; we the other way round. */
	atomic_thread_fence(memory_order_seq_cst);
	return r->packed ? packed_wants_call(r) : split_wants_call(r);
}

void virtqueue_forget_call(struct virtqueue *r)
{
	if (!r->unasked)
		return;
	r->unasked = 0;
	r->signalled = r->published;
	r->signalled_valid = true;
}

bool virtqueue_publish(struct virtqueue *r)
{
	bool call;

	virtqueue_show(r);
	call = virtqueue_wants_call(r);
	virtqueue_forget_call(r);
	return call;
}

void virtqueue_silence(struct virtqueue *r)
{
	if (r->broken)
		return;
	if (r->packed)
		packed_silence(r);
	else
		split_silence(r);
}

bool virtqueue_listen(struct virtqueue *r)
{
	if (r->broken)
		return false;
	if (r->packed)
		packed_listen(r);
	else
		split_listen(r);
	/* Ask first, then look: whatever comes after the look is kicked for. */
	atomic_thread_fence(memory_order_seq_cst);
	return virtqueue_has_more(r);
}
