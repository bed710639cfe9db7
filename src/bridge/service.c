// SPDX-License-Identifier: MIT
/* The interface org.hospes.Bridged: who asks, whether he may, and what he is told. */
#include "bridge/service_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "bridge/allow.h"
#include "bridge/lan_file.h"
#include "bridge/lan_taps.h"
#include "io/varlink_server.h"

#define CONNECTIONS         512
#define CONNECTIONS_OF_USER 32
#define CONFIRM_MIN         1
#define CONFIRM_MAX         3600
#define LAN_TEXT            64      /* of a parameter; a longer one is no LAN's name anyhow */

static const char description[] =
#include "org.hospes.Bridged.varlink.inc"
	;

static bool admits(_unused_ void *owner, _unused_ uint32_t uid)
{
	return true; /* everybody may ask for Status; the methods judge */
}

static const char *text_of(const json_t *parameters, const char *key)
{
	const char *text = json_string_value(json_object_get(parameters, key));

	return text ? text : "";
}

/* --- errors --- */

static void fail(struct varlink_call *call, const char *name, json_t *parameters)
{
	char full[64];

	snprintf(full, sizeof(full), BRIDGED_INTERFACE ".%s", name);
	varlink_fail(call, full, parameters);
}

static void fail_not_allowed(struct varlink_call *call, const char *lan, const char *message)
{
	char user[USER_NAME_SIZE];

	fail(call, "NotAllowed", json_pack("{ss ss ss}", "lan", lan, "user", allow_name(varlink_call_uid(call), user), "message", message));
}

static void fail_no_lan(struct service *s, struct varlink_call *call, const char *lan)
{
	fail(call, "NoLan", json_pack("{ss so}", "lan", lan, "file", json_sprintf("%s/%s.lan", s->p.config, lan)));
}

static void fail_outcome(struct service *s, struct varlink_call *call, const char *lan, const struct outcome *o)
{
	if (!strcmp(o->error, "NoLan"))
		fail_no_lan(s, call, lan);
	else if (!strcmp(o->error, "Invalid"))
		fail(call, "Invalid", json_pack("{ss ss}", "what", lan, "message", o->message));
	else if (!strcmp(o->error, "Failed"))
		fail(call, "Failed", json_pack("{ss si ss sb}", "what", lan, "errno", -o->code, "message", o->message, "rolled_back", o->rolled_back));
	else
		fail(call, o->error, json_pack("{ss ss}", "lan", lan, "message", o->message));
}

/* Return: false if an error was answered. */
static bool check_root(struct varlink_call *call, const char *lan)
{
	if (!varlink_call_uid(call))
		return true;
	fail_not_allowed(call, lan, "only root may do that; try it with sudo");
	return false;
}

static bool check_name(struct service *s, struct varlink_call *call, const char *lan)
{
	if (lan_name_valid(lan))
		return true;
	fail_no_lan(s, call, lan);
	return false;
}

/* The LAN that a method of root's names. Return: NULL if an error was answered. */
static struct service_lan *find_lan(struct service *s, struct varlink_call *call, const char *lan)
{
	struct service_lan *l;

	if (!check_root(call, lan) || !check_name(s, call, lan))
		return NULL;
	l = service_lan_get(s, lan);
	if (!l)
		fail(call, "Failed", json_pack("{ss si ss sb}", "what", lan, "errno", ENOMEM, "message", "out of memory", "rolled_back", false));
	else if (l->wanted)
		fail(call, "Busy", json_pack("{ss ss}", "lan", lan, "message", "it is being brought up at this moment; try again in a second"));
	return l && l->wanted ? NULL : l;
}

/* --- answers --- */

static json_t *steps_json(const struct outcome *o, bool planned)
{
	json_t *steps = json_array();

	for (size_t i = 0; i < o->steps.count; i++) {
		_cleanup_(freep) char *text = step_format(&o->steps.step[i]);

		if (text)
			json_array_append_new(steps, json_pack("{ss sb}", "text", text, "done", !planned && i < o->done));
	}
	return steps;
}

static void answer_up(struct service_lan *l, struct varlink_call *call, const struct outcome *o)
{
	int64_t left = service_lan_left(l);

	if (o->error)
		fail_outcome(l->service, call, l->name, o);
	else
		varlink_reply(call, json_pack("{so so sO}", "steps", steps_json(o, false), "seconds_left", left < 0 ? json_null() : json_integer(left),
					      "changes", o->changes));
}

/* --- Status --- */

static json_t *lan_json(const struct service *s, const char *name, const struct service_lan *l, const struct lan_config *config)
{
	const struct bridge_config *b = config ? &config->bridge : NULL;
	int64_t left = l ? service_lan_left(l) : -1;

	return json_pack("{ss ss ss ss? so so si}", "name", name, "bridge", b ? b->bridge : name, "state", l ? service_lan_state(l) : "down",
			 "uplink", b && *b->uplink ? b->uplink : NULL, "seconds_left", left < 0 ? json_null() : json_integer(left),
			 "file", json_sprintf("%s/%s.lan", s->p.config, name), "taps", l && l->up ? (int)lan_tap_attached(l->up) : 0);
}

struct status { struct service *service; json_t *lans; };

static void add_of_file(void *owner, const char *name)
{
	struct status *status = owner;
	struct lan_config *config;
	char error[SERVICE_ERROR];

	/* Known ones are told with the configuration that is in force. A file that is wrong says so when it is used. */
	if (service_lan_find(status->service, name) || lan_file_load(&config, status->service->p.config, name, error, sizeof(error)) < 0)
		return;
	json_array_append_new(status->lans, lan_json(status->service, name, NULL, config));
	lan_config_free(config);
}

static void handle_status(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct service *s = owner;
	struct status status = { s, json_array() };
	char error[SERVICE_ERROR];

	list_for_each(n, &s->lans) {
		const struct service_lan *l = list_entry(n, struct service_lan, node);
		const struct lan_config *config = l->up ? l->up->config : l->wanted;
		_cleanup_(lan_config_freep) struct lan_config *written = NULL;

		/* One that a crash has broken is not served: what its file says comes nearest. */
		if (!config && lan_file_load(&written, s->p.config, l->name, error, sizeof(error)) == 0)
			config = written;
		json_array_append_new(status.lans, lan_json(s, l->name, l, config));
	}
	lan_file_each(s->p.config, add_of_file, &status);
	varlink_reply(call, json_pack("{ss si so}", "version", HOSPES_VERSION, "pid", (int)getpid(), "lans", status.lans));
}

/* --- Plan, Up, Confirm, Down --- */

static void handle_plan(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct service_lan *l = find_lan(owner, call, text_of(parameters, "lan"));
	struct outcome o = { 0 };

	if (!l)
		return;
	service_lan_plan(l, json_is_true(json_object_get(parameters, "down")), &o);
	if (o.error)
		fail_outcome(l->service, call, l->name, &o);
	else
		varlink_reply(call, json_pack("{so}", "steps", steps_json(&o, true)));
	outcome_fini(&o);
	service_lan_settle(l);
}

static void up_now(struct service_lan *l, struct varlink_call *call, struct lan_config *config, int64_t seconds, bool answered)
{
	struct outcome o = { 0 };

	service_lan_up(l, config, seconds, answered, &o);
	if (call)
		answer_up(l, call, &o);
	outcome_fini(&o);
	service_lan_settle(l);
}

static void caller_gone(struct varlink_hangup *h)
{
	/* The command may be killed: the service goes on, since what was asked for comes back by itself. */
	container_of(h, struct service_lan, hangup)->waiting = NULL;
}

void service_lan_asked(void *owner, bool yes)
{
	struct service_lan *l = owner;
	struct varlink_call *call = steal(&l->waiting);

	if (call)
		varlink_hang_off(&l->hangup);
	service_lan_end_trial(l); /* its socket goes back to the pool: not every answer is followed by a trial */
	if (l->wanted)
		up_now(l, call, steal(&l->wanted), l->wanted_seconds, yes);
}

/* A trial has to know whether the gateway answers before anything is changed. */
static void ask_first(struct service_lan *l, struct varlink_call *call, struct lan_config *config, int64_t seconds)
{
	struct trial_way way;

	service_lan_end_trial(l); /* of a LAN that broke on trial: what is asked for now comes instead */
	if (service_lan_way(config, &way) < 0)
		way = (struct trial_way){ 0 };
	if (!service_lan_take_socket(l, &way)) {
		lan_config_free(config);
		fail(call, "Refused", json_pack("{ss ss}", "lan", l->name, "message", "nobody can watch its gateway: " PACKET_POOL_FULL));
		service_lan_settle(l);
		return;
	}
	l->wanted = config;
	l->wanted_seconds = seconds;
	l->waiting = call;
	varlink_hang_on(call, &l->hangup, caller_gone);
	trial_ask(&l->trial, &way);
}

static void handle_up(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct service_lan *l = find_lan(owner, call, text_of(parameters, "lan"));
	const json_t *confirm = json_object_get(parameters, "confirm");
	struct lan_config *config;
	struct outcome o = { 0 };
	int r;

	if (!l)
		return;
	r = lan_file_load(&config, l->service->p.config, l->name, o.message, sizeof(o.message));
	if (r < 0) {
		o.error = r == -ENOENT ? "NoLan" : r == -EINVAL ? "Invalid" : "Refused";
		fail_outcome(l->service, call, l->name, &o);
		service_lan_settle(l);
	} else if (json_is_integer(confirm) && l->state != LAN_TRYING) {
		ask_first(l, call, config, json_integer_value(confirm));
	} else { /* on trial the gateway is asked all the time */
		up_now(l, call, config, json_integer_value(confirm), l->trial.has_answered);
	}
}

static void handle_confirm(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct service_lan *l = find_lan(owner, call, text_of(parameters, "lan"));
	int r;

	if (!l)
		return;
	if (l->state != LAN_TRYING) {
		fail(call, "Refused", json_pack("{ss so}", "lan", l->name, "message", json_sprintf("it is %s, and not on trial", service_lan_state(l))));
		service_lan_settle(l);
		return;
	}
	r = service_lan_confirm(l);
	if (r < 0)
		fail(call, "Failed", json_pack("{ss si ss sb}", "what", l->name, "errno", -r, "message", strerror(-r), "rolled_back", false));
	else
		varlink_reply(call, NULL);
}

static void handle_down(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct service_lan *l = find_lan(owner, call, text_of(parameters, "lan"));
	struct outcome o = { 0 };
	size_t guests;

	if (!l)
		return;
	guests = l->up ? lan_tap_attached(l->up) : 0;
	if (guests && !json_is_true(json_object_get(parameters, "force"))) {
		fail(call, "Busy", json_pack("{ss so}", "lan", l->name, "message",
					     json_sprintf("%zu guest%s attached and would lose the network", guests, guests == 1 ? " is" : "s are")));
		return;
	}
	service_lan_down(l, &o);
	if (o.error)
		fail_outcome(l->service, call, l->name, &o);
	else
		varlink_reply(call, json_pack("{so}", "steps", steps_json(&o, false)));
	outcome_fini(&o);
	service_lan_settle(l);
}

/* --- Attach --- */

/* The LAN that a user may attach to. Return: NULL if an error was answered. */
static struct lan_up *find_up(struct service *s, struct varlink_call *call, const char *lan)
{
	const struct service_lan *l = lan_name_valid(lan) ? service_lan_find(s, lan) : NULL;
	_cleanup_(lan_config_freep) struct lan_config *config = NULL;
	const struct bridge_config *bridge;
	char error[SERVICE_ERROR];

	if (!lan_name_valid(lan) || (!(l && l->up) && lan_file_load(&config, s->p.config, lan, error, sizeof(error)) < 0)) {
		fail_no_lan(s, call, lan);
		return NULL;
	}
	bridge = config ? &config->bridge : &l->up->config->bridge;
	if (!allow_user(bridge, varlink_call_uid(call), &allow_system)) {
		fail_not_allowed(call, lan, "the LAN's Allow names neither this user nor a group of his");
		return NULL;
	}
	if (l && l->up)
		return l->up;
	fail(call, "Refused", json_pack("{ss so}", "lan", lan, "message", json_sprintf("it is %s; sudo hospes up %s brings it up", l
			? service_lan_state(l) : "down", lan)));
	return NULL;
}

static void handle_attach(void *owner, struct varlink_call *call, const json_t *parameters)
{
	const char *lan = text_of(parameters, "lan");
	struct lan_up *up = find_up(owner, call, lan);
	struct lan_tap_wish wish = {
		.name = text_of(parameters, "name"), .mac = text_of(parameters, "mac"), .vnet = json_is_true(json_object_get(parameters, "vnet")),
		.uid = varlink_call_uid(call), .pid = varlink_call_pid(call),
	};
	const struct guest *guest;
	const struct lan_tap *tap;
	char error[512] = "", mac[MAC_TEXT_SIZE];
	int fd = -1;

	if (!up)
		return;
	switch (lan_tap_attach(up, &wish, &fd, &tap, &guest, error, sizeof(error))) {
	case TAP_GIVEN:
		varlink_reply_fd(call, json_pack("{ss ss ss}", "tap", tap->link.name, "mac", mac_format(guest->mac, mac), "name", guest->name), fd);
		break;
	case TAP_INVALID:
		fail(call, "Invalid", json_pack("{ss ss}", "what", *wish.mac ? "name or mac" : "name", "message", error));
		break;
	case TAP_BUSY:
		fail(call, "Busy", json_pack("{ss ss}", "lan", lan, "message", error));
		break;
	case TAP_QUOTA:
		fail(call, "Quota", json_pack("{ss si}", "lan", lan, "limit", up->tap_count >= LAN_UP_TAPS ? LAN_UP_TAPS : LAN_UP_TAPS_USER));
		break;
	case TAP_FAILED:
		fail(call, "Failed", json_pack("{ss si ss sb}", "what", lan, "errno", EIO, "message", error, "rolled_back", true));
		break;
	}
}

/* --- the table --- */

#define PARAM_LAN { .name = "lan", .type = VARLINK_STRING, .max = LAN_TEXT }

static const struct varlink_param params_lan[] = { PARAM_LAN, { 0 } };
static const struct varlink_param params_plan[] = { PARAM_LAN, { .name = "down", .type = VARLINK_BOOL }, { 0 } };
static const struct varlink_param params_up[] = {
	PARAM_LAN, { .name = "confirm", .type = VARLINK_INT, .optional = true, .min = CONFIRM_MIN, .max = CONFIRM_MAX }, { 0 },
};
static const struct varlink_param params_down[] = { PARAM_LAN, { .name = "force", .type = VARLINK_BOOL, .optional = true }, { 0 } };
static const struct varlink_param params_attach[] = {
	PARAM_LAN, { .name = "name", .type = VARLINK_STRING, .optional = true }, { .name = "mac", .type = VARLINK_STRING, .optional = true },
	{ .name = "vnet", .type = VARLINK_BOOL }, { 0 },
};

static const struct varlink_method methods[] = {
	{ .name = "Status", .handle = handle_status },
	{ .name = "Plan", .params = params_plan, .handle = handle_plan },
	{ .name = "Up", .params = params_up, .handle = handle_up },
	{ .name = "Confirm", .params = params_lan, .handle = handle_confirm },
	{ .name = "Down", .params = params_down, .handle = handle_down },
	{ .name = "Attach", .params = params_attach, .handle = handle_attach },
};

const struct varlink_service service_interface = {
	.vendor = "hospes", .product = "hospes-bridged", .version = HOSPES_VERSION, .url = "https://varlink.org",
	.interface = BRIDGED_INTERFACE, .description = description, .error_full = BRIDGED_INTERFACE ".Full",
	.methods = methods, .count = ARRAY_SIZE(methods),
	.admits = admits, .connections = CONNECTIONS, .connections_of_user = CONNECTIONS_OF_USER,
};
