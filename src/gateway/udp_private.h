// SPDX-License-Identifier: MIT
/*
 * What the files of UDP share: udp.c (the life of a flow, and socket to guest), udp_in.c (guest to socket). Nobody else includes this.
 */
#pragma once
#include "base/hash.h"
#include "gateway/idle.h"
#include "gateway/kept.h"
#include "gateway/udp.h"

#define UDP_RUN_DATAGRAMS 256   /* kept at the most; a frame that stands for more is malformed (Linux makes 128) */
#define UDP_RUN_PARTS     256
#define UDP_RUN_MESSAGES  64
#define UDP_RUN_CONTROL   64    /* a source address (IPV6_PKTINFO) and a size (UDP_SEGMENT) */

/* One message of a run: one datagram, or several of one size of which the last may be shorter. */
struct udp_message {
	uint32_t first, count;       /* datagrams */
	uint32_t first_part, parts;
	uint32_t bytes, segment;
};

/* Datagrams of one flow, whose payload still lies in the frames. */
struct udp_run {
	struct flow *flow;           /* NULL: nothing is kept */
	struct ip_packet ip;         /* the first one's; the others differ in size and identification alone */
	uint32_t messages, datagrams, parts;
	struct udp_message message[UDP_RUN_MESSAGES];
	struct { uint16_t id; be16_t checksum; } datagram[UDP_RUN_DATAGRAMS]; /* for ICMP errors that quote one */
	struct iovec iov[UDP_RUN_PARTS];
	struct mmsghdr out[UDP_RUN_MESSAGES];
	char control[UDP_RUN_MESSAGES][UDP_RUN_CONTROL] __attribute__((aligned(8)));
};

struct udp {
	struct flow_table *flows;
	struct emitter *emitter;
	struct host *host;
	struct datagrams *in;
	struct idle idle;
	struct hash_key key;
	struct kept_ports *kept;
	bool takes_runs;             /* the kernel knows UDP_SEGMENT */
	struct udp_run run;
};

/* udp_open_flow() - a new flow of the guest @from's, with its socket. Return: DROP_NONE, or why there is none. */
enum drop udp_open_flow(struct udp *u, const struct flow_key *key, struct mac from, usec_t now, struct flow **out);
