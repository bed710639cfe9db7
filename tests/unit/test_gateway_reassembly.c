// SPDX-License-Identifier: MIT
#include "unit.h"

#include "gateway/reassembly.h"

#define BYTES 65535

static const addr_t src4 = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 15 }}, dst4 = {{ [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 }};
static const addr_t src6 = {{ 0xfd, [15] = 15 }}, dst6 = {{ 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }};

struct bench {
	struct reassembly *r;
	uint8_t bytes[BYTES + 100];
	usec_t now;
	/* of the last fragment */
	struct ip_packet ip;
	struct cursor data;
	bool whole;
};

static int setup(void **state)
{
	struct bench *b = test_malloc(sizeof(*b));
	struct rng rng = { 5 };

	*b = (struct bench){ .now = 1000 };
	rng_fill(&rng, b->bytes, sizeof(b->bytes));
	*state = b;
	return reassembly_new(&b->r);
}

static int teardown(void **state)
{
	struct bench *b = *state;

	reassembly_free(b->r);
	test_free(b);
	return 0;
}

static struct ip_packet packet(bool v4, uint32_t id)
{
	return (struct ip_packet){
		.src = v4 ? src4 : src6, .dst = v4 ? dst4 : dst6, .version = v4 ? 4 : 6, .protocol = IP_UDP, .ttl = 64,
		.header_size = v4 ? 20 : 48, .is_fragment = true, .fragment_id = id,
	};
}

/* Bytes @from to @to of the packet, in two parts; @more: others follow. */
static enum drop add(struct bench *b, struct ip_packet p, uint32_t from, uint32_t to, bool more)
{
	uint32_t half = (to - from) / 2;
	struct iovec iov[] = { { b->bytes + from, half }, { b->bytes + from + half, to - from - half } };

	b->ip = p;
	b->ip.fragment_offset = (uint16_t)from;
	b->ip.more_fragments = more;
	b->ip.payload_size = to - from;
	b->data = cursor_of_iov(iov, ARRAY_SIZE(iov));
	return reassembly_add(b->r, &b->ip, &b->data, &b->whole, b->now);
}

static void assert_whole(struct bench *b, uint32_t size)
{
	uint8_t got[BYTES];

	assert_true(b->whole);
	assert_false(b->ip.is_fragment || b->ip.more_fragments);
	assert_int_equal(b->ip.fragment_offset, 0);
	assert_int_equal(b->ip.payload_size, size);
	assert_int_equal(cursor_left(&b->data), size);
	cursor_copy(&b->data, got, size);
	assert_memory_equal(got, b->bytes, size);
}

static void in_order_and_out_of_order(void **state)
{
	struct bench *b = *state;

	for (int v4 = 0; v4 < 2; v4++) {
		struct ip_packet p = packet(v4, 1);

		assert_int_equal(add(b, p, 0, 1480, true), DROP_NONE);
		assert_false(b->whole);
		assert_int_equal(add(b, p, 1480, 2960, true), DROP_NONE);
		assert_false(b->whole);
		assert_int_equal(add(b, p, 2960, 3001, false), DROP_NONE);
		assert_whole(b, 3001);

		assert_int_equal(add(b, p, 2960, 3001, false), DROP_NONE);
		assert_int_equal(add(b, p, 0, 1480, true), DROP_NONE);
		assert_false(b->whole);
		assert_int_equal(add(b, p, 1480, 2960, true), DROP_NONE);
		assert_whole(b, 3001);
	}
}

/* Of a packet in random pieces, in random order, some of them doubled, the bytes come out. */
static void shuffled(void **state)
{
	struct bench *b = *state;
	struct rng rng = { 99 };

	for (uint32_t round = 0; round < 200; round++) {
		uint32_t edges[300] = { 0 }, order[300], pieces = 0, size = 2000 + (uint32_t)rng_below(&rng, 60000);

		while (edges[pieces] < size && pieces < 200) {
			uint32_t step = 8 * (uint32_t)(1 + rng_below(&rng, 100));

			edges[pieces + 1] = pieces == 199 ? size : MIN(edges[pieces] + step, size);
			order[pieces] = pieces;
			pieces++;
		}
		for (uint32_t i = pieces; i-- > 1;) {
			uint32_t j = (uint32_t)rng_below(&rng, i + 1), kept = order[i];

			order[i] = order[j];
			order[j] = kept;
		}
		for (uint32_t i = 0; i < pieces; i++) {
			uint32_t from = edges[order[i]], to = edges[order[i] + 1];

			assert_int_equal(add(b, packet(round & 1, round), from, to, to < size), DROP_NONE);
			assert_int_equal(b->whole, i == pieces - 1);
			if (i < pieces - 1 && rng_below(&rng, 4) == 0) {
				assert_int_equal(add(b, packet(round & 1, round), from, to, to < size), DROP_NONE);
				assert_false(b->whole);
			}
		}
		assert_whole(b, size);
	}
}

static void told_apart(void **state)
{
	struct bench *b = *state;
	struct ip_packet p = packet(true, 1), q = packet(true, 2), icmp = packet(true, 1), six = packet(false, 1), rest = six;

	icmp.protocol = IP_ICMP;
	assert_int_equal(add(b, p, 0, 800, true), DROP_NONE);
	assert_int_equal(add(b, q, 800, 900, false), DROP_NONE);
	assert_int_equal(add(b, icmp, 800, 900, false), DROP_NONE);
	assert_false(b->whole);
	assert_int_equal(add(b, p, 800, 1000, false), DROP_NONE);
	assert_whole(b, 1000);

	/* IPv6: the first fragment's protocol and header are the packet's. */
	rest.protocol = IP6_NONE;
	six.ttl = 17;
	assert_int_equal(add(b, rest, 800, 900, false), DROP_NONE);
	assert_int_equal(add(b, six, 0, 800, true), DROP_NONE);
	assert_whole(b, 900);
	assert_int_equal(b->ip.protocol, IP_UDP);
	assert_int_equal(b->ip.ttl, 17);
}

static void overlaps(void **state)
{
	static const struct { uint32_t from, to; bool more; } bad[] = {
		{ 8, 24, true }, { 0, 8, true }, { 808, 1000, true }, { 792, 816, true }, { 800, 808, false }, { 0, 1600, true },
	};
	struct bench *b = *state;

	for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ip_packet p = packet(true, i);

		assert_int_equal(add(b, p, 0, 800, true), DROP_NONE);
		b->bytes[799] ^= 1;
		b->bytes[7] ^= 1;
		b->bytes[23] ^= 1;
		/* Only a piece that brings other bytes, or another shape, is refused. */
		assert_int_equal(add(b, p, bad[i].from, bad[i].to, bad[i].more),
				 bad[i].from >= 800 ? DROP_NONE : DROP_FRAGMENT);
		if (bad[i].from < 800) {
			/* It stays refused, whatever follows. */
			assert_int_equal(add(b, p, 0, 800, true), DROP_FRAGMENT);
			assert_int_equal(add(b, p, 800, 900, false), DROP_FRAGMENT);
			assert_false(b->whole);
			/* But not for ever. */
			b->now += 31 * USEC_S;
			assert_int_equal(add(b, p, 0, 800, true), DROP_NONE);
			assert_int_equal(add(b, p, 800, 900, false), DROP_NONE);
			assert_whole(b, 900);
		}
		b->now += 31 * USEC_S;
	}
}

static void ends_that_do_not_fit(void **state)
{
	struct bench *b = *state;
	struct ip_packet p = packet(false, 1);

	assert_int_equal(add(b, p, 800, 900, false), DROP_NONE);
	assert_int_equal(add(b, p, 1600, 1700, false), DROP_FRAGMENT); /* a second end */
	p.fragment_id++;
	assert_int_equal(add(b, p, 800, 900, false), DROP_NONE);
	assert_int_equal(add(b, p, 1600, 1680, true), DROP_FRAGMENT);  /* behind the end */
	p.fragment_id++;
	assert_int_equal(add(b, p, 1600, 1680, true), DROP_NONE);
	assert_int_equal(add(b, p, 800, 900, false), DROP_FRAGMENT);   /* the end before it */
}

static void sizes(void **state)
{
	struct bench *b = *state;
	struct ip_packet p = packet(true, 1), six = packet(false, 1);

	assert_int_equal(add(b, p, 0, 801, true), DROP_FRAGMENT);      /* no multiple of eight */
	assert_int_equal(add(b, p, 0, 0, true), DROP_FRAGMENT);
	assert_int_equal(add(b, p, 65528, 65535, false), DROP_FRAGMENT); /* more than an IPv4 packet holds */
	assert_int_equal(add(b, p, 65512, 65515, false), DROP_NONE);
	assert_int_equal(add(b, p, 0, 65512, true), DROP_NONE);
	assert_whole(b, 65515);
	assert_int_equal(add(b, six, 65528, 65536, false), DROP_FRAGMENT);
	assert_int_equal(add(b, six, 65528, 65535, false), DROP_NONE);
	assert_int_equal(add(b, six, 0, 65528, true), DROP_NONE);
	assert_whole(b, 65535);
}

static void forgotten_after_a_while(void **state)
{
	struct bench *b = *state;
	struct ip_packet p = packet(true, 1);

	assert_int_equal(add(b, p, 0, 800, true), DROP_NONE);
	b->now += 29 * USEC_S;
	assert_int_equal(add(b, packet(true, 2), 0, 800, true), DROP_NONE);
	b->now += 2 * USEC_S;
	assert_int_equal(add(b, p, 800, 900, false), DROP_NONE);
	assert_false(b->whole);
	assert_int_equal(add(b, packet(true, 2), 800, 900, false), DROP_NONE);
	assert_whole(b, 900);
}

/* Is the packet's first half still there? Ask with its second. */
static bool completes(struct bench *b, struct ip_packet p)
{
	assert_int_equal(add(b, p, 800, 900, false), DROP_NONE);
	return b->whole;
}

static void share_of_a_source(void **state)
{
	struct bench *b = *state;
	struct ip_packet other = packet(true, 0);

	other.src.b[15] = 16;
	assert_int_equal(add(b, other, 0, 800, true), DROP_NONE);
	for (uint32_t id = 0; id < 9; id++, b->now++)
		assert_int_equal(add(b, packet(true, id), 0, 800, true), DROP_NONE);
	assert_true(completes(b, other));
	for (uint32_t id = 8; id >= 1; id--)
		assert_true(completes(b, packet(true, id)));
	assert_false(completes(b, packet(true, 0)));
}

static void oldest_gives_way(void **state)
{
	struct bench *b = *state;

	for (uint32_t i = 0; i < 33; i++, b->now++) {
		struct ip_packet p = packet(true, i);

		p.src.b[15] = (uint8_t)i;
		assert_int_equal(add(b, p, 0, 800, true), DROP_NONE);
	}
	for (uint32_t i = 33; i-- > 0;) {
		struct ip_packet p = packet(true, i);

		p.src.b[15] = (uint8_t)i;
		assert_int_equal(completes(b, p), i != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(in_order_and_out_of_order), T(shuffled), T(told_apart), T(overlaps), T(ends_that_do_not_fit), T(sizes),
		T(forgotten_after_a_while),
		T(share_of_a_source), T(oldest_gives_way),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
