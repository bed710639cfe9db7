// SPDX-License-Identifier: MIT
#include "base/writer.h"

#include <string.h>
#include "base/be.h"

/* Room for @size more bytes, which count as written; NULL if the writer fails. */
static uint8_t *take(struct writer *w, size_t size)
{
	uint8_t *at = w->data + w->used;

	if (w->failed || size > w->size - w->used) {
		w->failed = true;
		return NULL;
	}
	w->used += size;
	return at;
}

void writer_put(struct writer *w, const void *from, size_t size)
{
	uint8_t *at = take(w, size);

	if (at && size)
		memcpy(at, from, size);
}

void writer_fill(struct writer *w, uint8_t value, size_t size)
{
	uint8_t *at = take(w, size);

	if (at && size)
		memset(at, value, size);
}

void writer_u8(struct writer *w, uint8_t value)
{
	writer_put(w, &value, sizeof(value));
}

void writer_u16(struct writer *w, uint16_t value)
{
	be16_t v = be16(value);

	writer_put(w, &v, sizeof(v));
}

void writer_u32(struct writer *w, uint32_t value)
{
	be32_t v = be32(value);

	writer_put(w, &v, sizeof(v));
}

void writer_patch_u16(struct writer *w, size_t at, uint16_t value)
{
	be16_t v = be16(value);

	if (w->failed || w->used < sizeof(v) || at > w->used - sizeof(v))
		w->failed = true;
	else
		memcpy(w->data + at, &v, sizeof(v));
}
