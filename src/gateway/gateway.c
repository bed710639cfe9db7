// SPDX-License-Identifier: MIT
#include "gateway/gateway.h"

#include <errno.h>

#include "base/attr.h"
#include "base/wheel.h"
#include "gateway/gateway_private.h"
#include "gateway/tcp_hold.h"
#include "service/neigh.h"

#define READY_A_TURN  128
#define GONE_PATIENCE (60 * USEC_S)
#define ADVERTISE_EACH ((usec_t)NEIGH_ROUTER_LIFETIME * USEC_S / 3)

/* ---- as a port ---- */

static size_t port_take(struct port *p, const struct frame *frames, size_t count)
{
	struct gateway *g = container_of(p, struct gateway, port);

	deferred_add(&g->turn_end);
	demux_frames(g, frames, count, loop_now(g->p.loop));
	return count;
}

static struct port *port_keep(struct port *p _unused_) { return NULL; } /* it is part of the gateway */

static const struct port_ops gateway_port_ops = { .kind = "gateway", .send = port_take, .free = port_keep };

struct port *gateway_port(struct gateway *g) { return &g->port; }

/* ---- the loop's calls ---- */

static void flow_socket_ready(void *owner, struct flow *f, uint32_t events)
{
	struct gateway *g = owner;
	usec_t now = loop_now(g->p.loop);

	switch ((enum flow_kind)f->key.kind) {
	case FLOW_TCP:
		tcp_ready(g->tcp, f, events, now);
		break;
	case FLOW_UDP:
		udp_ready(g->udp, f, events, now);
		break;
	case FLOW_ECHO:
		echo_ready(g->echo, f, events, now);
		break;
	case FLOW_FREE:
	case FLOW_KINDS:
		break;
	}
}

static void sockets_ready(struct watch *w, uint32_t events _unused_)
{
	struct gateway *g = container_of(w, struct gateway, sockets);

	deferred_add(&g->turn_end);
	flow_ready(g->flows, READY_A_TURN, flow_socket_ready, g);
}

static void deadline_due(struct timer *timer)
{
	struct gateway *g = container_of(timer, struct gateway, deadline);
	usec_t now = loop_now(g->p.loop);
	struct flow *f;

	deferred_add(&g->turn_end);
	while ((f = flow_due(g->flows, now))) {
		switch ((enum flow_kind)f->key.kind) {
		case FLOW_TCP:
			tcp_due(g->tcp, f, now);
			break;
		case FLOW_UDP:
			udp_due(g->udp, f, now);
			break;
		case FLOW_ECHO:
			echo_due(g->echo, f, now);
			break;
		case FLOW_FREE:
		case FLOW_KINDS:
			break;
		}
	}
}

static void turn_end(struct deferred *d)
{
	struct gateway *g = container_of(d, struct gateway, turn_end);
	usec_t now = loop_now(g->p.loop);

	tcp_turn_end(g->tcp, now);
	emit_flush(g->emitter, now);
	timer_set(&g->deadline, flow_next_deadline(g->flows));
}

static void send_advertisement(struct gateway *g, uint16_t lifetime)
{
	uint8_t room[1280];
	struct reply r = { .out = writer_of(room, sizeof(room)) };

	if (!g->p.plan->ip6)
		return;
	neigh_advertise(g->p.plan, lifetime, &r);
	if (!writer_failed(&r.out))
		demux_send_reply(g, &r, loop_now(g->p.loop));
	emit_flush(g->emitter, loop_now(g->p.loop));
}

static void advertise_due(struct timer *timer)
{
	struct gateway *g = container_of(timer, struct gateway, advertise);

	send_advertisement(g, NEIGH_ROUTER_LIFETIME);
	timer_set(timer, loop_now(g->p.loop) + ADVERTISE_EACH);
}

void gateway_advertise(struct gateway *g, bool up)
{
	send_advertisement(g, up ? NEIGH_ROUTER_LIFETIME : 0);
	timer_set(&g->advertise, up && g->p.plan->ip6 ? loop_now(g->p.loop) + ADVERTISE_EACH : USEC_NEVER);
}

/* ---- connections to guests ---- */

static void inbound_opened(void *owner, struct flow *f, int result)
{
	struct gateway *g = owner;
	struct opening *o = &g->openings[flow_index(g->flows, f)], taken = *o;

	*o = (struct opening){ 0 };
	if (taken.done)
		taken.done(taken.owner, result);
}

static int dns_accept(void *owner) { return resolver_accept(((struct gateway *)owner)->resolver); }

/* A port for the client's side that is free with this guest's address and port: the client's own where that can be. */
static bool choose_client_port(struct gateway *g, struct flow_key *key, uint16_t wanted)
{
	uint16_t port = wanted ? wanted : (uint16_t)(49152 + loop_now(g->p.loop) % 16384);

	for (uint32_t tries = 0; tries < 16384; tries++) {
		key->peer_port = port;
		if (port && !flow_find(g->flows, key))
			return true;
		port = (uint16_t)(49152 + (port + 1) % 16384);
	}
	return false;
}

int gateway_connect(struct gateway *g, struct guest *guest, addr_t addr, uint16_t port, int fd, addr_t client, uint16_t client_port,
		    void (*done)(void *owner, int result), void *owner)
{
	struct flow_key key = { .guest = addr, .guest_port = port, .kind = FLOW_TCP };
	usec_t now = loop_now(g->p.loop);
	int r;

	if (!guest->port_id || !switch_lookup(g->p.sw, guest->mac, now))
		return -EHOSTUNREACH;
	key.peer = host_guest_view(g->host, client, addr);
	if (!choose_client_port(g, &key, client_port))
		return -ENOSPC;
	r = tcp_connect(g->tcp, &key, guest->mac, fd, now);
	if (r)
		return r;
	deferred_add(&g->turn_end);
	g->openings[flow_index(g->flows, flow_find(g->flows, &key))] = (struct opening){ done, owner };
	return 0;
}

static int forward_accepted(void *owner, struct guest *guest, addr_t addr, uint16_t port, int fd, addr_t client, uint16_t client_port)
{
	return gateway_connect(owner, guest, addr, port, fd, client, client_port, NULL, NULL);
}

void gateway_drained(struct gateway *g, struct port *p _unused_)
{
	deferred_add(&g->turn_end);
	tcp_room(g->tcp, loop_now(g->p.loop));
}

void gateway_guest_gone(struct gateway *g, struct mac mac)
{
	usec_t keepalive = (usec_t)g->p.plan->keepalive_seconds * USEC_S, now = loop_now(g->p.loop);

	deferred_add(&g->turn_end);
	for (struct flow *f = NULL; (f = flow_next(g->flows, f));) {
		if (f->key.kind != FLOW_TCP || !mac_equal(f->mac, mac))
			continue;
		if (f->flags & FLOW_INBOUND) {
			tcp_reset(g->tcp, f, now);
		} else {
			f->active = MIN(f->active, now - keepalive + GONE_PATIENCE);
			flow_set_deadline(g->flows, f, now + GONE_PATIENCE);
		}
	}
}

struct forwards *gateway_forwards(struct gateway *g) { return g->forwards; }
struct flow_table *gateway_flows(struct gateway *g) { return g->flows; }

/* ---- made and freed ---- */

/* What the tables have for each flow. The flow table's buckets are a power of two: at most two for a slot. */
_Static_assert(sizeof(struct flow) + 2 * sizeof(uint32_t) + WHEEL_NODE_SIZE + sizeof(struct opening) + TCP_HOLD_ENTRY <= 256,
	       "a flow costs at most 256 bytes");

static int make_parts(struct gateway *g)
{
	const struct gateway_params *p = &g->p;
	struct tcp_params tcp = {
		.plan = p->plan, .turn_end = &g->turn_end, .peek_offset = !p->no_peek_offset, .dns_accept = dns_accept,
		.opened = inbound_opened, .owner = g,
	};
	struct forwards_params forwards = {
		.loop = p->loop, .guests = p->guests, .turn_end = &g->turn_end, .accepted = forward_accepted, .owner = g,
	};
	int r;

	if ((r = host_new(&g->host, p->plan)) || (r = emitter_new(&g->emitter, p->sw, &g->port, p->plan)) ||
	    (r = reassembly_new(&g->reassembly)) ||
	    (r = flow_table_new(&g->flows, p->flow_max, usec_now())) ||
	    (r = resolver_new(&g->resolver, p->loop, g->emitter, p->plan, p->guests, p->resolv_conf)))
		return r;
	tcp.flows = g->flows;
	tcp.emitter = g->emitter;
	tcp.host = g->host;
	if ((r = tcp_new(&g->tcp, &tcp)) || (r = udp_new(&g->udp, g->flows, g->emitter, g->host)) ||
	    (r = echo_new(&g->echo, g->flows, g->emitter, g->host, p->plan)))
		return r;
	forwards.udp = g->udp;
	return forwards_new(&g->forwards, &forwards);
}

DEFINE_CLEANUP(gateway)

int gateway_new(struct gateway **out, const struct gateway_params *params)
{
	_cleanup_(gateway_freep) struct gateway *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	g->p = *params;
	g->port = (struct port){
		.ops = &gateway_port_ops, .mtu = params->plan->mtu,
		.takes = PORT_TAKES_ALL,
	};
	g->sockets.fd = -1;
	timer_init(&g->deadline, params->loop, deadline_due);
	timer_init(&g->advertise, params->loop, advertise_due);
	deferred_init(&g->turn_end, params->loop, turn_end);
	g->openings = calloc(MIN(params->flow_max, (uint32_t)FLOW_MAX), sizeof(*g->openings));
	if (!g->openings)
		return -ENOMEM;
	r = make_parts(g);
	if (!r)
		r = watch_add(&g->sockets, params->loop, flow_epoll(g->flows), EPOLLIN, sockets_ready);
	if (!r)
		*out = steal(&g);
	return r;
}

struct gateway *gateway_free(struct gateway *g)
{
	if (!g)
		return NULL;
	watch_remove(&g->sockets);
	timer_set(&g->deadline, USEC_NEVER);
	timer_set(&g->advertise, USEC_NEVER);
	deferred_remove(&g->turn_end);
	/* Top down: each part borrows what stands below it. */
	g->forwards = g->forwards ? forwards_free(g->forwards) : NULL;
	g->echo = g->echo ? echo_free(g->echo) : NULL;
	g->udp = g->udp ? udp_free(g->udp) : NULL;
	g->tcp = g->tcp ? tcp_free(g->tcp) : NULL;
	g->resolver = g->resolver ? resolver_free(g->resolver) : NULL;
	g->flows = g->flows ? flow_table_free(g->flows) : NULL;
	g->reassembly = g->reassembly ? reassembly_free(g->reassembly) : NULL;
	g->emitter = g->emitter ? emitter_free(g->emitter) : NULL;
	g->host = g->host ? host_free(g->host) : NULL;
	free(g->openings);
	free(g);
	return NULL;
}
