// SPDX-License-Identifier: MIT
#include "bridge/services.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "port/packet.h"

#define PORT_ID   2
#define FLOWS_MAX 512   /* TCP connections to the DNS service */

struct services {
	struct services_params p;
	struct switch_ *sw;
	struct gateway *gateway;
	struct port_sink sink;
	struct port *port;
	int fd;
};

static void port_input_batch(void *owner, struct port *from, const struct frame *frames, size_t count)
{
	struct services *s = owner;

	for (size_t i = 0; i < count; i++)
		dhcp_servers_hear(s->p.heard, frame_cursor(&frames[i]), loop_now(s->p.loop));
	switch_input(s->sw, from, frames, count, loop_now(s->p.loop));
}

static void port_has_drained(void *owner, struct port *p)
{
	struct services *s = owner;

	gateway_drained(s->gateway, p);
}

static void port_has_closed(_unused_ void *owner, _unused_ struct port *p, const char *why)
{
	log_warning("the services of a bridge LAN hear nothing any more: %s", why);
}

static void leases_have_changed(void *owner)
{
	struct services *s = owner;

	s->p.leases_changed(s->p.owner);
}

static int make_gateway(struct services *s)
{
	struct gateway_params gateway = {
		.loop = s->p.loop, .sw = s->sw, .guests = s->p.guests, .plan = s->p.plan, .resolv_conf = s->p.resolv_conf, .flow_max = FLOWS_MAX,
		.services_only = true, .leases_changed = leases_have_changed, .owner = s,
	};
	int r = gateway_new(&s->gateway, &gateway);

	if (r < 0)
		return r;
	gateway_port(s->gateway)->sink = &s->sink;
	gateway_port(s->gateway)->id = PORT_ID - 1;
	r = switch_add(s->sw, gateway_port(s->gateway));
	return r ? r : switch_register(s->sw, s->p.plan->mac, gateway_port(s->gateway));
}

static int make_port(struct services *s)
{
	int r = packet_port_new(&s->port, s->p.loop, &s->sink, s->fd, s->p.link);

	if (r < 0)
		return r;
	s->port->id = PORT_ID;
	s->port->mtu = s->p.plan->mtu;
	return switch_add(s->sw, s->port);
}

int services_new(struct services **out, const struct services_params *params)
{
	struct services *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->p = *params;
	s->sink = (struct port_sink){ .input = port_input_batch, .drained = port_has_drained, .closed = port_has_closed, .owner = s };
	s->fd = packet_pool_take(params->sockets);
	r = s->fd < 0 ? -ENOSPC : switch_new(&s->sw, 2);
	if (!r)
		r = make_gateway(s);
	if (!r)
		r = make_port(s);
	if (r < 0) {
		services_free(s, false);
		return r;
	}
	gateway_advertise(s->gateway, true);
	*out = s;
	return 0;
}

struct services *services_free(struct services *s, bool down)
{
	if (!s)
		return NULL;
	if (s->gateway && s->port && down)
		gateway_advertise(s->gateway, false);
	s->gateway = s->gateway ? gateway_free(s->gateway) : NULL;
	s->port = port_free(s->port);
	s->sw = s->sw ? switch_free(s->sw) : NULL;
	packet_pool_give(s->p.sockets, s->fd);
	free(s);
	return NULL;
}
