// SPDX-License-Identifier: MIT
/* An IP packet of either version; the checksum of an IPv4 header is made right, or hardly any would be looked at. */
#include "fuzz.h"

#include "wire/checksum.h"
#include "wire/ip.h"
#include "wire/tcp.h"
#include "wire/udp.h"

/* Make the checksum right in a copy of the input, if it is an IPv4 packet. */
static void mend(uint8_t *packet, size_t size)
{
	size_t header = size ? (size_t)(packet[0] & 0xf) * 4 : 0;
	be16_t sum;

	if (!size || packet[0] >> 4 != 4 || header < sizeof(struct ip4_header) || header > size)
		return;
	memset(packet + 10, 0, sizeof(sum));
	sum = sum_fold(sum_bytes(0, packet, header));
	memcpy(packet + 10, &sum, sizeof(sum));
}

static void check(const struct ip_packet *p, const struct cursor *c, size_t size)
{
	MUST(p->version == 4 || p->version == 6);
	MUST(addr_is4(p->src) == (p->version == 4) && addr_is4(p->dst) == (p->version == 4));
	MUST(p->header_size >= ip_header_size(p->dst) && p->header_size + p->payload_size <= size);
	MUST(p->payload_size == cursor_left(c));
	MUST(p->is_fragment == (p->more_fragments || p->fragment_offset));
	MUST(p->fragment_offset % 8 == 0 && p->fragment_offset + p->payload_size <= 65535);
	MUST(p->is_fragment || p->version == 4 || (p->protocol != IP6_FRAGMENT && p->protocol != IP6_DESTINATION));
}

/* A header that is written for the same packet reads the same. */
static void check_again(const struct ip_packet *p)
{
	_cleanup_(freep) uint8_t *bytes = calloc(1, IP_HEADER_MAX + p->payload_size);
	struct iovec iov;
	struct cursor c;
	struct ip_packet again;

	MUST(bytes);
	c = cursor_of(&iov, bytes, ip_emit(bytes, p, 1) + p->payload_size);
	again = ip_parse(&c);
	if (p->version == 4 && p->payload_size + 20 > 65535)
		return;
	/* The protocol of a fragment may be an extension header, which zeroes cannot stand for. */
	MUST(p->is_fragment || !cursor_failed(&c));
	MUST(addr_equal(again.src, p->src) && addr_equal(again.dst, p->dst) && again.ttl == p->ttl);
	MUST(again.traffic_class == p->traffic_class);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) uint8_t *mended = size ? malloc(size) : NULL;
	struct cursor c;
	struct ip_packet p;

	if (!mended)
		return 0;
	memcpy(mended, data, size);
	mend(mended + 1, size - 1);

	_cleanup_(input_fini) struct input in = input_of(mended, size);
	c = input_cursor(&in);
	p = ip_parse(&c);
	read_all(c);
	if (cursor_failed(&c))
		return 0;
	check(&p, &c, in.size);
	check_again(&p);
	if (p.protocol == IP_TCP)
		tcp_parse(&c);
	else if (p.protocol == IP_UDP)
		udp_parse(&c);
	read_all(c);
	return 0;
}
