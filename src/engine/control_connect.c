// SPDX-License-Identifier: MIT
/*
 * Connect: the caller's own connection becomes the client's end of a flow.
 *
 * The flow gets a duplicate of the connection's descriptor at once, so that no byte is copied later; it says nothing to the client before
 * the guest has accepted. Then the answer is written by the server, which lets go of its descriptor. Refused, the server still has it, to
 * say so.
 */
#include "engine/control_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

static void connect_free(struct connect_wait *w)
{
	list_remove(&w->node);
	varlink_hang_off(&w->hangup);
	free(w);
}

static void connect_gone(struct varlink_hangup *h)
{
	/* The flow sees its own end of the connection close. */
	container_of(h, struct connect_wait, hangup)->call = NULL;
}

static void connect_fail(struct varlink_call *call, const char *guest, uint16_t port, int error)
{
	if (error == -ECONNREFUSED)
		lan_fail(call, "Refused", json_pack("{ss si}", "guest", guest, "port", (int)port));
	else if (error == -EHOSTUNREACH)
		lan_fail(call, "GuestAway", json_pack("{ss}", "guest", guest));
	else
		lan_fail_errno(call, error == -ENOSPC ? "flows" : "connect", error, strerror(-error));
}

static void connect_done(void *owner, int result)
{
	struct connect_wait *w = owner;
	struct varlink_call *call = steal(&w->call);

	if (call && result == 0)
		varlink_upgrade(call, NULL);
	else if (call)
		connect_fail(call, w->guest, w->port, result);
	connect_free(w);
}

/* The address the client asked for, or the guest's best. */
static bool choose_address(const struct guest *guest, const char *text, addr_t *out)
{
	return addr_parse(text, out) || guest_address(guest, 4, out) || guest_address(guest, 6, out);
}

/* Takes over @call's answer when it succeeds. */
static int connect_begin(struct control *c, struct varlink_call *call, struct guest *guest, addr_t addr, const char *text, uint16_t port)
{
	_cleanup_fd_ int fd = fcntl(varlink_call_socket(call), F_DUPFD_CLOEXEC, 3);
	struct connect_wait *w = fd < 0 ? NULL : calloc(1, sizeof(*w));
	int r;

	if (!w)
		return fd < 0 ? -errno : -ENOMEM;
	*w = (struct connect_wait){ .control = c, .call = call, .port = port };
	snprintf(w->guest, sizeof(w->guest), "%s", text);
	list_append(&c->connects, &w->node);
	varlink_hang_on(call, &w->hangup, connect_gone);
	r = gateway_connect(c->parts.gateway, guest, addr, port, fd, ADDR_ANY, 0, connect_done, w);
	if (r < 0) {
		connect_free(w);
		return r;
	}
	fd_steal(&fd);
	return 0;
}

void control_connect(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct control *c = owner;
	const char *text = json_string_value(json_object_get(parameters, "guest"));
	uint16_t port = (uint16_t)json_integer_value(json_object_get(parameters, "port"));
	struct guest *guest = lan_find_guest(c->parts.guests, c->parts.plan, call, text);
	addr_t addr;
	int r;

	if (!guest)
		return;
	r = guest->port_id && choose_address(guest, text, &addr) ? connect_begin(c, call, guest, addr, text, port) : -EHOSTUNREACH;
	if (r < 0)
		connect_fail(call, text, port, r);
}

void control_drop_connects(struct control *c)
{
	list_for_each(n, &c->connects) {
		struct connect_wait *w = list_entry(n, struct connect_wait, node);
		struct varlink_call *call = steal(&w->call);

		if (call)
			connect_fail(call, w->guest, w->port, -EHOSTUNREACH);
	}
}

void control_free_connects(struct control *c)
{
	list_for_each(n, &c->connects)
		connect_free(list_entry(n, struct connect_wait, node));
}
