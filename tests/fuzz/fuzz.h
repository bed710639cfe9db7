// SPDX-License-Identifier: MIT
/*
 * What a fuzz target needs.
 *
 * A target's input begins with one byte that says where the rest is cut into two parts, each in memory of its own, so that a parser
 * that reads past the end of a part is seen by the address sanitizer, as one that reads past the end of all.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold, in any build. */
#define MUST(condition) do { if (!(condition)) abort(); } while (0)

struct input {
	struct iovec iov[2];
	size_t size;       /* of both parts */
};

static inline void input_fini(struct input *in)
{
	free(in->iov[0].iov_base);
	free(in->iov[1].iov_base);
}

static inline struct iovec copy_bytes(const uint8_t *data, size_t size)
{
	struct iovec iov = { .iov_base = malloc(size), .iov_len = size };

	MUST(iov.iov_base || !size);
	if (size)
		memcpy(iov.iov_base, data, size);
	return iov;
}

/** input_of() - cut a target's input in two; input_fini() when done */
static inline struct input input_of(const uint8_t *data, size_t size)
{
	struct input in = { .size = size ? size - 1 : 0 };
	size_t cut = size ? data[0] : 0;

	cut = MIN(cut, in.size);
	in.iov[0] = copy_bytes(data + !!size, cut);
	in.iov[1] = copy_bytes(data + !!size + cut, in.size - cut);
	return in;
}

/** input_cursor() - a cursor over all of it */
static inline struct cursor input_cursor(const struct input *in)
{
	return cursor_of_iov(in->iov, ARRAY_SIZE(in->iov));
}

/** read_all() - touch every byte that a cursor still offers, so that a wrong end is seen */
static inline size_t read_all(struct cursor c)
{
	size_t left = cursor_left(&c), sum = 0;

	for (size_t i = 0; i < left; i++)
		sum += cursor_u8(&c);
	MUST(!left || !cursor_failed(&c));
	return sum;
}
