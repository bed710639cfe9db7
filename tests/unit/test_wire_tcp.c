// SPDX-License-Identifier: MIT
/* TCP, UDP, ARP and Ethernet headers. */
#include "unit.h"

#include "wire/arp.h"
#include "wire/eth.h"
#include "wire/tcp.h"
#include "wire/udp.h"

static const struct tcp_header plain = {
	.src = {{ 0xc0, 0x01 }}, .dst = {{ 0, 22 }}, .seq = {{ 0xff, 0xff, 0xff, 0xfe }}, .ack = {{ 1, 2, 3, 4 }},
	.offset = 0x50, .flags = TCP_SYN | TCP_ECE, .window = {{ 0xfa, 0xf0 }}, .checksum = {{ 9, 9 }}, .urgent = {{ 7, 7 }},
};

/* Parse a segment with @options, padded to a multiple of four with @pad, and five bytes of payload. */
static struct tcp_segment parse_options(const uint8_t *options, size_t size, uint8_t pad)
{
	uint8_t bytes[TCP_HEADER_MAX + 5];
	size_t padded = (size + 3) / 4 * 4;
	struct iovec iov;
	struct cursor c;
	struct tcp_segment s;

	memset(bytes, pad, sizeof(bytes));
	memcpy(bytes, &plain, sizeof(plain));
	if (size)
		memcpy(bytes + sizeof(plain), options, size);
	bytes[12] = (uint8_t)((sizeof(plain) + padded) / 4 << 4);
	c = cursor_of(&iov, bytes, sizeof(plain) + padded + 5);
	s = tcp_parse(&c);
	assert_false(cursor_failed(&c));
	assert_int_equal(cursor_left(&c), 5);
	assert_int_equal(s.payload_size, 5);
	assert_int_equal(s.header_size, 20 + padded);
	return s;
}

static void header_fields(void **state)
{
	struct tcp_segment s = parse_options(NULL, 0, 0);

	(void)state;
	assert_int_equal(s.src, 0xc001);
	assert_int_equal(s.dst, 22);
	assert_true(s.seq == 0xfffffffe && s.ack == 0x01020304);
	assert_int_equal(s.flags, TCP_SYN | TCP_ECE);
	assert_int_equal(s.window, 0xfaf0);
	assert_int_equal(s.mss, 0);
	assert_int_equal(s.window_scale, TCP_NO_SCALE);
}

static void options(void **state)
{
	static const struct { uint8_t bytes[12], size; uint16_t mss; uint8_t scale; } cases[] = {
		{ { 2, 4, 5, 0xb4 }, 4, 1460, TCP_NO_SCALE },
		{ { 3, 3, 7 }, 3, 0, 7 },
		{ { 3, 3, 0 }, 3, 0, 0 },
		{ { 3, 3, 15 }, 3, 0, 14 },
		{ { 3, 3, 255 }, 3, 0, 14 },
		{ { 2, 4, 5, 0xb4, 1, 3, 3, 8 }, 8, 1460, 8 },
		{ { 1, 1, 3, 3, 8, 2, 4, 5, 0xb4 }, 9, 1460, 8 },
		{ { 4, 2, 8, 5, 0, 0, 0, 2, 4, 0, 1 }, 11, 1, TCP_NO_SCALE }, /* unknown ones are stepped over */
		{ { 0, 2, 4, 5, 0xb4 }, 5, 0, TCP_NO_SCALE },                 /* behind the end */
		{ { 2, 3, 5, 1, 3, 3, 8 }, 7, 0, 8 },                         /* an MSS of the wrong size */
		{ { 3, 4, 9, 9, 2, 4, 1, 0 }, 8, 256, TCP_NO_SCALE },
		/* Damaged: what stood before counts, what comes after does not. */
		{ { 3, 3, 8, 2, 0, 5, 0xb4 }, 7, 0, 8 },
		{ { 3, 3, 8, 2, 1, 2, 4, 5, 0xb4 }, 9, 0, 8 },
		{ { 3, 3, 8, 77, 40, 2, 4, 5 }, 8, 0, 8 },
		{ { 3, 3, 8, 2 }, 4, 0, 8 },
		{ { 3, 3, 8, 1, 1, 2, 4, 5 }, 8, 0, 8 },
		{ { 77, 0 }, 2, 0, TCP_NO_SCALE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tcp_segment s = parse_options(cases[i].bytes, cases[i].size, 0);

		if (s.mss != cases[i].mss || s.window_scale != cases[i].scale)
			fail_msg("case %zu: mss %u, scale %u", i, s.mss, s.window_scale);
	}
}

static void sizes_that_do_not_fit(void **state)
{
	uint8_t bytes[TCP_HEADER_MAX] = { 0 };
	struct iovec iov;

	(void)state;
	memcpy(bytes, &plain, sizeof(plain));
	for (unsigned int words = 0; words < 16; words++)
		for (size_t size = 0; size <= sizeof(bytes); size++) {
			struct cursor c = cursor_of(&iov, bytes, size);

			bytes[12] = (uint8_t)(words << 4);
			tcp_parse(&c);
			assert_int_equal(cursor_failed(&c), size < 20 || words < 5 || words * 4 > size);
		}
}

static void emit_makes_what_parse_reads(void **state)
{
	struct rng r = { 9 };

	(void)state;
	for (int round = 0; round < 5000; round++) {
		const struct tcp_segment in = {
			.src = (uint16_t)rng_next(&r), .dst = (uint16_t)rng_next(&r), .seq = (uint32_t)rng_next(&r), .ack = (uint32_t)rng_next(&r),
			.flags = (uint8_t)rng_next(&r), .window = (uint16_t)rng_next(&r),
			.mss = rng_below(&r, 2) ? (uint16_t)rng_next(&r) : 0,
			.window_scale = rng_below(&r, 2) ? (uint8_t)rng_below(&r, 15) : TCP_NO_SCALE,
		};
		bool syn = in.flags & TCP_SYN;
		uint8_t bytes[TCP_HEADER_MAX];
		size_t size = tcp_emit(bytes, &in);
		struct iovec iov;
		struct cursor c = cursor_of(&iov, bytes, size);
		struct tcp_segment out = tcp_parse(&c);

		assert_false(cursor_failed(&c));
		assert_int_equal(size, 20 + (syn && in.mss ? 4 : 0) + (syn && in.window_scale != TCP_NO_SCALE ? 4 : 0));
		assert_true(in.src == out.src && in.dst == out.dst && in.seq == out.seq && in.ack == out.ack);
		assert_true(in.flags == out.flags && in.window == out.window);
		assert_int_equal(out.mss, syn ? in.mss : 0);
		assert_int_equal(out.window_scale, syn ? in.window_scale : TCP_NO_SCALE);
		assert_int_equal(out.payload_size, 0);
		assert_true(bytes[16] == 0 && bytes[17] == 0);
	}
}

static void sequence_numbers_wrap(void **state)
{
	(void)state;
	assert_true(seq_lt(0xffffffff, 0) && seq_lt(0, 0x7fffffff) && !seq_lt(5, 5));
	assert_true(seq_le(5, 5) && seq_le(0xfffffff0, 0x10) && !seq_le(0x10, 0xfffffff0));
}

static void udp_sizes(void **state)
{
	uint8_t bytes[20] = { 0x12, 0x34, 0, 53, 0, 0, 0xab, 0xcd, 1, 2, 3 };
	struct iovec iov;

	(void)state;
	for (unsigned int field = 0; field < 30; field++)
		for (size_t size = 0; size <= sizeof(bytes); size++) {
			struct cursor c = cursor_of(&iov, bytes, size);
			struct udp_header u;

			bytes[5] = (uint8_t)field;
			u = udp_parse(&c);
			assert_int_equal(cursor_failed(&c), field < 8 || field > size);
			if (cursor_failed(&c))
				continue;
			assert_int_equal(be16_get(u.src), 0x1234);
			assert_int_equal(be16_get(u.dst), 53);
			assert_int_equal(be16_get(u.checksum), 0xabcd);
			assert_int_equal(cursor_left(&c), field - 8);
		}
}

static void arp_and_its_damages(void **state)
{
	uint8_t bytes[28] = {
		0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
	};
	struct iovec iov;
	struct cursor c = cursor_of(&iov, bytes, sizeof(bytes));
	struct arp a = arp_parse(&c);

	(void)state;
	assert_false(cursor_failed(&c));
	assert_int_equal(be16_get(a.op), ARP_REQUEST);
	assert_int_equal(ip4_get(a.sender_ip), 0x0a00020f);
	assert_int_equal(ip4_get(a.target_ip), 0x0a000202);
	assert_true(mac_equal(a.sender_mac, (struct mac){{ 0x52, 0x54, 0, 0x12, 0x34, 0x56 }}));
	for (size_t size = 0; size < sizeof(bytes); size++) {
		c = cursor_of(&iov, bytes, size);
		arp_parse(&c);
		assert_true(cursor_failed(&c));
	}
	for (size_t at = 0; at < 6; at++) { /* hardware, protocol and both sizes */
		bytes[at] ^= 2;
		c = cursor_of(&iov, bytes, sizeof(bytes));
		arp_parse(&c);
		assert_true(cursor_failed(&c));
		bytes[at] ^= 2;
	}
}

static void eth_header(void **state)
{
	const uint8_t bytes[15] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x86, 0xdd, 0x60 };
	struct iovec iov;
	struct cursor c = cursor_of(&iov, bytes, sizeof(bytes));
	struct eth e = eth_parse(&c);

	(void)state;
	assert_true(mac_equal(e.to, (struct mac){{ 1, 2, 3, 4, 5, 6 }}) && mac_equal(e.from, (struct mac){{ 7, 8, 9, 10, 11, 12 }}));
	assert_int_equal(be16_get(e.type), ETHERTYPE_IPV6);
	assert_int_equal(cursor_u8(&c), 0x60);
	c = cursor_of(&iov, bytes, 13);
	eth_parse(&c);
	assert_true(cursor_failed(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_fields),
		cmocka_unit_test(options),
		cmocka_unit_test(sizes_that_do_not_fit),
		cmocka_unit_test(emit_makes_what_parse_reads),
		cmocka_unit_test(sequence_numbers_wrap),
		cmocka_unit_test(udp_sizes),
		cmocka_unit_test(arp_and_its_damages),
		cmocka_unit_test(eth_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
