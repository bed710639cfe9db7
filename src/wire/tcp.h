// SPDX-License-Identifier: MIT
/* TCP segments (RFC 9293; the options MSS of its section 3.7.1, window scale of RFC 7323, SACK of RFC 2018): parse and emit. */
#pragma once
#include "base/be.h"
#include "base/cursor.h"
#include "wire/addr.h"

enum tcp_flag { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32, TCP_ECE = 64, TCP_CWR = 128 };

struct tcp_header {
	be16_t src, dst;
	be32_t seq, ack;
	uint8_t offset, flags;
	be16_t window, checksum, urgent;
};
_Static_assert(sizeof(struct tcp_header) == 20, "RFC 9293 section 3.1");

#define TCP_HEADER_MAX 60
#define TCP_NO_SCALE   0xff
#define TCP_SACK_MAX   4

struct tcp_segment {
	uint16_t src, dst;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window;        /* as in the header, not scaled */
	uint16_t mss;           /* 0: no such option */
	uint8_t window_scale;   /* TCP_NO_SCALE: no such option; values above 14 are read as 14 (RFC 7323 section 2.3) */
	uint8_t header_size;    /* with options */
	bool sack_permitted;    /* only with TCP_SYN */
	uint8_t sack_count;     /* blocks that arrived beyond a gap: from the first byte to the one behind the last */
	struct tcp_sack { uint32_t from, to; } sack[TCP_SACK_MAX];
	uint32_t payload_size;
};

/**
 * tcp_parse() - read header and options
 * @c: cursor at the TCP header, ended at the packet's end; afterwards it stands at the payload. Fails on sizes that do not fit; a
 *     damaged option list only ends the reading of options.
 */
struct tcp_segment tcp_parse(struct cursor *c);

/**
 * tcp_emit() - write header and options; the checksum field is left zero
 * @into: TCP_HEADER_MAX bytes
 * @s:    as in tcp_parse(); mss, window_scale and sack_permitted are written where set, and only with TCP_SYN; SACK blocks only without
 * Return: bytes written, a multiple of four.
 */
size_t tcp_emit(uint8_t into[static TCP_HEADER_MAX], const struct tcp_segment *s);

/* Comparing sequence numbers, which wrap (RFC 9293 section 3.4). */
static inline bool seq_lt(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }
static inline bool seq_le(uint32_t a, uint32_t b) { return (int32_t)(a - b) <= 0; }
