// SPDX-License-Identifier: MIT
/*
 * org.hospes.Lan, as far as both fabrics answer it alike: the interface file, what its methods take, guests as JSON, registration, errors.
 *
 * The handlers are each fabric's own, since they say which parts of the LAN a method works on.
 */
#pragma once
#include "control/registry.h"
#include "io/varlink_server.h"
#include "lan/dhcp_servers.h"
#include "lan/lease_clash.h"

#define LAN_INTERFACE "org.hospes.Lan"

/* The text of org.hospes.Lan.varlink */
extern const char lan_interface_text[];

/* What the methods take */
extern const struct varlink_param lan_params_register[], lan_params_unregister[], lan_params_resolve[], lan_params_connect[],
		lan_params_attach_tap[],
	lan_params_add_forward[], lan_params_remove_forward[];

/* What struct varlink_service has as its methods; each is handled by a function of the fabric's own, PREFIX_status() and so on. */
#define LAN_METHODS(prefix)                                                                                        \
	{ .name = "Status", .handle = prefix##_status },                                                             \
	{ .name = "List", .handle = prefix##_list },                                                                 \
	{ .name = "Register", .params = lan_params_register, .handle = prefix##_register },                          \
	{ .name = "Unregister", .params = lan_params_unregister, .handle = prefix##_unregister },                    \
	{ .name = "Resolve", .params = lan_params_resolve, .handle = prefix##_resolve },                             \
	{ .name = "Connect", .params = lan_params_connect, .upgrades = true, .handle = prefix##_connect },           \
	{ .name = "AttachTap", .params = lan_params_attach_tap, .handle = prefix##_attach_tap },                     \
	{ .name = "AddForward", .params = lan_params_add_forward, .handle = prefix##_add_forward },                  \
	{ .name = "RemoveForward", .params = lan_params_remove_forward, .handle = prefix##_remove_forward },         \
	{ .name = "ListForwards", .handle = prefix##_list_forwards },                                                \
	{ .name = "Reload", .handle = prefix##_reload },                                                             \
	{ .name = "Down", .handle = prefix##_down }

/** lan_text() - a parameter; "" if it was not given */
const char *lan_text(const json_t *parameters, const char *key);

/** lan_fail() - answer with an error of the interface. @name: without the interface. @parameters: owned by the call */
void lan_fail(struct varlink_call *call, const char *name, json_t *parameters);
/** lan_fail_errno() - answer with Failed, or with Full where @error says that there is no room */
void lan_fail_errno(struct varlink_call *call, const char *what, int error, const char *message);
/** lan_invalid() - answer with Invalid */
void lan_invalid(struct varlink_call *call, const char *what, const char *message);

/** lan_find_guest() - by name (with or without the domain), MAC or address; answers NoGuest and returns NULL if there is none */
struct guest *lan_find_guest(struct guests *guests, const struct lan_plan *plan, struct varlink_call *call, const char *text);

/** lan_guest_json() - a guest, as the interface's type Guest */
json_t *lan_guest_json(const struct guest *g);
/** lan_guests_json() - those that List shows */
json_t *lan_guests_json(struct guests *guests);
/** lan_drops_json() - counters by enum drop, as the interface's type Drop; those that are zero are left out */
json_t *lan_drops_json(const uint64_t drops[static DROP_COUNT]);
/** lan_dhcp_servers_json() - who was heard to answer DHCP, as Status has them; forgets who has gone */
json_t *lan_dhcp_servers_json(struct dhcp_servers *s, usec_t now);
/** lan_lease_clashes_json() - guests that were given one lease, as Status has them; forgets what is over */
json_t *lan_lease_clashes_json(struct lease_clashes *c, struct guests *guests);
/** lan_status_networks() - network4, gateway4, dns4 and the same of IPv6, as Status has them */
json_t *lan_status_networks(const struct lan_plan *plan);

/** lan_resolve() - the whole of Resolve */
void lan_resolve(struct registry *registry, struct guests *guests, const struct lan_plan *plan, struct varlink_call *call,
		const json_t *parameters);
/** lan_register() - the whole of Register. Return: the guest, or NULL if an error was answered. */
struct guest *lan_register(struct registry *registry, struct varlink_call *call, const json_t *parameters, usec_t now);
