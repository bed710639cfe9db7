// SPDX-License-Identifier: MIT
/* The rules of a bridge LAN that is up: gathered from its taps and guests, given to the kernel when they are others, and their counters. */
#pragma once
#include "bridge/lan_up.h"

/** lan_reserve() - what addresses the host and its routers have on the bridge: no guest's. Then lan_up_changed(). */
void lan_reserve(struct lan_up *l, const struct snapshot *now);
/** lan_reserved() - is it one of them? */
bool lan_reserved(const struct lan_up *l, addr_t addr);
/** lan_count_drops() - bring the counters of all taps up to date (lan_tap.drops) */
void lan_count_drops(struct lan_up *l);
