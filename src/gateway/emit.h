// SPDX-License-Identifier: MIT
/*
 * The way to the guests: puts Ethernet and IP headers before a transport header and its payload, and hands the frame to the switch.
 *
 * Header-only packets (acknowledgements, resets, replies) are gathered and leave in one batch with emit_flush(), at the turn's
 * end at the latest; a packet with borrowed payload leaves at once, after what was gathered before it, so that order holds.
 */
#pragma once
#include "lan/plan.h"
#include "port/port.h"
#include "switch/switch.h"
#include "wire/icmp.h"
#include "wire/ip.h"

#define EMIT_LOAN_PARTS  512
#define EMIT_HEADERS_MAX 128  /* Ethernet, IP and TCP */

struct emitter;

/** emitter_new() - @gateway: the gateway's own port, as which frames enter the switch. All are borrowed. Return: 0 or -ENOMEM. */
int emitter_new(struct emitter **out, struct switch_ *sw, struct port *gateway, const struct lan_plan *plan);
struct emitter *emitter_free(struct emitter *e);

/**
 * emit_transport() - send one packet, or one run of TCP segments or of UDP datagrams, to a guest
 * @to:       the guest's MAC
 * @ip:       src, dst, protocol, ttl (0: 64), traffic_class; the rest is filled in
 * @header:   the transport header, checksum field zero (ICMP, ICMPv6: the whole message or its head)
 * @header_size: its size; at most 1280
 * @payload:  follows it; borrowed until this returns
 * @segment:  0: one packet; else payload bytes a TCP segment or UDP datagram, and the payload may be up to 64 KiB less headers: it
 *            stays whole where the port allows it
 * @now:      the clock
 *
 * One packet that does not fit the LAN's MTU is fragmented (RFC 791 section 3.2, RFC 8200 section 4.5).
 * The checksum is left open (offload) for TCP and UDP, and computed here for ICMP and ICMPv6 unless the field is not zero.
 */
void emit_transport(struct emitter *e, struct mac to, const struct ip_packet *ip, const void *header, size_t header_size,
		    const struct iovec *payload, size_t parts, uint32_t segment, usec_t now);

/**
 * emit_udp() - a datagram, or a run of them, their headers made here
 * @payload: of all datagrams together; borrowed until this returns
 * @segment: 0: one datagram; else payload bytes a datagram, of which the last may have fewer. Those that fit the LAN's MTU leave in frames
 *           of up to 64 datagrams, which stay whole where the port allows it; others leave one by one, in fragments.
 */
void emit_udp(struct emitter *e, struct mac to, addr_t src, uint16_t src_port, addr_t dst, uint16_t dst_port,
	      const struct iovec *payload, size_t parts, uint32_t segment, usec_t now);

/** emit_drop() - count frames of a guest's that were dropped, at the port that it is behind */
void emit_drop(struct emitter *e, struct mac from, enum drop why, uint64_t frames, usec_t now);

/**
 * emit_error() - an ICMP error about a packet of the guest's, where one may be sent (icmp_may_answer()); limited to 100 a second,
 * bursts of 50
 * @src: who says so; any: the gateway, by its own address of that version
 * The others as in icmp_emit_error().
 */
void emit_error(struct emitter *e, struct mac to, enum icmp_error error, const struct ip_packet *about, struct cursor rest,
		uint32_t mtu, addr_t src, usec_t now);

/** emit_frame() - a whole frame as it is (ARP) */
void emit_frame(struct emitter *e, const void *frame, size_t size, usec_t now);

/**
 * emit_room() - bytes that the port of this guest takes now; short of @want, the sink hears of it when there is room. 0 if the
 * guest has gone.
 */
size_t emit_room(struct emitter *e, struct mac to, size_t want, usec_t now);

/** emit_segments_whole() - does the guest's port take TCP segments of 64 KiB (of this version)? */
bool emit_segments_whole(struct emitter *e, struct mac to, addr_t guest, usec_t now);

/* Memory of a guest's own, lent by its port for one packet: the payload goes straight there. */
struct emit_loan {
	struct port *port;
	struct iovec whole[EMIT_LOAN_PARTS];   /* from the Ethernet header on */
	struct iovec payload[EMIT_LOAN_PARTS];
	size_t parts;                          /* of the payload */
	uint32_t size;                         /* of the payload, as much as may be written */
	uint32_t headers;                      /* bytes before it */
	uint8_t head[EMIT_HEADERS_MAX];
};

/**
 * emit_borrow() - ask the guest's port for memory to write a packet's payload into
 * @loan:   filled in
 * @to, @ip, @header, @header_size: as for emit_transport()
 * @least, @most: bytes of payload
 *
 * emit_lent() must follow, with nothing else sent in between.
 * Return: false if the port has none to lend: read the payload into a buffer, and emit_transport() it.
 */
bool emit_borrow(struct emitter *e, struct emit_loan *loan, struct mac to, const struct ip_packet *ip, const void *header,
		 size_t header_size, uint32_t least, uint32_t most, usec_t now);

/**
 * emit_lent() - the payload is written: send the packet
 * @ip, @header, @header_size: as before, but for values that only now are known; not sizes
 * @size:    of the payload; 0: send nothing
 * @segment: as for emit_transport(); not 0
 */
void emit_lent(struct emitter *e, struct emit_loan *loan, struct mac to, const struct ip_packet *ip, const void *header,
	       size_t header_size, uint32_t size, uint32_t segment);

/** emit_flush() - send what was gathered */
void emit_flush(struct emitter *e, usec_t now);
