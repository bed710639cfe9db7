// SPDX-License-Identifier: MIT
/* What a crash in the middle of a move left nowhere but in the journal. */
#include <errno.h>

#include "bridge/array.h"
#include "bridge/bridge.h"
#include "bridge/values.h"

static bool moved_by_rule(const struct step *s, const struct step *off)
{
	return s->kind == STEP_RULE_ADD && route_rule_same(&off->rule, &s->rule, "", "");
}

/* Did it arrive where it was going? What arrived and is gone was taken away by somebody else. */
static bool arrived(const struct steps *journal, const struct step *off)
{
	for (size_t i = 0; i < journal->count; i++) {
		const struct step *s = &journal->step[i];

		if (s->state != STEP_DONE)
			continue;
		if (off->kind == STEP_ADDRESS_DEL && s->kind == STEP_ADDRESS_ADD && link_address_same(&s->address, &off->address))
			return true;
		if (off->kind == STEP_ROUTE_DEL && s->kind == STEP_ROUTE_ADD && link_route_same(&s->route, &off->route))
			return true;
		if (off->kind == STEP_RULE_DEL && moved_by_rule(s, off))
			return true;
	}
	return false;
}

/* Room for one more at @at. */
static void *insert(void **list, size_t *count, size_t at, size_t size)
{
	char *bigger = array_grow(*list, *count, size);

	if (!bigger)
		return NULL;
	*list = bigger;
	bigger += at * size;
	memmove(bigger + size, bigger, ((*count)++ - at) * size);
	memset(bigger, 0, size);
	return bigger;
}

/*
 * Where it stood: IPv4 addresses went off from the end of the list, so each stands before those that went earlier and behind what is still
 * there; IPv6 ones from the front, behind those that went earlier and before what is still there.
 */
static size_t place_of(const struct snapshot *now, bool four)
{
	size_t i;

	for (i = 0; i < now->address_count; i++) {
		bool lost4 = now->addresses[i].lost && addr_is4(now->addresses[i].local);
		bool lost6 = now->addresses[i].lost && !lost4;

		if (four ? lost4 : !lost6)
			break;
	}
	return i;
}

static int mend_address(struct snapshot *now, const struct step *off, unsigned int index)
{
	struct link_address *a;

	for (size_t i = 0; i < now->address_count; i++)
		if (addr_equal(now->addresses[i].local, off->address.local))
			return 0;
	a = insert((void **)&now->addresses, &now->address_count, place_of(now, addr_is4(off->address.local)), sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = off->address;
	a->index = index;
	a->lost = true;
	return 0;
}

static int mend_route(struct snapshot *now, const struct step *off, unsigned int index)
{
	struct link_route *r;

	for (size_t i = 0; i < now->route_count; i++)
		if (link_route_same(&now->routes[i], &off->route))
			return 0;
	r = insert((void **)&now->routes, &now->route_count, 0, sizeof(*r));
	if (!r)
		return -ENOMEM;
	if (link_route_copy(r, &off->route))
		return -ENOMEM;
	r->lost = true;
	if (!r->multipath)
		r->index = index;
	return 0;
}

/* Does a rule name the same link, or, instead of the one that it went off, perhaps the one that it came on? */
static bool is_name(const char *is, const char *was, const char *off)
{
	return !strcmp(is, was) || !strcmp(was, off);
}

static int mend_rule(struct snapshot *now, const struct step *off)
{
	struct route_rule *r;

	for (size_t i = 0; i < now->rule_count; i++) {
		r = &now->rules[i];
		if (route_rule_alike(r, &off->rule) && is_name(r->iif, off->rule.iif, off->link) && is_name(r->oif, off->rule.oif, off->link))
			return 0;
	}
	r = insert((void **)&now->rules, &now->rule_count, 0, sizeof(*r));
	if (!r)
		return -ENOMEM;
	if (route_rule_copy(r, &off->rule))
		return -ENOMEM;
	r->lost = true;
	return 0;
}

static int mend(struct snapshot *now, const struct steps *journal, const struct step *s)
{
	struct link *l = (struct link *)snapshot_link_named(now, s->link);

	if (!l)
		return 0;
	if ((s->kind == STEP_BRIDGE_ADD && !strcmp(l->kind, "bridge")) || (s->kind == STEP_TAP_ADD && !strcmp(l->kind, "tun"))) {
		l->ours |= !l->alias[0];
		return 0;
	}
	if (arrived(journal, s))
		return 0;
	if (s->kind == STEP_ADDRESS_DEL)
		return mend_address(now, s, l->index);
	if (s->kind == STEP_ROUTE_DEL)
		return mend_route(now, s, l->index);
	return s->kind == STEP_RULE_DEL ? mend_rule(now, s) : 0;
}

int bridge_plan_mend(struct snapshot *now, const struct steps *journal)
{
	int r = 0;

	for (size_t i = 0; !r && i < journal->count; i++)
		r = mend(now, journal, &journal->step[i]);
	return r;
}
