// SPDX-License-Identifier: MIT
#include "control/registry.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

#include "base/fd.h"
#include "lan/config.h"

struct registry {
	struct registry_params parts;
	struct list all;
};

int registry_new(struct registry **out, const struct registry_params *params)
{
	struct registry *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->parts = *params;
	list_init(&r->all);
	*out = r;
	return 0;
}

struct registry *registry_free(struct registry *r)
{
	if (!r)
		return NULL;
	list_for_each(n, &r->all)
		free(list_entry(n, struct registration, node));
	free(r);
	return NULL;
}

const struct registration *registry_next(const struct registry *r, const struct registration *after)
{
	const struct list *n = after ? after->node.next : r->all.next;

	return n == &r->all ? NULL : list_entry((struct list *)n, struct registration, node);
}

const struct registration *registry_find(const struct registry *r, struct mac mac)
{
	for (const struct registration *g = registry_next(r, NULL); g; g = registry_next(r, g))
		if (mac_equal(g->mac, mac))
			return g;
	return NULL;
}

bool registry_alive(const struct registration *g)
{
	_cleanup_fd_ int process = g->pid > 0 ? pidfd_open(g->pid, 0) : -1;
	struct pollfd ended = { process, POLLIN, 0 };

	/* One that has ended keeps its number until its parent asks for it: kill() would still find it. */
	if (process >= 0)
		return poll(&ended, 1, 0) != 1;
	return g->pid > 0 && (!kill(g->pid, 0) || errno == EPERM);
}

bool registry_free_name(const struct registry *r, char into[static GUEST_NAME_SIZE])
{
	for (int i = 1; i <= GUEST_MAX; i++) {
		snprintf(into, GUEST_NAME_SIZE, "guest-%d", i);
		if (!guests_by_name(r->parts.guests, into) && !guests_find(r->parts.guests, registry_mac(r, into)))
			return true;
	}
	return false;
}

struct mac registry_mac(const struct registry *r, const char *name)
{
	return guest_mac(r->parts.machine_id, r->parts.lan, name);
}

/* Fill in what was left open. */
static int complete(const struct registry *r, struct registration *want, char *error)
{
	const struct guest *known = mac_is_zero(want->mac) ? NULL : guests_find(r->parts.guests, want->mac);

	if (mac_is_group(want->mac)) {
		snprintf(error, REGISTRY_ERROR, "the MAC is a group's: the lowest bit of its first byte must be 0");
		return -EINVAL;
	}
	if (!*want->name && known && *known->name)
		memcpy(want->name, known->name, sizeof(want->name));
	if (!*want->name && !registry_free_name(r, want->name)) {
		snprintf(error, REGISTRY_ERROR, "no name of the form guest-N is free");
		return -ENOSPC;
	}
	if (!guest_name_valid(want->name)) {
		snprintf(error, REGISTRY_ERROR, "\"%s\" is no valid name: 1 to 63 of a-z, 0-9 and \"-\", not first or last a \"-\"",
			want->name);
		return -EINVAL;
	}
	for (char *c = want->name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (mac_is_zero(want->mac)) {
		const struct guest *named = guests_by_name(r->parts.guests, want->name);

		want->mac = named && named->registered ? named->mac : registry_mac(r, want->name);
	}
	return 0;
}

/* Is it another guest's, or does it run under another process already? */
static int check_conflict(const struct registry *r, const struct registration *want, char *error)
{
	const struct guest *named = guests_by_name(r->parts.guests, want->name);
	const struct registration *old = registry_find(r, want->mac);
	const struct guest *known = guests_find(r->parts.guests, want->mac);
	char mac[MAC_TEXT_SIZE];

	if (named && named->name_origin == NAME_REGISTERED && !mac_equal(named->mac, want->mac)) {
		snprintf(error, REGISTRY_ERROR, "the name %s belongs to the guest with the MAC %s", want->name,
			mac_format(named->mac, mac));
		return -EEXIST;
	}
	if (old && strcmp(old->name, want->name)) {
		snprintf(error, REGISTRY_ERROR, "the MAC %s belongs to guest %s", mac_format(want->mac, mac), old->name);
		return -EEXIST;
	}
	if (want->pid && old && old->pid != want->pid && registry_alive(old)) {
		snprintf(error, REGISTRY_ERROR, "guest %s runs already, as process %d; give this one another name", want->name,
			(int)old->pid);
		return -EEXIST;
	}
	if (want->pid && known && known->port_id && (!old || old->pid != want->pid)) {
		snprintf(error, REGISTRY_ERROR, "a guest with the MAC of %s (%s) is attached already; give this one another name",
			want->name, mac_format(want->mac, mac));
		return -EEXIST;
	}
	return 0;
}

static struct registration *remember(struct registry *r, struct mac mac)
{
	struct registration *g = (struct registration *)registry_find(r, mac);

	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->mac = mac;
	list_append(&r->all, &g->node);
	return g;
}

static void forget(struct registration *g)
{
	list_remove(&g->node);
	free(g);
}

/* Undo what was made of a guest that was not registered before. */
static void release(struct registry *r, struct guest *guest)
{
	if (r->parts.sw)
		switch_unregister(r->parts.sw, guest->mac);
	guest->registered = false;
	guests_set_fixed4(r->parts.guests, guest, ADDR_ANY);
	if (guest->port_id || guest->lease4.state != LEASE_FREE || guest->lease6.state != LEASE_FREE) {
		char name[GUEST_NAME_SIZE];

		/* As if it had told it by DHCP: whoever registers the name gets it. */
		memcpy(name, guest->name, sizeof(name));
		guests_set_name(r->parts.guests, guest, "", NAME_NONE);
		guests_set_name(r->parts.guests, guest, name, NAME_FROM_DHCP);
	} else {
		guests_remove(r->parts.guests, guest);
	}
}

static int apply(struct registry *r, const struct registration *want, struct guest **out, char *error, usec_t now)
{
	struct guest *guest = guests_add(r->parts.guests, want->mac, now);
	bool was = guest && guest->registered;
	int result;

	if (!guest) {
		snprintf(error, REGISTRY_ERROR, "the LAN keeps %d guests, and all are taken", GUEST_MAX);
		return -ENOSPC;
	}
	result = was || !r->parts.sw ? 0 : switch_register(r->parts.sw, want->mac, NULL);
	if (result < 0) {
		snprintf(error, REGISTRY_ERROR, result == -EEXIST ? "the MAC is the gateway's or another port's"
			: "the switch has no room for another MAC");
		return result;
	}
	guest->registered = true;
	result = guests_set_name(r->parts.guests, guest, want->name, NAME_REGISTERED);
	if (result < 0) {
		snprintf(error, REGISTRY_ERROR, result == -EEXIST ? "the name %s belongs to another guest"
			: "the name %s means the host; choose another",
			 want->name);
		if (!was)
			release(r, guest);
		return result;
	}
	*out = guest;
	return 0;
}

int registry_add(struct registry *r, const struct registration *wanted, struct guest **out, char error[static REGISTRY_ERROR], usec_t now)
{
	struct registration want = *wanted, *g;
	int result = complete(r, &want, error);

	if (!result)
		result = check_conflict(r, &want, error);
	if (!result)
		result = apply(r, &want, out, error, now);
	if (result < 0)
		return result;
	g = remember(r, want.mac);
	if (!g) {
		snprintf(error, REGISTRY_ERROR, "out of memory");
		return -ENOSPC;
	}
	memcpy(g->name, want.name, sizeof(g->name));
	if (*want.user)
		memcpy(g->user, want.user, sizeof(g->user));
	if (want.pid)
		g->pid = want.pid;
	return 0;
}

int registry_remove(struct registry *r, const char *name)
{
	struct guest *guest = guests_by_name(r->parts.guests, name);
	struct registration *g = guest ? (struct registration *)registry_find(r, guest->mac) : NULL;

	if (!g)
		return -ENOENT;
	forget(g);
	release(r, guest);
	return 0;
}
