// SPDX-License-Identifier: MIT
/* Register, Unregister, and the forwards. */
#include "engine/control_private.h"

#include <errno.h>
#include <string.h>

void control_register(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct control *c = owner;

	lan_register(c->parts.registry, call, parameters, loop_now(c->parts.loop));
}

void control_unregister(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct control *c = owner;
	const char *name = lan_text(parameters, "name");

	if (registry_remove(c->parts.registry, name) < 0)
		lan_fail(call, "NoGuest", json_pack("{ss}", "guest", name));
	else
		varlink_reply(call, NULL);
}

/* --- forwards --- */

void control_add_forward(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct control *c = owner;
	const char *listen = lan_text(parameters, "listen");
	struct forward_rule rule;
	char error[512];
	int r = forward_parse(&rule, listen, lan_text(parameters, "to"), error, sizeof(error));

	if (r < 0) {
		lan_invalid(call, listen, error);
		return;
	}
	r = forwards_add(gateway_forwards(c->parts.gateway), &rule, error);
	if (r == -EACCES && rule.kind == FORWARD_UNIX)
		strncat(error, "; a LAN that is up makes sockets below /run, /tmp and $XDG_RUNTIME_DIR alone: choose one there, or write "
			"the forward into the LAN's "
			       "configuration and type hospes restart", sizeof(error) - strlen(error) - 1);
	if (r == -EADDRINUSE || r == -EEXIST)
		lan_fail(call, "Exists", json_pack("{ss ss}", "what", listen, "message", error));
	else if (r < 0)
		lan_fail(call, "Failed", json_pack("{ss si ss}", "what", listen, "errno", -r, "message", error));
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
	const char *listen = lan_text(parameters, "listen");
	struct forward_rule rule;
	struct overlap o = { .wanted = &rule };
	char error[512];

	/* Any target will do to have the words read. */
	if (forward_parse(&rule, listen, "guest:1", error, sizeof(error)) < 0) {
		lan_invalid(call, listen, error);
		return;
	}
	forwards_each(forwards, match_listen, &o);
	if (o.any && forwards_remove(forwards, &o.found) == 0)
		varlink_reply(call, NULL);
	else
		lan_invalid(call, listen, "there is no such forward; hospes forward ls shows those there are");
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
