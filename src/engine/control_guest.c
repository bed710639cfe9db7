// SPDX-License-Identifier: MIT
/* Register, Unregister, and the forwards. */
#include "engine/control_private.h"

#include <errno.h>
#include <string.h>

static const char *text_of(const json_t *parameters, const char *key)
{
	const char *text = json_string_value(json_object_get(parameters, key));

	return text ? text : "";
}

static void invalid(struct varlink_call *call, const char *what, const char *message)
{
	control_fail(call, "Invalid", json_pack("{ss ss}", "what", what, "message", message));
}

/*
 * Whom ssh logs in as: nothing that ssh could take for an option, or that a shell or a configuration file would read as more than a name.
 */
static bool user_valid(const char *user)
{
	return strlen(user) < REGISTRY_USER_SIZE && *user != '-' &&
	       strspn(user, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(user);
}

void control_register(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct control *c = owner;
	const char *name = text_of(parameters, "name"), *mac = text_of(parameters, "mac"), *user = text_of(parameters, "user");
	struct registration want = { .pid = (int32_t)json_integer_value(json_object_get(parameters, "pid")) };
	char error[REGISTRY_ERROR], made[MAC_TEXT_SIZE];
	struct guest *guest;
	int r;

	if (strlen(name) >= sizeof(want.name)) {
		invalid(call, "name", "a name has 63 characters at the most");
	} else if (*mac && (!mac_parse(mac, &want.mac) || mac_is_zero(want.mac))) {
		invalid(call, "mac", "not of the form 52:54:00:12:34:56");
	} else if (!user_valid(user)) {
		invalid(call, "user", "a user's name has up to 32 of a-z, A-Z, 0-9 and \"._-\", and no \"-\" first");
	} else {
		memcpy(want.name, name, strlen(name) + 1);
		memcpy(want.user, user, strlen(user) + 1);
		r = registry_add(c->parts.registry, &want, &guest, error, loop_now(c->parts.loop));
		if (r == -EEXIST)
			control_fail(call, "Exists", json_pack("{ss ss}", "what", *name ? name : mac, "message", error));
		else if (r == -EINVAL)
			invalid(call, *name ? name : mac, error);
		else if (r < 0)
			control_fail_errno(call, "guests", r, error);
		else
			varlink_reply(call, json_pack("{ss ss}", "name", guest->name, "mac", mac_format(guest->mac, made)));
	}
}

void control_unregister(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct control *c = owner;
	const char *name = text_of(parameters, "name");

	if (registry_remove(c->parts.registry, name) < 0)
		control_fail(call, "NoGuest", json_pack("{ss}", "guest", name));
	else
		varlink_reply(call, NULL);
}

/* --- forwards --- */

void control_add_forward(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct control *c = owner;
	const char *listen = text_of(parameters, "listen");
	struct forward_rule rule;
	char error[512];
	int r = forward_parse(&rule, listen, text_of(parameters, "to"), error, sizeof(error));

	if (r < 0) {
		invalid(call, listen, error);
		return;
	}
	r = forwards_add(gateway_forwards(c->parts.gateway), &rule, error);
	if (r == -EACCES && rule.kind == FORWARD_UNIX)
		strncat(error, "; a LAN that is up makes sockets below /run, /tmp and $XDG_RUNTIME_DIR alone: choose one there, or write "
			"the forward into the LAN's "
			       "configuration and type hospes restart", sizeof(error) - strlen(error) - 1);
	if (r == -EADDRINUSE || r == -EEXIST)
		control_fail(call, "Exists", json_pack("{ss ss}", "what", listen, "message", error));
	else if (r < 0)
		control_fail(call, "Failed", json_pack("{ss si ss}", "what", listen, "errno", -r, "message", error));
	else
		varlink_reply(call, NULL);
}

struct overlap {
	const struct forward_rule *wanted;
	struct forward_rule found;
	bool any;
};

/* A removal names only where the host listens. */
static void match_listen(void *owner, const struct forward_rule *rule, _unused_ uint64_t clients)
{
	struct overlap *o = owner;
	char ours[FORWARD_TEXT_SIZE], wanted[FORWARD_TEXT_SIZE], ignored[FORWARD_TEXT_SIZE];

	forward_format(rule, ours, ignored);
	forward_format(o->wanted, wanted, ignored);
	if (!strcmp(ours, wanted)) {
		o->found = *rule;
		o->any = true;
	}
}

void control_remove_forward(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct control *c = owner;
	struct forwards *forwards = gateway_forwards(c->parts.gateway);
	const char *listen = text_of(parameters, "listen");
	struct forward_rule rule;
	struct overlap o = { .wanted = &rule };
	char error[512];

	/* Any target will do to have the words read. */
	if (forward_parse(&rule, listen, "guest:1", error, sizeof(error)) < 0) {
		invalid(call, listen, error);
		return;
	}
	forwards_each(forwards, match_listen, &o);
	if (o.any && forwards_remove(forwards, &o.found) == 0)
		varlink_reply(call, NULL);
	else
		invalid(call, listen, "there is no such forward; hospes forward ls shows those there are");
}

static void add_forward_json(void *owner, const struct forward_rule *rule, uint64_t clients)
{
	char listen[FORWARD_TEXT_SIZE], to[FORWARD_TEXT_SIZE];

	forward_format(rule, listen, to);
	json_array_append_new(owner, json_pack("{ss ss sI}", "listen", listen, "to", to, "clients", (json_int_t)clients));
}

void control_list_forwards(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct control *c = owner;
	json_t *forwards = json_array();

	forwards_each(gateway_forwards(c->parts.gateway), add_forward_json, forwards);
	varlink_reply(call, json_pack("{so}", "forwards", forwards));
}
