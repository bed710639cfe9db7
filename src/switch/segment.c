// SPDX-License-Identifier: MIT
#include "switch/segment.h"

#include <string.h>
#include "base/attr.h"
#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/ip.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#define HEADERS_MAX  256    /* of one frame, all layers together: more than any honest sender stacks */
#define PIECES_MAX   2048   /* of one frame: a hostile segment size of one byte is not worth 65,000 frames */
#define PARTS        (4 * PORT_BATCH)

/* What a frame with gso set is made of, as parsed from a copy of its headers. */
struct plan {
	uint8_t headers[HEADERS_MAX];
	size_t link_size;           /* Ethernet, and one VLAN tag */
	size_t ip_size;             /* with options or extension headers */
	size_t l4_size;
	struct ip_packet ip;
	uint32_t payload_size;
	uint32_t segment_size;
	struct cursor payload;
};

/* Pieces on their way: as many as fit leave together. */
struct batch {
	struct port *to;
	struct frame frames[PORT_BATCH];
	uint8_t headers[PORT_BATCH][HEADERS_MAX];
	struct iovec parts[PARTS];
	size_t count, parts_used;
};

static const uint8_t gso_needs[] = {
	[GSO_NONE] = 0,
	[GSO_TCP4] = PORT_TAKES_TCP4_SEGMENTS,
	[GSO_TCP6] = PORT_TAKES_TCP6_SEGMENTS,
	[GSO_UDP] = PORT_TAKES_UDP_SEGMENTS, /* the half of its IP version */
};

static bool gso_is_known(uint8_t gso) { return gso < ARRAY_SIZE(gso_needs); }

/* The type of what Ethernet carries, behind one VLAN tag if there is one. */
static uint16_t link_parse(struct cursor *c)
{
	struct eth eth = eth_parse(c);
	uint16_t type = be16_get(eth.type);

	if (type != ETHERTYPE_VLAN)
		return type;
	cursor_skip(c, 2);
	return cursor_u16(c);
}

bool segment_needed(const struct port *to, const struct frame *frame)
{
	const struct offload *o = &frame->offload;
	uint8_t needs = o->checksum_open || o->gso ? PORT_TAKES_OPEN_CHECKSUM : 0;

	if (!gso_is_known(o->gso))
		return true;
	needs |= gso_needs[o->gso];
	if (o->gso == GSO_UDP && needs & ~to->takes) {
		struct cursor c = frame_cursor(frame);

		needs &= ~(link_parse(&c) == ETHERTYPE_IPV6 ? PORT_TAKES_UDP4_SEGMENTS : PORT_TAKES_UDP6_SEGMENTS);
	}
	return needs & ~to->takes;
}

/* Read headers; false if they are not what the offload header says. */
static bool plan_parse(struct plan *p, const struct frame *f)
{
	struct cursor c = frame_cursor(f), start = c, l4;
	uint16_t type = link_parse(&c);
	bool tcp = f->offload.gso != GSO_UDP;

	p->link_size = cursor_left(&start) - cursor_left(&c);
	if (type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6)
		return false;
	p->ip = ip_parse(&c);
	p->ip_size = p->ip.header_size;
	l4 = c;
	if (tcp)
		p->l4_size = tcp_parse(&l4).header_size;
	else
		udp_parse(&l4), p->l4_size = sizeof(struct udp_header);
	p->payload = l4;
	p->payload_size = cursor_left(&l4);
	p->segment_size = f->offload.segment_size;
	if (cursor_failed(&l4) || p->ip.is_fragment || p->ip.protocol != (tcp ? IP_TCP : IP_UDP) ||
	    p->link_size + p->ip_size + p->l4_size > HEADERS_MAX)
		return false;
	if (p->ip.version != (type == ETHERTYPE_IPV4 ? 4 : 6) || (tcp && (p->ip.version == 4) != (f->offload.gso == GSO_TCP4)))
		return false;
	cursor_copy(&start, p->headers, p->link_size + p->ip_size + p->l4_size);
	return p->segment_size && p->payload_size / p->segment_size < PIECES_MAX && !cursor_failed(&start);
}

static void batch_flush(struct batch *b)
{
	if (b->count)
		port_send(b->to, b->frames, b->count);
	b->count = b->parts_used = 0;
}

/* The parts that @rest lies in, after one for headers; false if the batch has no room for another such frame. */
static bool batch_take_parts(struct batch *b, const struct cursor *rest, size_t *used)
{
	size_t room = PARTS - b->parts_used;

	*used = 0;
	if (b->count == PORT_BATCH || !room)
		return false;
	if (!cursor_left(rest))
		return true;
	*used = cursor_iov(rest, b->parts + b->parts_used + 1, room - 1);
	return *used;
}

/*
 * A place for the next frame: @headers bytes of its own, then what @rest has to read.
 * Return: NULL if @rest lies in more parts than one frame may have.
 */
static struct frame *batch_add(struct batch *b, size_t headers, const struct cursor *rest)
{
	struct frame *f;
	size_t used;

	if (!batch_take_parts(b, rest, &used)) {
		batch_flush(b);
		if (!batch_take_parts(b, rest, &used))
			return NULL;
	}
	f = &b->frames[b->count];
	b->parts[b->parts_used] = (struct iovec){ b->headers[b->count], headers };
	*f = (struct frame){ .offload.checksum_good = true, .iov = b->parts + b->parts_used, .parts = 1 + used,
		.size = headers + cursor_left(rest) };
	b->parts_used += 1 + used;
	b->count++;
	return f;
}

static void fill_ip(const struct plan *p, uint8_t *ip, uint32_t size, uint32_t index)
{
	if (p->ip.version == 4) {
		struct ip4_header *h = (struct ip4_header *)ip;

		h->total_size = be16(p->ip_size + p->l4_size + size);
		h->id = be16(be16_get(h->id) + index);
		h->checksum = be16(0);
		h->checksum = sum_fold(sum_bytes(0, ip, p->ip_size));
	} else {
		struct ip6_header *h = (struct ip6_header *)ip;

		h->payload_size = be16(p->ip_size - sizeof(*h) + p->l4_size + size);
	}
}

static void fill_tcp(uint8_t *l4, uint32_t offset, bool first, bool last)
{
	struct tcp_header *h = (struct tcp_header *)l4;

	h->seq = be32(be32_get(h->seq) + offset);
	if (!last)
		h->flags &= ~(TCP_FIN | TCP_PSH);
	if (!first)
		h->flags &= ~TCP_CWR;
	h->checksum = be16(0);
}

static void fill_udp(const struct plan *p, uint8_t *l4, uint32_t size)
{
	struct udp_header *h = (struct udp_header *)l4;

	h->size = be16(p->l4_size + size);
	h->checksum = be16(0);
}

/* The piece at @offset of the payload, which @rest is; its headers are made from those of the whole. */
static bool add_piece(struct batch *b, const struct plan *p, const struct cursor *rest, uint32_t offset)
{
	size_t headers = p->link_size + p->ip_size + p->l4_size;
	uint32_t size = cursor_left(rest);
	struct frame *f = batch_add(b, headers, rest);
	uint8_t *data, *l4;
	be16_t checksum;
	sum_t sum;

	if (!f)
		return false;
	data = f->iov[0].iov_base;
	l4 = data + p->link_size + p->ip_size;
	memcpy(data, p->headers, headers);
	fill_ip(p, data + p->link_size, size, offset / p->segment_size);
	if (p->ip.protocol == IP_TCP)
		fill_tcp(l4, offset, offset == 0, offset + size == p->payload_size);
	else
		fill_udp(p, l4, size);
	sum = sum_pseudo(0, p->ip.src, p->ip.dst, p->ip.protocol, p->l4_size + size);
	sum = sum_bytes(sum, l4, p->l4_size);
	sum = sum_iov(sum, f->iov + 1, f->parts - 1);
	checksum = p->ip.protocol == IP_TCP ? sum_fold(sum) : sum_fold_udp(sum);
	memcpy(l4 + (p->ip.protocol == IP_TCP ? offsetof(struct tcp_header, checksum) : offsetof(struct udp_header, checksum)), &checksum,
	       sizeof(checksum));
	return true;
}

static void send_segments(struct batch *b, struct port *from, struct plan *p)
{
	uint32_t offset = 0;

	if (b->to->mtu && p->ip_size + p->l4_size + MIN(p->segment_size, p->payload_size) > b->to->mtu) {
		port_drop(b->to, DROP_OVERSIZE, 1);
		return;
	}
	do {
		uint32_t size = MIN(p->segment_size, p->payload_size - offset);
		struct cursor piece = p->payload;

		cursor_limit(&piece, size);
		if (!add_piece(b, p, &piece, offset)) {
			port_drop(from, DROP_MALFORMED, 1);
			break;
		}
		cursor_skip(&p->payload, size);
		offset += size;
	} while (offset < p->payload_size);
	batch_flush(b);
}

/*
 * Only a checksum is open: the field holds the pseudo header's sum, and all from checksum_start on is added (virtio 1.2 section 5.1.6.2).
 * The place is taken at its word as long as it lies in the frame: a guest that lies about it spoils only its own packet.
 */
static void send_completed(struct batch *b, struct port *from, const struct frame *frame)
{
	const struct offload *o = &frame->offload;
	struct cursor c = frame_cursor(frame), rest = c;
	size_t field = (size_t)o->checksum_start + o->checksum_offset, headers = field + sizeof(be16_t);
	struct frame *f;
	uint8_t *data;
	be16_t checksum;
	sum_t sum;

	if (o->checksum_start < sizeof(struct eth) || headers > HEADERS_MAX || headers > frame->size) {
		port_drop(from, DROP_MALFORMED, 1);
		return;
	}
	cursor_skip(&rest, headers);
	f = batch_add(b, headers, &rest);
	if (!f || cursor_failed(&rest)) {
		port_drop(from, DROP_MALFORMED, 1);
		return;
	}
	data = f->iov[0].iov_base;
	cursor_copy(&c, data, headers);
	b->parts[0] = (struct iovec){ data + o->checksum_start, headers - o->checksum_start };
	sum = sum_iov(0, f->iov, f->parts);
	b->parts[0] = (struct iovec){ data, headers };
	/* Never zero: in UDP that would mean "no checksum", and in TCP both zeroes are the same. */
	checksum = sum_fold_udp(sum);
	memcpy(data + field, &checksum, sizeof(checksum));
	batch_flush(b);
}

void segment_send(struct port *from, struct port *to, const struct frame *frame)
{
	struct batch b; /* not cleared: 20 KiB of which one frame uses little */
	struct plan p;

	b.to = to;
	b.count = b.parts_used = 0;
	if (!frame->offload.gso && frame->offload.checksum_open)
		send_completed(&b, from, frame);
	else if (gso_is_known(frame->offload.gso) && plan_parse(&p, frame))
		send_segments(&b, from, &p);
	else
		port_drop(from, DROP_MALFORMED, 1);
}
