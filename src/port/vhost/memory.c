// SPDX-License-Identifier: MIT
#include "port/vhost/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "port/vhost/guard.h"

#define HUGE_PAGE_MAX ((uint64_t)16 << 30)

/* --- mapping --- */

/* What mmap() and munmap() want of a file's offsets: a multiple of its pages, which on hugetlbfs are st_blksize. */
static uint64_t page_size_of(const struct stat *st)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), block = (uint64_t)st->st_blksize;

	return block > page && block <= HUGE_PAGE_MAX && !(block & (block - 1)) ? block : page;
}

int vhost_map(struct vhost_mapping *out, int fd, uint64_t size, uint64_t offset)
{
	uint64_t end, page, start;
	struct stat st;
	void *at;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!size || size > VHOST_MEMORY_MAX || __builtin_add_overflow(size, offset, &end) || !S_ISREG(st.st_mode) ||
	    end > (uint64_t)st.st_size)
		return -EINVAL;
	page = page_size_of(&st);
	start = offset & ~(page - 1);
	size = ((end + page - 1) & ~(page - 1)) - start;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
	if (at == MAP_FAILED)
		return -errno;
	r = guard_add(at, size);
	if (r < 0) {
		munmap(at, size);
		return r;
	}
	/* A guest's memory is no part of what we leave behind when we crash; on a kernel without it, it is. */
	madvise(at, size, MADV_DONTDUMP);
	*out = (struct vhost_mapping){ .start = at, .size = size, .data = (uint8_t *)at + (offset - start) };
	return 0;
}

void vhost_unmap(struct vhost_mapping *m)
{
	if (!m->start)
		return;
	guard_remove(m->start);
	munmap(m->start, m->size);
	*m = (struct vhost_mapping){ NULL };
}

/* --- regions --- */

static bool overlaps(const struct vhost_region *region, const struct vhost_region_message *r)
{
	return r->guest_address - region->guest < region->size || region->guest - r->guest_address < r->size;
}

static bool overlaps_any(const struct vhost_memory *m, const struct vhost_region_message *r)
{
	for (size_t i = 0; i < m->count; i++)
		if (overlaps(&m->regions[i], r))
			return true;
	return false;
}

/* Return: which region @r names; @m->count if none */
static size_t find_region(const struct vhost_memory *m, const struct vhost_region_message *r)
{
	size_t i = 0;

	while (i < m->count && (m->regions[i].guest != r->guest_address || m->regions[i].user != r->user_address || m->regions[i].size != r->size))
		i++;
	return i;
}

static bool region_is_valid(const struct vhost_memory *m, const struct vhost_region_message *r)
{
	uint64_t end, total = r->size;

	if (r->size > VHOST_MEMORY_MAX || __builtin_add_overflow(r->guest_address, r->size, &end) ||
	    __builtin_add_overflow(r->user_address, r->size, &end) || overlaps_any(m, r))
		return false;
	for (size_t i = 0; i < m->count; i++)
		total += m->regions[i].size;
	return total <= VHOST_MEMORY_MAX;
}

int vhost_memory_add(struct vhost_memory *m, const struct vhost_region_message *r, int fd)
{
	struct vhost_region *region = &m->regions[m->count];
	int result;

	if (m->count == VHOST_MEMORY_SLOTS)
		return -ENOSPC;
	if (!region_is_valid(m, r))
		return -EINVAL;
	*region = (struct vhost_region){ .guest = r->guest_address, .user = r->user_address, .size = r->size };
	result = vhost_map(&region->mapping, fd, r->size, r->mmap_offset);
	if (result < 0)
		return result;
	region->host = region->mapping.data;
	m->count++;
	return 0;
}

bool vhost_memory_has(const struct vhost_memory *m, const struct vhost_region_message *r)
{
	return find_region(m, r) < m->count;
}

int vhost_memory_remove(struct vhost_memory *m, const struct vhost_region_message *r)
{
	size_t at = find_region(m, r);

	if (at == m->count)
		return overlaps_any(m, r) ? -EINVAL : -ENOENT;
	vhost_unmap(&m->regions[at].mapping);
	m->regions[at] = m->regions[--m->count];
	m->last = 0;
	return 0;
}

void vhost_memory_clear(struct vhost_memory *m)
{
	while (m->count)
		vhost_unmap(&m->regions[--m->count].mapping);
	m->last = 0;
}

bool vhost_memory_is_broken(const struct vhost_memory *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (guard_is_broken(m->regions[i].mapping.start))
			return true;
	return false;
}

/* --- look-up --- */

bool vhost_memory_search(struct vhost_memory *m, uint64_t guest)
{
	for (size_t i = 0; i < m->count; i++)
		if (guest - m->regions[i].guest < m->regions[i].size) {
			m->last = i;
			return true;
		}
	return false;
}

void *vhost_memory_at_user(struct vhost_memory *m, uint64_t user, uint64_t size)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct vhost_region *r = &m->regions[i];
		uint64_t offset = user - r->user;

		if (offset < r->size && size <= r->size - offset)
			return r->host + offset;
	}
	return NULL;
}

bool vhost_memory_guest_of(const struct vhost_memory *m, const void *host, uint64_t *guest)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct vhost_region *r = &m->regions[i];
		uint64_t offset = (uint64_t)((uintptr_t)host - (uintptr_t)r->host);

		if (offset < r->size) {
			*guest = r->guest + offset;
			return true;
		}
	}
	return false;
}
