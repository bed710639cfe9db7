// SPDX-License-Identifier: MIT
/*
 * Bridge LANs: from what is, and what the configuration wants, to a list of steps; and those steps taken, one by one, each with its way
 * back.
 *
 *	snapshot (netlink dump) -> plan (pure) -> apply (journal, then the kernel) -> verify
 *
 * A step is a value: it can be printed as the ip or nft command that says the same, written to the journal and read back, and turned into
 * its inverse. The plan for "down" is the journal's inverses in reverse order, less those that do not hold any more.
 *
 * Addresses and routes move from the uplink to the bridge in one batch of netlink messages, so that the host is without them for no longer
 * than the kernel needs for these.
 */
#pragma once
#include "bridge/snapshot.h"
#include "bridge/step.h"
#include "lan/config.h"

/**
 * bridge_plan_up() - what has to be done so that the LAN is as configured
 * @out:   the steps, in order; none if all is as it should be. Free with steps_fini().
 * @error: 512 bytes; on failure why not, and what to do: uplink missing, wireless, in a bridge or bond already, a foreign bridge of that
 *         name, an address in use ...
 * Return: 0, -EINVAL with @error, or -ENOMEM. Pure: nothing is asked of the kernel.
 */
int bridge_plan_up(struct steps *out, const struct lan_config *config, const struct snapshot *now, char *error, size_t error_size);

/**
 * bridge_plan_same() - is it still the LAN that is up? With another bridge or uplink it is not: what hangs on the old one would be left
 * behind, and two uplinks in one bridge may be a loop.
 * @served:  its configuration as it is in force; NULL: not known
 * @journal: the steps that were taken; NULL: none
 * @error:   512 bytes
 * Return: 0, or -EINVAL with @error
 */
int bridge_plan_same(const struct lan_config *config, const struct bridge_config *served, const struct steps *journal, char *error,
		size_t error_size);

/**
 * bridge_plan_mend() - before bridge_plan_up() after a crash: give @now what the journal alone still knows
 * An address or route that was taken off the uplink and did not arrive on the bridge counts as still being on the uplink, so that the plan
 * brings it over; a bridge that we made and had not yet given its alias is ours.
 * Return: 0 or -ENOMEM
 */
int bridge_plan_mend(struct snapshot *now, const struct steps *journal);

/**
 * bridge_plan_down() - the way back
 * @journal: the steps that were taken, as the journal has them, in order
 * Return: 0 or -ENOMEM. Steps of @out have "undoes" set.
 */
int bridge_plan_down(struct steps *out, const struct steps *journal, const struct snapshot *now);

/**
 * bridge_plan_hand_over() - of the steps that were taken, those that any LAN that routes needs of the whole host: if there is another one,
 * its journal is to have them, so that they are undone with the last
 * @out: copies, with their numbers
 * Return: 0 or -ENOMEM
 */
int bridge_plan_hand_over(struct steps *out, const struct steps *journal);

/**
 * bridge_plan_lan() - the networks of a LAN without an uplink (NAT, routed): what the host's and the guests' addresses are; what is not
 * configured is chosen beside the routes of @now
 * gateway4 and gateway6 are the host's addresses on the bridge, mac is the bridge's.
 * Return: 0, or as lan_plan_make()
 */
int bridge_plan_lan(struct lan_plan *out, const struct lan_config *config, const struct snapshot *now, char *error, size_t error_size);

/**
 * bridge_nft_table() - the name of a LAN's nft tables: "hospes_br0"; one of family inet comes from the plan (NAT, routed, isolated).
 * Return: @into
 */
const char *bridge_nft_table(const struct lan_config *config, char into[static NFT_TABLE_SIZE]);
