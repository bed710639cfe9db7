// SPDX-License-Identifier: MIT
/*
 * A guest's memory, as its front end shares it: regions of files, mapped here.
 *
 * Rings are named by addresses of the front end's own ("user addresses"), buffers by the guest's physical ones. Every address from
 * outside is looked up here; nothing else turns one into a pointer. The memory can change under a reader at any moment, and the file
 * behind it can be cut short by a hostile front end: then the pages read as zeroes and vhost_memory_is_broken() says so (guard.h),
 * instead of the SIGBUS that would end the process.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "port/vhost/message.h"

#define VHOST_MEMORY_SLOTS 64      /* regions of one guest at the most: GET_MAX_MEM_SLOTS */
#define VHOST_MEMORY_MAX   ((uint64_t)4 << 40) /* bytes of one guest at the most: a sparse file must not use up our address space */

/* Bytes of a file that somebody else shares, guarded. */
struct vhost_mapping {
	void *start;                   /* what munmap() wants; NULL: none */
	size_t size;
	uint8_t *data;                 /* where the offset that was asked for lies */
};

/**
 * vhost_map() - map @size bytes from @offset on, for reading and writing, guarded against being taken away
 * @fd: borrowed; of a regular file (memfd, tmpfs, hugetlbfs), whose pages the mapping is made of as a whole
 * Return: 0, -EINVAL (empty, larger than VHOST_MEMORY_MAX or the file, no regular file), -ENOSPC, or as mmap(2).
 */
int vhost_map(struct vhost_mapping *out, int fd, uint64_t size, uint64_t offset);
/** vhost_unmap() - harmless on one that is not mapped */
void vhost_unmap(struct vhost_mapping *m);

struct vhost_region {
	uint64_t guest, user, size;    /* guest-physical address, front end's address, bytes */
	uint8_t *host;                 /* where guest address @guest lies here */
	struct vhost_mapping mapping;
};

struct vhost_memory {
	size_t count;
	size_t last;                   /* the region hit last: a hint */
	struct vhost_region regions[VHOST_MEMORY_SLOTS];
};

/**
 * vhost_memory_add() - map one region
 * @fd: of the file; borrowed
 * Return: 0, -ENOSPC, -EINVAL (too large, overflows, overlaps another in the guest's addresses), or as vhost_map().
 */
int vhost_memory_add(struct vhost_memory *m, const struct vhost_region_message *r, int fd);
/** vhost_memory_has() - is the region that @r names (guest and user address, size) mapped? */
bool vhost_memory_has(const struct vhost_memory *m, const struct vhost_region_message *r);
/** vhost_memory_remove() - unmap the region that @r names. Return: 0, -EINVAL (another is there), -ENOENT (nothing is at its addresses). */
int vhost_memory_remove(struct vhost_memory *m, const struct vhost_region_message *r);
/** vhost_memory_clear() - unmap all */
void vhost_memory_clear(struct vhost_memory *m);

/** vhost_memory_is_broken() - has a page of it gone away under us? Then the front end is not to be trusted, and its port closes. */
bool vhost_memory_is_broken(const struct vhost_memory *m);

/** vhost_memory_search() - the slow part of vhost_memory_at(): makes the region of @guest the hint. Return: false if there is none. */
bool vhost_memory_search(struct vhost_memory *m, uint64_t guest);

/**
 * vhost_memory_at() - where a guest-physical address lies
 * @size: in: bytes wanted, at least 1; out: bytes there in one piece, from 1 to as many as wanted
 * Return: NULL if the address is of no region.
 */
static inline uint8_t *vhost_memory_at(struct vhost_memory *m, uint64_t guest, uint32_t *size)
{
	const struct vhost_region *r = &m->regions[m->last];
	uint64_t offset = guest - r->guest;

	if (__builtin_expect(m->last >= m->count || offset >= r->size, 0)) {
		if (!vhost_memory_search(m, guest))
			return NULL;
		r = &m->regions[m->last];
		offset = guest - r->guest;
	}
	if (*size > r->size - offset)
		*size = (uint32_t)(r->size - offset);
	return r->host + offset;
}

/** vhost_memory_at_user() - where @size bytes at an address of the front end's lie; NULL unless all of them are in one region */
void *vhost_memory_at_user(struct vhost_memory *m, uint64_t user, uint64_t size);

/** vhost_memory_guest_of() - the guest-physical address of a byte here, for the dirty log. Return: false if it is in no region. */
bool vhost_memory_guest_of(const struct vhost_memory *m, const void *host, uint64_t *guest);
