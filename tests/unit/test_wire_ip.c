// SPDX-License-Identifier: MIT
#include "unit.h"

#include "base/writer.h"
#include "wire/checksum.h"
#include "wire/ip.h"

#define PACKET_MAX 2048

/* A packet under construction: 20 or 40 bytes of header, then what the test appends. */
struct packet {
	uint8_t data[PACKET_MAX];
	struct writer w;
};

static void begin4(struct packet *p, uint8_t protocol, size_t options)
{
	const struct ip4_header h = {
		.version_ihl = (uint8_t)(0x45 + options / 4), .tos = 0xb9, .id = be16(0x1234), .fragment = be16(0x4000), .ttl = 63,
		.protocol = protocol, .src = {{ 10, 0, 2, 15 }}, .dst = {{ 192, 0, 2, 1 }},
	};

	p->w = writer_of(p->data, sizeof(p->data));
	writer_put(&p->w, &h, sizeof(h));
}

static struct ip4_header *header4(struct packet *p)
{
	return (struct ip4_header *)p->data;
}

static void sum4(struct packet *p)
{
	struct ip4_header *h = header4(p);

	h->checksum = be16(0);
	h->checksum = sum_fold(sum_bytes(0, p->data, (size_t)(h->version_ihl & 0xf) * 4));
}

static void end4(struct packet *p)
{
	header4(p)->total_size = be16((uint16_t)p->w.used);
	sum4(p);
}

static void begin6(struct packet *p, uint8_t next)
{
	const struct ip6_header h = {
		.version_class_flow = be32(0x6b912345), .next = next, .hop_limit = 64,
		.src = {{ 0xfd, [15] = 1 }}, .dst = {{ 0x20, 0x01, 0x0d, 0xb8, [15] = 2 }},
	};

	p->w = writer_of(p->data, sizeof(p->data));
	writer_put(&p->w, &h, sizeof(h));
}

static struct ip6_header *header6(struct packet *p)
{
	return (struct ip6_header *)p->data;
}

static void end6(struct packet *p)
{
	header6(p)->payload_size = be16((uint16_t)(p->w.used - sizeof(struct ip6_header)));
}

/* An extension header of @units times 8 bytes; for a routing header, of type 4 with no segments left. */
static void extend(struct packet *p, uint8_t next, size_t units)
{
	writer_u8(&p->w, next);
	writer_u8(&p->w, (uint8_t)(units - 1));
	writer_u16(&p->w, 0x0400);
	writer_fill(&p->w, 0, units * 8 - 4);
}

static void extend_fragment(struct packet *p, uint8_t next, uint16_t offset_and_more, uint32_t id)
{
	writer_u8(&p->w, next);
	writer_u8(&p->w, 0);
	writer_u16(&p->w, offset_and_more);
	writer_u32(&p->w, id);
}

/* Parse @size bytes of it, in two parts that are cut at every possible place in turn; the results must not differ. */
static bool parse_bytes(struct packet *p, size_t size, struct ip_packet *out, size_t *left)
{
	struct iovec whole;
	struct cursor c = cursor_of(&whole, p->data, size);

	*out = ip_parse(&c);
	*left = cursor_left(&c);
	for (size_t cut = 0; cut <= MIN(size, (size_t)120); cut++) {
		struct iovec iov[] = { { p->data, cut }, { p->data + cut, size - cut } };
		struct cursor d = cursor_of_iov(iov, ARRAY_SIZE(iov));
		struct ip_packet again = ip_parse(&d);

		assert_int_equal(cursor_failed(&d), cursor_failed(&c));
		assert_int_equal(cursor_left(&d), *left);
		assert_true(addr_equal(again.dst, out->dst) && again.protocol == out->protocol && again.header_size == out->header_size);
	}
	return !cursor_failed(&c);
}

static bool parse(struct packet *p, struct ip_packet *out)
{
	size_t left;
	bool good = parse_bytes(p, p->w.used, out, &left);

	assert_int_equal(out->payload_size, left);
	return good;
}

static bool is_good(struct packet *p)
{
	struct ip_packet out;

	return parse(p, &out);
}

static void plain4(void **state)
{
	struct packet p;
	struct ip_packet out;

	(void)state;
	begin4(&p, IP_UDP, 0);
	writer_fill(&p.w, 0xaa, 33);
	end4(&p);
	writer_fill(&p.w, 0, 7); /* Ethernet's padding */
	assert_true(parse(&p, &out));
	assert_int_equal(out.version, 4);
	assert_int_equal(out.protocol, IP_UDP);
	assert_int_equal(out.ttl, 63);
	assert_int_equal(out.traffic_class, 0xb9);
	assert_int_equal(out.header_size, 20);
	assert_int_equal(out.payload_size, 33);
	assert_true(addr_equal(out.src, addr_of4((struct ip4){{ 10, 0, 2, 15 }})));
	assert_true(addr_equal(out.dst, addr_of4((struct ip4){{ 192, 0, 2, 1 }})));
	assert_true(out.dont_fragment);
	assert_false(out.is_fragment);
	assert_memory_equal(out.header, p.data, 20);
}

static void options4(void **state)
{
	static const struct { uint8_t bytes[8]; bool good; } cases[] = {
		{ { 1, 1, 1, 1, 1, 1, 1, 1 }, true },
		{ { 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, true }, /* behind the end all is padding */
		{ { 148, 4, 0, 0, 1, 1, 1, 0 }, true },                    /* router alert */
		{ { 131, 7, 4, 192, 0, 2, 9, 0 }, false },                 /* loose source route */
		{ { 1, 137, 7, 4, 192, 0, 2, 9 }, false },                 /* strict source route */
		{ { 148, 0, 0, 0, 0, 0, 0, 0 }, false },
		{ { 148, 1, 0, 0, 0, 0, 0, 0 }, false },
		{ { 148, 9, 0, 0, 0, 0, 0, 0 }, false },
		{ { 1, 1, 1, 1, 1, 1, 1, 148 }, false },
	};
	struct packet p;
	struct ip_packet out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin4(&p, IP_TCP, sizeof(cases[i].bytes));
		writer_put(&p.w, cases[i].bytes, sizeof(cases[i].bytes));
		writer_fill(&p.w, 0xbb, 5);
		end4(&p);
		assert_int_equal(parse(&p, &out), cases[i].good);
		if (!cases[i].good)
			continue;
		assert_int_equal(out.header_size, 28);
		assert_int_equal(out.payload_size, 5);
	}
}

static void damaged4(void **state)
{
	struct packet p;
	struct ip_packet out;
	size_t left;

	(void)state;
	begin4(&p, IP_UDP, 8);
	writer_fill(&p.w, 0, 8 + 12);
	end4(&p);
	assert_true(is_good(&p));
	for (size_t size = 0; size < p.w.used; size++)
		assert_false(parse_bytes(&p, size, &out, &left));
	for (size_t bit = 0; bit < 28 * 8; bit++) {
		p.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(is_good(&p)); /* the checksum sees any one bit */
		p.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	header4(&p)->version_ihl = 0x44; /* right in itself, but no header is so short */
	sum4(&p);
	assert_false(is_good(&p));
	header4(&p)->version_ihl = 0x47;
	header4(&p)->total_size = be16(27); /* less than the header */
	sum4(&p);
	assert_false(is_good(&p));
	header4(&p)->total_size = be16(28); /* nothing but the header */
	sum4(&p);
	assert_true(parse(&p, &out));
	assert_int_equal(out.payload_size, 0);
}

static void fragments4(void **state)
{
	static const struct { uint16_t field; size_t size; bool good, fragment; } cases[] = {
		{ 0x0000, 13, true, false }, { 0x8000, 13, true, false },
		{ 0x2000, 16, true, true },  { 0x2000, 13, false, false }, /* more to come, not a multiple of 8 */
		{ 0x2001, 16, true, true },  { 0x0001, 13, true, true },
		{ 0x1fff, 7, true, true },   { 0x1fff, 8, false, false },  /* reaches beyond 65535 */
	};
	struct packet p;
	struct ip_packet out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin4(&p, IP_UDP, 0);
		header4(&p)->fragment = be16(cases[i].field);
		writer_fill(&p.w, 1, cases[i].size);
		end4(&p);
		assert_int_equal(parse(&p, &out), cases[i].good);
		if (!cases[i].good)
			continue;
		assert_int_equal(out.is_fragment, cases[i].fragment);
		assert_int_equal(out.fragment_offset, (cases[i].field & 0x1fff) * 8);
		assert_int_equal(out.more_fragments, !!(cases[i].field & 0x2000));
		assert_int_equal(out.fragment_id, 0x1234);
		assert_false(out.dont_fragment);
	}
}

static void plain6(void **state)
{
	struct packet p;
	struct ip_packet out;
	size_t left;

	(void)state;
	begin6(&p, IP_TCP);
	writer_fill(&p.w, 0xaa, 21);
	end6(&p);
	assert_true(parse(&p, &out));
	assert_int_equal(out.version, 6);
	assert_int_equal(out.protocol, IP_TCP);
	assert_int_equal(out.ttl, 64);
	assert_int_equal(out.traffic_class, 0xb9);
	assert_int_equal(out.header_size, 40);
	assert_int_equal(out.payload_size, 21);
	assert_true(out.dont_fragment);
	assert_true(addr_equal(out.dst, (addr_t){{ 0x20, 0x01, 0x0d, 0xb8, [15] = 2 }}));
	assert_memory_equal(out.header, p.data, 40);
	for (size_t size = 0; size < p.w.used; size++)
		assert_false(parse_bytes(&p, size, &out, &left));
	writer_fill(&p.w, 0, 5); /* padding */
	assert_true(parse(&p, &out));
	assert_int_equal(out.payload_size, 21);
}

static void mapped_addresses6(void **state)
{
	struct packet p;

	(void)state;
	begin6(&p, IP_TCP);
	end6(&p);
	assert_true(is_good(&p));
	header6(&p)->src = addr_of4((struct ip4){{ 127, 0, 0, 1 }});
	assert_false(is_good(&p));
	begin6(&p, IP_TCP);
	end6(&p);
	header6(&p)->dst = addr_of4((struct ip4){{ 127, 0, 0, 1 }});
	assert_false(is_good(&p));
}

static void chains6(void **state)
{
	struct packet p;
	struct ip_packet out;

	(void)state;
	begin6(&p, IP6_HOP_BY_HOP);
	extend(&p, IP6_DESTINATION, 1);
	extend(&p, IP6_ROUTING, 3);
	extend(&p, IP6_DESTINATION, 2);
	extend(&p, IP_UDP, 32);
	writer_fill(&p.w, 0xcc, 11);
	end6(&p);
	assert_true(parse(&p, &out));
	assert_int_equal(out.protocol, IP_UDP);
	assert_int_equal(out.header_size, 40 + 38 * 8);
	assert_int_equal(out.payload_size, 11);

	for (size_t cut = 0; cut < 38 * 8; cut += 3) { /* the packet ends in the chain */
		header6(&p)->payload_size = be16((uint16_t)cut);
		assert_false(is_good(&p));
	}
}

static void chain_length6(void **state)
{
	(void)state;
	for (int length = 0; length <= 10; length++) {
		struct packet p;

		begin6(&p, length ? IP6_DESTINATION : IP_TCP);
		for (int i = length - 1; i >= 0; i--)
			extend(&p, i ? IP6_DESTINATION : IP_TCP, 1);
		end6(&p);
		assert_int_equal(is_good(&p), length <= 8);
	}
}

static void refused_chains6(void **state)
{
	struct packet p;

	(void)state;
	begin6(&p, IP6_DESTINATION); /* hop-by-hop options not in the first place (RFC 8200 section 4.1) */
	extend(&p, IP6_HOP_BY_HOP, 1);
	extend(&p, IP_TCP, 1);
	end6(&p);
	assert_false(is_good(&p));

	begin6(&p, IP6_ROUTING);
	extend(&p, IP_TCP, 1);
	end6(&p);
	assert_true(is_good(&p));
	p.data[42] = 0; /* type 0 */
	assert_false(is_good(&p));
	p.data[42] = 4;
	p.data[43] = 1; /* not at the end of its route */
	assert_false(is_good(&p));
}

static void fragments6(void **state)
{
	static const struct { uint16_t field; size_t size; bool good, fragment; } cases[] = {
		{ 0x0001, 16, true, true },  { 0x0001, 13, false, false },
		{ 0x0008, 13, true, true },  { 0x0009, 8, true, true },
		{ 0xfff8, 7, true, true },   { 0xfff8, 8, false, false },
		{ 0x0006, 13, true, false }, /* reserved bits only: a fragment that is the whole (RFC 6946) */
	};
	struct packet p;
	struct ip_packet out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin6(&p, IP6_HOP_BY_HOP);
		extend(&p, IP6_FRAGMENT, 1);
		extend_fragment(&p, IP_UDP, cases[i].field, 0xdeadbeef);
		writer_fill(&p.w, 1, cases[i].size);
		end6(&p);
		assert_int_equal(parse(&p, &out), cases[i].good);
		if (!cases[i].good)
			continue;
		assert_int_equal(out.is_fragment, cases[i].fragment);
		assert_int_equal(out.fragment_offset, cases[i].field & 0xfff8);
		assert_int_equal(out.more_fragments, cases[i].field & 1);
		assert_int_equal(out.protocol, IP_UDP);
		assert_int_equal(out.header_size, 56);
		assert_int_equal(out.payload_size, cases[i].size);
		assert_true(out.fragment_id == 0xdeadbeef);
	}
}

/* What a fragment's data begins with is not looked at: the pieces must fit together again. */
static void fragment_ends_the_chain6(void **state)
{
	struct packet p;
	struct ip_packet out;

	(void)state;
	begin6(&p, IP6_FRAGMENT);
	extend_fragment(&p, IP6_DESTINATION, 0x0001, 1);
	extend(&p, IP_UDP, 2);
	end6(&p);
	assert_true(parse(&p, &out));
	assert_int_equal(out.protocol, IP6_DESTINATION);
	assert_int_equal(out.payload_size, 16);
	p.data[43] = 0; /* the same, in one piece */
	assert_true(parse(&p, &out));
	assert_int_equal(out.protocol, IP_UDP);
	assert_int_equal(out.payload_size, 0);
}

static void wrong_versions(void **state)
{
	struct packet p;

	(void)state;
	for (unsigned int version = 0; version < 16; version++) {
		begin6(&p, IP_TCP);
		end6(&p);
		p.data[0] = (uint8_t)(version << 4);
		assert_int_equal(is_good(&p), version == 6);
	}
}

static void emit_makes_what_parse_reads(void **state)
{
	struct rng r = { 8 };

	(void)state;
	for (int round = 0; round < 2000; round++) {
		uint8_t bytes[PACKET_MAX] = { 0 };
		struct iovec iov;
		struct cursor c;
		struct ip_packet in = {
			.protocol = IP_TCP, .ttl = (uint8_t)rng_next(&r), .traffic_class = (uint8_t)rng_next(&r),
			.dont_fragment = rng_below(&r, 2), .payload_size = (uint32_t)rng_below(&r, 1000),
		}, out;
		size_t size;

		rng_fill(&r, &in.src, sizeof(in.src));
		rng_fill(&r, &in.dst, sizeof(in.dst));
		if (round % 2)
			in.src = addr_of4(ip4((uint32_t)rng_next(&r))), in.dst = addr_of4(ip4((uint32_t)rng_next(&r)));
		size = ip_emit(bytes, &in, 0x5678);
		assert_int_equal(size, ip_header_size(in.src));
		c = cursor_of(&iov, bytes, size + in.payload_size + 3);
		out = ip_parse(&c);
		assert_false(cursor_failed(&c));
		assert_true(addr_equal(in.src, out.src) && addr_equal(in.dst, out.dst));
		assert_int_equal(out.version, round % 2 ? 4 : 6);
		assert_true(in.protocol == out.protocol && in.ttl == out.ttl && in.traffic_class == out.traffic_class);
		assert_true(in.payload_size == out.payload_size && !out.is_fragment);
		assert_int_equal(out.dont_fragment, out.version == 6 || in.dont_fragment);
		assert_int_equal(out.fragment_id, out.version == 4 ? 0x5678 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain4),
		cmocka_unit_test(options4),
		cmocka_unit_test(damaged4),
		cmocka_unit_test(fragments4),
		cmocka_unit_test(plain6),
		cmocka_unit_test(mapped_addresses6),
		cmocka_unit_test(chains6),
		cmocka_unit_test(chain_length6),
		cmocka_unit_test(refused_chains6),
		cmocka_unit_test(fragments6),
		cmocka_unit_test(fragment_ends_the_chain6),
		cmocka_unit_test(wrong_versions),
		cmocka_unit_test(emit_makes_what_parse_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
