// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "port/vhost/device_private.h"

/* --- memory --- */

/* The new table is mapped as a whole before the old one goes: one that cannot be had changes nothing. */
int vhost_set_mem_table(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	struct vhost_memory fresh = { .count = 0 };
	uint32_t count = m->payload.memory.count;
	size_t size = offsetof(struct vhost_payload, memory.region) + count * sizeof(m->payload.memory.region[0]);

	/* User-mode Linux sends the room of two regions, and uses one. */
	if (count > VHOST_MEMORY_REGIONS || m->fd_count != count || m->head.size < size)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		int r = vhost_memory_add(&fresh, &m->payload.memory.region[i], m->fds[i]);

		if (r < 0) {
			vhost_memory_clear(&fresh);
			return r;
		}
	}
	vhost_queues_pause(d);
	vhost_memory_clear(&d->memory);
	d->memory = fresh;
	vhost_queues_update(d);
	return 0;
}

/* QEMU until 7.2 adds and removes each region once for every pair of queues. What it asks for again is done already. */
int vhost_add_mem_reg(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	int r;

	if (vhost_memory_has(&d->memory, &m->payload.slot.region))
		return 0;
	r = vhost_memory_add(&d->memory, &m->payload.slot.region, m->fds[0]);
	if (!r)
		vhost_queues_update(d);
	return r;
}

int vhost_rem_mem_reg(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	int r;

	vhost_queues_pause(d);
	r = vhost_memory_remove(&d->memory, &m->payload.slot.region);
	vhost_queues_update(d);
	return r == -ENOENT ? 0 : r;
}

/* --- dirty log --- */

int vhost_set_log_base(struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a)
{
	int r;

	if (!(d->protocol & BIT(VHOST_PROTOCOL_LOG_SHMFD)))
		return -EOPNOTSUPP;
	r = vhost_log_set(&d->log, m->fds[0], m->payload.log.size, m->payload.log.offset);
	if (r < 0)
		return r;
	vhost_queues_set_log(d);
	vhost_answer_u64(m, a, 0);
	return 0;
}

/* --- chains in flight --- */

void vhost_inflight_drop(struct vhost_device *d)
{
	vhost_unmap(&d->inflight);
	d->inflight_size = d->inflight_queues = d->inflight_queue_size = 0;
}

struct inflight_queue vhost_inflight_of(const struct vhost_device *d, const struct vhost_queue *q)
{
	bool packed = q->ring.packed;
	size_t size = inflight_size(d->inflight_queue_size, packed);

	if (!d->inflight.start || q->index >= d->inflight_queues || q->ring.size > d->inflight_queue_size ||
	    (q->index + 1u) * size > d->inflight_size)
		return (struct inflight_queue){ .region = NULL };
	return (struct inflight_queue){ .region = d->inflight.data + q->index * size, .size = d->inflight_queue_size, .packed = packed,
					.slots = packed ? q->ring.slots : NULL };
}

static bool inflight_is_valid(const struct vhost_message *m)
{
	uint16_t queues = m->payload.inflight.queue_count, size = m->payload.inflight.queue_size;

	return queues && queues <= VHOST_QUEUES && size && size <= VIRTQUEUE_SIZE_MAX;
}

static int inflight_set(struct vhost_device *d, const struct vhost_message *m, int fd)
{
	uint64_t size = m->payload.inflight.mmap_size;
	struct vhost_mapping mapping;
	int r = vhost_map(&mapping, fd, size, m->payload.inflight.mmap_offset);

	if (r < 0)
		return r;
	vhost_queues_pause(d);
	vhost_inflight_drop(d);
	d->inflight = mapping;
	d->inflight_size = size;
	d->inflight_queues = m->payload.inflight.queue_count;
	d->inflight_queue_size = m->payload.inflight.queue_size;
	vhost_queues_update(d);
	return 0;
}

/* Sealed, so that the front end cannot take it away from under us; one that comes back by SET_INFLIGHT_FD may be another. */
static int inflight_make(uint64_t size)
{
	_cleanup_fd_ int fd = memfd_create("hospes-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	return fd_steal(&fd);
}

int vhost_get_inflight_fd(struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a)
{
	size_t each = inflight_size(m->payload.inflight.queue_size, d->features & BIT(VIRTIO_F_RING_PACKED));
	_cleanup_fd_ int fd = -1;
	int r;

	if (!inflight_is_valid(m))
		return -EINVAL;
	m->payload.inflight.mmap_size = each * m->payload.inflight.queue_count;
	m->payload.inflight.mmap_offset = 0;
	fd = inflight_make(m->payload.inflight.mmap_size);
	if (fd < 0)
		return fd;
	r = inflight_set(d, m, fd);
	if (r < 0)
		return r;
	/* QEMU's structure has four bytes of padding at its end, and wants them back. */
	*a = (struct vhost_answer){ .given = true, .size = m->head.size, .fd = fd_steal(&fd) };
	return 0;
}

int vhost_set_inflight_fd(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	size_t each = inflight_size(m->payload.inflight.queue_size, d->features & BIT(VIRTIO_F_RING_PACKED));

	if (!inflight_is_valid(m) || m->payload.inflight.mmap_size < each * m->payload.inflight.queue_count ||
	    m->payload.inflight.mmap_offset % sizeof(uint64_t))
		return -EINVAL;
	return inflight_set(d, m, m->fds[0]);
}
