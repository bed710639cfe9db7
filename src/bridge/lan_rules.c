// SPDX-License-Identifier: MIT
#include "bridge/lan_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "bridge/lan_forwards.h"
#include "bridge/rules_drops.h"
#include "bridge/ruleset.h"

/*
 * Rules are set at once, but on the average no more often than this, however fast guests come and go; so many times in a row they may be.
 */
#define REFRESH_EACH  (250 * USEC_MS)
#define REFRESH_BURST 16

/* --- what belongs to the host --- */

static void reserve(struct lan_up *l, addr_t addr)
{
	if (!addr_is_any(addr) && !addr_is_unspecified(addr) && !lan_reserved(l, addr) && l->reserved_count < LAN_UP_RESERVED)
		l->reserved[l->reserved_count++] = addr;
}

bool lan_reserved(const struct lan_up *l, addr_t addr)
{
	for (size_t i = 0; i < l->reserved_count; i++)
		if (addr_equal(l->reserved[i], addr))
			return true;
	return false;
}

void lan_reserve(struct lan_up *l, const struct snapshot *now)
{
	const struct link *bridge = snapshot_link_named(now, l->config->bridge.bridge);

	l->stale = false;
	l->reserved_count = 0;
	l->host = bridge ? bridge->mac : (struct mac){ 0 };
	reserve(l, l->config->bridge.gateway4);
	reserve(l, l->plan.gateway4);
	reserve(l, l->plan.gateway6);
	reserve(l, l->plan.link_local6);
	for (size_t i = 0; bridge && i < now->address_count; i++)
		if (now->addresses[i].index == bridge->index)
			reserve(l, now->addresses[i].local);
	for (size_t i = 0; bridge && i < now->route_count; i++)
		if (now->routes[i].index == bridge->index)
			reserve(l, now->routes[i].gateway);
}

static void reserve_anew(struct lan_up *l)
{
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;

	if (snapshot_read(&now) == 0)
		lan_reserve(l, now);
}

/* --- what belongs to guests --- */

/* An address of this tap's guest, unless it is there already, or somebody else's. */
static void put_own(struct lan_up *l, const struct guest *guest, addr_t addr, struct rules_tap *out)
{
	const struct guest *holder = guests_by_addr(l->guests, addr);
	size_t i = 0;

	if (addr_is_any(addr) || lan_reserved(l, addr) || (holder && holder != guest))
		return;
	while (i < RULES_ADDRS && !addr_is_any(out->own[i]) && !addr_equal(out->own[i], addr))
		i++;
	if (i < RULES_ADDRS)
		out->own[i] = addr;
}

/* What it has leased, of us or of the router behind the uplink; of IPv6 also what it was seen with, and what its MAC makes of itself. */
static void put_addresses(struct lan_up *l, struct rules_tap *out)
{
	const struct guest *guest = guests_find(l->guests, out->mac);

	put_own(l, guest, addr_eui64((addr_t){{ 0xfe, 0x80 }}, out->mac), out);
	if (guest && guest->lease4.state == LEASE_BOUND)
		put_own(l, guest, guest->lease4.addr, out);
	if (guest && guest->lease6.state == LEASE_BOUND)
		put_own(l, guest, guest->lease6.addr, out);
	for (size_t i = 0; guest && i < GUEST_ADDRS; i++)
		if (!addr_is4(guest->addrs[i].addr))
			put_own(l, guest, guest->addrs[i].addr, out);
}

/* Is its guest behind another tap at the moment? */
static bool is_elsewhere(const struct lan_up *l, const struct lan_tap *t)
{
	const struct guest *guest = guests_find(l->guests, t->mac);

	return guest && guest->port_id && guest->port_id != t->id;
}

static void bind_tap(struct lan_up *l, const struct lan_tap *t, struct rules_tap *out)
{
	if (t->persistent && !t->refused && mac_is_zero(t->mac)) {
		out->binding = l->p.hears ? RULES_WAITING : RULES_FREE;
		return;
	}
	out->binding = RULES_BOUND;
	if (!t->refused && !(t->persistent && is_elsewhere(l, t)))
		out->mac = t->mac;
	if (!mac_is_zero(out->mac))
		put_addresses(l, out);
}

static size_t collect_taps(struct lan_up *l, bool counted, struct rules_tap *into)
{
	size_t count = 0;

	guests_expire(l->guests, usec_wall() / USEC_S);
	list_for_each(n, &l->taps) {
		const struct lan_tap *t = list_entry(n, struct lan_tap, node);
		struct rules_tap *out = &into[count];

		if (count++ == LAN_UP_TAPS)
			return LAN_UP_TAPS;
		memcpy(out->name, t->link.name, sizeof(out->name));
		if (counted)
			memcpy(out->drops, t->drops, sizeof(out->drops));
		bind_tap(l, t, out);
	}
	return count;
}

/* --- the text --- */

static void open_loopback(const struct lan_up *l, const char *bridge)
{
	_cleanup_fd_ int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet", bridge);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) < 0)
		log_warning("LAN %s: cannot write %s: %s; forwards at 127.0.0.1 reach nobody", l->plan.name, path, strerror(errno));
}

/* @counted: with what was dropped so far, so that the kernel counts on from there */
static char *wanted_rules(struct lan_up *l, bool counted)
{
	_cleanup_(freep) struct rules_forward *forwards = calloc(2 * LAN_UP_FORWARDS, sizeof(*forwards));
	_cleanup_(freep) struct rules_tap *taps = calloc(LAN_UP_TAPS, sizeof(*taps));
	struct rules r = {
		.table = l->table, .bridge = l->config->bridge.bridge, .services = l->services, .taps = taps, .forwards = forwards,
		.reserved = l->reserved, .reserved_count = l->reserved_count, .host = l->host, .isolated = l->config->bridge.guests_isolated,
	};

	if (!forwards || !taps)
		return NULL;
	r.tap_count = collect_taps(l, counted, taps);
	r.forward_count = lan_forwards_rules(l, forwards, 2 * LAN_UP_FORWARDS);
	if (rules_needs_localnet(&r))
		open_loopback(l, r.bridge);
	return rules_text(&r);
}

/* When the next lease of a guest behind a tap ends, its rule ends too. */
static usec_t next_expiry(struct lan_up *l)
{
	int64_t wall = usec_wall() / USEC_S, next = INT64_MAX;

	for (const struct guest *g = guests_next(l->guests, NULL); g; g = guests_next(l->guests, g)) {
		if (g->port_id && g->lease4.state == LEASE_BOUND)
			next = MIN(next, g->lease4.until);
		if (g->port_id && g->lease6.state == LEASE_BOUND)
			next = MIN(next, g->lease6.until);
	}
	return next == INT64_MAX ? USEC_NEVER : loop_now(l->p.loop) + MAX(next - wall + 1, (int64_t)1) * USEC_S;
}

/* --- counters --- */

/* A tap that the kernel's rules do not have yet may have the name of one that has gone. */
static void take_drops(void *owner, const char *tap, enum drop why, uint64_t frames)
{
	struct lan_up *l = owner;

	list_for_each(n, &l->taps) {
		struct lan_tap *t = list_entry(n, struct lan_tap, node);

		if (t->counted && !strcmp(t->link.name, tap))
			t->drops[why] = frames;
	}
}

void lan_count_drops(struct lan_up *l)
{
	int r = rules_drops_read(l->table, take_drops, l);

	if (r < 0 && r != -ENOENT)
		log_warning("LAN %s: cannot read what its rules have dropped: %s", l->plan.name, strerror(-r));
}

/* What is dropped between the reading and the new rules is dropped, and not counted: some milliseconds. */
static int load_rules(struct lan_up *l)
{
	_cleanup_(freep) char *text = NULL;
	char error[512];
	int r;

	lan_count_drops(l);
	text = wanted_rules(l, true);
	r = text ? ruleset_load(text, error, sizeof(error)) : -ENOMEM;
	if (r < 0) {
		log_error("LAN %s: its rules cannot be set: %s", l->plan.name, text ? error : strerror(-r));
		return r;
	}
	list_for_each(n, &l->taps)
		list_entry(n, struct lan_tap, node)->counted = true;
	return 0;
}

/* --- when --- */

int lan_up_refresh(struct lan_up *l)
{
	_cleanup_(freep) char *text = NULL;
	int r;

	if (l->stale)
		reserve_anew(l);
	text = wanted_rules(l, false);
	timer_set(&l->refresh, next_expiry(l));
	if (!text)
		return -ENOMEM;
	if (l->rules && !strcmp(l->rules, text))
		return 0;
	l->paced = MAX(l->paced, loop_now(l->p.loop)) + REFRESH_EACH;
	r = load_rules(l);
	if (r < 0)
		return r;
	free(l->rules);
	l->rules = steal(&text);
	return 0;
}

void lan_up_refresh_due(struct timer *t)
{
	struct lan_up *l = container_of(t, struct lan_up, refresh);

	/* What failed is tried again: rules that are too old keep an honest guest from its new address. */
	if (lan_up_refresh(l) < 0)
		timer_set(t, loop_now(l->p.loop) + 4 * REFRESH_EACH);
}

void lan_up_changed(struct lan_up *l)
{
	timer_set(&l->refresh, MAX(loop_now(l->p.loop), l->paced - REFRESH_BURST * REFRESH_EACH));
}
