// SPDX-License-Identifier: MIT
/* What a LAN that goes leaves to another: the host's forwarding, which each that routes needs, and only the first had to switch on. */
#include "bridge/service_private.h"

#include <string.h>

#include "base/log.h"

static struct service_lan *find_heir(const struct service_lan *l)
{
	list_for_each(n, &l->service->lans) {
		struct service_lan *other = list_entry(n, struct service_lan, node);
		const struct bridge_config *b = other->up ? &other->up->config->bridge : NULL;

		if (other != l && b && !*b->uplink && !b->isolated)
			return other;
	}
	return NULL;
}

/* First into the one journal, then out of the other: should the service die between, both know the way back. */
static int hand_over(struct journal *from, struct journal *to, const struct step *s)
{
	struct step copy, gone = { .undoes = s->number };
	int r = step_copy(&copy, s);

	if (r < 0)
		return r;
	copy.number = 0;
	r = journal_intend(to, &copy, 1);
	if (!r)
		r = journal_result(to, &copy, 0);
	step_fini(&copy);
	return r ? r : journal_result(from, &gone, 0);
}

void service_lan_hand_over(struct service_lan *l, struct journal *j)
{
	_cleanup_(journal_freep) struct journal *theirs = NULL;
	struct service_lan *heir = find_heir(l);
	struct steps steps = { 0 };
	int r = heir ? bridge_plan_hand_over(&steps, journal_steps(j)) : 0;

	if (!r && steps.count)
		r = journal_open(&theirs, heir->journal, heir->name);
	for (size_t i = 0; !r && i < steps.count; i++)
		r = hand_over(j, theirs, &steps.step[i]);
	steps_fini(&steps);
	if (r < 0)
		log_warning("LAN %s needs what LAN %s has set for the whole host, and cannot write that down: %s; it stays when both are down",
			    heir->name, l->name, strerror(-r));
}
