// SPDX-License-Identifier: MIT
/*
 * Bounds-checked writing of packets: the counterpart of the cursor.
 *
 * A writer fills a buffer that its owner keeps. A write past the end writes nothing and marks the writer failed; so does
 * every write after it. An emitter writes all it wants and asks once, at the end.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer {
	uint8_t *data;   /* borrowed */
	size_t size;     /* room in all */
	size_t used;     /* bytes written */
	bool failed;
};

/** writer_of() - an empty writer over @size bytes at @data, which must outlive it */
static inline struct writer writer_of(void *data, size_t size) { return (struct writer){ .data = data, .size = size }; }

/** writer_put() - append @size bytes, or fail */
void writer_put(struct writer *w, const void *from, size_t size);

/** writer_fill() - append @size bytes of @value, or fail */
void writer_fill(struct writer *w, uint8_t value, size_t size);

/** writer_u8() - append one byte. Likewise writer_u16() and writer_u32(), in network order. */
void writer_u8(struct writer *w, uint8_t value);
void writer_u16(struct writer *w, uint16_t value);
void writer_u32(struct writer *w, uint32_t value);

/** writer_patch_u16() - set the two bytes at @at, which were written before, in network order */
void writer_patch_u16(struct writer *w, size_t at, uint16_t value);

/** writer_failed() - has any write gone past the end? */
static inline bool writer_failed(const struct writer *w) { return w->failed; }
