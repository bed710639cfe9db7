// SPDX-License-Identifier: MIT
#include "gateway/idle.h"

/* Every kind with a link begins with it, so that any of them names it. */
_Static_assert(offsetof(struct udp_flow, idle) == 0 && offsetof(struct echo_flow, idle) == 0, "the link comes first");
static struct idle_link *link_of(struct flow *f) { return &f->udp.idle; }

void idle_init(struct idle *i, struct flow_table *flows, enum flow_kind kind)
{
	*i = (struct idle){ .flows = flows, .oldest = FLOW_NONE, .newest = FLOW_NONE };
	for (struct flow *f = NULL; (f = flow_next(flows, f));)
		if (f->key.kind == kind)
			idle_add(i, f);
}

void idle_add(struct idle *i, struct flow *f)
{
	uint32_t index = flow_index(i->flows, f);
	struct flow *newest = flow_at(i->flows, i->newest);

	*link_of(f) = (struct idle_link){ .older = i->newest, .newer = FLOW_NONE };
	if (newest)
		link_of(newest)->newer = index;
	else
		i->oldest = index;
	i->newest = index;
}

void idle_remove(struct idle *i, struct flow *f)
{
	struct idle_link *link = link_of(f);
	struct flow *older = flow_at(i->flows, link->older), *newer = flow_at(i->flows, link->newer);

	if (older)
		link_of(older)->newer = link->newer;
	else
		i->oldest = link->newer;
	if (newer)
		link_of(newer)->older = link->older;
	else
		i->newest = link->older;
}

void idle_touch(struct idle *i, struct flow *f, usec_t now)
{
	if (now - f->active >= USEC_S) {
		idle_remove(i, f);
		idle_add(i, f);
	}
	f->active = now;
}

struct flow *idle_oldest(struct idle *i) { return flow_at(i->flows, i->oldest); }
