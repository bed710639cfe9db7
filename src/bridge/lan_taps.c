// SPDX-License-Identifier: MIT
#include "bridge/lan_taps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

#define NAME_TRIES 4096

/* --- looking for one --- */

struct lan_tap *lan_tap_by_index(const struct lan_up *l, unsigned int index)
{
	list_for_each(n, &((struct lan_up *)l)->taps) {
		struct lan_tap *t = list_entry(n, struct lan_tap, node);

		if (index && t->link.index == index)
			return t;
	}
	return NULL;
}

struct lan_tap *lan_tap_by_id(const struct lan_up *l, uint16_t id)
{
	list_for_each(n, &((struct lan_up *)l)->taps) {
		struct lan_tap *t = list_entry(n, struct lan_tap, node);

		if (t->id == id)
			return t;
	}
	return NULL;
}

size_t lan_tap_attached(const struct lan_up *l)
{
	size_t count = 0;

	list_for_each(n, &((struct lan_up *)l)->taps)
		count += !list_entry(n, struct lan_tap, node)->persistent;
	return count;
}

size_t lan_tap_count(const struct lan_up *l, uint32_t uid)
{
	size_t count = 0;

	list_for_each(n, &((struct lan_up *)l)->taps) {
		struct lan_tap *t = list_entry(n, struct lan_tap, node);

		count += !t->persistent && t->uid == uid;
	}
	return count;
}

/* Numbers of ports, as List shows them; 0 and 1 are nobody's and the gateway's. */
static uint16_t next_id(struct lan_up *l)
{
	do
		l->last_id = l->last_id < 2 || l->last_id == UINT16_MAX ? 2 : (uint16_t)(l->last_id + 1);
	while (lan_tap_by_id(l, l->last_id));
	return l->last_id;
}

struct lan_tap *lan_tap_add(struct lan_up *l, const struct lan_tap *like)
{
	struct lan_tap *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = *like;
	t->id = next_id(l);
	list_append(&l->taps, &t->node);
	l->tap_count++;
	return t;
}

static bool is_of_file(const struct lan_up *l, struct mac mac)
{
	for (size_t i = 0; i < l->config->guest_count; i++) {
		const struct guest_config *g = &l->config->guests[i];
		const struct guest *known = guests_by_name(l->guests, g->name);

		if (known && mac_equal(known->mac, mac))
			return true;
	}
	return false;
}

/* --- the guest --- */

/*
 * A MAC of the caller's own choice is one that somebody may choose (its second bit says "locally administered", as QEMU's own do), or of
 * the file; and nobody's on this host or on the
 * LAN, since who has another's MAC gets that one's frames.
 */
static bool mac_is_free(struct lan_up *l, struct mac mac, char *error, size_t size)
{
	char text[MAC_TEXT_SIZE];

	if (!(mac.b[0] & 2) && !is_of_file(l, mac)) {
		snprintf(error, size, "%s is a MAC of a maker of network cards: choose one that begins with 52:54:00, or leave it out", mac_format(mac,
				text));
		return false;
	}
	if (taplink_fdb_has(l->p.route, l->bridge, mac, 0)) {
		snprintf(error, size, "%s is in use on the LAN", mac_format(mac, text));
		return false;
	}
	return true;
}

static enum lan_tap_refusal find_guest(struct lan_up *l, const struct lan_tap_wish *wish, struct guest **out, bool *registered,
		char *error, size_t size)
{
	struct registration want = { .pid = wish->pid };
	const struct guest *known;
	int r;

	if (strlen(wish->name) >= sizeof(want.name)) {
		snprintf(error, size, "a name has 63 characters at the most");
		return TAP_INVALID;
	}
	if (*wish->mac && (!mac_parse(wish->mac, &want.mac) || mac_is_zero(want.mac) || mac_is_group(want.mac))) {
		snprintf(error, size, "%.32s is no MAC of the form 52:54:00:12:34:56", wish->mac);
		return TAP_INVALID;
	}
	strcpy(want.name, wish->name);
	known = *wish->name ? guests_by_name(l->guests, wish->name) : guests_find(l->guests, want.mac);
	*registered = !known || !known->registered;
	if (known && known->registered && known->port_id) {
		snprintf(error, size, "guest %s is attached already; give this one another name", known->name);
		return TAP_BUSY;
	}
	if (*wish->mac && !mac_is_free(l, want.mac, error, size))
		return TAP_BUSY;
	r = registry_add(l->registry, &want, out, error, loop_now(l->p.loop));
	if (r < 0)
		return r == -EINVAL ? TAP_INVALID : r == -EEXIST ? TAP_BUSY : TAP_FAILED;
	if (!(*out)->port_id)
		return TAP_GIVEN;
	snprintf(error, size, "guest %s is attached already", (*out)->name);
	return TAP_BUSY;
}

/* --- the device --- */

static int make_device(char name[static IFNAMSIZ], bool vnet)
{
	int fd = -EBUSY;

	for (unsigned int i = 1; fd == -EBUSY && i < NAME_TRIES; i++) {
		memset(name, 0, IFNAMSIZ);
		snprintf(name, IFNAMSIZ, TAPLINK_PREFIX "%04x", i);
		fd = taplink_make(name, vnet);
	}
	return fd;
}

/* In the order that leaves no gap: everything that restrains it is there before the first frame can pass. */
static int set_device_up(struct lan_up *l, struct lan_tap *t)
{
	char alias[sizeof(t->link.alias)];
	struct taplink_config config = { .bridge = l->bridge, .mtu = l->mtu, .alias = alias, .isolated = l->config->bridge.guests_isolated,
			.guard = true };
	int r;

	snprintf(alias, sizeof(alias), OURS_ALIAS " %s", l->plan.name);
	r = lan_up_refresh(l);
	if (!r)
		r = lan_taps_save(l);
	if (!r)
		r = taplink_configure(l->p.route, t->link.index, &config);
	if (!r)
		r = taplink_set_up(l->p.route, t->link.index);
	/* What was made is asked of the kernel, so that it can be told from what somebody makes of it. */
	return r ? r : taplink_get(l->p.route, t->link.name, &t->link);
}

static int make_tap(struct lan_up *l, const struct lan_tap_wish *wish, struct guest *guest, bool registered, int *out, struct lan_tap **tap)
{
	struct lan_tap like = { .uid = wish->uid, .pid = wish->pid, .mac = guest->mac, .registered = registered && !is_of_file(l, guest->mac) };
	char name[IFNAMSIZ];
	_cleanup_fd_ int fd = make_device(name, wish->vnet);
	int r = fd < 0 ? fd : taplink_get(l->p.route, name, &like.link);

	if (r < 0)
		return r;
	*tap = lan_tap_add(l, &like);
	if (!*tap)
		return -ENOMEM;
	guest->port_id = (*tap)->id;
	r = set_device_up(l, *tap);
	if (r < 0) {
		fd = fd_close(fd);
		lan_tap_forget(l, *tap);
		return r;
	}
	*out = fd_steal(&fd);
	return 0;
}

enum lan_tap_refusal lan_tap_attach(struct lan_up *l, const struct lan_tap_wish *wish, int *fd, const struct lan_tap **tap,
		const struct guest **guest, char *error,
				    size_t error_size)
{
	enum lan_tap_refusal refusal;
	struct lan_tap *made = NULL;
	struct guest *found = NULL;
	bool registered = false;
	int r;

	if (l->tap_count >= LAN_UP_TAPS || (wish->uid && l->p.taps_of_user(l->p.owner, wish->uid) >= LAN_UP_TAPS_USER))
		return TAP_QUOTA;
	refusal = find_guest(l, wish, &found, &registered, error, error_size);
	if (refusal != TAP_GIVEN)
		return refusal;
	r = make_tap(l, wish, found, registered, fd, &made);
	if (r < 0) {
		if (registered && !made && !is_of_file(l, found->mac))
			registry_remove(l->registry, found->name);
		snprintf(error, error_size, "cannot make a tap: %s", r == -ENOENT ? "this kernel has no /dev/net/tun (modprobe tun)" : strerror(-r));
		return TAP_FAILED;
	}
	*tap = made;
	*guest = found;
	return TAP_GIVEN;
}

/* --- its end --- */

static void detach_guests(struct lan_up *l, const struct lan_tap *t)
{
	for (struct guest *g = guests_next(l->guests, NULL); g; g = guests_next(l->guests, g))
		if (g->port_id == t->id)
			g->port_id = 0;
}

void lan_tap_forget(struct lan_up *l, struct lan_tap *t)
{
	detach_guests(l, t);
	if (t->registered) {
		const struct guest *guest = guests_find(l->guests, t->mac);

		if (guest)
			registry_remove(l->registry, guest->name);
	}
	list_remove(&t->node);
	l->tap_count--;
	free(t);
	lan_taps_save(l);
	lan_up_changed(l);
}

/* What is wrong with it now? NULL: nothing. */
static const char *fault_of(const struct lan_up *l, const struct lan_tap *t, const struct taplink *now)
{
	if (now->index != t->link.index || !now->tap || strcmp(now->alias, t->link.alias))
		return "it is not ours any more";
	if (t->persistent)
		return NULL; /* its owner may have no QEMU at the moment */
	if (now->master != l->bridge)
		return "it was taken out of its bridge";
	if (!mac_equal(now->mac, t->link.mac))
		return "its own MAC was changed";
	if (now->persistent)
		return "it was made persistent";
	return now->up && !now->carrier ? "nobody holds it any more" : NULL;
}

void lan_tap_delete_all(struct lan_up *l)
{
	list_for_each(n, &l->taps) {
		struct lan_tap *t = list_entry(n, struct lan_tap, node);
		struct taplink now;

		if (t->persistent)
			continue;
		if (taplink_get(l->p.route, t->link.name, &now) == 0 && now.index == t->link.index && now.tap && !strcmp(now.alias, t->link.alias))
			taplink_delete(l->p.route, now.index);
		lan_tap_forget(l, t);
	}
}

/* --- those of the configuration --- */

static bool is_configured(const struct bridge_config *c, const char *name)
{
	for (size_t i = 0; i < c->tap_count; i++)
		if (!strcmp(c->taps[i].name, name))
			return true;
	return false;
}

/* The guest of the configuration that is to be behind it; NULL: whoever comes. */
static const struct guest *named_guest(const struct lan_up *l, const struct lan_tap *t)
{
	for (size_t i = 0; i < l->config->guest_count; i++)
		if (!strcmp(l->config->guests[i].tap, t->link.name))
			return guests_by_name(l->guests, l->config->guests[i].name);
	return NULL;
}

/* Whoever had it opened has let go of it: the next one may be another guest. */
static void release_tap(struct lan_up *l, struct lan_tap *t, const struct taplink *now)
{
	if (now->lost_carrier == t->link.lost_carrier)
		return;
	t->link.lost_carrier = now->lost_carrier;
	detach_guests(l, t);
	t->refused = !is_configured(&l->config->bridge, t->link.name);
	if (!t->named)
		t->mac = (struct mac){ 0 };
	lan_up_changed(l);
}

bool lan_tap_judge(struct lan_up *l, struct lan_tap *t)
{
	struct taplink now;
	int r = taplink_get(l->p.route, t->link.name, &now);
	const char *fault = r == -ENODEV ? "it has gone" : r < 0 ? NULL : fault_of(l, t, &now);

	if (!fault) {
		if (t->persistent && !r)
			release_tap(l, t, &now);
		return true;
	}
	if (!t->persistent && !r) {
		log_warning("LAN %s: tap %s is removed: %s", l->plan.name, t->link.name, fault);
		/* By the index that we were given: what has that name now may be another's. */
		if (now.index == t->link.index)
			taplink_delete(l->p.route, t->link.index);
	}
	lan_tap_forget(l, t);
	return false;
}

static void configure_tap(struct lan_up *l, struct lan_tap *t)
{
	const struct guest *guest = named_guest(l, t);
	struct mac mac = guest ? guest->mac : t->named ? (struct mac){ 0 } : t->mac;

	if (!mac_equal(mac, t->mac))
		detach_guests(l, t);
	t->mac = mac;
	t->named = guest;
	/* One that the configuration has no longer stays in the bridge until the LAN goes down. */
	t->refused = !is_configured(&l->config->bridge, t->link.name);
}

void lan_taps_persistent(struct lan_up *l)
{
	const struct bridge_config *c = &l->config->bridge;

	for (size_t i = 0; i < c->tap_count; i++) {
		struct lan_tap like = { .persistent = true };

		if (taplink_get(l->p.route, c->taps[i].name, &like.link) < 0 || like.link.master != l->bridge || lan_tap_by_index(l, like.link.index))
			continue;
		if (lan_tap_add(l, &like) && c->guests_isolated)
			taplink_isolate(l->p.route, like.link.index, true);
	}
	list_for_each(n, &l->taps) {
		struct lan_tap *t = list_entry(n, struct lan_tap, node);

		if (t->persistent && lan_tap_judge(l, t))
			configure_tap(l, t);
	}
}

void lan_taps_adopt(struct lan_up *l, const struct link *link)
{
	struct lan_tap like = { .persistent = true, .counted = true };

	if (taplink_get(l->p.route, link->name, &like.link) == 0 && like.link.index == link->index && like.link.tap)
		lan_tap_add(l, &like);
}
