// SPDX-License-Identifier: MIT
/*
 * Fragments in any order, overlapping and doubled: a packet that comes out whole has each of its bytes from a fragment of that
 * packet, at the place where the fragment had it.
 */
#include "fuzz.h"

#include "gateway/reassembly.h"

#define FRAGMENT_MAX 4096

/* A fragment is told by these bytes of the input. */
struct told {
	uint8_t packet;      /* which packet; the version is its lowest bit */
	uint8_t flags;       /* 1: more fragments, 2: other bytes, 4: time goes by */
	uint8_t offset[2], size[2];
};

/* The byte at @at of packet @packet, in one of its two texts. */
static uint8_t text(uint8_t packet, bool other, size_t at)
{
	return (uint8_t)(packet * 17 + at * 5 + (at >> 8) + (other ? 128 : 0));
}

static void check_whole(uint8_t packet, const struct ip_packet *ip, struct cursor data)
{
	size_t size = cursor_left(&data);

	MUST(size == ip->payload_size && !ip->is_fragment && !ip->more_fragments && !ip->fragment_offset);
	for (size_t at = 0; at < size; at++) {
		uint8_t byte = cursor_u8(&data);

		MUST(byte == text(packet, false, at) || byte == text(packet, true, at));
	}
	MUST(!cursor_failed(&data));
}

static void add(struct reassembly *r, const struct told *t, usec_t now)
{
	size_t size = (size_t)(t->size[0] << 8 | t->size[1]) % (FRAGMENT_MAX + 1);
	_cleanup_(freep) uint8_t *bytes = malloc(size + 1);
	struct ip_packet ip = {
		.version = t->packet & 1 ? 4 : 6, .header_size = t->packet & 1 ? 20 : 48, .protocol = IP_UDP, .is_fragment = true,
		.fragment_id = t->packet, .more_fragments = t->flags & 1, .payload_size = (uint32_t)size,
		.src = {{ [15] = t->packet & 0xf0 }},
		.fragment_offset = (uint16_t)(t->offset[0] << 8 | (t->offset[1] & 0xf8)),
	};
	struct iovec iov;
	struct cursor data = cursor_of(&iov, bytes, size);
	enum drop verdict;
	bool whole;

	MUST(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = text(t->packet, t->flags & 2, ip.fragment_offset + i);
	verdict = reassembly_add(r, &ip, &data, &whole, now);
	MUST(verdict == DROP_NONE || verdict == DROP_FRAGMENT);
	MUST(verdict == DROP_NONE || !whole);
	if (whole)
		check_whole(t->packet, &ip, data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reassembly *r;
	struct told t;
	usec_t now = 1;

	MUST(reassembly_new(&r) == 0);
	for (; size >= sizeof(t) && now < 1000 * USEC_S; data += sizeof(t), size -= sizeof(t)) {
		memcpy(&t, data, sizeof(t));
		now += t.flags & 4 ? 7 * USEC_S : 1;
		add(r, &t, now);
	}
	reassembly_free(r);
	return 0;
}
