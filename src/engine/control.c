// SPDX-License-Identifier: MIT
#include "engine/control_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void control_changed(struct control *c)
{
	lease_store_changed(c->parts.leases);
}

/* --- the LAN as a whole --- */

static void control_status(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct control *c = owner;
	const struct lan_plan *p = c->parts.plan;
	struct flow_table *flows = gateway_flows(c->parts.gateway);
	json_t *counts = json_pack("{sI sI sI}", "tcp", (json_int_t)flow_count(flows, FLOW_TCP), "udp", (json_int_t)flow_count(flows,
		FLOW_UDP),
				   "echo", (json_int_t)flow_count(flows, FLOW_ECHO));
	json_t *status;

	status = lan_status_networks(p);
	json_object_update_new(status, json_pack("{ss ss ss si ss si ss so}", "lan", p->name, "fabric", "user", "domain", p->domain,
						 "pid", (int)getpid(), "version", HOSPES_VERSION, "mtu", (int)p->mtu,
						 "host_access", host_access_name(p->host_access), "flows", counts));
	json_object_set_new(status, "dhcp_servers", lan_dhcp_servers_json(c->parts.heard, loop_now(c->parts.loop)));
	json_object_set_new(status, "lease_clashes", json_array()); /* all leases are our own */
	varlink_reply(call, status);
}

static void control_reload(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct control *c = owner;
	json_t *changes = json_array();
	char error[1024];
	int r = changes ? c->parts.reload(c->parts.owner, changes, error) : -ENOMEM;

	if (r < 0) {
		json_decref(changes);
		if (r == -EINVAL)
			lan_fail(call, "Invalid", json_pack("{ss ss}", "what", "configuration", "message", error));
		else
			lan_fail_errno(call, "reload", r, r == -ENOMEM ? "out of memory" : error);
		return;
	}
	varlink_reply(call, json_pack("{so}", "changes", changes));
}

static void control_down(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct control *c = owner;
	json_t *guests = json_array();

	for (const struct registration *g = registry_next(c->parts.registry, NULL); g; g = registry_next(c->parts.registry, g))
		if (registry_alive(g))
			json_array_append_new(guests, json_integer(g->pid));
	c->parts.down(c->parts.owner);
	varlink_reply(call, json_pack("{so}", "guests", guests));
	c->parts.ended(c->parts.owner);
}

/* --- the table --- */

static const struct varlink_method methods[] = { LAN_METHODS(control) };

static const struct varlink_service service = {
	.vendor = "hospes", .product = "hospesd", .version = HOSPES_VERSION, .url = "https://varlink.org",
	.interface = LAN_INTERFACE, .description = lan_interface_text, .error_full = LAN_INTERFACE ".Full",
	.methods = methods, .count = ARRAY_SIZE(methods),
};

int control_new(struct control **out, const struct control_parts *parts, int fd)
{
	_cleanup_(freep) struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->parts = *parts;
	list_init(&c->taps);
	list_init(&c->connects);
	r = varlink_server_new(&c->server, parts->loop, &service, c, fd);
	if (r < 0)
		return r;
	*out = steal(&c);
	return 0;
}

void control_stop(struct control *c)
{
	varlink_server_stop(c->server);
	control_drop_connects(c);
	control_drop_taps(c);
}

struct control *control_free(struct control *c)
{
	if (!c)
		return NULL;
	control_stop(c);
	c->server = varlink_server_free(c->server);
	control_free_connects(c);
	free(c);
	return NULL;
}

struct varlink_server *control_server(struct control *c)
{
	return c->server;
}
