// SPDX-License-Identifier: MIT
/*
 * Flows of one kind in the order of their last packet, so that the one idle for longest makes room when slots or descriptors run out.
 *
 * The links lie in the slots (struct idle_link); head and tail here, in the process. A flow is in the order from idle_add() to
 * idle_remove(). Flows are moved at most once a second, so the order is that coarse.
 */
#pragma once
#include "gateway/flow.h"

struct idle {
	struct flow_table *flows;  /* borrowed */
	uint32_t oldest, newest;
};

/** idle_init() - an order of those flows of @kind that @flows has already: none, or those of a process that was here before */
void idle_init(struct idle *i, struct flow_table *flows, enum flow_kind kind);
/** idle_add() - a new flow: the newest */
void idle_add(struct idle *i, struct flow *f);
/** idle_touch() - the flow has a packet now: it becomes the newest, and active */
void idle_touch(struct idle *i, struct flow *f, usec_t now);
/** idle_remove() - before the flow goes */
void idle_remove(struct idle *i, struct flow *f);
/** idle_oldest() - Return: NULL if there is none */
struct flow *idle_oldest(struct idle *i);
