// SPDX-License-Identifier: MIT
/*
 * Bounds-checked reading of untrusted bytes.
 *
 * A cursor walks an iovec that its owner keeps alive. A read past the end returns zeroes and marks the cursor
 * failed; so does every read after it. A parser reads all it wants and asks once, at the end:
 *
 *	struct arp a = arp_parse(&c);
 *	if (cursor_failed(&c))
 *		return DROP_SHORT;
 *
 * A cursor is a value: copying it remembers a place to come back to.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

struct cursor {
	const struct iovec *iov; /* borrowed: the part that is being read */
	size_t count;            /* parts left, the current one included */
	size_t offset;           /* bytes already read of iov[0] */
	size_t left;             /* bytes left in all, as cursor_limit() cut them */
	bool failed;
};

/** cursor_of_iov() - a cursor at the first byte of @count parts, which must outlive it */
static inline struct cursor cursor_of_iov(const struct iovec *iov, size_t count)
{
	struct cursor c = { .iov = iov, .count = count };

	for (size_t i = 0; i < count; i++)
		c.left += iov[i].iov_len;
	return c;
}

/**
 * cursor_of() - a cursor over one buffer
 * @iov:  storage for its only part; must outlive the cursor, as must @data
 * @data: the bytes
 * @size: how many
 */
struct cursor cursor_of(struct iovec *iov, const void *data, size_t size);

/** cursor_copy_parts() - what cursor_copy() does in the general case */
void cursor_copy_parts(struct cursor *c, void *into, size_t size);

/**
 * cursor_copy() - read the next bytes
 * @c:    cursor; advanced by @size, or failed
 * @into: where they go; zeroed when the cursor fails, so that it never holds stale bytes
 * @size: bytes
 */
static inline void cursor_copy(struct cursor *c, void *into, size_t size)
{
	/* Nearly always all of it lies in one part, and more behind it. */
	if (__builtin_expect(!c->failed && size < c->left && size < c->iov->iov_len - c->offset, 1)) {
		memcpy(into, (const uint8_t *)c->iov->iov_base + c->offset, size);
		c->offset += size;
		c->left -= size;
	} else {
		cursor_copy_parts(c, into, size);
	}
}

/** cursor_skip() - go on by @size bytes, or fail */
void cursor_skip(struct cursor *c, size_t size);

/** cursor_limit() - let only the next @size bytes be read from here on; fails if there are fewer */
void cursor_limit(struct cursor *c, size_t size);

/**
 * cursor_iov() - what is left, as an iovec that points into the same bytes
 * @c:     cursor; not advanced
 * @into:  filled in
 * @count: how many parts @into has room for
 *
 * Return: parts used; 0 if nothing is left, the cursor failed or @count is too small.
 */
size_t cursor_iov(const struct cursor *c, struct iovec *into, size_t count);

/** cursor_u8() - one byte; 0 when the cursor fails. Likewise cursor_u16() and cursor_u32(), from network order. */
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);

/** cursor_left() - bytes left to read; 0 once failed */
static inline size_t cursor_left(const struct cursor *c) { return c->failed ? 0 : c->left; }

/** cursor_fail() - for a parser: the bytes are there but make no sense */
static inline void cursor_fail(struct cursor *c) { c->failed = true; }

/** cursor_failed() - has any read gone past the end? */
static inline bool cursor_failed(const struct cursor *c) { return c->failed; }
