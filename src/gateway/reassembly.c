// SPDX-License-Identifier: MIT
#include "gateway/reassembly.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

#define PACKETS        32
#define PACKETS_SOURCE 8
#define LIFETIME       (30 * USEC_S)
#define PACKET_MAX     65535
#define BLOCK          8                           /* the unit of offsets */
#define BLOCKS         ((PACKET_MAX + BLOCK) / BLOCK)

/*
 * A slot is free (data NULL, not refused), gathering (data set), or refused: a fragment overlapped, so all that follow are dropped
 * (RFC 5722 section 4).
 */
struct packet {
	uint8_t *data;
	bool refused;
	usec_t since;
	struct ip_packet ip;       /* of the first fragment once it is there; of any before */
	uint32_t gathered;         /* bytes */
	uint32_t end;              /* the packet's size; 0: the last fragment has not come */
	uint32_t highest;          /* one past the highest byte that has come */
	uint64_t have[BLOCKS / 64 + 1];
};

struct reassembly {
	struct packet packets[PACKETS];
	uint8_t *whole;            /* the last packet that was handed out */
	struct iovec whole_iov;
};

int reassembly_new(struct reassembly **out)
{
	struct reassembly *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	*out = r;
	return 0;
}

static bool in_use(const struct packet *p) { return p->data || p->refused; }

static void release(struct packet *p)
{
	free(p->data);
	p->data = NULL;
	p->refused = false;
}

struct reassembly *reassembly_free(struct reassembly *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < PACKETS; i++)
		release(&r->packets[i]);
	free(r->whole);
	free(r);
	return NULL;
}

/*
 * IPv4 tells packets of different protocols apart (RFC 791 section 3.2); in IPv6 only the first fragment knows the protocol (RFC
 * 8200 section 4.5).
 */
static bool same_packet(const struct ip_packet *a, const struct ip_packet *b)
{
	return a->fragment_id == b->fragment_id && a->version == b->version && addr_equal(a->src, b->src) && addr_equal(a->dst, b->dst) &&
	       (a->version == 6 || a->protocol == b->protocol);
}

static void expire(struct reassembly *r, usec_t now)
{
	for (size_t i = 0; i < PACKETS; i++)
		if (in_use(&r->packets[i]) && now - r->packets[i].since > LIFETIME)
			release(&r->packets[i]);
}

static struct packet *find(struct reassembly *r, const struct ip_packet *ip)
{
	for (size_t i = 0; i < PACKETS; i++)
		if (in_use(&r->packets[i]) && same_packet(&r->packets[i].ip, ip))
			return &r->packets[i];
	return NULL;
}

/* A free slot; where the source has its share already, or none is free, the oldest gives way. */
static struct packet *take_slot(struct reassembly *r, addr_t src)
{
	struct packet *unused = NULL, *oldest = NULL, *oldest_of_source = NULL;
	size_t of_source = 0;

	for (size_t i = 0; i < PACKETS; i++) {
		struct packet *p = &r->packets[i];

		if (!in_use(p)) {
			unused = p;
			continue;
		}
		if (!oldest || p->since < oldest->since)
			oldest = p;
		if (!addr_equal(p->ip.src, src))
			continue;
		of_source++;
		if (!oldest_of_source || p->since < oldest_of_source->since)
			oldest_of_source = p;
	}
	if (of_source >= PACKETS_SOURCE)
		unused = oldest_of_source;
	else if (!unused)
		unused = oldest;
	release(unused);
	return unused;
}

static struct packet *begin(struct reassembly *r, const struct ip_packet *ip, usec_t now)
{
	struct packet *p = take_slot(r, ip->src);

	*p = (struct packet){ .data = malloc(BLOCKS * BLOCK), .since = now, .ip = *ip };
	return p->data ? p : NULL;
}

static bool has_block(const struct packet *p, uint32_t block) { return p->have[block / 64] >> block % 64 & 1; }

enum overlap { OVERLAP_NONE, OVERLAP_SAME, OVERLAP_DIFFERENT };

/* The network may double a fragment (RFC 8200 section 4.5): one that brings the very same bytes is no overlap. */
static enum overlap overlap(const struct packet *p, uint32_t from, uint32_t size, bool last, struct cursor data)
{
	uint32_t blocks = (size + BLOCK - 1) / BLOCK, known = 0;
	uint8_t piece[BLOCK];

	for (uint32_t i = 0; i < blocks; i++)
		known += has_block(p, from / BLOCK + i);
	if (!known)
		return OVERLAP_NONE;
	if (known != blocks || (last && p->end != from + size) || from + size > p->highest)
		return OVERLAP_DIFFERENT;
	for (uint32_t at = 0; at < size; at += BLOCK) {
		uint32_t here = MIN(size - at, (uint32_t)BLOCK);

		cursor_copy(&data, piece, here);
		if (memcmp(piece, p->data + from + at, here))
			return OVERLAP_DIFFERENT;
	}
	return OVERLAP_SAME;
}

static void store(struct packet *p, const struct ip_packet *ip, uint32_t from, uint32_t size, struct cursor *data)
{
	cursor_copy(data, p->data + from, size);
	for (uint32_t i = 0; i < (size + BLOCK - 1) / BLOCK; i++)
		p->have[(from / BLOCK + i) / 64] |= UINT64_C(1) << (from / BLOCK + i) % 64;
	p->gathered += size;
	p->highest = MAX(p->highest, from + size);
	if (!ip->more_fragments)
		p->end = from + size;
	if (!from)
		p->ip = *ip;
}

static void hand_out(struct reassembly *r, struct packet *p, struct ip_packet *ip, struct cursor *data)
{
	*ip = p->ip;
	ip->is_fragment = ip->more_fragments = false;
	ip->fragment_offset = 0;
	ip->payload_size = p->end;
	r->whole = steal(&p->data);
	*data = cursor_of(&r->whole_iov, r->whole, p->end);
}

static enum drop refuse(struct packet *p)
{
	release(p);
	p->refused = true;
	return DROP_FRAGMENT;
}

enum drop reassembly_add(struct reassembly *r, struct ip_packet *ip, struct cursor *data, bool *whole, usec_t now)
{
	uint32_t from = ip->fragment_offset, size = (uint32_t)cursor_left(data);
	uint32_t header = ip->version == 4 ? ip->header_size : 0;
	struct packet *p;

	*whole = false;
	free(steal(&r->whole));
	expire(r, now);
	if (!size || from % BLOCK || (ip->more_fragments && size % BLOCK) || header + from + size > PACKET_MAX)
		return DROP_FRAGMENT;

	p = find(r, ip);
	if (!p)
		p = begin(r, ip, now);
	if (!p)
		return DROP_NO_DESCRIPTOR;
	if (p->refused)
		return DROP_FRAGMENT;

	switch (overlap(p, from, size, !ip->more_fragments, *data)) {
	case OVERLAP_SAME:
		return DROP_NONE;
	case OVERLAP_DIFFERENT:
		return refuse(p);
	case OVERLAP_NONE:
		break;
	}
	/* Two ends, or bytes behind the end: it does not fit together. */
	if (p->end && (!ip->more_fragments || from + size > p->end))
		return refuse(p);
	if (!ip->more_fragments && p->highest > from)
		return refuse(p);

	store(p, ip, from, size, data);
	if (p->gathered == p->end) {
		hand_out(r, p, ip, data);
		*whole = true;
	}
	return DROP_NONE;
}
