// SPDX-License-Identifier: MIT
/*
 * The way back: the journal's steps undone in reverse, less what does not hold any more.
 *
 * What somebody changed since stays as they left it, what is gone needs no removing, and what goes with a link that is removed anyway is
 * left to that. Leases that were renewed on the bridge go back with the life that they have now; one that has run out meanwhile does not
 * come back.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bridge/plan_private.h"
#include "bridge/values.h"

struct way_back {
	const struct steps *journal;
	const struct snapshot *now;
	struct steps *out;
};

/* Is the link one that we made, and that goes as a whole? */
static bool is_made(const struct way_back *w, const char *link)
{
	for (size_t i = 0; i < w->journal->count; i++) {
		const struct step *s = &w->journal->step[i];

		if ((s->kind == STEP_BRIDGE_ADD || s->kind == STEP_TAP_ADD) && !strcmp(s->link, link))
			return true;
	}
	return false;
}

static bool on_link(const struct way_back *w, const char *link, const struct link_address *a)
{
	const struct link *l = snapshot_link_named(w->now, link);

	for (size_t i = 0; l && i < w->now->address_count; i++)
		if (w->now->addresses[i].index == l->index && link_address_same(&w->now->addresses[i], a))
			return true;
	return false;
}

static const struct link_route *route_on(const struct way_back *w, const char *link, const struct link_route *r)
{
	const struct link *l = snapshot_link_named(w->now, link);

	for (size_t i = 0; l && i < w->now->route_count; i++)
		if (link_route_uses(&w->now->routes[i], l->index) && link_route_same(&w->now->routes[i], r))
			return &w->now->routes[i];
	return NULL;
}

static bool rule_is_there(const struct way_back *w, const struct step *s)
{
	for (size_t i = 0; i < w->now->rule_count; i++)
		if (route_rule_same(&s->rule, &w->now->rules[i], s->key, s->link))
			return true;
	return false;
}

/* Where the journal brought it: the step that put this address (or route) on another link; NULL if none did. */
static const struct step *brought(const struct way_back *w, const struct step *off)
{
	for (size_t i = 0; i < w->journal->count; i++) {
		const struct step *s = &w->journal->step[i];

		if (off->kind == STEP_ADDRESS_DEL && s->kind == STEP_ADDRESS_ADD && link_address_same(&s->address, &off->address))
			return s;
		if (off->kind == STEP_ROUTE_DEL && s->kind == STEP_ROUTE_ADD && link_route_same(&s->route, &off->route))
			return s;
	}
	return NULL;
}

/* Give the address the life that it has on the bridge. Return: false if that has ended. */
static bool renew_address(const struct way_back *w, const struct step *off, struct link_address *a)
{
	const struct step *there = brought(w, off);
	const struct link *l = there ? snapshot_link_named(w->now, there->link) : NULL;

	for (size_t i = 0; l && i < w->now->address_count; i++) {
		const struct link_address *is = &w->now->addresses[i];

		if (is->index == l->index && link_address_same(is, a)) {
			a->valid = is->valid;
			a->preferred = is->preferred;
			return true;
		}
	}
	return !there || there->state != STEP_DONE || !link_address_is_dynamic(a);
}

/* Will the kernel make this connected route again, with an address that comes back? */
static bool comes_with_address(const struct way_back *w, const struct step *off)
{
	const struct link_route *r = &off->route;

	for (size_t i = 0; i < w->journal->count; i++) {
		const struct step *s = &w->journal->step[i];

		if (s->kind == STEP_ADDRESS_DEL && !strcmp(s->link, off->link) && s->address.bits == r->bits &&
		    addr_in_prefix(s->address.peer, r->to, r->bits) && !on_link(w, s->link, &s->address))
			return true;
	}
	return false;
}

static bool renew_route(const struct way_back *w, const struct step *off, struct link_route *r)
{
	const struct step *there = brought(w, off);
	const struct link_route *is = there ? route_on(w, there->link, r) : NULL;

	if (is)
		r->expires = is->expires;
	if (!there && r->protocol == RTPROT_KERNEL && r->expires != LIFE_FOREVER && comes_with_address(w, off))
		return false;
	return is || !there || there->state != STEP_DONE || r->expires == LIFE_FOREVER;
}

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), n = strlen(end);

	return size >= n && !strcmp(text + size - n, end);
}

/* Does a sysctl belong to a link that we made? */
static bool is_of_made(const struct way_back *w, const char *key)
{
	char link[IFNAMSIZ + 1] = "";

	return sscanf(key, "net/ipv%*1[46]/conf/%16[^/]/", link) == 1 && is_made(w, link);
}

/* What a LAN that routes has switched for the whole host. */
static bool is_of_host(const struct way_back *w, const struct step *s)
{
	return s->kind == STEP_SYSCTL && !is_of_made(w, s->key) &&
	       (ends_with(s->key, "/ip_forward") || ends_with(s->key, "/forwarding") || ends_with(s->key, "/accept_ra"));
}

/* Another LAN of ours routes: what it needs of the whole host stays. */
static bool is_needed_elsewhere(const struct way_back *w, const struct step *s)
{
	const char *own = "";
	size_t n;

	if (!is_of_host(w, s))
		return false;
	for (size_t i = 0; i < w->journal->count; i++)
		if (w->journal->step[i].kind == STEP_NFT_ADD)
			own = w->journal->step[i].key + strlen("inet ");
	n = strlen(own);
	for (size_t i = 0; i < w->now->table_count; i++) {
		const struct nft_table *t = &w->now->tables[i];

		if (!strcmp(t->family, "inet") && !strncmp(t->comment, OURS_ALIAS, strlen(OURS_ALIAS)) && !ends_with(t->comment, ISOLATED_MARK) &&
		    (strncmp(t->name, own, n) || (t->name[n] && t->name[n] != '_')))
			return true;
	}
	return false;
}

/* --- settings: what is set now, and whether it is still what we set --- */

/* Return: false if there is no such thing any more. */
static bool current(const struct way_back *w, const struct step *s, char *into, size_t size)
{
	const struct link *l = snapshot_link_named(w->now, s->link), *master;
	const char *value;
	char mac[MAC_TEXT_SIZE];

	if (s->kind == STEP_SYSCTL) {
		value = snapshot_sysctl(w->now, s->key);
		snprintf(into, size, "%s", value ? value : "");
		return value;
	}
	if (!l)
		return false;
	switch (s->kind) {
	case STEP_ALIAS:
		snprintf(into, size, "%s", l->alias);
		return true;
	case STEP_MAC:
		snprintf(into, size, "%s", mac_format(l->mac, mac));
		return true;
	case STEP_MTU:
		snprintf(into, size, "%u", l->mtu);
		return true;
	case STEP_UP:
		snprintf(into, size, "%s", l->up ? "up" : "down");
		return true;
	case STEP_MASTER:
		master = l->master ? snapshot_link(w->now, l->master) : NULL;
		snprintf(into, size, "%s", master ? master->name : "");
		return true;
	case STEP_ISOLATED:
		snprintf(into, size, "%u", l->port.isolated);
		return true;
	case STEP_STP:
		snprintf(into, size, "%u", l->bridge.stp);
		return true;
	case STEP_FORWARD_DELAY:
		snprintf(into, size, "%u", l->bridge.forward_delay);
		return true;
	case STEP_HELLO:
		snprintf(into, size, "%u", l->bridge.hello);
		return true;
	case STEP_MAX_AGE:
		snprintf(into, size, "%u", l->bridge.max_age);
		return true;
	case STEP_BRIDGE_ADD: case STEP_BRIDGE_DEL: case STEP_TAP_ADD: case STEP_TAP_DEL: case STEP_ADDRESS_ADD: case STEP_ADDRESS_DEL:
	case STEP_ROUTE_ADD: case STEP_ROUTE_DEL: case STEP_RULE_ADD: case STEP_RULE_DEL: case STEP_SYSCTL: case STEP_NFT_ADD:
	case STEP_NFT_DEL: case STEP_KINDS:
		break;
	}
	return false;
}

static bool is_same_setting(const struct step *a, const struct step *b)
{
	return a->kind == b->kind && !strcmp(a->link, b->link) && !strcmp(a->key, b->key);
}

/* A setting that was changed several times goes back at once to what it was at first. */
static bool undo_setting(const struct way_back *w, size_t at, struct step *back)
{
	const struct step *s = &w->journal->step[at];
	char is[96];
	bool ours = false;

	for (size_t i = 0; i < at; i++)
		if (is_same_setting(&w->journal->step[i], s))
			return false;
	if (is_made(w, s->link) || is_of_made(w, s->key) || !current(w, s, is, sizeof(is)))
		return false;
	if (is_needed_elsewhere(w, s))
		return false;
	/* Written down for this way back alone: the switch for all links flips it before. */
	if (!strcmp(s->value, s->old))
		return true;
	for (size_t i = at; i < w->journal->count; i++)
		ours |= is_same_setting(&w->journal->step[i], s) && !strcmp(w->journal->step[i].value, is);
	memcpy(back->old, is, sizeof(back->old));
	return ours && strcmp(is, s->old);
}

static bool has_table(const struct way_back *w, const char *key)
{
	char family[8], name[64];

	return sscanf(key, "%7s %63s", family, name) == 2 && snapshot_table(w->now, family, name);
}

/* Is step @at to be undone? @back is its inverse, brought up to date. */
static bool is_due(const struct way_back *w, size_t at, struct step *back)
{
	const struct step *s = &w->journal->step[at];
	const struct link *l = snapshot_link_named(w->now, s->link);

	switch (s->kind) {
	case STEP_BRIDGE_ADD:
		return l && !strcmp(l->kind, "bridge") && (l->ours || !l->alias[0]);
	case STEP_TAP_ADD:
		return l && !strcmp(l->kind, "tun") && (l->ours || !l->alias[0]);
	case STEP_BRIDGE_DEL:
	case STEP_TAP_DEL:
		return !l;
	case STEP_ALIAS: case STEP_MAC: case STEP_MTU: case STEP_UP: case STEP_MASTER: case STEP_ISOLATED: case STEP_STP:
	case STEP_FORWARD_DELAY: case STEP_HELLO: case STEP_MAX_AGE: case STEP_SYSCTL:
		return undo_setting(w, at, back);
	case STEP_ADDRESS_ADD:
		return on_link(w, s->link, &s->address);
	case STEP_ADDRESS_DEL:
		return l && !on_link(w, s->link, &s->address) && renew_address(w, s, &back->address);
	case STEP_ROUTE_ADD:
		return route_on(w, s->link, &s->route);
	case STEP_ROUTE_DEL:
		return l && !route_on(w, s->link, &s->route) && renew_route(w, s, &back->route);
	case STEP_RULE_ADD:
		return rule_is_there(w, s);
	case STEP_RULE_DEL:
		return !rule_is_there(w, s);
	case STEP_NFT_ADD:
		return has_table(w, s->key);
	case STEP_NFT_DEL:
		return s->text && !has_table(w, s->key);
	case STEP_KINDS:
		break;
	}
	return false;
}

/* A journal of several tries has the same step more than once. */
static bool is_planned(const struct way_back *w, const struct step *s)
{
	for (size_t i = 0; i < w->out->count; i++) {
		const struct step *o = &w->out->step[i];

		if (o->kind == s->kind && !strcmp(o->link, s->link) && !strcmp(o->key, s->key) &&
		    link_address_same(&o->address, &s->address) &&
		    (!s->route.raw || link_route_same(&o->route, &s->route)) &&
		    (!s->rule.raw || route_rule_same(&o->rule, &s->rule, "", "")))
			return true;
	}
	return false;
}

int bridge_plan_down(struct steps *out, const struct steps *journal, const struct snapshot *now)
{
	struct steps steps = { 0 };
	struct way_back w = { .journal = journal, .now = now, .out = &steps };
	int r = 0;

	for (size_t i = journal->count; !r && i-- > 0;) {
		struct step back;

		r = step_inverse(&back, &journal->step[i]);
		if (r)
			break;
		if (is_due(&w, i, &back) && !is_planned(&w, &back))
			r = steps_add(&steps, &back);
		else
			step_fini(&back);
	}
	if (r) {
		steps_fini(&steps);
		return r;
	}
	*out = steps;
	return 0;
}

int bridge_plan_hand_over(struct steps *out, const struct steps *journal)
{
	const struct way_back w = { .journal = journal };
	struct steps steps = { 0 };
	int r = 0;

	for (size_t i = 0; !r && i < journal->count; i++) {
		struct step copy;

		if (!is_of_host(&w, &journal->step[i]))
			continue;
		r = step_copy(&copy, &journal->step[i]);
		if (!r)
			r = steps_add(&steps, &copy);
	}
	if (r) {
		steps_fini(&steps);
		return r;
	}
	*out = steps;
	return 0;
}
