// SPDX-License-Identifier: MIT
#include "bridge/lan_control.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bridge/allow.h"
#include "bridge/lan_forwards.h"
#include "bridge/lan_rules.h"
#include "bridge/lan_taps.h"
#include "control/lan_interface.h"

#define CONNECTIONS         256
#define CONNECTIONS_OF_USER 16
#define RATE_STEP           (250 * USEC_MS)

static bool admits(void *owner, uint32_t uid)
{
	const struct lan_up *l = owner;

	return allow_user(&l->config->bridge, uid, &allow_system);
}

/* Return: false if an error was answered. */
static bool root_only(struct varlink_call *call, const char *what)
{
	if (!varlink_call_uid(call))
		return true;
	lan_fail(call, "Failed", json_pack("{ss si ss}", "what", what, "errno", EPERM, "message",
			"on a bridge LAN that is root's to do; try it with sudo"));
	return false;
}

/* --- what there is --- */

static void control_status(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct lan_up *l = owner;
	json_t *status = lan_status_networks(&l->plan);

	json_object_update_new(status, json_pack("{ss ss ss si ss si ss s{}}", "lan", l->plan.name, "fabric", "bridge", "domain", l->plan.domain,
			"pid", (int)getpid(),
						 "version", HOSPES_VERSION, "mtu", (int)l->mtu, "host_access", "lan", "flows"));
	json_object_set_new(status, "dhcp_servers", lan_dhcp_servers_json(&l->heard, loop_now(l->p.loop)));
	json_object_set_new(status, "lease_clashes", lan_lease_clashes_json(&l->clashes, l->guests));
	varlink_reply(call, status);
}

static void sample(struct lan_tap *t, const struct taplink *now, usec_t time)
{
	usec_t elapsed = time - t->sampled;

	if (t->sampled && elapsed < RATE_STEP)
		return;
	if (t->sampled) {
		t->rate_from_guest = (now->bytes_from_guest - t->last.bytes_from_guest) * USEC_S / (uint64_t)elapsed;
		t->rate_to_guest = (now->bytes_to_guest - t->last.bytes_to_guest) * USEC_S / (uint64_t)elapsed;
	}
	t->sampled = time;
	t->last = *now;
}

static json_t *port_json(const struct lan_up *l, struct lan_tap *t)
{
	struct taplink now;

	if (taplink_get(l->p.route, t->link.name, &now) < 0 || now.index != t->link.index)
		return NULL;
	sample(t, &now, loop_now(l->p.loop));
	return json_pack("{si ss so sI sI sI sI sI sI so}", "id", (int)t->id, "kind", "tap", "pid", t->pid > 0 ? json_integer(t->pid)
			: json_null(),
			 "frames_from_guest", (json_int_t)now.frames_from_guest, "bytes_from_guest", (json_int_t)now.bytes_from_guest,
			 "rate_from_guest", (json_int_t)t->rate_from_guest,
			 "frames_to_guest", (json_int_t)now.frames_to_guest, "bytes_to_guest", (json_int_t)now.bytes_to_guest,
			 "rate_to_guest", (json_int_t)t->rate_to_guest, "drops", lan_drops_json(t->drops));
}

static void control_list(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct lan_up *l = owner;
	json_t *ports = json_array();

	lan_count_drops(l);
	list_for_each(n, &l->taps) {
		json_t *port = port_json(l, list_entry(n, struct lan_tap, node));

		if (port)
			json_array_append_new(ports, port);
	}
	varlink_reply(call, json_pack("{so so}", "guests", lan_guests_json(l->guests), "ports", ports));
}

static void control_resolve(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct lan_up *l = owner;

	lan_resolve(l->registry, l->guests, &l->plan, call, parameters);
}

/* --- guests --- */

/* Has this user a tap with that guest? Who may attach guests may tell more of his own, and nothing of others'. */
static bool is_own(const struct lan_up *l, const struct guest *guest, uint32_t uid)
{
	const struct lan_tap *t = guest && guest->port_id ? lan_tap_by_id(l, guest->port_id) : NULL;

	return !uid || (t && !t->persistent && t->uid == uid);
}

static void control_register(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct lan_up *l = owner;
	const char *name = lan_text(parameters, "name"), *text = lan_text(parameters, "mac");
	struct mac mac;
	const struct guest *guest = *name ? guests_by_name(l->guests, name) : mac_parse(text, &mac) ? guests_find(l->guests, mac) : NULL;

	if (is_own(l, guest, varlink_call_uid(call)))
		lan_register(l->registry, call, parameters, loop_now(l->p.loop));
	else
		lan_fail(call, "Failed", json_pack("{ss si ss}", "what", "guest", "errno", EPERM, "message",
						   "on a bridge LAN a user registers the guests that he has attached; attach it first (hospes run does), "
						   "or write it into the LAN's file"));
}

static void control_unregister(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct lan_up *l = owner;
	const char *name = lan_text(parameters, "name");
	const struct guest *guest = guests_by_name(l->guests, name);

	if (!is_own(l, guest, varlink_call_uid(call)) || registry_remove(l->registry, name) < 0)
		lan_fail(call, "NoGuest", json_pack("{ss}", "guest", name));
	else
		varlink_reply(call, NULL);
}

static void control_connect(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct lan_up *l = owner;
	const char *text = lan_text(parameters, "guest");
	const struct guest *guest = lan_find_guest(l->guests, &l->plan, call, text);
	char address[ADDR_TEXT_SIZE];
	addr_t addr;

	if (!guest)
		return;
	if (addr_parse(text, &addr) || guest_address(guest, 4, &addr) || guest_address(guest, 6, &addr))
		lan_fail(call, "Direct", json_pack("{ss ss}", "guest", text, "address", addr_format(addr, address)));
	else
		lan_fail(call, "GuestAway", json_pack("{ss}", "guest", text));
}

static void control_attach_tap(_unused_ void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	lan_invalid(call, "AttachTap", "on a bridge LAN the service makes the tap: org.hospes.Bridged.Attach");
}

/* --- forwards --- */

static void control_add_forward(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct lan_up *l = owner;
	const char *listen = lan_text(parameters, "listen");
	struct forward_rule rule;
	char error[512];
	int r;

	if (!root_only(call, listen))
		return;
	r = forward_parse(&rule, listen, lan_text(parameters, "to"), error, sizeof(error));
	if (!r)
		r = lan_forward_add(l, &rule, false, error, sizeof(error));
	if (!r) {
		r = lan_up_refresh(l);
		if (r < 0) {
			snprintf(error, sizeof(error), "nft did not take it; the service's log has its words");
			lan_forward_remove(l, &rule);
		}
	}
	if (!r)
		varlink_reply(call, NULL);
	else if (r == -EEXIST)
		lan_fail(call, "Exists", json_pack("{ss ss}", "what", listen, "message", error));
	else if (r == -EINVAL)
		lan_invalid(call, listen, error);
	else
		lan_fail_errno(call, listen, r, error);
}

static void control_remove_forward(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct lan_up *l = owner;
	const char *listen = lan_text(parameters, "listen");
	struct forward_rule rule;
	char error[512];

	if (!root_only(call, listen))
		return;
	/* Any target will do to have the words read. */
	if (forward_parse(&rule, listen, "guest:1", error, sizeof(error)) < 0)
		lan_invalid(call, listen, error);
	else if (lan_forward_remove(l, &rule) < 0)
		lan_invalid(call, listen, "there is no such forward; hospes forward ls shows those there are");
	else if (lan_up_refresh(l) < 0)
		lan_fail_errno(call, listen, -EIO, "nft did not take the rules without it; the service's log has its words");
	else
		varlink_reply(call, NULL);
}

static void control_list_forwards(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	const struct lan_up *l = owner;
	char listen[FORWARD_TEXT_SIZE], to[FORWARD_TEXT_SIZE];
	json_t *forwards = json_array();

	for (size_t i = 0; i < l->forward_count; i++) {
		forward_format(&l->forwards[i].rule, listen, to);
		/* The kernel carries them; it does not say how many. */
		json_array_append_new(forwards, json_pack("{ss ss si}", "listen", listen, "to", to, "clients", 0));
	}
	varlink_reply(call, json_pack("{so}", "forwards", forwards));
}

/* --- the LAN as a whole --- */

static void control_reload(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct lan_up *l = owner;
	json_t *changes;
	char error[1024] = "";
	int r;

	if (!root_only(call, "reload"))
		return;
	changes = json_array();
	r = l->p.reload(l->p.owner, l, changes, error);
	if (r == -EINVAL)
		lan_invalid(call, "configuration", error);
	else if (r < 0)
		lan_fail_errno(call, "reload", r, error);
	else
		varlink_reply(call, json_pack("{sO}", "changes", changes));
	json_decref(changes);
}

static void control_down(_unused_ void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	if (root_only(call, "down"))
		lan_invalid(call, "Down", "a bridge LAN is taken down by org.hospes.Bridged.Down");
}

static const struct varlink_method methods[] = { LAN_METHODS(control) };

static const struct varlink_service service = {
	.vendor = "hospes", .product = "hospes-bridged", .version = HOSPES_VERSION, .url = "https://varlink.org",
	.interface = LAN_INTERFACE, .description = lan_interface_text, .error_full = LAN_INTERFACE ".Full",
	.methods = methods, .count = ARRAY_SIZE(methods),
	.admits = admits, .connections = CONNECTIONS, .connections_of_user = CONNECTIONS_OF_USER,
};

int lan_control_new(struct varlink_server **out, struct lan_up *l, int fd)
{
	return varlink_server_new(out, l->p.loop, &service, l, fd);
}
