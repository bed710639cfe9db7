// SPDX-License-Identifier: MIT
/* What the rooms of the planner (plan*.c) share. */
#pragma once
#include "bridge/bridge.h"

/* At the end of the comment of a table that only keeps guests in: its LAN needs no forwarding of the host. */
#define ISOLATED_MARK " isolated"

struct planner {
	const struct lan_config *config;
	const struct bridge_config *b;
	const struct snapshot *now;
	const struct link *uplink, *bridge; /* as they are; NULL: none configured, not there */
	struct lan_plan lan;                /* of a LAN without an uplink */
	struct steps *out;
	int failed;                         /* -ENOMEM, once */
	char *error; size_t error_size;
};

/** plan_refuse() - Return: -EINVAL */
int plan_refuse(struct planner *p, const char *format, ...) _printf_(2, 3);
/** plan_add() - one more step; takes what @s owns */
void plan_add(struct planner *p, struct step s);
/** plan_set() - a setting of a link, if it is not so already; @old: "" for what was just made */
void plan_set(struct planner *p, enum step_kind kind, const char *link, const char *value, const char *old);
void plan_set_number(struct planner *p, enum step_kind kind, const char *link, uint32_t value, uint32_t old);
/** plan_set_sysctl() - of a link, if the kernel has it and it is not so already; a link that is still to be made has what "default" says */
void plan_set_sysctl(struct planner *p, int version, const char *link, const char *name, const char *value);
/** plan_alias() - what a link of this LAN is marked with */
const char *plan_alias(const struct planner *p, char into[static 64]);
/** plan_is_up() - is the uplink a port of the LAN's bridge already? */
bool plan_is_enslaved(const struct planner *p);

/** plan_check() - refuse what cannot be, before anything changes. Return: 0 or -EINVAL with the message */
int plan_check(struct planner *p);
/** plan_move() - the uplink into the bridge, and its addresses, routes and rules over; the host's own address */
void plan_move(struct planner *p);
/** plan_nft() - the table of a LAN without an uplink */
void plan_nft(struct planner *p);

/** plan_masked() - an address with its host bits cleared */
addr_t plan_masked(addr_t a, unsigned int bits);
