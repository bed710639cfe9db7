// SPDX-License-Identifier: MIT
#include "port/vhost/log.h"

#include <stdbool.h>

#include "base/attr.h"

int vhost_log_set(struct vhost_log *log, int fd, uint64_t size, uint64_t offset)
{
	struct vhost_mapping mapping;
	int r = vhost_map(&mapping, fd, size, offset);

	if (r < 0)
		return r;
	vhost_log_clear(log);
	log->bits = mapping.data;
	log->size = size;
	log->mapping = mapping;
	return 0;
}

void vhost_log_clear(struct vhost_log *log)
{
	vhost_unmap(&log->mapping);
	log->bits = NULL;
	log->size = 0;
}

void vhost_log_mark(struct vhost_log *log, uint64_t guest, uint64_t size)
{
	uint64_t page = guest / VHOST_LOG_PAGE, last = (guest + size - 1) / VHOST_LOG_PAGE;

	if (!log->bits || !size || guest + size < guest)
		return;
	while (page <= last && page / 8 < log->size) {
		uint64_t behind = MIN(last + 1 - page, 8 - page % 8);
		uint8_t bits = (uint8_t)((0xff >> (8 - behind)) << page % 8);

		/*
		 * Set even where it looks set: the instruction is also what keeps our bytes before the bit. The front end clears the bit,
		 * then copies the page; it must not find the bit of a write that it cannot see yet.
		 */
		__atomic_fetch_or(&log->bits[page / 8], bits, __ATOMIC_SEQ_CST);
		page += behind;
	}
}

void vhost_log_mark_host(struct vhost_log *log, const struct vhost_memory *m, const void *host, uint64_t size)
{
	uint64_t guest;

	if (log->bits && vhost_memory_guest_of(m, host, &guest))
		vhost_log_mark(log, guest, size);
}
