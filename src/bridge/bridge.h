// SPDX-License-Identifier: MIT
/*
 * Bridge LANs: from what is, and what the configuration wants, to a list of steps; and those steps taken, one by one, each with its way back.
 *
 *	snapshot (netlink dump) -> plan (pure) -> apply (journal, then the kernel) -> verify
 *
 * A step is a value: it can be printed as the ip or nft command that says the same, written to the journal and read back, and turned into its inverse. The plan for "down" is the journal's
 * inverses in reverse order, less those that do not hold any more.
 *
 * Addresses and routes move from the uplink to the bridge in one batch of netlink messages, so that the host is without them for no longer than the kernel needs for these.
 */
#pragma once
#include "bridge/snapshot.h"
#include "bridge/step.h"
#include "lan/config.h"

struct steps { struct step *step; size_t count; };

/** steps_fini() - free the list */
void steps_fini(struct steps *s);

/**
 * bridge_plan_up() - what has to be done so that the LAN is as configured
 * @out:   the steps, in order; none if all is as it should be. Free with steps_fini().
 * @error: 512 bytes; on failure why not, and what to do: uplink missing, wireless, in a bridge or bond already, a foreign bridge of that name, an address in use ...
 * Return: 0, -EINVAL with @error, or -ENOMEM. Pure: nothing is asked of the kernel.
 */
int bridge_plan_up(struct steps *out, const struct lan_config *config, const struct snapshot *now, char *error, size_t error_size);

/**
 * bridge_plan_down() - the way back
 * @journal: the steps that were taken, as the journal has them, in order
 */
int bridge_plan_down(struct steps *out, const struct steps *journal, const struct snapshot *now);
