// SPDX-License-Identifier: MIT
#include <errno.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "port/vhost/device_private.h"

#define VRING_F_LOG 1          /* of SET_VRING_ADDR's flags */
#define PACKED_BASE 0x80008000 /* where a packed ring begins: slot 0, wrap counters 1 */

void vhost_queue_call(const struct vhost_queue *q)
{
	uint64_t one = 1;

	/* An eventfd or pipe that is full has calls enough in it, and one that has gone needs none. */
	if (q->call >= 0 && write(q->call, &one, sizeof(one)) < 0)
		return;
}

/* --- start and stop --- */

struct areas { void *descriptors, *available, *used; };

static void *area_at(struct vhost_device *d, uint64_t user, uint64_t size, size_t alignment)
{
	void *at = vhost_memory_at_user(&d->memory, user, size);

	/* A region may lie in its file so that what is aligned there is not aligned here. */
	return (uintptr_t)at % alignment ? NULL : at;
}

/* Virtio 1.2 sections 2.7 and 2.8: sizes and alignments. Return: false if not all of them lie in memory. */
static bool queue_find(struct vhost_device *d, const struct vhost_queue *q, struct areas *out)
{
	uint64_t size = q->ring.size;
	bool packed = d->features & BIT(VIRTIO_F_RING_PACKED);

	out->descriptors = area_at(d, q->descriptors, 16 * size, 16);
	out->available = area_at(d, q->available, packed ? 4 : 6 + 2 * size, packed ? 4 : 2);
	out->used = area_at(d, q->used, packed ? 4 : 6 + 8 * size, 4);
	return out->descriptors && out->available && out->used;
}

static bool size_is_valid(const struct vhost_device *d, uint32_t size)
{
	return size && size <= VIRTQUEUE_SIZE_MAX && (d->features & BIT(VIRTIO_F_RING_PACKED) || !(size & (size - 1)));
}

static void queue_set_log(struct vhost_device *d, struct vhost_queue *q)
{
	q->ring.log = d->features & BIT(VHOST_F_LOG_ALL) ? &d->log : &d->no_log;
	q->ring.log_used = q->ring.log->bits && q->log_used ? q->log_address : 0;
}

static void queue_start(struct vhost_device *d, struct vhost_queue *q, const struct areas *a)
{
	struct virtqueue *r = &q->ring;

	r->packed = d->features & BIT(VIRTIO_F_RING_PACKED);
	r->event_idx = d->features & BIT(VIRTIO_RING_F_EVENT_IDX);
	r->in_order = d->features & BIT(VIRTIO_F_IN_ORDER);
	r->indirect = d->features & BIT(VIRTIO_RING_F_INDIRECT_DESC);
	r->memory = &d->memory;
	if (r->packed) {
		r->slots = a->descriptors;
		r->driver_event = a->available;
		r->device_event = a->used;
	} else {
		r->descriptors = a->descriptors;
		r->avail = a->available;
		r->used = a->used;
	}
	queue_set_log(d, q);
	r->inflight = vhost_inflight_of(d, q);
	if (!q->has_base)
		q->base = r->packed ? PACKED_BASE : 0;
	q->has_base = true;
	if (!(d->features & BIT(VHOST_F_PROTOCOL_FEATURES)))
		q->enabled = true;
	q->discards = false; /* what waits in a ring that is enabled only after its start was meant to be sent */
	virtqueue_start(r, q->base);
	d->sink->queue_changed(d->sink->owner, q);
}

/* What was used and not published yet would be lost to the driver. */
static void queue_stop(struct vhost_device *d, struct vhost_queue *q)
{
	if (!q->ring.started)
		return;
	if (virtqueue_publish(&q->ring))
		vhost_queue_call(q);
	q->base = virtqueue_base(&q->ring);
	q->ring.started = false;
	q->ring.inflight.region = NULL;
	d->sink->queue_changed(d->sink->owner, q);
}

static void queue_update(struct vhost_device *d, struct vhost_queue *q)
{
	struct areas a;
	bool runs = !d->closed && (q->kick >= 0 || q->polled) && q->has_address && size_is_valid(d, q->ring.size) && queue_find(d, q, &a);

	if (!runs)
		queue_stop(d, q);
	else if (!q->ring.started)
		queue_start(d, q, &a);
}

/* The old one is closed when nobody watches it any more. */
static void queue_set_kick(struct vhost_device *d, struct vhost_queue *q, int fd)
{
	int old = q->kick;

	q->kick = -1;
	if (old >= 0)
		d->sink->kick_changed(d->sink->owner, q);
	fd_close(old);
	q->kick = fd;
	if (fd >= 0)
		d->sink->kick_changed(d->sink->owner, q);
}

static void queue_detach(struct vhost_device *d, struct vhost_queue *q)
{
	queue_stop(d, q);
	q->polled = false;
	queue_set_kick(d, q, -1);
}

/* --- all of them --- */

void vhost_queues_init(struct vhost_device *d)
{
	for (unsigned int i = 0; i < VHOST_QUEUES; i++)
		d->queues[i] = (struct vhost_queue){ .index = (uint16_t)i, .kick = -1, .call = -1, .error = -1 };
}

void vhost_queues_fini(struct vhost_device *d)
{
	for (struct vhost_queue *q = d->queues; q < d->queues + VHOST_QUEUES; q++) {
		q->ring.started = false;
		fd_close(q->kick);
		fd_close(q->call);
		fd_close(q->error);
	}
}

void vhost_queues_pause(struct vhost_device *d)
{
	for (unsigned int i = 0; i < VHOST_QUEUES; i++)
		queue_stop(d, &d->queues[i]);
}

void vhost_queues_update(struct vhost_device *d)
{
	for (unsigned int i = 0; i < VHOST_QUEUES; i++)
		queue_update(d, &d->queues[i]);
}

void vhost_queues_detach(struct vhost_device *d)
{
	for (unsigned int i = 0; i < VHOST_QUEUES; i++)
		queue_detach(d, &d->queues[i]);
}

void vhost_queues_forget(struct vhost_device *d)
{
	for (struct vhost_queue *q = d->queues; q < d->queues + VHOST_QUEUES; q++) {
		if (!q->ring.started)
			continue;
		queue_detach(d, q);
		q->has_address = q->has_base = false;
	}
}

static void queue_enable(struct vhost_device *d, struct vhost_queue *q, bool enabled)
{
	if (q->enabled == enabled)
		return;
	q->enabled = enabled;
	d->sink->queue_changed(d->sink->owner, q);
}

void vhost_queues_disable(struct vhost_device *d)
{
	for (unsigned int i = 0; i < VHOST_QUEUES; i++)
		queue_enable(d, &d->queues[i], false);
}

void vhost_queues_reset(struct vhost_device *d)
{
	vhost_queues_detach(d);
	vhost_queues_disable(d);
	for (struct vhost_queue *q = d->queues; q < d->queues + VHOST_QUEUES; q++) {
		q->ring = (struct virtqueue){ .size = 0 };
		q->has_address = q->has_base = q->log_used = false;
		/* Where it stood stays: QEMU 7.2 says SET_STATUS 0 and asks then, for the guest that it stops or moves away. */
	}
}

void vhost_queues_set_log(struct vhost_device *d)
{
	for (unsigned int i = 0; i < VHOST_QUEUES; i++)
		queue_set_log(d, &d->queues[i]);
}

/* --- messages --- */

static struct vhost_queue *queue_of(struct vhost_device *d, uint64_t index)
{
	return index < VHOST_QUEUES ? &d->queues[index] : NULL;
}

int vhost_set_vring_num(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	struct vhost_queue *q = queue_of(d, m->payload.state.index);
	uint32_t size = m->payload.state.value;

	if (!q || !size_is_valid(d, size))
		return -EINVAL;
	/* Said to one that runs, it begins another life of it (User-mode Linux says no GET_VRING_BASE): its old places are left alone. */
	if (q->ring.started)
		q->has_address = false;
	queue_stop(d, q);
	q->ring.size = (uint16_t)size;
	queue_update(d, q);
	return 0;
}

int vhost_set_vring_addr(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	struct vhost_queue *q = queue_of(d, m->payload.address.index);
	uint64_t descriptors = m->payload.address.descriptors, used = m->payload.address.used, available = m->payload.address.available;
	struct vhost_queue next;
	struct areas areas;

	if (!q || descriptors % 16 || used % 4 || available % (d->features & BIT(VIRTIO_F_RING_PACKED) ? 4 : 2))
		return -EINVAL;
	next = *q;
	next.descriptors = descriptors, next.used = used, next.available = available;
	/* They may come before the memory or the size; then they are looked at later. */
	if (d->memory.count && q->ring.size && !queue_find(d, &next, &areas))
		return -EFAULT;
	/* The same again, to one that runs, is about the log only. */
	if (!q->has_address || q->descriptors != descriptors || q->used != used || q->available != available)
		queue_stop(d, q);
	q->descriptors = descriptors, q->used = used, q->available = available;
	q->has_address = true;
	q->log_used = m->payload.address.flags & VRING_F_LOG;
	q->log_address = m->payload.address.log;
	queue_set_log(d, q);
	queue_update(d, q);
	return 0;
}

int vhost_set_vring_base(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	struct vhost_queue *q = queue_of(d, m->payload.state.index);
	uint32_t base = m->payload.state.value;
	bool packed = d->features & BIT(VIRTIO_F_RING_PACKED);

	if (!q || (!packed && base > UINT16_MAX))
		return -EINVAL;
	/* DPDK's front end leaves out the half of the used slot; a whole lap in flight, which it would mean, is none of ours. */
	if (packed && base == (PACKED_BASE & 0xffff))
		base = PACKED_BASE;
	queue_stop(d, q);
	q->base = base;
	q->has_base = true;
	queue_update(d, q);
	return 0;
}

int vhost_get_vring_base(struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a)
{
	struct vhost_queue *q = queue_of(d, m->payload.state.index);
	struct inflight_queue inflight;

	if (!q)
		return -EINVAL;
	inflight = q->ring.inflight;
	queue_detach(d, q);
	inflight_stop(&inflight);
	m->payload.state.value = q->base;
	*a = (struct vhost_answer){ .given = true, .size = sizeof(m->payload.state), .fd = -1 };
	return 0;
}

/*
 * The descriptor that comes with a message about a queue, or the word that there is none. Only eventfds, pipes, and sockets where they are
 * but written to (what User-mode Linux takes for a pipe is one): a read or write of a file might wait.
 */
static int message_fd(struct vhost_device *d, struct vhost_message *m, struct vhost_queue **q)
{
	bool may_be_socket = m->head.request != VHOST_SET_VRING_KICK;
	bool none = m->payload.u64 & VHOST_QUEUE_NO_FD;
	struct stat st;

	*q = queue_of(d, m->payload.u64 & VHOST_QUEUE_MASK);
	if (!*q || m->fd_count != !none || m->payload.u64 & ~(uint64_t)(VHOST_QUEUE_MASK | VHOST_QUEUE_NO_FD))
		return -EINVAL;
	if (none)
		return 0;
	if (fstat(m->fds[0], &st) < 0)
		return -errno;
	/* An eventfd is of no type at all. */
	if (st.st_mode & S_IFMT && !S_ISFIFO(st.st_mode) && !(may_be_socket && S_ISSOCK(st.st_mode)))
		return -EINVAL;
	return fd_set_nonblock(m->fds[0]);
}

int vhost_set_vring_kick(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	struct vhost_queue *q;
	int r = message_fd(d, m, &q);

	if (r < 0)
		return r;
	q->polled = !m->fd_count;
	queue_set_kick(d, q, fd_steal(&m->fds[0]));
	if (!(d->features & BIT(VHOST_F_PROTOCOL_FEATURES)))
		queue_enable(d, q, true);
	if (q->ring.started)
		d->sink->queue_changed(d->sink->owner, q);
	queue_update(d, q);
	return 0;
}

int vhost_set_vring_call(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	struct vhost_queue *q;
	int r = message_fd(d, m, &q);

	if (r < 0)
		return r;
	fd_close(q->call);
	q->call = fd_steal(&m->fds[0]);
	/* A call that went to the old one just now may have found nobody there any more (QEMU, when a guest unmasks its interrupt). */
	if (q->ring.started)
		vhost_queue_call(q);
	d->sink->queue_changed(d->sink->owner, q);
	return 0;
}

int vhost_set_vring_err(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	struct vhost_queue *q;
	int r = message_fd(d, m, &q);

	if (r < 0)
		return r;
	fd_close(q->error);
	q->error = fd_steal(&m->fds[0]);
	return 0;
}

int vhost_set_vring_enable(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	struct vhost_queue *q = queue_of(d, m->payload.state.index);

	if (!q || m->payload.state.value > 1)
		return -EINVAL;
	if (q->enabled || m->payload.state.value)
		q->discards = q->ring.started && !m->payload.state.value;
	queue_enable(d, q, m->payload.state.value);
	return 0;
}
