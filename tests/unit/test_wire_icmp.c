// SPDX-License-Identifier: MIT
#include "unit.h"

#include "wire/checksum.h"
#include "wire/icmp.h"

#define REST_MAX 2000

static const addr_t guest4 = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 15 }}, away4 = {{ [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 }};
static const addr_t guest6 = {{ 0xfd, [15] = 15 }}, away6 = {{ 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }}, router6 = {{ 0xfd, [15] = 2 }};

/* A packet in error as the parser gives it, with @size bytes behind its header. */
static struct ip_packet about(bool v4, uint8_t protocol, size_t size)
{
	struct ip_packet p = {
		.src = v4 ? guest4 : guest6, .dst = v4 ? away4 : away6, .protocol = protocol, .ttl = 64, .payload_size = (uint32_t)size,
		.version = v4 ? 4 : 6,
	};

	p.header_size = (uint16_t)ip_emit(p.header, &p, 0x4242);
	return p;
}

static size_t emit(uint8_t *into, enum icmp_error error, const struct ip_packet *p, const uint8_t *rest, size_t size, uint32_t mtu)
{
	struct iovec iov[] = { { (void *)rest, size / 3 }, { (void *)(rest + size / 3), size - size / 3 } };

	return icmp_emit_error(into, error, p, cursor_of_iov(iov, ARRAY_SIZE(iov)), mtu, p->version == 4 ? away4 : router6);
}

static void types_and_codes(void **state)
{
	static const struct { enum icmp_error error; uint8_t v4[2], v6[2]; } cases[] = {
		{ ICMP_ERROR_NET, { 3, 0 }, { 1, 0 } },         { ICMP_ERROR_HOST, { 3, 1 }, { 1, 3 } },
		{ ICMP_ERROR_PROHIBITED, { 3, 13 }, { 1, 1 } }, { ICMP_ERROR_PORT, { 3, 3 }, { 1, 4 } },
		{ ICMP_ERROR_PROTOCOL, { 3, 2 }, { 4, 1 } },    { ICMP_ERROR_TOO_BIG, { 3, 4 }, { 2, 0 } },
		{ ICMP_ERROR_TTL, { 11, 0 }, { 3, 0 } },        { ICMP_ERROR_REASSEMBLY, { 11, 1 }, { 3, 1 } },
	};
	const struct ip_packet p4 = about(true, IP_UDP, 8), p6 = about(false, IP_UDP, 8);
	uint8_t out[ICMP_ERROR_MAX], rest[8] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(emit(out, cases[i].error, &p4, rest, sizeof(rest), 1400), 8 + 20 + 8);
		assert_memory_equal(out, cases[i].v4, 2);
		assert_int_equal(emit(out, cases[i].error, &p6, rest, sizeof(rest), 1400), 8 + 40 + 8);
		assert_memory_equal(out, cases[i].v6, 2);
	}
}

static void second_word(void **state)
{
	const struct ip_packet p4 = about(true, IP_UDP, 8), p6 = about(false, IP_UDP, 8);
	uint8_t out[ICMP_ERROR_MAX], rest[8] = { 0 };

	(void)state;
	emit(out, ICMP_ERROR_TOO_BIG, &p4, rest, sizeof(rest), 1400);
	assert_memory_equal(out + 4, ((uint8_t[]){ 0, 0, 5, 0x78 }), 4);
	emit(out, ICMP_ERROR_TOO_BIG, &p4, rest, sizeof(rest), 70000);
	assert_memory_equal(out + 4, ((uint8_t[]){ 0, 0, 0xff, 0xff }), 4);
	emit(out, ICMP_ERROR_TOO_BIG, &p6, rest, sizeof(rest), 0x12345);
	assert_memory_equal(out + 4, ((uint8_t[]){ 0, 1, 0x23, 0x45 }), 4);
	emit(out, ICMP_ERROR_PROTOCOL, &p6, rest, sizeof(rest), 0);
	assert_memory_equal(out + 4, ((uint8_t[]){ 0, 0, 0, 6 }), 4);
	emit(out, ICMP_ERROR_PORT, &p4, rest, sizeof(rest), 1400);
	assert_memory_equal(out + 4, ((uint8_t[]){ 0, 0, 0, 0 }), 4);
}

/* As much of the packet as may be is quoted, and the checksum is right, whatever the size. */
static void quotes(void **state)
{
	uint8_t out[ICMP_ERROR_MAX], rest[REST_MAX];
	struct rng r = { 10 };

	(void)state;
	rng_fill(&r, rest, sizeof(rest));
	for (size_t size = 0; size <= REST_MAX; size += size < 40 ? 1 : 37) {
		const struct ip_packet p4 = about(true, IP_UDP, size), p6 = about(false, IP_UDP, size);
		size_t got = emit(out, ICMP_ERROR_PORT, &p4, rest, size, 0);

		assert_int_equal(got, 8 + MIN(size + 20, (size_t)548));
		assert_memory_equal(out + 8, p4.header, 20);
		assert_memory_equal(out + 28, rest, got - 28);
		assert_true(sum_is_valid(sum_bytes(0, out, got)));

		got = emit(out, ICMP_ERROR_PORT, &p6, rest, size, 0);
		assert_int_equal(got, MIN(size + 48, (size_t)ICMP_ERROR_MAX));
		assert_memory_equal(out + 8, p6.header, 40);
		assert_memory_equal(out + 48, rest, got - 48);
		assert_true(sum_is_valid(sum_bytes(sum_pseudo(0, router6, guest6, IP_ICMP6, (uint32_t)got), out, got)));
	}
}

/* A quote of a packet with options or extension headers parses, and leads to the same payload. */
static void quote_without_options(void **state)
{
	uint8_t out[ICMP_ERROR_MAX], rest[24] = { 0xaa, 0xbb, [23] = 0xcc };

	(void)state;
	for (int v4 = 0; v4 < 2; v4++) {
		struct ip_packet p = about(v4, IP_UDP, sizeof(rest)), quoted;
		struct ip4_header *h4 = (struct ip4_header *)p.header;
		struct ip6_header *h6 = (struct ip6_header *)p.header;
		struct iovec iov;
		struct cursor c;

		p.header_size += 8;
		if (v4)
			h4->version_ihl = 0x47, h4->total_size = be16(28 + sizeof(rest));
		else
			h6->next = IP6_DESTINATION, h6->payload_size = be16(8 + sizeof(rest));
		c = cursor_of(&iov, out, emit(out, ICMP_ERROR_PORT, &p, rest, sizeof(rest), 0));
		icmp_parse(&c);
		quoted = ip_parse(&c);
		assert_false(cursor_failed(&c));
		assert_int_equal(quoted.protocol, IP_UDP);
		assert_int_equal(quoted.payload_size, sizeof(rest));
		assert_true(addr_equal(quoted.src, p.src) && addr_equal(quoted.dst, p.dst));
		assert_memory_equal(out + cursor_left(&c) - sizeof(rest) + 8 + quoted.header_size, rest, sizeof(rest));
	}
}

static bool may(const struct ip_packet *p, const void *rest, size_t size)
{
	struct iovec iov;

	return icmp_may_answer(p, cursor_of(&iov, rest, size));
}

static void answers_not_about_errors(void **state)
{
	const struct ip_packet udp4 = about(true, IP_UDP, 0), udp6 = about(false, IP_UDP, 0);
	const struct ip_packet icmp4 = about(true, IP_ICMP, 8), icmp6 = about(false, IP_ICMP6, 8);
	const struct ip_packet other4 = about(true, IP_ICMP6, 8), other6 = about(false, IP_ICMP, 8);

	(void)state;
	assert_true(may(&udp4, "", 0) && may(&udp6, "", 0));
	for (unsigned int type = 0; type < 256; type++) {
		const uint8_t rest[8] = { (uint8_t)type };
		bool error4 = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;

		assert_int_equal(may(&icmp4, rest, sizeof(rest)), !error4);
		assert_int_equal(may(&icmp6, rest, sizeof(rest)), type >= 128 && type != 137);
		assert_true(may(&other4, rest, sizeof(rest)) && may(&other6, rest, sizeof(rest)));
	}
	assert_false(may(&icmp4, "", 0) || may(&icmp6, "", 0)); /* who knows what it was */
}

static void answers_to_one_host_only(void **state)
{
	static const struct { const char *src, *dst; bool good; } cases[] = {
		{ "10.0.2.15", "8.8.8.8", true },        { "0.0.0.0", "8.8.8.8", false },     { "127.0.0.1", "8.8.8.8", false },
		{ "224.0.0.1", "8.8.8.8", false },       { "255.255.255.255", "8.8.8.8", false }, { "240.0.0.1", "8.8.8.8", false },
		{ "10.0.2.15", "224.0.0.251", false },   { "10.0.2.15", "255.255.255.255", false }, { "10.0.2.15", "0.0.0.0", false },
		{ "fd00::15", "2001:db8::1", true },     { "::", "2001:db8::1", false },      { "::1", "2001:db8::1", false },
		{ "ff02::1", "2001:db8::1", false },     { "fd00::15", "ff02::1", false },    { "fe80::1", "fd00::1", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ip_packet p = { .protocol = IP_UDP };

		assert_true(addr_parse(cases[i].src, &p.src) && addr_parse(cases[i].dst, &p.dst));
		if (may(&p, "", 0) != cases[i].good)
			fail_msg("%s to %s", cases[i].src, cases[i].dst);
	}
}

static void answers_to_first_fragments_only(void **state)
{
	struct ip_packet p = about(true, IP_UDP, 0);

	(void)state;
	p.is_fragment = p.more_fragments = true;
	assert_true(may(&p, "", 0));
	p.fragment_offset = 1480;
	assert_false(may(&p, "", 0));
}

static void header_is_eight_bytes(void **state)
{
	const uint8_t bytes[9] = { 8, 1, 2, 3, 4, 5, 6, 7, 99 };
	struct iovec iov;
	struct cursor c = cursor_of(&iov, bytes, sizeof(bytes));
	struct icmp_header h = icmp_parse(&c);

	(void)state;
	assert_true(h.type == 8 && h.code == 1 && be16_get(h.id) == 0x0405 && be16_get(h.sequence) == 0x0607);
	assert_int_equal(cursor_u8(&c), 99);
	c = cursor_of(&iov, bytes, 7);
	icmp_parse(&c);
	assert_true(cursor_failed(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_and_codes),
		cmocka_unit_test(second_word),
		cmocka_unit_test(quotes),
		cmocka_unit_test(quote_without_options),
		cmocka_unit_test(answers_not_about_errors),
		cmocka_unit_test(answers_to_one_host_only),
		cmocka_unit_test(answers_to_first_fragments_only),
		cmocka_unit_test(header_is_eight_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
