// SPDX-License-Identifier: MIT
/*
 * The dirty log of a live migration: one bit for each 4 KiB page of the guest that was written to (VHOST_USER_SET_LOG_BASE).
 *
 * Only what a device writes needs it: buffers for the guest, and the used rings. Bits are set with atomic instructions, since the front end
 * reads and clears them meanwhile.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "port/vhost/memory.h"

#define VHOST_LOG_PAGE 4096

struct vhost_log {
	uint8_t *bits;             /* NULL: nothing is logged */
	uint64_t size;             /* bytes of them */
	struct vhost_mapping mapping;
};

/** vhost_log_set() - log there from now on. @fd: borrowed. Return: 0 or negative errno (the old log goes on). */
int vhost_log_set(struct vhost_log *log, int fd, uint64_t size, uint64_t offset);
/** vhost_log_clear() - log no more */
void vhost_log_clear(struct vhost_log *log);
/** vhost_log_mark() - @size bytes from a guest-physical address on were written; what lies beyond the log is left out */
void vhost_log_mark(struct vhost_log *log, uint64_t guest, uint64_t size);
/** vhost_log_mark_host() - likewise for bytes as we see them */
void vhost_log_mark_host(struct vhost_log *log, const struct vhost_memory *m, const void *host, uint64_t size);
