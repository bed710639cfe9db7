// SPDX-License-Identifier: MIT
#include "unit.h"

#include "base/cursor.h"
#include "base/writer.h"

#define DATA_SIZE 64
#define PARTS_MAX 12

static void fill(uint8_t data[static DATA_SIZE])
{
	for (size_t i = 0; i < DATA_SIZE; i++)
		data[i] = (uint8_t)(i * 7 + 1);
}

/* Cut @data into parts at random places; some parts are empty. */
static size_t split(struct rng *r, uint8_t *data, size_t size, struct iovec iov[static PARTS_MAX])
{
	size_t at = 0, n = 0;

	while (n < PARTS_MAX - 1) {
		size_t take = rng_below(r, 4) ? rng_below(r, size - at + 1) / 2 : 0;

		iov[n++] = (struct iovec){ take ? data + at : NULL, take };
		at += take;
	}
	iov[n++] = (struct iovec){ data + at, size - at };
	return n;
}

static void reads_over_split_parts(void **state)
{
	struct rng r = { 1 };
	uint8_t data[DATA_SIZE];

	(void)state;
	fill(data);
	for (int round = 0; round < 5000; round++) {
		struct iovec iov[PARTS_MAX];
		struct cursor c = cursor_of_iov(iov, split(&r, data, DATA_SIZE, iov));
		size_t at = 0;

		while (at < DATA_SIZE) {
			uint8_t got[DATA_SIZE];
			size_t size = 1 + rng_below(&r, DATA_SIZE - at);

			assert_int_equal(cursor_left(&c), DATA_SIZE - at);
			if (rng_below(&r, 2)) {
				cursor_copy(&c, got, size);
				assert_memory_equal(got, data + at, size);
			} else {
				cursor_skip(&c, size);
			}
			at += size;
			assert_false(cursor_failed(&c));
		}
		assert_int_equal(cursor_left(&c), 0);
		assert_int_equal(cursor_u8(&c), 0);
		assert_true(cursor_failed(&c));
	}
}

static void numbers_come_from_network_order(void **state)
{
	uint8_t data[] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd };
	struct iovec iov[] = { { data, 2 }, { data + 2, 3 }, { data + 5, 2 } };
	struct cursor c = cursor_of_iov(iov, ARRAY_SIZE(iov));

	(void)state;
	assert_int_equal(cursor_u8(&c), 0x01);
	assert_int_equal(cursor_u16(&c), 0x2345);
	assert_int_equal(cursor_u32(&c), 0x6789abcd);
	assert_false(cursor_failed(&c));
}

static void failure_sticks_and_zeroes(void **state)
{
	uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, got[6], zero[6] = { 0 };
	struct iovec iov, out[2];
	struct cursor c = cursor_of(&iov, data, sizeof(data));

	(void)state;
	cursor_skip(&c, 4);
	memset(got, 0xee, sizeof(got));
	cursor_copy(&c, got, sizeof(got)); /* four are left */
	assert_true(cursor_failed(&c));
	assert_memory_equal(got, zero, sizeof(got));
	assert_int_equal(cursor_left(&c), 0);

	memset(got, 0xee, sizeof(got));
	cursor_copy(&c, got, 1); /* there would be enough for this one */
	assert_int_equal(got[0], 0);
	assert_int_equal(cursor_u32(&c), 0);
	assert_int_equal(cursor_iov(&c, out, ARRAY_SIZE(out)), 0);
	assert_true(cursor_failed(&c));

	c = cursor_of(&iov, data, sizeof(data));
	cursor_skip(&c, SIZE_MAX);
	assert_true(cursor_failed(&c));
	c = cursor_of(&iov, NULL, 0);
	cursor_copy(&c, got, 0);
	assert_false(cursor_failed(&c));
}

static void limit_cuts_the_end(void **state)
{
	uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct iovec iov[] = { { data, 3 }, { data + 3, 5 } };
	struct cursor c = cursor_of_iov(iov, ARRAY_SIZE(iov)), longer;

	(void)state;
	assert_int_equal(cursor_u8(&c), 1);
	cursor_limit(&c, 4);
	assert_int_equal(cursor_left(&c), 4);
	longer = c;
	cursor_limit(&longer, 5);
	assert_true(cursor_failed(&longer));
	assert_int_equal(cursor_u32(&c), 0x02030405);
	assert_int_equal(cursor_u8(&c), 0);
	assert_true(cursor_failed(&c));
}

static void iov_is_what_is_left(void **state)
{
	struct rng r = { 2 };
	uint8_t data[DATA_SIZE];

	(void)state;
	fill(data);
	for (int round = 0; round < 5000; round++) {
		struct iovec iov[PARTS_MAX], out[PARTS_MAX];
		struct cursor c = cursor_of_iov(iov, split(&r, data, DATA_SIZE, iov));
		size_t from = rng_below(&r, DATA_SIZE + 1), size = rng_below(&r, DATA_SIZE - from + 1), n, total = 0;

		cursor_skip(&c, from);
		cursor_limit(&c, size);
		n = cursor_iov(&c, out, PARTS_MAX);
		for (size_t i = 0; i < n; i++) {
			assert_true(out[i].iov_len > 0);
			assert_ptr_equal(out[i].iov_base, data + from + total);
			total += out[i].iov_len;
		}
		assert_int_equal(total, size);
		assert_int_equal(cursor_left(&c), size);
		if (n > 1)
			assert_int_equal(cursor_iov(&c, out, n - 1), 0);
	}
}

static void writer_writes_in_network_order(void **state)
{
	const uint8_t want[] = { 1, 2, 3, 4, 5, 6, 7, 0xaa, 0xaa, 8, 9 };
	uint8_t got[sizeof(want)];
	struct writer w = writer_of(got, sizeof(got));

	(void)state;
	writer_u8(&w, 1);
	writer_u16(&w, 0xffff);
	writer_u32(&w, 0x04050607);
	writer_fill(&w, 0xaa, 2);
	writer_put(&w, (uint8_t[]){ 8, 9 }, 2);
	writer_patch_u16(&w, 1, 0x0203);
	assert_false(writer_failed(&w));
	assert_int_equal(w.used, sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
}

static void writer_failure_sticks(void **state)
{
	uint8_t got[4] = { 0xee, 0xee, 0xee, 0xee };
	const uint8_t untouched[] = { 1, 0xee, 0xee, 0xee };
	struct writer w = writer_of(got, 3);

	(void)state;
	writer_u8(&w, 1);
	writer_u32(&w, 0x12345678);
	assert_true(writer_failed(&w));
	writer_u8(&w, 2); /* there would be room */
	writer_fill(&w, 3, 1);
	writer_patch_u16(&w, 0, 0);
	assert_memory_equal(got, untouched, sizeof(got));
	assert_int_equal(w.used, 1);

	w = writer_of(got, 4);
	writer_put(&w, NULL, 0);
	assert_false(writer_failed(&w));
	writer_u16(&w, 0x0506);
	writer_patch_u16(&w, 1, 0); /* its second byte was not written yet */
	assert_true(writer_failed(&w));
	assert_int_equal(got[1], 0x06);
	w = writer_of(got, 4);
	writer_put(&w, got, SIZE_MAX);
	assert_true(writer_failed(&w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_over_split_parts),
		cmocka_unit_test(numbers_come_from_network_order),
		cmocka_unit_test(failure_sticks_and_zeroes),
		cmocka_unit_test(limit_cuts_the_end),
		cmocka_unit_test(iov_is_what_is_left),
		cmocka_unit_test(writer_writes_in_network_order),
		cmocka_unit_test(writer_failure_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
