// SPDX-License-Identifier: MIT
/* From the guest: its transmit queues. */
#include <string.h>

#include "base/attr.h"
#include "port/virtio.h"
#include "port/vhost/vhost_private.h"

#define CACHE_LINE 64
#define PARTS (PORT_BATCH * 4 + VIRTQUEUE_PARTS_MAX)

struct batch {
	size_t taken, count, parts;
	size_t followed;               /* descriptors of all chains, the empty ones too */
	struct virtqueue_chain chains[PORT_BATCH];
	struct frame frames[PORT_BATCH];
	struct iovec iov[PARTS];
};

/* The offload header stands before the frame: alone in the first part, before the frame's first bytes, or even in pieces. */
static enum drop read_header(struct vhost_port *v, struct iovec *iov, size_t parts, uint32_t chain_size, struct frame *f)
{
	struct virtio_net_hdr_v1 h = { 0 };
	struct cursor c = cursor_of_iov(iov, parts);
	size_t skip = v->header_size;

	if (chain_size <= skip)
		return DROP_SHORT;
	if (iov->iov_len >= sizeof(h) && skip == sizeof(h))
		memcpy(&h, iov->iov_base, sizeof(h)); /* the usual case, with a size that the compiler knows */
	else
		cursor_copy(&c, &h, skip);
	for (; skip >= iov->iov_len; iov++, parts--)
		skip -= iov->iov_len;
	*iov = (struct iovec){ (uint8_t *)iov->iov_base + skip, iov->iov_len - skip };
	*f = (struct frame){ .iov = iov, .parts = (uint32_t)parts, .size = chain_size - v->header_size };
	if (f->size > FRAME_MAX)
		return DROP_OVERSIZE;
	return virtio_header_parse(&h, f->size, &f->offload);
}

/* What the guest offers, up to a batch. Return: false if its ring is broken. */
static bool gather(struct virtqueue *ring, struct batch *b)
{
	int taken = 0;

	b->taken = b->count = b->parts = b->followed = 0;
	while (b->taken < PORT_BATCH && PARTS - b->followed >= VIRTQUEUE_PARTS_MAX) {
		struct virtqueue_chain *c = &b->chains[b->taken];
		const struct iovec *iov = b->iov + b->parts;

		taken = virtqueue_take(ring, false, b->iov + b->parts, VIRTQUEUE_PARTS_MAX, c);
		if (taken <= 0)
			break;
		/* The guest wrote it on another core: let its headers be on their way while the other chains are looked at. */
		if (c->parts) {
			__builtin_prefetch(iov->iov_base);
			__builtin_prefetch((const uint8_t *)iov->iov_base + CACHE_LINE);
		}
		b->parts += c->parts;
		b->followed += (size_t)c->parts + c->empty;
		b->taken++;
	}
	return taken >= 0;
}

/* The frames in what was gathered; what makes none is dropped. */
static void read_frames(struct vhost_port *v, struct batch *b)
{
	struct iovec *iov = b->iov;

	for (size_t i = 0; i < b->taken; iov += b->chains[i++].parts) {
		enum drop drop = read_header(v, iov, b->chains[i].parts, b->chains[i].size, &b->frames[b->count]);

		if (drop)
			port_drop(&v->port, drop, 1);
		else
			b->count++;
	}
}

static void learn_pairs(struct vhost_port *v, const struct lane *l, const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		v->steer.pair[steer_place(&b->frames[i])] = (uint8_t)(l->queue->index / 2);
}

void transmit_run(struct vhost_port *v, struct lane *l)
{
	struct virtqueue *ring = &l->queue->ring;
	struct batch b; /* not cleared: 24 KiB of which one frame uses little */
	bool whole;

	if (!lane_is_served(l))
		return;
	virtqueue_silence(ring);
	whole = gather(ring, &b);
	read_frames(v, &b);
	if (v->pairs > 1)
		learn_pairs(v, l, &b);
	port_rates(&v->port, loop_now(v->loop));
	if (b.count && l->queue->enabled)
		port_input(&v->port, b.frames, b.count);
	if (!ring->started)
		return; /* not even a callback should, but then it is the driver's again */
	for (size_t i = 0; i < b.taken; i++)
		virtqueue_use(ring, &b.chains[i], 0);
	if (b.taken)
		vhost_publish_later(v);
	if (!whole) {
		vhost_broken(v);
		return;
	}
	poller_set(&v->poller); /* it asks for a kick when there has been nothing more for a while */
}
