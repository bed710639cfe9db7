// SPDX-License-Identifier: MIT
/* List and Resolve: guests and ports as JSON. */
#include "engine/control_private.h"

static json_t *drops_json(const struct port *p)
{
	json_t *drops = json_array();

	for (int why = DROP_NONE + 1; why < DROP_COUNT; why++)
		if (p->drops[why])
			json_array_append_new(drops, json_pack("{ss ss sI}", "reason", drop_name((enum drop)why), "text",
				drop_text((enum drop)why),
							       "frames", (json_int_t)p->drops[why]));
	return drops;
}

static json_t *port_json(struct port *p, usec_t now)
{
	port_rates(p, now);
	return json_pack("{si ss so sI sI sI sI sI sI so}", "id", (int)p->id, "kind", p->ops->kind,
			 "pid", p->peer_pid > 0 ? json_integer(p->peer_pid) : json_null(),
			 "frames_from_guest", (json_int_t)p->from_guest.frames, "bytes_from_guest", (json_int_t)p->from_guest.bytes,
			 "rate_from_guest", (json_int_t)p->rate_from,
			 "frames_to_guest", (json_int_t)p->to_guest.frames, "bytes_to_guest", (json_int_t)p->to_guest.bytes,
			 "rate_to_guest", (json_int_t)p->rate_to, "drops", drops_json(p));
}

static void add_address(json_t *to, addr_t a)
{
	char text[ADDR_TEXT_SIZE];
	const json_t *there;
	size_t i;

	if (addr_is_any(a))
		return;
	addr_format(a, text);
	json_array_foreach(to, i, there)
		if (!strcmp(json_string_value(there), text))
			return;
	json_array_append_new(to, json_string(text));
}

static bool is_leased(const struct lease *l)
{
	return l->state == LEASE_BOUND;
}

/* The leases first, then what was seen. */
static json_t *addresses_json(const struct guest *g)
{
	json_t *addresses = json_array();

	if (is_leased(&g->lease4))
		add_address(addresses, g->lease4.addr);
	if (is_leased(&g->lease6))
		add_address(addresses, g->lease6.addr);
	for (size_t i = 0; i < GUEST_ADDRS; i++)
		add_address(addresses, g->addrs[i].addr);
	return addresses;
}

static json_t *guest_json(const struct guest *g)
{
	const struct lease *lease = is_leased(&g->lease4) ? &g->lease4 : is_leased(&g->lease6) ? &g->lease6 : NULL;
	char mac[MAC_TEXT_SIZE], leased[ADDR_TEXT_SIZE];

	return json_pack("{ss? ss ss sb so so ss? so}", "name", *g->name ? g->name : NULL, "mac", mac_format(g->mac, mac),
			 "state", g->port_id ? "attached" : "away", "registered", g->registered,
			 "port", g->port_id ? json_integer(g->port_id) : json_null(), "addresses", addresses_json(g),
			 "lease", lease ? addr_format(lease->addr, leased) : NULL, "lease_until", lease ? json_integer(lease->until)
				: json_null());
}

void control_list(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct control *c = owner;
	json_t *guests = json_array(), *ports = json_array();

	guests_expire(c->parts.guests, usec_wall() / USEC_S);
	for (struct guest *g = guests_next(c->parts.guests, NULL); g; g = guests_next(c->parts.guests, g))
		if (g->port_id || g->registered || is_leased(&g->lease4) || is_leased(&g->lease6))
			json_array_append_new(guests, guest_json(g));
	for (struct port *p = ports_next(c->parts.ports, NULL); p; p = ports_next(c->parts.ports, p))
		json_array_append_new(ports, port_json(p, loop_now(c->parts.loop)));
	varlink_reply(call, json_pack("{so so}", "guests", guests, "ports", ports));
}

void control_resolve(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct control *c = owner;
	struct guest *g = control_find_guest(c, call, json_string_value(json_object_get(parameters, "guest")));
	const struct registration *told = g ? registry_find(c->parts.registry, g->mac) : NULL;

	if (g)
		varlink_reply(call, json_pack("{so ss? so}", "guest", guest_json(g), "user", told && *told->user ? told->user : NULL,
					      "pid", told && told->pid ? json_integer(told->pid) : json_null()));
}
