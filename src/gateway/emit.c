// SPDX-License-Identifier: MIT
#include "gateway/emit.h"

#include <errno.h>

#include "base/attr.h"
#include "base/iov.h"
#include "base/writer.h"
#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/udp.h"

#define ARENA        (32 * 1024)
#define PARTS_MAX    72            /* a segment's payload in parts: see udp's and tcp's buffers */
#define HEADER_MAX   1280          /* of a transport header */
#define HEADERS_MAX  (sizeof(struct eth) + IP_HEADER_MAX + FRAGMENT_HEADER + HEADER_MAX)
#define FRAGMENT_HEADER 8          /* RFC 8200 section 4.5 */
#define DEFAULT_TTL  64
#define DATAGRAMS_MAX ((size_t)64)  /* in a frame: UDP_MAX_SEGMENTS of older guests' kernels, which refuse a frame of more */
#define ERROR_RATE   100           /* ICMP errors a second, and how many at once */
#define ERROR_BURST  50

struct emitter {
	struct switch_ *sw;
	struct port *gateway;
	const struct lan_plan *plan;
	uint16_t ip_id;
	uint32_t fragment_id;
	usec_t error_time;             /* when the bucket for ICMP errors would have been empty */
	size_t used, count;            /* of what is gathered */
	uint8_t arena[ARENA];
	struct iovec iov[PORT_BATCH];
	struct frame frames[PORT_BATCH];
};

int emitter_new(struct emitter **out, struct switch_ *sw, struct port *gateway, const struct lan_plan *plan)
{
	struct emitter *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->sw = sw;
	e->gateway = gateway;
	e->plan = plan;
	*out = e;
	return 0;
}

struct emitter *emitter_free(struct emitter *e)
{
	free(e);
	return NULL;
}

void emit_flush(struct emitter *e, usec_t now)
{
	size_t count = e->count;

	if (!count)
		return;
	e->count = e->used = 0;
	switch_input(e->sw, e->gateway, e->frames, count, now);
}

/* Room in the arena for one frame more; it is added by arena_add() once written. */
static uint8_t *arena_room(struct emitter *e, size_t size, usec_t now)
{
	if (e->count == PORT_BATCH || ARENA - e->used < size)
		emit_flush(e, now);
	return e->arena + e->used;
}

static void arena_add(struct emitter *e, size_t size)
{
	e->iov[e->count] = (struct iovec){ e->arena + e->used, size };
	e->frames[e->count] = (struct frame){ .iov = &e->iov[e->count], .parts = 1, .size = (uint32_t)size };
	e->used += size;
	e->count++;
}

void emit_frame(struct emitter *e, const void *frame, size_t size, usec_t now)
{
	memcpy(arena_room(e, size, now), frame, size);
	arena_add(e, size);
}

/* Where the checksum field lies in a transport header; 0: none is filled in. */
static size_t checksum_offset(uint8_t protocol)
{
	switch (protocol) {
	case IP_TCP:
		return 16;
	case IP_UDP:
		return 6;
	case IP_ICMP:
	case IP_ICMP6:
		return 2;
	}
	return 0;
}

/* Ethernet and IP headers. Return: bytes written. */
static size_t put_headers(struct emitter *e, uint8_t *into, struct mac to, const struct ip_packet *ip, uint32_t payload_size)
{
	struct eth eth = { to, e->plan->mac, be16(addr_is4(ip->src) ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6) };
	struct ip_packet full = *ip;

	full.payload_size = payload_size;
	full.ttl = ip->ttl ? ip->ttl : DEFAULT_TTL;
	memcpy(into, &eth, sizeof(eth));
	return sizeof(eth) + ip_emit(into + sizeof(eth), &full, e->ip_id++);
}

static bool is_zero16(const uint8_t *p) { return !p[0] && !p[1]; }

/* Fill in the checksum of a packet whose transport header is at @header; @payload follows it. */
static void complete_checksum(uint8_t *header, size_t header_size, const struct ip_packet *ip, const struct iovec *payload, size_t parts)
{
	size_t at = checksum_offset(ip->protocol);
	size_t size = header_size + iov_size(payload, parts);
	struct iovec whole[PARTS_MAX + 1];
	be16_t sum;
	sum_t s;

	if (!at || at + 2 > header_size || !is_zero16(header + at) || parts > PARTS_MAX)
		return;
	whole[0] = (struct iovec){ header, header_size };
	if (parts)
		memcpy(whole + 1, payload, parts * sizeof(*payload));
	s = ip->protocol == IP_ICMP ? 0 : sum_pseudo(0, ip->src, ip->dst, ip->protocol, (uint32_t)size);
	s = sum_iov(s, whole, parts + 1);
	sum = ip->protocol == IP_UDP ? sum_fold_udp(s) : sum_fold(s);
	memcpy(header + at, &sum, sizeof(sum));
}

static void emit_gathered(struct emitter *e, struct mac to, const struct ip_packet *ip, const void *header, size_t header_size, usec_t now)
{
	uint8_t *frame = arena_room(e, HEADERS_MAX, now);
	size_t at = put_headers(e, frame, to, ip, (uint32_t)header_size);

	memcpy(frame + at, header, header_size);
	complete_checksum(frame + at, header_size, ip, NULL, 0);
	arena_add(e, at + header_size);
}

/* Write the fragment's place into headers made by put_headers(); for IPv6 a header of its own goes in. Return: bytes at @into now. */
static size_t put_fragment(uint8_t *into, size_t at, const struct ip_packet *ip, uint32_t id, size_t offset, bool more)
{
	uint8_t *header = into + sizeof(struct eth);

	if (addr_is4(ip->src)) {
		struct ip4_header h;

		memcpy(&h, header, sizeof(h));
		h.id = be16((uint16_t)id);
		h.fragment = be16((uint16_t)(offset / 8 | (more ? 0x2000 : 0)));
		h.checksum = be16(0);
		h.checksum = sum_fold(sum_bytes(0, &h, sizeof(h)));
		memcpy(header, &h, sizeof(h));
		return at;
	}

	struct writer w = writer_of(into + at, FRAGMENT_HEADER);

	writer_u8(&w, header[6]);
	writer_u8(&w, 0);
	writer_u16(&w, (uint16_t)(offset | more));
	writer_u32(&w, id);
	header[6] = IP6_FRAGMENT;
	return at + FRAGMENT_HEADER;
}

/* @whole: the transport header and its payload, checksum done. */
static void emit_fragments(struct emitter *e, struct mac to, const struct ip_packet *ip, const struct iovec *whole, size_t parts,
			   usec_t now)
{
	size_t extra = addr_is4(ip->src) ? 0 : FRAGMENT_HEADER, size = iov_size(whole, parts);
	size_t piece = (e->plan->mtu - ip_header_size(ip->src) - extra) & ~(size_t)7;
	uint32_t id = ++e->fragment_id;

	emit_flush(e, now);
	for (size_t offset = 0; offset < size; offset += piece) {
		size_t take = MIN(piece, size - offset);
		uint8_t headers[sizeof(struct eth) + IP_HEADER_MAX + FRAGMENT_HEADER];
		struct iovec iov[PARTS_MAX + 2] = { { headers, put_headers(e, headers, to, ip, (uint32_t)(take + extra)) } };
		struct frame f = { .iov = iov, .parts = 1 };

		iov[0].iov_len = put_fragment(headers, iov[0].iov_len, ip, id, offset, offset + take < size);
		f.parts += (uint32_t)iov_slice(whole, parts, offset, take, iov + 1, PARTS_MAX + 1);
		f.size = (uint32_t)(iov[0].iov_len + take);
		switch_input(e->sw, e->gateway, &f, 1, now);
	}
}

static void emit_in_fragments(struct emitter *e, struct mac to, const struct ip_packet *ip, const void *header, size_t header_size,
			      const struct iovec *payload, size_t parts, usec_t now)
{
	uint8_t copy[HEADER_MAX];
	struct iovec whole[PARTS_MAX + 1] = { { copy, header_size } };

	memcpy(copy, header, header_size);
	memcpy(whole + 1, payload, parts * sizeof(*payload));
	complete_checksum(copy, header_size, ip, payload, parts);
	emit_fragments(e, to, ip, whole, parts + 1, now);
}

/* Leave the checksum of a TCP or UDP packet of @size bytes, whose header is at @headers + @at, to the guest or its port. */
static void open_checksum(struct frame *f, uint8_t *headers, size_t at, const struct ip_packet *ip, uint32_t size)
{
	be16_t open = sum_fold_partial(sum_pseudo(0, ip->src, ip->dst, ip->protocol, size));

	f->offload.checksum_open = true;
	f->offload.checksum_start = (uint16_t)at;
	f->offload.checksum_offset = (uint16_t)checksum_offset(ip->protocol);
	memcpy(headers + at + f->offload.checksum_offset, &open, sizeof(open));
}

/* It is a run of segments, if its payload is longer than one. Each will have an identification of its own. */
static void set_segment(struct emitter *e, struct frame *f, const struct ip_packet *ip, uint32_t segment, size_t at, size_t header_size,
			uint32_t payload)
{
	if (!segment || payload <= segment)
		return;
	e->ip_id += (uint16_t)((payload - 1) / segment);
	f->offload.gso = ip->protocol == IP_UDP ? GSO_UDP : addr_is4(ip->src) ? GSO_TCP4 : GSO_TCP6;
	f->offload.segment_size = (uint16_t)segment;
	f->offload.header_size = (uint16_t)(at + header_size);
}

void emit_transport(struct emitter *e, struct mac to, const struct ip_packet *ip, const void *header, size_t header_size,
		    const struct iovec *payload, size_t parts, uint32_t segment, usec_t now)
{
	uint32_t size = (uint32_t)(header_size + iov_size(payload, parts));
	uint8_t headers[HEADERS_MAX];
	struct iovec iov[PARTS_MAX + 1];
	struct frame f = { .iov = iov, .parts = (uint32_t)parts + 1 };
	size_t at;

	if (header_size > HEADER_MAX || parts > PARTS_MAX)
		return;
	if (!parts) {
		emit_gathered(e, to, ip, header, header_size, now);
		return;
	}
	if (!segment && size + ip_header_size(ip->src) > e->plan->mtu) {
		emit_in_fragments(e, to, ip, header, header_size, payload, parts, now);
		return;
	}
	at = put_headers(e, headers, to, ip, size);
	memcpy(headers + at, header, header_size);
	if (ip->protocol == IP_TCP || ip->protocol == IP_UDP)
		open_checksum(&f, headers, at, ip, size);
	else
		complete_checksum(headers + at, header_size, ip, payload, parts);
	set_segment(e, &f, ip, segment, at, header_size, size - (uint32_t)header_size);
	iov[0] = (struct iovec){ headers, at + header_size };
	memcpy(iov + 1, payload, parts * sizeof(*payload));
	f.size = (uint32_t)at + size;
	emit_flush(e, now);
	switch_input(e->sw, e->gateway, &f, 1, now);
}

static bool takes_segments(const struct port *p, addr_t guest)
{
	return p->takes & (addr_is4(guest) ? PORT_TAKES_TCP4_SEGMENTS : PORT_TAKES_TCP6_SEGMENTS);
}

bool emit_borrow(struct emitter *e, struct emit_loan *loan, struct mac to, const struct ip_packet *ip, const void *header,
		 size_t header_size, uint32_t least, uint32_t most, usec_t now)
{
	struct iovec head = { loan->head, 0 };
	struct frame f = { .iov = &head, .parts = 1 };
	size_t got, parts;

	loan->port = switch_lookup(e->sw, to, now);
	if (!loan->port || !loan->port->ops->reserve || !takes_segments(loan->port, ip->dst))
		return false;
	emit_flush(e, now); /* what was gathered goes first */
	head.iov_len = put_headers(e, loan->head, to, ip, (uint32_t)header_size);
	memcpy(loan->head + head.iov_len, header, header_size);
	head.iov_len += header_size;
	f.size = loan->headers = (uint32_t)head.iov_len;
	parts = port_reserve(loan->port, &f, loan->headers + least, loan->headers + most, loan->whole, EMIT_LOAN_PARTS, &got);
	if (!parts)
		return false;
	loan->size = (uint32_t)got - loan->headers;
	loan->parts = iov_slice(loan->whole, parts, loan->headers, loan->size, loan->payload, EMIT_LOAN_PARTS);
	return true;
}

void emit_lent(struct emitter *e, struct emit_loan *loan, struct mac to, const struct ip_packet *ip, const void *header,
	       size_t header_size, uint32_t size, uint32_t segment)
{
	struct frame f = { .size = size ? loan->headers + size : 0 };
	struct iovec head = { loan->head, loan->headers };
	size_t at;

	if (size) {
		at = put_headers(e, loan->head, to, ip, (uint32_t)header_size + size);
		memcpy(loan->head + at, header, header_size);
		open_checksum(&f, loan->head, at, ip, (uint32_t)header_size + size);
		set_segment(e, &f, ip, segment, at, header_size, size);
		iov_copy(loan->whole, 0, &head, 1);
	}
	port_commit(loan->port, &f);
}

/* One datagram, or a frame of several. */
static void emit_datagrams(struct emitter *e, struct mac to, const struct ip_packet *ip, struct udp_header h, const struct iovec *payload,
			   size_t parts, uint32_t segment, usec_t now)
{
	size_t size = sizeof(h) + iov_size(payload, parts);

	if (size > 65535 - (addr_is4(ip->src) ? ip_header_size(ip->src) : 0))
		return;
	h.size = be16((uint16_t)size);
	emit_transport(e, to, ip, &h, sizeof(h), payload, parts, segment, now);
}

void emit_udp(struct emitter *e, struct mac to, addr_t src, uint16_t src_port, addr_t dst, uint16_t dst_port,
	      const struct iovec *payload, size_t parts, uint32_t segment, usec_t now)
{
	struct ip_packet ip = { .src = src, .dst = dst, .protocol = IP_UDP };
	struct udp_header h = { be16(src_port), be16(dst_port), be16(0), be16(0) };
	size_t headers = ip_header_size(src) + sizeof(h), size = iov_size(payload, parts), most;
	struct iovec slice[PARTS_MAX];

	if (!segment || size <= segment) {
		emit_datagrams(e, to, &ip, h, payload, parts, 0, now);
		return;
	}
	most = headers + segment > e->plan->mtu ? segment : MIN((65535 - headers) / segment, DATAGRAMS_MAX) * segment;
	for (size_t at = 0; at < size; at += most) {
		size_t taken = iov_slice(payload, parts, at, most, slice, PARTS_MAX);

		emit_datagrams(e, to, &ip, h, slice, taken, most > segment ? segment : 0, now);
	}
}

void emit_drop(struct emitter *e, struct mac from, enum drop why, uint64_t frames, usec_t now)
{
	struct port *p = switch_lookup(e->sw, from, now);

	port_drop(p ? p : e->gateway, why, frames);
}

/* A token bucket as one number: the time at which it would be full again. */
static bool error_allowed(struct emitter *e, usec_t now)
{
	const usec_t each = USEC_S / ERROR_RATE;

	if (e->error_time < now - each * ERROR_BURST)
		e->error_time = now - each * ERROR_BURST;
	if (e->error_time + each > now)
		return false;
	e->error_time += each;
	return true;
}

static addr_t own_address(const struct lan_plan *plan, addr_t towards)
{
	return addr_is4(towards) ? plan->gateway4 : addr_is_link_local(towards) ? plan->link_local6 : plan->gateway6;
}

void emit_error(struct emitter *e, struct mac to, enum icmp_error error, const struct ip_packet *about, struct cursor rest,
		uint32_t mtu, addr_t src, usec_t now)
{
	struct ip_packet ip = { .dst = about->src, .protocol = addr_is4(about->src) ? IP_ICMP : IP_ICMP6 };
	uint8_t message[ICMP_ERROR_MAX];
	size_t size;

	if (!icmp_may_answer(about, rest) || !error_allowed(e, now))
		return;
	ip.src = addr_is_any(src) ? own_address(e->plan, about->src) : src;
	size = icmp_emit_error(message, error, about, rest, mtu, ip.src);
	emit_transport(e, to, &ip, message, size, NULL, 0, 0, now);
}

size_t emit_room(struct emitter *e, struct mac to, size_t want, usec_t now)
{
	struct port *p = switch_lookup(e->sw, to, now);

	return p ? port_room(p, want) : 0;
}

bool emit_segments_whole(struct emitter *e, struct mac to, addr_t guest, usec_t now)
{
	struct port *p = switch_lookup(e->sw, to, now);

	return p && takes_segments(p, guest);
}
