// SPDX-License-Identifier: MIT
/*
 * AttachTap: a tap device of some namespace becomes a port, with a guest and its lease made at once. It leaves when the caller's connection
 * closes.
 */
#include "engine/control_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "port/tap.h"
#include "service/dhcp4.h"

static struct port *tap_port(const struct tap_attachment *t)
{
	for (struct port *p = ports_next(t->control->parts.ports, NULL); p; p = ports_next(t->control->parts.ports, p))
		if (p->id == t->port_id && !strcmp(p->ops->kind, "tap"))
			return p;
	return NULL; /* it closed before: its namespace has ended */
}

/* The guest that nobody named goes whole; another keeps its lease, like one that was switched off. */
static void tap_leave_guest(struct tap_attachment *t)
{
	struct control_parts *parts = &t->control->parts;
	struct guest *guest = guests_find(parts->guests, t->mac);

	if (!guest || guest->registered)
		return;
	switch_unregister(parts->sw, t->mac);
	if (t->anonymous)
		guests_remove(parts->guests, guest);
}

static void tap_gone(struct varlink_hangup *h)
{
	struct tap_attachment *t = container_of(h, struct tap_attachment, hangup);
	struct port *p = tap_port(t);

	if (p)
		ports_remove(t->control->parts.ports, p);
	tap_leave_guest(t);
	list_remove(&t->node);
	free(t);
}

void control_drop_taps(struct control *c)
{
	list_for_each(n, &c->taps) {
		struct tap_attachment *t = list_entry(n, struct tap_attachment, node);

		varlink_hang_off(&t->hangup);
		tap_leave_guest(t);
		list_remove(&t->node);
		free(t);
	}
}

/* Addresses for the guest, at once. */
static int tap_make_addresses(struct control *c, struct guest *guest)
{
	struct control_parts *parts = &c->parts;
	usec_t now = loop_now(parts->loop);

	if (parts->plan->ip6)
		guests_learn(parts->guests, guest, addr_eui64(parts->plan->net6, guest->mac), now);
	return parts->plan->ip4 ? dhcp4_assign(parts->plan, parts->guests, guest, usec_wall() / USEC_S, now) : 0;
}

static int tap_claim(struct control *c, struct port *p, struct guest *guest, const char *name)
{
	struct control_parts *parts = &c->parts;
	int r;

	if (guest->registered)
		return tap_make_addresses(c, guest);
	r = switch_register(parts->sw, guest->mac, p);
	if (r < 0)
		return r;
	/* As if it had told it by DHCP: it is kept no better than one of a guest that has gone. */
	r = guests_set_name(parts->guests, guest, name, NAME_FROM_DHCP);
	if (!r)
		r = tap_make_addresses(c, guest);
	if (r < 0)
		switch_unregister(parts->sw, guest->mac);
	return r;
}

/* The guest behind the tap. Return: 0, or negative errno, and nothing was changed. */
static int tap_make_guest(struct control *c, struct port *p, const char *name, struct guest **out)
{
	struct control_parts *parts = &c->parts;
	struct guest *named = guests_by_name(parts->guests, name);
	struct mac mac = named && named->registered ? named->mac : registry_mac(parts->registry, name);
	struct guest *old = guests_find(parts->guests, mac);
	struct guest *guest = old ? old : guests_add(parts->guests, mac, loop_now(parts->loop));
	int r;

	if (!guest)
		return -ENOSPC;
	r = guest->port_id ? -EBUSY : tap_claim(c, p, guest, name);
	if (r < 0 && !old)
		guests_remove(parts->guests, guest);
	if (r < 0)
		return r;
	ports_attach(parts->ports, p, guest);
	*out = guest;
	return 0;
}

static json_t *tap_answer(const struct lan_plan *p, const struct guest *guest)
{
	char mac[MAC_TEXT_SIZE], address4[ADDR_TEXT_SIZE], gateway4[ADDR_TEXT_SIZE], dns4[ADDR_TEXT_SIZE];
	char address6[ADDR_TEXT_SIZE], gateway6[ADDR_TEXT_SIZE], dns6[ADDR_TEXT_SIZE];

	addr_format(addr_eui64(p->net6, guest->mac), address6);
	return json_pack("{ss ss ss? si ss? ss? ss? si ss? ss? si ss}", "name", guest->name, "mac", mac_format(guest->mac, mac),
			 "address4", p->ip4 ? addr_format(guest->lease4.addr, address4) : NULL, "bits4", p->ip4 ? (int)p->bits4 : 0,
			 "gateway4", p->ip4 ? addr_format(p->gateway4, gateway4) : NULL, "dns4", p->ip4 ? addr_format(p->dns4, dns4) : NULL,
			 "address6", p->ip6 ? address6 : NULL, "bits6", p->ip6 ? (int)p->bits6 : 0,
			 "gateway6", p->ip6 ? addr_format(p->gateway6, gateway6) : NULL, "dns6", p->ip6 ? addr_format(p->dns6, dns6) : NULL,
			 "mtu", (int)p->mtu, "domain", p->domain);
}

static void tap_fail(struct varlink_call *call, int error, const char *name)
{
	char message[REGISTRY_ERROR];

	if (error == -EBUSY || error == -EEXIST) {
		snprintf(message, sizeof(message), error == -EBUSY ? "guest %s is attached already; give this one another name"
								   : "the name %s, or the MAC that belongs to it, is another guest's",
									name);
		lan_fail(call, "Exists", json_pack("{ss ss}", "what", name, "message", message));
	} else if (error == -EINVAL) {
		snprintf(message, sizeof(message),
			"1 to 63 of a-z, 0-9 and \"-\", not first or last a \"-\", and no name that means the host");
		lan_fail(call, "Invalid", json_pack("{ss ss}", "what", name, "message", message));
	} else {
		lan_fail_errno(call, "guests or leases", error, strerror(-error));
	}
}

static void tap_fail_descriptor(struct varlink_call *call, int error)
{
	if (error == -EINVAL)
		lan_fail(call, "Invalid", json_pack("{ss ss}", "what", "descriptor", "message",
							"the call must bring the descriptor of a tap made with IFF_TAP | IFF_NO_PI | "
								"IFF_VNET_HDR"));
	else
		lan_fail_errno(call, "tap", error, strerror(-error));
}

/* The port is in the table. Return: 0 or negative errno, and nothing of the guest is left. */
static int tap_begin(struct control *c, struct varlink_call *call, struct port *p, const char *name, struct guest **out)
{
	char free_name[GUEST_NAME_SIZE];
	struct tap_attachment *t;
	int r;

	if (!name && !registry_free_name(c->parts.registry, free_name))
		return -ENOSPC;
	t = calloc(1, sizeof(*t));
	r = t ? tap_make_guest(c, p, name ? name : free_name, out) : -ENOMEM;
	if (r < 0) {
		free(t);
		return r;
	}
	*t = (struct tap_attachment){ .control = c, .port_id = p->id, .mac = (*out)->mac, .anonymous = !name };
	p->peer_pid = varlink_call_pid(call);
	list_append(&c->taps, &t->node);
	varlink_hang_on(call, &t->hangup, tap_gone);
	return 0;
}

void control_attach_tap(void *owner, struct varlink_call *call, const json_t *parameters)
{
	const char *name = json_string_value(json_object_get(parameters, "name"));
	_cleanup_fd_ int fd = varlink_call_take_fd(call);
	struct control *c = owner;
	struct guest *guest;
	struct port *p;
	int r = fd < 0 ? -EINVAL : tap_port_new(&p, c->parts.loop, ports_sink(c->parts.ports), fd);

	if (r < 0) {
		tap_fail_descriptor(call, r);
		return;
	}
	fd_steal(&fd);
	r = ports_add(c->parts.ports, p);
	if (r < 0) {
		port_free(p);
		lan_fail_errno(call, "ports", r, strerror(-r));
		return;
	}
	r = tap_begin(c, call, p, name, &guest);
	if (r < 0) {
		ports_remove(c->parts.ports, p);
		tap_fail(call, r, name ? name : "guest-N");
		return;
	}
	if (name)
		control_changed(c);
	varlink_reply(call, tap_answer(c->parts.plan, guest));
}
