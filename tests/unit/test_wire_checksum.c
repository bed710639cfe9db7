// SPDX-License-Identifier: MIT
#include "unit.h"

#include "wire/checksum.h"

#define DATA_MAX 300

/* RFC 1071 to the letter: 16-bit words in network order, one's complement addition, an odd byte padded with zero. */
static uint16_t naive_sum(uint32_t sum, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i += 2) {
		sum += (uint32_t)data[i] << 8 | (i + 1 < size ? data[i + 1] : 0);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static void assert_sum(sum_t sum, uint16_t naive)
{
	assert_int_equal(be16_get(sum_fold(sum)), (uint16_t)~naive);
	assert_int_equal(be16_get(sum_fold_partial(sum)), naive);
	assert_int_equal(be16_get(sum_fold_udp(sum)), naive == 0xffff ? 0xffff : (uint16_t)~naive);
}

/* Pseudo-random, now and then all ones or zeroes, which make the carries run. */
static void fill(struct rng *r, uint8_t *data, size_t size)
{
	rng_fill(r, data, size);
	if (rng_below(r, 8) == 0)
		memset(data, rng_below(r, 2) ? 0xff : 0, size);
}

static void bytes_agree_with_the_naive_sum(void **state)
{
	struct rng r = { 3 };
	uint8_t data[DATA_MAX];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t at = rng_below(&r, 9), size = rng_below(&r, DATA_MAX - at + 1);

		fill(&r, data, sizeof(data));
		assert_sum(sum_bytes(0, data + at, size), naive_sum(0, data + at, size));
	}
}

static void rfc1071_example(void **state)
{
	const uint8_t data[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	(void)state;
	assert_int_equal(be16_get(sum_fold_partial(sum_bytes(0, data, sizeof(data)))), 0xddf2);
}

static void parts_of_any_length(void **state)
{
	struct rng r = { 4 };
	uint8_t data[DATA_MAX];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t size = rng_below(&r, DATA_MAX + 1), at = 0, n = 0, from, limit;
		struct iovec iov[8];
		struct cursor c;

		fill(&r, data, sizeof(data));
		for (; n < ARRAY_SIZE(iov) - 1; at += iov[n++].iov_len)
			iov[n] = (struct iovec){ data + at, rng_below(&r, (size - at) / 2 + 1) };
		iov[n++] = (struct iovec){ data + at, size - at };
		assert_sum(sum_iov(0, iov, n), naive_sum(0, data, size));

		c = cursor_of_iov(iov, n);
		from = rng_below(&r, size + 1);
		limit = rng_below(&r, size - from + 1);
		cursor_skip(&c, from);
		cursor_limit(&c, limit);
		assert_sum(sum_cursor(0, c), naive_sum(0, data + from, limit));
		assert_int_equal(cursor_left(&c), limit);
	}
}

static void pieces_add_up(void **state)
{
	struct rng r = { 5 };
	uint8_t data[DATA_MAX];

	(void)state;
	for (int round = 0; round < 2000; round++) {
		size_t cut = rng_below(&r, DATA_MAX / 2) * 2;

		fill(&r, data, sizeof(data));
		assert_sum(sum_bytes(sum_bytes(0, data, cut), data + cut, DATA_MAX - cut), naive_sum(0, data, DATA_MAX));
	}
}

static void carries_of_a_whole_segment(void **state)
{
	static uint8_t data[65536 + 1];
	sum_t sum = 0;

	(void)state;
	memset(data, 0xff, sizeof(data));
	assert_sum(sum_bytes(0, data, sizeof(data)), naive_sum(0, data, sizeof(data)));
	for (int i = 0; i < 1000; i++)
		sum = sum_bytes(sum, data, sizeof(data) - 1);
	assert_sum(sum, 0xffff);
}

static void pseudo_headers(void **state)
{
	const uint8_t v4[] = { 10, 0, 2, 15, 10, 0, 2, 2, 0, 17, 0x12, 0x34 };
	uint8_t v6[40] = { 0xfd, [15] = 1, 0xfe, 0x80, [31] = 2, 0, 1, 0x02, 0x03, 0, 0, 0, 58 };
	addr_t src, dst;

	(void)state;
	assert_sum(sum_pseudo(0, addr_of4((struct ip4){{ 10, 0, 2, 15 }}), addr_of4((struct ip4){{ 10, 0, 2, 2 }}), 17, 0x1234),
		   naive_sum(0, v4, sizeof(v4)));
	memcpy(&src, v6, 16);
	memcpy(&dst, v6 + 16, 16);
	assert_sum(sum_pseudo(0, src, dst, 58, 0x10203), naive_sum(0, v6, sizeof(v6)));
}

static void validity(void **state)
{
	struct rng r = { 6 };
	uint8_t data[64];

	(void)state;
	for (int round = 0; round < 2000; round++) {
		be16_t sum;
		size_t bit = rng_below(&r, sizeof(data) * 8);

		rng_fill(&r, data, sizeof(data));
		memset(data + 10, 0, 2);
		sum = sum_fold(sum_bytes(0, data, sizeof(data)));
		memcpy(data + 10, &sum, 2);
		assert_true(sum_is_valid(sum_bytes(0, data, sizeof(data))));
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(sum_is_valid(sum_bytes(0, data, sizeof(data))));
	}
	assert_false(sum_is_valid(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_agree_with_the_naive_sum),
		cmocka_unit_test(rfc1071_example),
		cmocka_unit_test(parts_of_any_length),
		cmocka_unit_test(pieces_add_up),
		cmocka_unit_test(carries_of_a_whole_segment),
		cmocka_unit_test(pseudo_headers),
		cmocka_unit_test(validity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
