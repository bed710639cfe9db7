// SPDX-License-Identifier: MIT
/* What comes out of the segmenter is taken apart here by hand, by offsets, with a checksum of the test's own. */
#include "fake_port.h"
#include "switch/segment.h"
#include "wire/eth.h"

#define FRAME_ROOM 66000

struct shape {
	bool v6, tcp, vlan;
	unsigned int ip_options;   /* bytes: of options (v4), of a hop-by-hop header (v6) */
	unsigned int tcp_options;
	uint32_t payload;
	uint16_t segment;
	uint8_t flags;
};

struct super {
	uint8_t data[FRAME_ROOM];
	struct iovec iov[64];
	struct frame frame;
	size_t link, ip, l4;       /* header sizes */
};

static uint16_t get16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
static void put16(uint8_t *p, uint16_t v) { p[0] = v >> 8, p[1] = v; }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16), put16(p + 2, v); }

static uint32_t add16(uint32_t sum, const uint8_t *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? p[i] : p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The sum of pseudo header and @size bytes at @l4, folded: 0xffff where the checksum is right. */
static uint32_t sum_l4(bool v6, const uint8_t *ip, uint8_t protocol, const uint8_t *l4, size_t size)
{
	uint8_t tail[4] = { 0, protocol, size >> 8, size };
	uint32_t sum = add16(0, ip + (v6 ? 8 : 12), v6 ? 32 : 8);

	return add16(add16(sum, tail, sizeof(tail)), l4, size);
}

static void put_ip(struct super *s, const struct shape *shape)
{
	uint8_t *ip = s->data + s->link, protocol = shape->tcp ? 6 : 17;
	uint32_t rest = s->l4 + shape->payload;

	if (shape->v6) {
		put32(ip, 0x60000000 | 0x12 << 20 | 0xabcde);
		put16(ip + 4, rest + shape->ip_options);
		ip[6] = shape->ip_options ? 0 : protocol;
		ip[7] = 63;
		ip[8] = 0xfd, ip[23] = 0x15;
		ip[24] = 0x20, ip[25] = 1, ip[39] = 7;
		if (shape->ip_options)
			ip[40] = protocol, ip[41] = shape->ip_options / 8 - 1, ip[42] = 1, ip[43] = shape->ip_options - 4;
		return;
	}
	ip[0] = 0x40 | s->ip / 4;
	ip[1] = 0x12;
	put16(ip + 2, s->ip + rest);
	put16(ip + 4, 0xfffe); /* counts over the edge */
	put16(ip + 6, 0x4000);
	ip[8] = 63, ip[9] = protocol;
	memcpy(ip + 12, "\x0a\0\x02\x0f\xc0\0\x02\x01", 8);
	memset(ip + 20, 1, shape->ip_options);
	put16(ip + 10, ~add16(0, ip, s->ip));
}

static void put_l4(struct super *s, const struct shape *shape)
{
	uint8_t *ip = s->data + s->link, *l4 = ip + s->ip;
	uint32_t size = s->l4 + shape->payload, pseudo = sum_l4(shape->v6, ip, shape->tcp ? 6 : 17, NULL, 0);
	uint8_t length[2] = { size >> 8, size };

	put16(l4, 40000);
	put16(l4 + 2, 443);
	if (shape->tcp) {
		put32(l4 + 4, 0xffffff00); /* wraps */
		put32(l4 + 8, 0x01020304);
		l4[12] = s->l4 / 4 << 4;
		l4[13] = shape->flags;
		put16(l4 + 14, 8192);
		memset(l4 + 20, 1, shape->tcp_options);
	} else {
		put16(l4 + 4, size);
	}
	put16(l4 + (shape->tcp ? 16 : 6), add16(pseudo, length, 2));
}

static void build(struct super *s, const struct shape *shape, struct rng *rng, bool gso)
{
	uint8_t *data = s->data;
	size_t size, at = 0;

	memset(s->data, 0, 256);
	s->link = shape->vlan ? 18 : 14;
	s->ip = (shape->v6 ? 40 : 20) + shape->ip_options;
	s->l4 = shape->tcp ? 20 + shape->tcp_options : 8;
	memcpy(data, "\x52\x54\0\0\0\x02\x52\x54\0\0\0\x01", 12);
	if (shape->vlan)
		memcpy(data + 12, "\x81\0\0\x05", 4);
	put16(data + s->link - 2, shape->v6 ? 0x86dd : 0x0800);
	put_ip(s, shape);
	put_l4(s, shape);
	rng_fill(rng, data + s->link + s->ip + s->l4, shape->payload);
	size = s->link + s->ip + s->l4 + shape->payload;

	s->frame = (struct frame){ .iov = s->iov, .size = size };
	s->frame.offload = (struct offload){
		.gso = !gso ? GSO_NONE : !shape->tcp ? GSO_UDP : shape->v6 ? GSO_TCP6 : GSO_TCP4, .checksum_open = true,
		.segment_size = gso ? shape->segment : 0, .checksum_start = s->link + s->ip, .checksum_offset = shape->tcp ? 16 : 6,
	};
	while (at < size) {
		size_t take = s->frame.parts == 63 ? size - at : 1 + rng_below(rng, 1 + rng_below(rng, 8000));

		take = MIN(take, size - at);
		s->iov[s->frame.parts++] = (struct iovec){ data + at, take };
		at += take;
	}
}

static void check_piece(const struct super *s, const struct shape *shape, const uint8_t *data, uint32_t size, uint32_t index,
			uint32_t *offset)
{
	uint32_t headers = s->link + s->ip + s->l4, want = MIN(shape->segment, shape->payload - *offset);
	const uint8_t *ip = data + s->link, *l4 = ip + s->ip;
	bool last = *offset + want == shape->payload;

	assert_int_equal(size, headers + want);
	assert_memory_equal(data, s->data, s->link);
	assert_memory_equal(data + headers, s->data + headers + *offset, want);
	if (shape->v6) {
		assert_int_equal(get16(ip + 4), s->ip - 40 + s->l4 + want);
		assert_memory_equal(ip + 6, s->data + s->link + 6, s->ip - 6);
	} else {
		assert_int_equal(get16(ip + 2), s->ip + s->l4 + want);
		assert_int_equal(get16(ip + 4), (uint16_t)(0xfffe + index));
		assert_int_equal(add16(0, ip, s->ip), 0xffff);
		assert_memory_equal(ip + 12, s->data + s->link + 12, s->ip - 12);
	}
	assert_int_equal(sum_l4(shape->v6, ip, shape->tcp ? 6 : 17, l4, s->l4 + want), 0xffff);
	if (shape->tcp) {
		uint8_t flags = shape->flags;

		flags &= last ? 255 : (uint8_t)~9; /* FIN, PSH */
		flags &= *offset ? (uint8_t)~128 : 255; /* CWR */
		assert_int_equal(get32(l4 + 4), 0xffffff00 + *offset);
		assert_int_equal(l4[13], flags);
		assert_memory_equal(l4 + 20, s->data + s->link + s->ip + 20, shape->tcp_options);
	} else {
		assert_int_equal(get16(l4 + 4), 8 + want);
		assert_int_not_equal(get16(l4 + 6), 0);
	}
	*offset += want;
}

static void run(const struct shape *shape, struct rng *rng)
{
	struct fake_port *from = fake_new(1, 0), *to = fake_new(2, 0);
	struct super *s = malloc(sizeof(*s));
	uint32_t offset = 0, pieces;

	build(s, shape, rng, true);
	assert_true(segment_needed(&to->port, &s->frame));
	segment_send(&from->port, &to->port, &s->frame);
	pieces = shape->payload ? (shape->payload + shape->segment - 1) / shape->segment : 1;
	assert_int_equal(to->count, pieces);
	assert_int_equal(to->calls, (pieces + PORT_BATCH - 1) / PORT_BATCH);
	for (uint32_t i = 0; i < pieces; i++) {
		assert_false(to->frames[i].offload.gso || to->frames[i].offload.checksum_open);
		check_piece(s, shape, to->frames[i].data, to->frames[i].size, i, &offset);
	}
	assert_int_equal(offset, shape->payload);
	free(s);
	fake_free(&from->port);
	fake_free(&to->port);
}

static void test_pieces(void **state _unused_)
{
	static const struct shape shapes[] = {
		{ .tcp = true, .payload = 65000, .segment = 1460, .flags = 0xff },
		{ .tcp = true, .v6 = true, .payload = 65000, .segment = 1440, .flags = 0xd8 },
		{ .tcp = true, .payload = 1461, .segment = 1460, .flags = 0x11 },
		{ .tcp = true, .payload = 1460, .segment = 1460, .flags = 0x99 },
		{ .tcp = true, .payload = 1, .segment = 1460, .flags = 0x18 },
		{ .tcp = true, .payload = 0, .segment = 1460, .flags = 0x10 },
		{ .tcp = true, .payload = 999, .segment = 7, .tcp_options = 12, .flags = 0x18 },
		{ .tcp = true, .payload = 20000, .segment = 1111, .ip_options = 40, .tcp_options = 40, .flags = 0x18 },
		{ .tcp = true, .v6 = true, .vlan = true, .payload = 20001, .segment = 1333, .ip_options = 16, .tcp_options = 12,
			.flags = 0x19 },
		{ .payload = 60000, .segment = 1200 },
		{ .payload = 3001, .segment = 1000 },
		{ .v6 = true, .payload = 60001, .segment = 1201 },
		{ .v6 = true, .vlan = true, .ip_options = 24, .payload = 100, .segment = 99 },
	};
	struct rng rng = { 1 };

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		run(&shapes[i], &rng);
}

static void test_random_pieces(void **state _unused_)
{
	struct rng rng = { 2 };

	for (int i = 0; i < 300; i++) {
		struct shape s = {
			.v6 = rng_below(&rng, 2), .tcp = rng_below(&rng, 2), .vlan = rng_below(&rng, 4) == 0,
			.payload = rng_below(&rng, 64000),
			.ip_options = 8 * rng_below(&rng, 4), .tcp_options = 4 * rng_below(&rng, 11), .flags = rng_next(&rng),
		};

		s.segment = MAX(s.payload / 2000 + 1, (uint32_t)rng_below(&rng, 9000));
		run(&s, &rng);
	}
}

static void test_checksum_alone(void **state _unused_)
{
	struct rng rng = { 3 };

	for (int i = 0; i < 300; i++) {
		struct shape shape = { .v6 = i & 1, .tcp = i & 2, .vlan = i & 4, .payload = rng_below(&rng, 1473), .flags = 0x18 };
		struct fake_port *from = fake_new(1, 0), *to = fake_new(2, 0);
		struct super *s = malloc(sizeof(*s));
		size_t at;

		build(s, &shape, &rng, false);
		at = s->frame.offload.checksum_start + s->frame.offload.checksum_offset;
		segment_send(&from->port, &to->port, &s->frame);
		assert_int_equal(to->count, 1);
		assert_int_equal(to->frames[0].size, s->frame.size);
		assert_false(to->frames[0].offload.checksum_open);
		assert_memory_equal(to->frames[0].data, s->data, at);
		assert_memory_equal(to->frames[0].data + at + 2, s->data + at + 2, s->frame.size - at - 2);
		assert_int_equal(sum_l4(shape.v6, to->frames[0].data + s->link, shape.tcp ? 6 : 17, to->frames[0].data + s->link + s->ip,
					s->l4 + shape.payload),
				 0xffff);
		free(s);
		fake_free(&from->port);
		fake_free(&to->port);
	}
}

/* A UDP sum that comes out as zero is written as its other form (RFC 768). */
static void test_zero_checksum(void **state _unused_)
{
	struct shape shape = { .payload = 2 };
	struct fake_port *from = fake_new(1, 0), *to = fake_new(2, 0);
	struct super *s = malloc(sizeof(*s));
	struct rng rng = { 4 };
	uint8_t *payload;

	build(s, &shape, &rng, false);
	payload = s->data + s->frame.size - 2;
	put16(payload, 0);
	put16(payload, ~add16(0, s->data + s->link + s->ip, s->l4));
	segment_send(&from->port, &to->port, &s->frame);
	assert_int_equal(to->count, 1);
	assert_int_equal(get16(to->frames[0].data + s->link + s->ip + 6), 0xffff);
	free(s);
	fake_free(&from->port);
	fake_free(&to->port);
}

static void test_needed(void **state _unused_)
{
	struct fake_port *p = fake_new(1, 0);
	struct frame f = { .offload.gso = GSO_NONE };

	assert_false(segment_needed(&p->port, &f));
	f.offload.checksum_open = true;
	assert_true(segment_needed(&p->port, &f));
	p->port.takes = PORT_TAKES_OPEN_CHECKSUM;
	assert_false(segment_needed(&p->port, &f));
	f.offload.gso = GSO_TCP6;
	assert_true(segment_needed(&p->port, &f));
	p->port.takes |= PORT_TAKES_TCP4_SEGMENTS;
	assert_true(segment_needed(&p->port, &f));
	p->port.takes |= PORT_TAKES_TCP6_SEGMENTS;
	assert_false(segment_needed(&p->port, &f));
	f.offload.gso = 77;
	assert_true(segment_needed(&p->port, &f));
	fake_free(&p->port);
}

/* What is in a frame of datagrams stands in the frame alone. */
static void test_needed_of_datagrams(void **state _unused_)
{
	struct fake_port *p = fake_new(1, 0);
	struct super *s = malloc(sizeof(*s));
	struct rng rng = { 8 };

	for (int how = 0; how < 8; how++) {
		struct shape shape = { .v6 = how & 1, .vlan = how & 2, .payload = 3000, .segment = 1000 };
		struct iovec pieces[3];

		build(s, &shape, &rng, true);
		if (how & 4) {
			pieces[0] = (struct iovec){ s->data, 13 };
			pieces[1] = (struct iovec){ s->data + 13, 2 };
			pieces[2] = (struct iovec){ s->data + 15, s->frame.size - 15 };
			s->frame.iov = pieces;
			s->frame.parts = 3;
		}
		for (unsigned int takes = 0; takes < 32; takes++) {
			unsigned int needs = PORT_TAKES_OPEN_CHECKSUM | (shape.v6 ? PORT_TAKES_UDP6_SEGMENTS : PORT_TAKES_UDP4_SEGMENTS);

			p->port.takes = (uint8_t)takes;
			assert_int_equal(segment_needed(&p->port, &s->frame), (takes & needs) != needs);
		}
	}
	free(s);
	fake_free(&p->port);
}

enum spoil {
	SPOIL_NOTHING, SEGMENT_ZERO, SEGMENT_TINY, WRONG_VERSION, WRONG_PROTOCOL, UNKNOWN_GSO, FRAGMENT, IP_TOO_LONG, DATA_OFFSET, NO_IP,
	CUT_SHORT, LONG_HEADERS, MANY_PARTS, START_IN_LINK, START_BEYOND, OFFSET_BEYOND, SPOILS,
};

static void spoil(struct super *s, enum spoil how)
{
	struct offload *o = &s->frame.offload;
	uint8_t *ip = s->data + s->link;

	switch (how) {
	case SEGMENT_ZERO: o->segment_size = 0; break;
	case SEGMENT_TINY: o->segment_size = 1; break;
	case WRONG_VERSION: o->gso = GSO_TCP6; break;
	case WRONG_PROTOCOL: o->gso = GSO_UDP; break;
	case UNKNOWN_GSO: o->gso = 200; break;
	case FRAGMENT: put16(ip + 6, 0x2000); break;
	case IP_TOO_LONG: put16(ip + 2, 65535); break;
	case DATA_OFFSET: ip[s->ip + 12] = 0x10; break;
	case NO_IP: put16(s->data + 12, 0x0806); break;
	case CUT_SHORT: s->frame.parts = 1, s->iov[0].iov_len = s->frame.size = 50; break;
	case LONG_HEADERS: o->gso = GSO_NONE, o->checksum_start = 300; break;
	case MANY_PARTS: break;
	case START_IN_LINK: o->gso = GSO_NONE, o->checksum_start = 13; break;
	case START_BEYOND: o->gso = GSO_NONE, o->checksum_start = 65535, o->checksum_offset = 65535; break;
	case OFFSET_BEYOND: o->gso = GSO_NONE, o->checksum_start = s->frame.size - 1, o->checksum_offset = 0; break;
	case SPOIL_NOTHING: case SPOILS: break;
	}
	put16(ip + 10, 0);
	put16(ip + 10, ~add16(0, ip, s->ip));
}

static void test_hostile(void **state _unused_)
{
	struct shape shape = { .tcp = true, .payload = 5000, .segment = 1460, .flags = 0x18 };
	struct rng rng = { 6 };

	for (int how = 0; how < SPOILS; how++) {
		struct fake_port *from = fake_new(1, 0), *to = fake_new(2, 0);
		struct super *s = malloc(sizeof(*s));
		struct iovec *single = NULL;

		build(s, &shape, &rng, true);
		spoil(s, how);
		if (how == MANY_PARTS) {
			single = calloc(s->frame.size, sizeof(*single));
			for (size_t i = 0; i < s->frame.size; i++)
				single[i] = (struct iovec){ s->data + i, 1 };
			s->frame.iov = single;
			s->frame.parts = s->frame.size;
		}
		segment_send(&from->port, &to->port, &s->frame);
		assert_int_equal(from->port.drops[DROP_MALFORMED], how != SPOIL_NOTHING);
		assert_int_equal(to->count, how == SPOIL_NOTHING ? 4 : 0);
		free(single);
		free(s);
		fake_free(&from->port);
		fake_free(&to->port);
	}
}

static void test_oversize(void **state _unused_)
{
	struct shape shape = { .tcp = true, .payload = 5000, .segment = 1461, .flags = 0x18 };
	struct fake_port *from = fake_new(1, 0), *to = fake_new(2, 0);
	struct super *s = malloc(sizeof(*s));
	struct rng rng = { 7 };

	to->port.mtu = 1500;
	build(s, &shape, &rng, true);
	segment_send(&from->port, &to->port, &s->frame);
	assert_int_equal(to->count, 0);
	assert_int_equal(to->port.drops[DROP_OVERSIZE], 1);
	free(s);
	fake_free(&from->port);
	fake_free(&to->port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces), cmocka_unit_test(test_random_pieces), cmocka_unit_test(test_checksum_alone),
		cmocka_unit_test(test_zero_checksum),
		cmocka_unit_test(test_needed), cmocka_unit_test(test_needed_of_datagrams), cmocka_unit_test(test_hostile), cmocka_unit_test(test_oversize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
