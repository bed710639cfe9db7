// SPDX-License-Identifier: MIT
/* What a slot of the flow table keeps for each kind of flow. Their meaning and allowed moves are told in tcp.h, udp.h and echo.h. */
#pragma once
#include <stdint.h>
#include "wire/addr.h"

struct tcp_flow {
	uint32_t una;               /* towards the guest: first byte not yet acknowledged (SND.UNA) */
	uint32_t nxt;               /* next byte to send (SND.NXT) */
	uint32_t max;               /* highest sent + 1: nxt goes back to una after a time-out */
	uint32_t hole;              /* bytes from una to the first that the guest has beyond (SACK); 0: not known */
	uint32_t recover;           /* NewReno: in recovery until una reaches it (RFC 6582) */
	uint32_t rcv;               /* from the guest: next byte expected (RCV.NXT) */
	uint32_t rcv_acked;         /* last acknowledgement sent */
	uint32_t rcv_edge;          /* right edge of the window last advertised; it never moves back */
	uint32_t wnd;               /* the guest's window: bytes from una */
	uint32_t sndbuf;            /* the socket's send buffer, as last asked */
	struct { uint32_t next, prev; } link[3]; /* in the lists of tcp_private.h; flags say whether it is in them */
	uint16_t mss;               /* payload bytes a segment towards the guest */
	uint16_t flags;             /* enum tcp_flow_flag */
	uint8_t state;              /* enum tcp_state */
	uint8_t guest_scale;        /* shift of the windows that the guest sends */
	uint8_t dup_acks, retries;
	uint8_t chunk_scale;        /* read TCP_CHUNK_LEAST << this at once: it follows what the socket has */
	addr_t fallback;            /* HostAccess full: the address to try when loopback refuses; any: none */
};

/* A place in the order of idleness, see idle.h. Both kinds that have one begin with it. */
struct idle_link { uint32_t older, newer; };

/* Options of a flow's socket as they are, so that they are set only when the guest's packets change, see hostsock_follow(). */
struct sent_as { uint8_t ttl, tos, may_fragment; };

struct udp_flow {
	struct idle_link idle;
	uint16_t host_port;         /* the socket's local port */
	uint16_t remote_port;
	addr_t remote;              /* who is at the socket's other end: what it is connected to; inbound: the client */
	addr_t fallback;            /* HostAccess full: whom to ask when loopback refuses; any: nobody (more) */
	addr_t host_addr;           /* inbound: the local address that the client used, which replies must come from */
	uint8_t answered;           /* the peer has answered: the longer time-out holds */
	uint8_t kept;               /* holds a reference to its entry of the table of kept source ports */
	uint16_t segment_least;     /* the least datagrams that left several in one message; 0: none did */
	uint16_t unsegmented;       /* UDP_SEGMENT was refused for this size: such and larger ones leave one by one; 0: never was */
	struct sent_as sent_as;
};

struct echo_flow {
	struct idle_link idle;
	struct sent_as sent_as;
};
