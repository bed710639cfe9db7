// SPDX-License-Identifier: MIT
#include "control/lan_interface.h"

#include <errno.h>
#include <string.h>

const char lan_interface_text[] =
#include "org.hospes.Lan.varlink.inc"
	;

/* --- what the methods take --- */

#define TEXT_MAX 255

const struct varlink_param lan_params_register[] = {
	{ .name = "name", .type = VARLINK_STRING, .optional = true },
	{ .name = "mac", .type = VARLINK_STRING, .optional = true },
	{ .name = "user", .type = VARLINK_STRING, .optional = true },
	{ .name = "pid", .type = VARLINK_INT, .optional = true, .min = 1, .max = INT32_MAX },
	{ 0 },
};
const struct varlink_param lan_params_unregister[] = { { .name = "name", .type = VARLINK_STRING }, { 0 } };
const struct varlink_param lan_params_resolve[] = { { .name = "guest", .type = VARLINK_STRING, .max = TEXT_MAX }, { 0 } };
const struct varlink_param lan_params_connect[] = {
	{ .name = "guest", .type = VARLINK_STRING, .max = TEXT_MAX },
	{ .name = "port", .type = VARLINK_INT, .min = 1, .max = 65535 },
	{ 0 },
};
const struct varlink_param lan_params_attach_tap[] = { { .name = "name", .type = VARLINK_STRING, .optional = true }, { 0 } };
const struct varlink_param lan_params_add_forward[] = {
	{ .name = "listen", .type = VARLINK_STRING }, { .name = "to", .type = VARLINK_STRING }, { 0 },
};
const struct varlink_param lan_params_remove_forward[] = { { .name = "listen", .type = VARLINK_STRING }, { 0 } };

const char *lan_text(const json_t *parameters, const char *key)
{
	const char *text = json_string_value(json_object_get(parameters, key));

	return text ? text : "";
}

/* --- errors --- */

void lan_invalid(struct varlink_call *call, const char *what, const char *message)
{
	lan_fail(call, "Invalid", json_pack("{ss ss}", "what", what, "message", message));
}

void lan_fail(struct varlink_call *call, const char *name, json_t *parameters)
{
	char full[64] = LAN_INTERFACE ".";

	strncat(full, name, sizeof(full) - sizeof(LAN_INTERFACE) - 1);
	varlink_fail(call, full, parameters);
}

void lan_fail_errno(struct varlink_call *call, const char *what, int error, const char *message)
{
	if (error == -ENOSPC)
		lan_fail(call, "Full", json_pack("{ss}", "what", what));
	else
		lan_fail(call, "Failed", json_pack("{ss si ss}", "what", what, "errno", -error, "message", message));
}

struct guest *lan_find_guest(struct guests *guests, const struct lan_plan *plan, struct varlink_call *call, const char *text)
{
	size_t size = strlen(text), domain = strlen(plan->domain);
	char name[GUEST_NAME_SIZE + sizeof(plan->domain) + 1];
	struct guest *guest = NULL;
	struct mac mac;
	addr_t addr;

	if (mac_parse(text, &mac)) {
		guest = guests_find(guests, mac);
	} else if (addr_parse(text, &addr)) {
		guest = guests_by_addr(guests, addr);
	} else if (size < sizeof(name)) {
		memcpy(name, text, size + 1);
		if (size > domain + 1 && name[size - domain - 1] == '.' && !strcasecmp(name + size - domain, plan->domain))
			name[size - domain - 1] = 0;
		guest = guests_by_name(guests, name);
	}
	if (!guest)
		lan_fail(call, "NoGuest", json_pack("{ss}", "guest", text));
	return guest;
}

/* --- networks --- */

/* "10.0.2.0/24", or null where the LAN does not have that version. */
static json_t *network_text(bool has, addr_t net, unsigned int bits)
{
	char text[ADDR_TEXT_SIZE];

	return has ? json_sprintf("%s/%u", addr_format(net, text), bits) : json_null();
}

static json_t *address_text(bool has, addr_t a)
{
	char text[ADDR_TEXT_SIZE];

	return has && !addr_is_any(a) ? json_string(addr_format(a, text)) : json_null();
}

json_t *lan_status_networks(const struct lan_plan *p)
{
	return json_pack("{so so so so so so}", "network4", network_text(p->ip4, p->net4, p->bits4),
			 "gateway4", address_text(p->ip4, p->gateway4), "dns4", address_text(p->ip4, p->dns4),
			 "network6", network_text(p->ip6, p->net6, p->bits6),
			 "gateway6", address_text(p->ip6, p->gateway6), "dns6", address_text(p->ip6, p->dns6));
}

json_t *lan_dhcp_servers_json(struct dhcp_servers *s, usec_t now)
{
	json_t *list = json_array();
	char addr[ADDR_TEXT_SIZE], mac[MAC_TEXT_SIZE];

	dhcp_servers_forget(s, now);
	for (size_t i = 0; i < s->count; i++)
		json_array_append_new(list, json_pack("{ss ss sI}", "address", addr_format(s->list[i].addr, addr), "mac",
						      mac_format(s->list[i].mac, mac), "seconds",
						      (json_int_t)((now - s->list[i].seen) / USEC_S)));
	return list;
}

json_t *lan_lease_clashes_json(struct lease_clashes *c, struct guests *guests)
{
	char addr[ADDR_TEXT_SIZE], holder[MAC_TEXT_SIZE], second[MAC_TEXT_SIZE];
	json_t *list = json_array();

	lease_clash_settle(c, guests);
	for (size_t i = 0; i < c->count; i++)
		json_array_append_new(list, json_pack("{ss ss ss}", "address", addr_format(c->list[i].addr, addr), "holder",
						      mac_format(c->list[i].holder, holder), "second",
						      mac_format(c->list[i].second, second)));
	return list;
}

/* --- drops --- */

json_t *lan_drops_json(const uint64_t drops[static DROP_COUNT])
{
	json_t *list = json_array();

	for (int why = DROP_NONE + 1; why < DROP_COUNT; why++)
		if (drops[why])
			json_array_append_new(list, json_pack("{ss ss sI}", "reason", drop_name((enum drop)why), "text",
							      drop_text((enum drop)why), "frames", (json_int_t)drops[why]));
	return list;
}

/* --- guests --- */

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

json_t *lan_guest_json(const struct guest *g)
{
	const struct lease *lease = is_leased(&g->lease4) ? &g->lease4 : is_leased(&g->lease6) ? &g->lease6 : NULL;
	char mac[MAC_TEXT_SIZE], leased[ADDR_TEXT_SIZE];

	return json_pack("{ss? ss ss sb so so ss? so}", "name", *g->name ? g->name : NULL, "mac", mac_format(g->mac, mac),
			 "state", g->port_id ? "attached" : "away", "registered", g->registered,
			 "port", g->port_id ? json_integer(g->port_id) : json_null(), "addresses", addresses_json(g),
			 "lease", lease ? addr_format(lease->addr, leased) : NULL, "lease_until", lease ? json_integer(lease->until)
				: json_null());
}

json_t *lan_guests_json(struct guests *guests)
{
	json_t *list = json_array();

	guests_expire(guests, usec_wall() / USEC_S);
	for (struct guest *g = guests_next(guests, NULL); g; g = guests_next(guests, g))
		if (g->port_id || g->registered || is_leased(&g->lease4) || is_leased(&g->lease6))
			json_array_append_new(list, lan_guest_json(g));
	return list;
}

void lan_resolve(struct registry *registry, struct guests *guests, const struct lan_plan *plan, struct varlink_call *call,
		const json_t *parameters)
{
	struct guest *g = lan_find_guest(guests, plan, call, lan_text(parameters, "guest"));
	const struct registration *told = g ? registry_find(registry, g->mac) : NULL;

	if (g)
		varlink_reply(call, json_pack("{so ss? so}", "guest", lan_guest_json(g), "user", told && *told->user ? told->user : NULL,
					      "pid", told && told->pid ? json_integer(told->pid) : json_null()));
}

/* --- registration --- */

/*
 * Whom ssh logs in as: nothing that ssh could take for an option, or that a shell or a configuration file would read as more than a name.
 */
static bool user_valid(const char *user)
{
	return strlen(user) < REGISTRY_USER_SIZE && *user != '-' &&
	       strspn(user, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(user);
}

struct guest *lan_register(struct registry *registry, struct varlink_call *call, const json_t *parameters, usec_t now)
{
	const char *name = lan_text(parameters, "name"), *mac = lan_text(parameters, "mac"), *user = lan_text(parameters, "user");
	struct registration want = { .pid = (int32_t)json_integer_value(json_object_get(parameters, "pid")) };
	char error[REGISTRY_ERROR], made[MAC_TEXT_SIZE];
	struct guest *guest = NULL;
	int r;

	if (strlen(name) >= sizeof(want.name)) {
		lan_invalid(call, "name", "a name has 63 characters at the most");
	} else if (*mac && (!mac_parse(mac, &want.mac) || mac_is_zero(want.mac))) {
		lan_invalid(call, "mac", "not of the form 52:54:00:12:34:56");
	} else if (!user_valid(user)) {
		lan_invalid(call, "user", "a user's name has up to 32 of a-z, A-Z, 0-9 and \"._-\", and no \"-\" first");
	} else {
		memcpy(want.name, name, strlen(name) + 1);
		memcpy(want.user, user, strlen(user) + 1);
		r = registry_add(registry, &want, &guest, error, now);
		if (r == -EEXIST)
			lan_fail(call, "Exists", json_pack("{ss ss}", "what", *name ? name : mac, "message", error));
		else if (r == -EINVAL)
			lan_invalid(call, *name ? name : mac, error);
		else if (r < 0)
			lan_fail_errno(call, "guests", r, error);
		else
			varlink_reply(call, json_pack("{ss ss}", "name", guest->name, "mac", mac_format(guest->mac, made)));
		return r < 0 ? NULL : guest;
	}
	return NULL;
}
