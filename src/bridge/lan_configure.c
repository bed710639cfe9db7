// SPDX-License-Identifier: MIT
#include "bridge/lan_configure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "bridge/lan_forwards.h"
#include "bridge/lan_rules.h"
#include "bridge/lan_taps.h"

void lan_say(json_t *changes, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (!changes)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(changes, json_string(text));
}

/* --- guests --- */

static const struct guest_config *guest_of(const struct lan_config *c, const char *name)
{
	for (size_t i = 0; c && i < c->guest_count; i++)
		if (!strcasecmp(c->guests[i].name, name))
			return &c->guests[i];
	return NULL;
}

static void add_guest(struct lan_up *l, const struct guest_config *g, const char *what, json_t *changes)
{
	char error[REGISTRY_ERROR], ip4[ADDR_TEXT_SIZE];
	struct registration want = { .mac = g->mac };
	struct guest *guest;

	snprintf(want.name, sizeof(want.name), "%s", g->name);
	if (registry_add(l->registry, &want, &guest, error, loop_now(l->p.loop)) < 0) {
		log_warning("LAN %s: guest %s is left out: %s", l->config->name, want.name, error);
		lan_say(changes, "guest %s NOT %s: %s", g->name, what, error);
	} else if (guests_set_fixed4(l->guests, guest, g->ip4) < 0) {
		log_warning("LAN %s: guest %s does not get its address: it is promised to another", l->config->name, want.name);
		lan_say(changes, "guest %s %s, but NOT its address %s: it is promised to another guest", g->name, what, addr_format(g->ip4, ip4));
	} else {
		lan_say(changes, "guest %s %s", g->name, what);
	}
}

void lan_configure_guests(struct lan_up *l, const struct lan_config *from, const struct lan_config *to, json_t *changes)
{
	/* All that go first, so that their names, MACs and addresses are free. */
	for (size_t i = 0; from && i < from->guest_count; i++) {
		const struct guest_config *old = &from->guests[i], *new = guest_of(to, old->name);

		if (new && mac_equal(old->mac, new->mac))
			continue;
		if (registry_remove(l->registry, old->name) == 0 && !new)
			lan_say(changes, "guest %s is no longer registered", old->name);
	}
	for (size_t i = 0; i < to->guest_count; i++) {
		const struct guest_config *new = &to->guests[i], *old = guest_of(from, new->name);
		bool same = old && mac_equal(old->mac, new->mac) && addr_equal(old->ip4, new->ip4) && !strcmp(old->tap, new->tap);

		const struct guest *known = guests_by_name(l->guests, new->name);

		/* One that somebody has removed meanwhile comes back. */
		if (!same || !known || !known->registered)
			add_guest(l, new, old && !same ? "changed" : "registered", changes);
	}
}

/* --- the LAN itself --- */

static void isolate_all(struct lan_up *l)
{
	list_for_each(n, &l->taps)
		taplink_isolate(l->p.route, list_entry(n, struct lan_tap, node)->link.index, l->config->bridge.guests_isolated);
}

static bool same_allow(const struct bridge_config *a, const struct bridge_config *b)
{
	bool same = a->allow_count == b->allow_count;

	for (size_t i = 0; same && i < a->allow_count; i++)
		same = a->allow[i].group == b->allow[i].group && !strcmp(a->allow[i].name, b->allow[i].name);
	return same;
}

static bool same_taps(const struct bridge_config *a, const struct bridge_config *b)
{
	bool same = a->tap_count == b->tap_count;

	for (size_t i = 0; same && i < a->tap_count; i++)
		same = !strcmp(a->taps[i].name, b->taps[i].name);
	return same;
}

/* Links, addresses and rules of routing are the plan's steps, which are said as such. */
static void say_lan(const struct lan_config *from, const struct lan_config *to, json_t *changes)
{
	const struct bridge_config *a = &from->bridge, *b = &to->bridge;

	if (!same_allow(a, b))
		lan_say(changes, "Allow names %zu now; guests that are attached stay", b->allow_count);
	if (!same_taps(a, b))
		lan_say(changes, "Taps are %zu now; one that is left out carries nothing, and stays until the LAN goes down", b->tap_count);
	if (a->guests_isolated != b->guests_isolated)
		lan_say(changes, "guests are %s now", b->guests_isolated ? "kept apart" : "together");
	if (strcmp(from->domain, to->domain))
		lan_say(changes, "the domain is %s now", to->domain);
	if (from->lease_seconds != to->lease_seconds)
		lan_say(changes, "leases last %u seconds from now on", (unsigned int)to->lease_seconds);
}

int lan_up_configure(struct lan_up *l, struct lan_config *config, const struct snapshot *now, json_t *changes, char *error,
		size_t error_size)
{
	struct lan_config *old = l->config;
	int r;

	l->config = config;
	r = lan_up_take_plan(l, now, error, error_size);
	if (r < 0) {
		l->config = old;
		lan_config_free(config);
		return r;
	}
	lan_reserve(l, now);
	lan_configure_guests(l, old, config, changes);
	if (old->bridge.guests_isolated != config->bridge.guests_isolated)
		isolate_all(l);
	say_lan(old, config, changes);
	lan_config_free(old);
	lan_taps_persistent(l);
	lan_forwards_configure(l, config, changes);
	r = lan_up_refresh(l);
	if (r < 0)
		snprintf(error, error_size, "nft did not take the LAN's rules; the log has its words");
	return r;
}
