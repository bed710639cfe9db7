// SPDX-License-Identifier: MIT
/* A guest's memory full of anything, with a ring in it: chains are taken and used, and nothing but that memory is touched. */
#include <errno.h>

#include "fuzz.h"
#include "port/vhost/virtqueue.h"

#define MEMORY 8192
#define GUEST  0x10000     /* where the first region lies for the guest; the second right behind it */
#define TAKES  200

enum { PACKED = 1, EVENT_IDX = 2, INDIRECT = 4, TO_DRIVER = 8, LOG = 16 };

struct world {
	uint8_t *memory[2];    /* of their own, so that a step out of either is seen */
	struct vhost_memory table;
	struct vhost_log log;
	struct virtqueue ring;
	uint8_t bits[8];
};

static void world_init(struct world *w, struct cursor *c, uint8_t how, uint16_t size)
{
	*w = (struct world){ .table.count = 2 };
	for (int i = 0; i < 2; i++) {
		w->memory[i] = calloc(1, MEMORY);
		MUST(w->memory[i]);
		cursor_copy(c, w->memory[i], MIN(cursor_left(c), (size_t)MEMORY));
		w->table.regions[i] = (struct vhost_region){ .guest = GUEST + (uint64_t)i * MEMORY, .size = MEMORY, .host = w->memory[i] };
	}
	if (how & LOG)
		w->log = (struct vhost_log){ .bits = w->bits, .size = sizeof(w->bits) };
	w->ring = (struct virtqueue){ .packed = how & PACKED, .event_idx = how & EVENT_IDX, .indirect = how & INDIRECT, .size = size,
		.memory = &w->table, .log = &w->log };
	if (how & PACKED) {
		w->ring.slots = (void *)w->memory[0];
		w->ring.driver_event = (void *)(w->memory[0] + 4096);
		w->ring.device_event = (void *)(w->memory[0] + 4104);
	} else {
		w->ring.descriptors = (void *)w->memory[0];
		w->ring.avail = (void *)(w->memory[0] + 2048);
		w->ring.used = (void *)(w->memory[0] + 4096);
		w->ring.log_used = GUEST + 4096;
	}
}

static void touch(const struct iovec *iov, size_t parts, uint32_t size, bool write)
{
	volatile uint8_t sum = 0;
	uint64_t total = 0;

	for (size_t i = 0; i < parts; i++) {
		MUST(iov[i].iov_len);
		total += iov[i].iov_len;
		for (size_t at = 0; at < iov[i].iov_len; at += iov[i].iov_len > 64 ? iov[i].iov_len - 1 : 1)
			if (write)
				((uint8_t *)iov[i].iov_base)[at] ^= 0x55;
			else
				sum = (uint8_t)(sum + ((uint8_t *)iov[i].iov_base)[at]);
	}
	MUST(total == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iovec whole = { (void *)data, size };
	struct cursor c = cursor_of_iov(&whole, 1);
	uint8_t how = cursor_u8(&c);
	uint16_t log2 = cursor_u8(&c) % 7;
	uint32_t base = cursor_u32(&c);
	struct iovec iov[64];
	struct world w;

	world_init(&w, &c, how, (uint16_t)(how & PACKED ? 1 + log2 * 9 : 1 << log2));
	virtqueue_start(&w.ring, base);
	virtqueue_silence(&w.ring);
	for (int i = 0; i < TAKES; i++) {
		struct virtqueue_mark mark = virtqueue_mark(&w.ring);
		struct virtqueue_chain chain;
		int r = virtqueue_take(&w.ring, how & TO_DRIVER, iov, ARRAY_SIZE(iov), &chain);

		if (r <= 0) {
			MUST(r == 0 || r == -ENOBUFS || w.ring.broken);
			break;
		}
		MUST((size_t)chain.parts + chain.empty <= ARRAY_SIZE(iov) && chain.slots);
		touch(iov, chain.parts, chain.size, how & TO_DRIVER);
		if (i % 7 == 6) {
			virtqueue_rewind(&w.ring, mark, &chain, 1);
			continue;
		}
		virtqueue_use(&w.ring, &chain, chain.size);
		if (i % 3 == 2)
			virtqueue_publish(&w.ring);
	}
	virtqueue_publish(&w.ring);
	virtqueue_listen(&w.ring);
	virtqueue_base(&w.ring);
	free(w.memory[0]);
	free(w.memory[1]);
	return 0;
}
