// SPDX-License-Identifier: MIT
#include "engine/control_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char description[] =
#include "org.hospes.Lan.varlink.inc"
	;

/* --- answers --- */

void control_fail(struct varlink_call *call, const char *name, json_t *parameters)
{
	char full[64] = LAN_INTERFACE ".";

	strncat(full, name, sizeof(full) - sizeof(LAN_INTERFACE) - 1);
	varlink_fail(call, full, parameters);
}

void control_fail_errno(struct varlink_call *call, const char *what, int error, const char *message)
{
	if (error == -ENOSPC)
		control_fail(call, "Full", json_pack("{ss}", "what", what));
	else
		control_fail(call, "Failed", json_pack("{ss si ss}", "what", what, "errno", -error, "message", message));
}

struct guest *control_find_guest(struct control *c, struct varlink_call *call, const char *text)
{
	size_t size = strlen(text), domain = strlen(c->parts.plan->domain);
	char name[GUEST_NAME_SIZE + sizeof(c->parts.plan->domain) + 1];
	struct guest *guest = NULL;
	struct mac mac;
	addr_t addr;

	if (mac_parse(text, &mac)) {
		guest = guests_find(c->parts.guests, mac);
	} else if (addr_parse(text, &addr)) {
		guest = guests_by_addr(c->parts.guests, addr);
	} else if (size < sizeof(name)) {
		memcpy(name, text, size + 1);
		if (size > domain + 1 && name[size - domain - 1] == '.' && !strcasecmp(name + size - domain, c->parts.plan->domain))
			name[size - domain - 1] = 0;
		guest = guests_by_name(c->parts.guests, name);
	}
	if (!guest)
		control_fail(call, "NoGuest", json_pack("{ss}", "guest", text));
	return guest;
}

void control_changed(struct control *c)
{
	lease_store_changed(c->parts.leases);
}

/* --- the LAN as a whole --- */

static const char *host_access_text(enum host_access a)
{
	switch (a) {
	case HOST_ACCESS_LAN:
		return "lan";
	case HOST_ACCESS_FULL:
		return "full";
	case HOST_ACCESS_NONE:
		return "none";
	}
	return "?";
}

/* "10.0.2.0/24", or null where the LAN does not have that version. */
static json_t *network_text(bool has, addr_t net, unsigned int bits)
{
	char text[ADDR_TEXT_SIZE];

	return has ? json_sprintf("%s/%u", addr_format(net, text), bits) : json_null();
}

static json_t *address_text(bool has, addr_t a)
{
	char text[ADDR_TEXT_SIZE];

	return has ? json_string(addr_format(a, text)) : json_null();
}

static void control_status(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct control *c = owner;
	const struct lan_plan *p = c->parts.plan;
	struct flow_table *flows = gateway_flows(c->parts.gateway);
	json_t *counts = json_pack("{sI sI sI}", "tcp", (json_int_t)flow_count(flows, FLOW_TCP), "udp", (json_int_t)flow_count(flows,
		FLOW_UDP),
				   "echo", (json_int_t)flow_count(flows, FLOW_ECHO));

	varlink_reply(call, json_pack("{ss ss ss si ss so so so so so so si ss so}", "lan", p->name, "fabric", "user", "domain", p->domain,
				      "pid", (int)getpid(), "version", HOSPES_VERSION,
				      "network4", network_text(p->ip4, p->net4, p->bits4),
				      "gateway4", address_text(p->ip4, p->gateway4), "dns4", address_text(p->ip4, p->dns4),
				      "network6", network_text(p->ip6, p->net6, p->bits6),
				      "gateway6", address_text(p->ip6, p->gateway6), "dns6", address_text(p->ip6, p->dns6),
				      "mtu", (int)p->mtu, "host_access", host_access_text(p->host_access), "flows", counts));
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
			control_fail(call, "Invalid", json_pack("{ss ss}", "what", "configuration", "message", error));
		else
			control_fail_errno(call, "reload", r, r == -ENOMEM ? "out of memory" : error);
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

#define TEXT_MAX 255

static const struct varlink_param params_register[] = {
	{ .name = "name", .type = VARLINK_STRING, .optional = true },
	{ .name = "mac", .type = VARLINK_STRING, .optional = true },
	{ .name = "user", .type = VARLINK_STRING, .optional = true },
	{ .name = "pid", .type = VARLINK_INT, .optional = true, .min = 1, .max = INT32_MAX },
	{ 0 },
};
static const struct varlink_param params_unregister[] = { { .name = "name", .type = VARLINK_STRING }, { 0 } };
static const struct varlink_param params_resolve[] = { { .name = "guest", .type = VARLINK_STRING, .max = TEXT_MAX }, { 0 } };
static const struct varlink_param params_connect[] = {
	{ .name = "guest", .type = VARLINK_STRING, .max = TEXT_MAX },
	{ .name = "port", .type = VARLINK_INT, .min = 1, .max = 65535 },
	{ 0 },
};
static const struct varlink_param params_attach_tap[] = { { .name = "name", .type = VARLINK_STRING, .optional = true }, { 0 } };
static const struct varlink_param params_add_forward[] = {
	{ .name = "listen", .type = VARLINK_STRING }, { .name = "to", .type = VARLINK_STRING }, { 0 },
};
static const struct varlink_param params_remove_forward[] = { { .name = "listen", .type = VARLINK_STRING }, { 0 } };

static const struct varlink_method methods[] = {
	{ .name = "Status", .handle = control_status },
	{ .name = "List", .handle = control_list },
	{ .name = "Register", .params = params_register, .handle = control_register },
	{ .name = "Unregister", .params = params_unregister, .handle = control_unregister },
	{ .name = "Resolve", .params = params_resolve, .handle = control_resolve },
	{ .name = "Connect", .params = params_connect, .upgrades = true, .handle = control_connect },
	{ .name = "AttachTap", .params = params_attach_tap, .handle = control_attach_tap },
	{ .name = "AddForward", .params = params_add_forward, .handle = control_add_forward },
	{ .name = "RemoveForward", .params = params_remove_forward, .handle = control_remove_forward },
	{ .name = "ListForwards", .handle = control_list_forwards },
	{ .name = "Reload", .handle = control_reload },
	{ .name = "Down", .handle = control_down },
};

static const struct varlink_service service = {
	.vendor = "hospes", .product = "hospesd", .version = HOSPES_VERSION, .url = "https://varlink.org",
	.interface = LAN_INTERFACE, .description = description, .error_full = LAN_INTERFACE ".Full",
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
