// SPDX-License-Identifier: MIT
/* What a slot of the flow table keeps for each kind of flow. Their meaning and allowed moves are told in tcp.h, udp.h and echo.h. */
#pragma once
#include <stdint.h>
#include "wire/addr.h"

struct tcp_flow {
	uint32_t una;               /* towards the guest: first byte not yet acknowledged (SND.UNA) */
	uint32_t nxt;               /* next byte to send (SND.NXT) */
	uint32_t max;               /* highest sent + 1: nxt goes back to una when a segment was lost */
	uint32_t recover;           /* NewReno: in recovery until una reaches it (RFC 6582) */
	uint32_t rcv;               /* from the guest: next byte expected (RCV.NXT) */
	uint32_t rcv_acked;         /* last acknowledgement sent */
	uint32_t rcv_edge;          /* right edge of the window last advertised */
	uint32_t wnd;               /* guest's window, scaled, bytes from una */
	uint16_t mss;               /* payload bytes a segment towards the guest */
	uint8_t guest_scale;        /* shift of the windows that the guest sends; our own shift is TCP_OUR_SCALE where flags say so */
	uint8_t state;              /* enum tcp_state */
	uint16_t flags;             /* enum tcp_flow_flag */
	uint8_t dup_acks, retries;
	uint32_t pending;           /* bytes known to wait in the socket beyond max; 0: not known */
	uint32_t link;              /* in the list of flows that wait for room at a port, or for an acknowledgement at the turn's end */
	uint32_t sndbuf;            /* the socket's send buffer, as last asked */
	addr_t fallback;            /* HostAccess full: the address to try when loopback refuses; any: none */
};

struct udp_flow {
	uint16_t host_port;         /* the socket's local port */
	uint8_t answered;           /* the peer has answered: the longer time-out holds */
	uint8_t bound;              /* holds a reference to its entry of the table of kept source ports */
	addr_t host_addr;           /* inbound: the local address that the client used, which replies must come from */
	addr_t client; uint16_t client_port; /* inbound: where replies go; the guest may see another address (key.peer) */
	uint32_t forward;           /* inbound: which forward */
};

struct echo_flow {
	uint16_t host_id;           /* the ping socket's identifier */
};
