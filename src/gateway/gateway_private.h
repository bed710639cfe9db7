// SPDX-License-Identifier: MIT
/* What gateway.c (wiring) and demux.c (which packet goes where) share. Nobody else includes this. */
#pragma once
#include "gateway/echo.h"
#include "gateway/emit.h"
#include "gateway/gateway.h"
#include "gateway/host.h"
#include "gateway/reassembly.h"
#include "gateway/resolver.h"
#include "gateway/tcp.h"
#include "gateway/udp.h"
#include "service/reply.h"

struct gateway {
	struct port port;                /* the gateway as the switch sees it */
	struct gateway_params p;
	struct host *host;
	struct emitter *emitter;
	struct reassembly *reassembly;
	struct resolver *resolver;
	struct flow_table *flows;
	struct tcp *tcp;
	struct udp *udp;
	struct echo *echo;
	struct forwards *forwards;
	struct watch sockets;            /* the flow table's epoll set */
	struct timer deadline;           /* the first of the flows' deadlines */
	struct timer advertise;          /* router advertisements are repeated long before they lapse */
	struct deferred turn_end;
	struct opening { void (*done)(void *owner, int result); void *owner; } *openings; /* by slot: who waits for an inbound connection */
};

/**
 * demux_frames() - take frames that the switch gives to the gateway
 * Every frame gets a verdict; what is dropped is counted at the port that it came in by.
 */
void demux_frames(struct gateway *g, const struct frame *frames, size_t count, usec_t now);

/** demux_send_reply() - put the headers around what a service says, and send it */
void demux_send_reply(struct gateway *g, const struct reply *r, usec_t now);
