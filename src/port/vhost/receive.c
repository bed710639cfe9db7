// SPDX-License-Identifier: MIT
/* To the guest: its receive queues. */
#include <errno.h>

#include "base/attr.h"
#include "base/iov.h"
#include "port/virtio.h"
#include "port/vhost/vhost_private.h"
#include "wire/eth.h"

#define AHEAD 6 /* frames: about what a line of the cache takes to come from another core */
#define SHORT 2 /* frames of the MTU's size: with less room the guest is asked to say when there is more */

/* Give back all chains but the first @count. */
static void landing_keep(struct landing *l, size_t count)
{
	virtqueue_rewind(l->ring, count ? l->after[count - 1] : l->before, l->chains + count, l->count - count);
	l->count = count;
}

/*
 * Take chains until @least bytes have room, and on to @most as long as there are any. Where buffers are not mergeable one chain has to do.
 * Return: false (nothing is taken) if there is too little.
 */
static bool landing_take(struct vhost_port *v, struct landing *l, struct virtqueue *ring, uint32_t least, uint32_t most)
{
	l->ring = ring;
	l->before = virtqueue_mark(ring);
	l->count = l->parts = l->followed = 0;
	l->size = 0;
	l->full = false;
	while (l->size < most && l->count < (v->mergeable ? LANDING_CHAINS : 1)) {
		struct virtqueue_chain *c = &l->chains[l->count];
		int taken = virtqueue_take(ring, true, l->iov + l->parts, VIRTQUEUE_PARTS_MAX - l->followed, c);

		l->full = taken == -ENOBUFS;
		if (taken < 0 && !l->full)
			vhost_broken(v);
		if (taken <= 0)
			break;
		l->after[l->count++] = virtqueue_mark(ring);
		l->parts += c->parts;
		l->followed += (size_t)c->parts + c->empty;
		l->size += c->size;
		v->chain_size = c->size;
	}
	if (l->size >= least)
		return true;
	landing_keep(l, 0);
	vhost_check_memory(v);
	return false;
}

static void landing_log(const struct landing *l, uint32_t size)
{
	for (size_t i = 0; size && i < l->parts; i++) {
		uint32_t part = (uint32_t)MIN((size_t)size, l->iov[i].iov_len);

		vhost_log_mark_host(l->ring->log, l->ring->memory, l->iov[i].iov_base, part);
		size -= part;
	}
}

/*
 * Where to make the offload header: in place if it lies there in one piece. To make it here and copy it would wait until all that was
 * written to the guest before has left this core (a load cannot be answered by several smaller stores).
 */
static struct virtio_net_hdr_v1 *header_place(const struct landing *l, size_t size, struct virtio_net_hdr_v1 *own)
{
	bool in_place = size == sizeof(*own) && l->iov->iov_len >= size && (uintptr_t)l->iov->iov_base % _Alignof(typeof(*own)) == 0;

	return in_place ? l->iov->iov_base : own;
}

/* The frame is written: put its offload header before it, give back what it did not need, and hand it over. */
static void landing_finish(struct vhost_port *v, struct landing *l, const struct frame *f)
{
	static const uint8_t zeroes[ETH_MIN];
	uint32_t size = v->header_size + MAX(f->size, (uint32_t)ETH_MIN), left = size;
	struct virtio_net_hdr_v1 own, *h = header_place(l, v->header_size, &own);
	struct iovec header = { &own, v->header_size }, padding = { (void *)zeroes, ETH_MIN - MIN(f->size, (uint32_t)ETH_MIN) };
	size_t needed = 0;

	for (uint32_t covered = 0; covered < size; needed++)
		covered += l->chains[needed].size;
	if (needed < l->count)
		landing_keep(l, needed);
	virtio_header_emit(f, h);
	h->num_buffers = (uint16_t)needed;
	if (!(v->port.takes & PORT_TAKES_OPEN_CHECKSUM))
		h->flags = 0; /* "verified" is a word of VIRTIO_NET_F_GUEST_CSUM, too */
	if (h == &own)
		iov_copy(l->iov, 0, &header, 1);
	if (padding.iov_len)
		iov_copy(l->iov, v->header_size + f->size, &padding, 1);
	if (l->ring->log->bits)
		landing_log(l, size);
	for (size_t i = 0; i < l->count; i++) {
		uint32_t part = MIN(left, l->chains[i].size);

		virtqueue_use(l->ring, &l->chains[i], part);
		left -= part;
	}
	vhost_publish_later(v);
}

/* The queue for a frame; NULL while the guest has none that runs. */
static struct lane *choose_lane(struct vhost_port *v, const struct frame *f)
{
	struct lane *l = &v->lanes[0];

	if (v->pairs > 1) {
		struct lane *steered = &v->lanes[2 * v->steer.pair[steer_place(f)]];

		if (lane_is_running(steered))
			return steered;
	}
	return lane_is_running(l) ? l : NULL;
}

/*
 * Did it take more parts than a landing has? Or would all the chains not do that a ring has, or that we take for one frame, if they were
 * like the one seen last?
 */
static bool is_too_big_ever(const struct vhost_port *v, const struct virtqueue *ring, uint32_t size)
{
	uint32_t chains = v->mergeable ? MIN((uint32_t)ring->size, (uint32_t)LANDING_CHAINS) : 1;

	return v->landing.full || (v->chain_size && size > (uint64_t)chains * v->chain_size);
}

/* Return: false if the guest has no buffers for it now. */
static bool send_one(struct vhost_port *v, const struct frame *f)
{
	uint32_t size = v->header_size + MAX(f->size, (uint32_t)ETH_MIN);
	struct lane *l = choose_lane(v, f);

	if (!l)
		return false;
	virtqueue_prefetch(&l->queue->ring, AHEAD);
	if (!landing_take(v, &v->landing, &l->queue->ring, size, size)) {
		if (v->port.down || !virtqueue_has_more(&l->queue->ring) || !is_too_big_ever(v, &l->queue->ring, size))
			return false;
		port_drop(&v->port, DROP_OVERSIZE, 1);
		return true;
	}
	iov_copy(v->landing.iov, v->header_size, f->iov, f->parts);
	landing_finish(v, &v->landing, f);
	return true;
}

size_t receive_send(struct port *p, const struct frame *frames, size_t count)
{
	struct vhost_port *v = container_of(p, struct vhost_port, port);
	size_t taken = 0;

	while (taken < count && send_one(v, &frames[taken]))
		taken++;
	return taken;
}

/* As if all chains were as large as the one seen last, behind an offload header each. */
static size_t estimate_room(const struct vhost_port *v, struct virtqueue *ring)
{
	size_t each = v->chain_size > v->header_size ? v->chain_size - v->header_size : v->port.mtu;

	return virtqueue_available(ring) * each;
}

size_t receive_room(struct port *p)
{
	struct vhost_port *v = container_of(p, struct vhost_port, port);
	struct virtqueue *ring = &v->lanes[0].queue->ring;
	size_t room;

	if (!lane_is_running(&v->lanes[0]))
		return 0;
	room = estimate_room(v, ring);
	/* Short of it: let the guest say when it has put buffers in. If it has meanwhile, count again. */
	if (room < SHORT * v->port.mtu && virtqueue_listen(ring))
		room = estimate_room(v, ring);
	return room;
}

size_t receive_reserve(struct port *p, const struct frame *head, size_t least, size_t most, struct iovec *iov, size_t room, size_t *got)
{
	struct vhost_port *v = container_of(p, struct vhost_port, port);
	struct landing *l = &v->landing;
	size_t skip = v->header_size, parts = 0;
	uint32_t from = (uint32_t)(skip + MAX(least, (size_t)ETH_MIN)), to = (uint32_t)(skip + most);
	struct lane *lane = choose_lane(v, head);

	if (!lane || !landing_take(v, l, &lane->queue->ring, from, MAX(from, to)))
		return 0;
	*got = MIN(l->size - skip, most);
	for (size_t i = 0, left = *got; left && parts < room; i++) {
		size_t size;

		if (skip >= l->iov[i].iov_len) {
			skip -= l->iov[i].iov_len;
			continue;
		}
		size = MIN(left, l->iov[i].iov_len - skip);
		iov[parts++] = (struct iovec){ (uint8_t *)l->iov[i].iov_base + skip, size };
		left -= size;
		skip = 0;
		if (parts == room)
			*got -= left;
	}
	if (*got < least) {
		landing_keep(l, 0);
		return 0;
	}
	return parts;
}

void receive_commit(struct port *p, const struct frame *f)
{
	struct vhost_port *v = container_of(p, struct vhost_port, port);

	if (f->size)
		landing_finish(v, &v->landing, f);
	else
		landing_keep(&v->landing, 0);
}
