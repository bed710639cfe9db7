// SPDX-License-Identifier: MIT
/* What the verbs that change a LAN do to a bridge LAN: each asks hospes-bridged, and prints the steps. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include "cli/dhcp_hint.h"

struct bridge_options {
	bool dry_run;     /* only print what would be done */
	bool force;       /* guests that are attached lose their network */
	bool json;        /* say it as one JSON object */
};

/* Each returns the exit status for its verb. */
int bridge_up(const char *lan, const struct bridge_options *o);
int bridge_down(const char *lan, const struct bridge_options *o);
int bridge_restart(const char *lan, const struct bridge_options *o);
int bridge_reload(const char *lan, const struct bridge_options *o);

/**
 * bridge_print_plan() - what Up (or Down) would do, one step a line
 * @fd: of hospes-bridged
 * Return: the exit status.
 */
int bridge_print_plan(int fd, const char *lan, bool down, bool json);

/** bridge_print_steps() - the steps of an answer, one a line, @lead before each. Return: how many. */
size_t bridge_print_steps(const json_t *reply, const char *lead, FILE *to);

/**
 * bridge_print_json() - what a verb did, as JSON on standard output
 * @state: "up", "trying", "down"; NULL: nothing was done, the steps are a plan
 * @entry: the LAN's in the answer of Status, or NULL
 * @reply: has steps (and seconds_left); NULL: there are none
 */
void bridge_print_json(const char *lan, const char *state, const json_t *entry, const json_t *reply, const struct dhcp_hint *hint);
