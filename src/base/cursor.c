// SPDX-License-Identifier: MIT
#include "base/cursor.h"

#include <string.h>
#include "base/attr.h"
#include "base/be.h"

struct cursor cursor_of(struct iovec *iov, const void *data, size_t size)
{
	*iov = (struct iovec){ .iov_base = (void *)data, .iov_len = size };
	return cursor_of_iov(iov, 1);
}

/* Go on by @size bytes, which are known to be there; copy them on the way if @into is not NULL. */
static void advance(struct cursor *c, uint8_t *into, size_t size)
{
	c->left -= size;
	while (size) {
		size_t take = MIN(c->iov->iov_len - c->offset, size);

		if (into && take) {
			memcpy(into, (const uint8_t *)c->iov->iov_base + c->offset, take);
			into += take;
		}
		size -= take;
		c->offset += take;
		if (c->offset == c->iov->iov_len)
			c->iov++, c->count--, c->offset = 0;
	}
}

void cursor_copy_parts(struct cursor *c, void *into, size_t size)
{
	if (!size)
		return;
	if (size > cursor_left(c)) {
		c->failed = true;
		memset(into, 0, size);
		return;
	}
	advance(c, into, size);
}

void cursor_skip(struct cursor *c, size_t size)
{
	if (size > cursor_left(c))
		c->failed = true;
	else
		advance(c, NULL, size);
}

void cursor_limit(struct cursor *c, size_t size)
{
	if (size > cursor_left(c))
		c->failed = true;
	else
		c->left = size;
}

size_t cursor_iov(const struct cursor *c, struct iovec *into, size_t count)
{
	size_t left = cursor_left(c), offset = c->offset, used = 0;

	for (const struct iovec *iov = c->iov; left; iov++, offset = 0) {
		size_t take = MIN(iov->iov_len - offset, left);

		if (!take)
			continue;
		if (used == count)
			return 0;
		into[used++] = (struct iovec){ .iov_base = (uint8_t *)iov->iov_base + offset, .iov_len = take };
		left -= take;
	}
	return used;
}

uint8_t cursor_u8(struct cursor *c)
{
	uint8_t v;

	cursor_copy(c, &v, sizeof(v));
	return v;
}

uint16_t cursor_u16(struct cursor *c)
{
	be16_t v;

	cursor_copy(c, &v, sizeof(v));
	return be16_get(v);
}

uint32_t cursor_u32(struct cursor *c)
{
	be32_t v;

	cursor_copy(c, &v, sizeof(v));
	return be32_get(v);
}
