// SPDX-License-Identifier: MIT
/*
 * The sum is kept in the machine's byte order: it is added up from words as they lie in memory, and the checksum is stored the way it
 * was read (RFC 1071 section 2 (B)). Every addition below is of a number under 2^33, so that a sum_t does not overflow.
 */
#include "wire/checksum.h"

#include <string.h>
#include "base/attr.h"

static inline uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The sum of less than 8 bytes. Sizes that the compiler knows become plain loads, which a memcpy() of any size does not. */
static inline uint64_t load_tail(const uint8_t *p, size_t size)
{
	uint32_t four = 0;
	uint16_t two = 0, one = 0;

	if (size & 4)
		memcpy(&four, p, sizeof(four));
	if (size & 2)
		memcpy(&two, p + (size & 4), sizeof(two));
	if (size & 1)
		memcpy(&one, p + size - 1, 1);
	return (uint64_t)four + two + one;
}

/* One's complement addition: the carry comes back in at the bottom. */
static inline uint64_t add(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

static inline uint64_t fold32(uint64_t v)
{
	return (v >> 32) + (v & 0xffffffff);
}

static inline uint16_t fold16(sum_t v)
{
	v = fold32(fold32(v));
	v = (v >> 16) + (v & 0xffff);
	v = (v >> 16) + (v & 0xffff);
	return (uint16_t)v;
}

static inline be16_t store(uint16_t v)
{
	be16_t out;

	memcpy(&out, &v, sizeof(out));
	return out;
}

sum_t sum_bytes(sum_t sum, const void *data, size_t size)
{
	const uint8_t *p = data;
	uint64_t a = 0, b = 0, c = 0, d = 0;

	/* Four sums side by side, so that no addition waits for the carry of the one before. */
	for (; size >= 32; size -= 32, p += 32) {
		a = add(a, load(p));
		b = add(b, load(p + 8));
		c = add(c, load(p + 16));
		d = add(d, load(p + 24));
	}
	for (; size >= 8; size -= 8, p += 8)
		a = add(a, load(p));
	a = add(add(add(a, b), add(c, d)), load_tail(p, size));
	return sum + fold32(a);
}

/* Add a part that starts at @offset: after an odd number of bytes, high and low change places (RFC 1071 section 2 (B)). */
static sum_t sum_part(sum_t sum, const void *data, size_t size, size_t offset)
{
	if (!size)
		return sum;
	if (offset % 2 == 0)
		return sum_bytes(sum, data, size);
	return sum + __builtin_bswap16(fold16(sum_bytes(0, data, size)));
}

sum_t sum_iov(sum_t sum, const struct iovec *iov, size_t count)
{
	for (size_t i = 0, offset = 0; i < count; offset += iov[i++].iov_len)
		sum = sum_part(sum, iov[i].iov_base, iov[i].iov_len, offset);
	return sum;
}

sum_t sum_cursor(sum_t sum, struct cursor c)
{
	size_t left = cursor_left(&c), done = 0;

	for (const struct iovec *iov = c.iov; done < left; iov++, c.offset = 0) {
		size_t here = MIN(iov->iov_len - c.offset, left - done);

		sum = sum_part(sum, (const uint8_t *)iov->iov_base + c.offset, here, done);
		done += here;
	}
	return sum;
}

sum_t sum_pseudo(sum_t sum, addr_t src, addr_t dst, uint8_t protocol, uint32_t size)
{
	/* Upper-layer size and next header as IPv6 has them; for IPv4 the words that it does not have are zero. */
	const struct { be32_t size, protocol; } rest = { be32(size), be32(protocol) };
	size_t from = addr_is4(src) ? 12 : 0;

	sum = sum_bytes(sum, &src.b[from], sizeof(src) - from);
	sum = sum_bytes(sum, &dst.b[from], sizeof(dst) - from);
	return sum_bytes(sum, &rest, sizeof(rest));
}

be16_t sum_fold(sum_t sum)
{
	return store((uint16_t)~fold16(sum));
}

be16_t sum_fold_udp(sum_t sum)
{
	uint16_t v = (uint16_t)~fold16(sum);

	return store(v ? v : 0xffff);
}

be16_t sum_fold_partial(sum_t sum)
{
	return store(fold16(sum));
}

bool sum_is_valid(sum_t sum)
{
	return fold16(sum) == 0xffff;
}
