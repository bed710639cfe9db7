// SPDX-License-Identifier: MIT
/* List and Resolve: guests and ports as JSON. */
#include "engine/control_private.h"

static json_t *port_json(struct port *p, usec_t now)
{
	port_rates(p, now);
	return json_pack("{si ss so sI sI sI sI sI sI so}", "id", (int)p->id, "kind", p->ops->kind,
			 "pid", p->peer_pid > 0 ? json_integer(p->peer_pid) : json_null(),
			 "frames_from_guest", (json_int_t)p->from_guest.frames, "bytes_from_guest", (json_int_t)p->from_guest.bytes,
			 "rate_from_guest", (json_int_t)p->rate_from,
			 "frames_to_guest", (json_int_t)p->to_guest.frames, "bytes_to_guest", (json_int_t)p->to_guest.bytes,
			 "rate_to_guest", (json_int_t)p->rate_to, "drops", lan_drops_json(p->drops));
}

void control_list(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct control *c = owner;
	json_t *guests = lan_guests_json(c->parts.guests), *ports = json_array();

	for (struct port *p = ports_next(c->parts.ports, NULL); p; p = ports_next(c->parts.ports, p))
		json_array_append_new(ports, port_json(p, loop_now(c->parts.loop)));
	varlink_reply(call, json_pack("{so so}", "guests", guests, "ports", ports));
}

void control_resolve(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct control *c = owner;

	lan_resolve(c->parts.registry, c->parts.guests, c->parts.plan, call, parameters);
}
