// SPDX-License-Identifier: MIT
/* What the verbs that change a LAN do to a bridge LAN: each asks hospes-bridged, and prints the steps. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct bridge_options {
	bool dry_run;     /* only print what would be done */
	bool force;       /* guests that are attached lose their network */
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
int bridge_print_plan(int fd, const char *lan, bool down);

/** bridge_print_steps() - the steps of an answer, one a line, @lead before each. Return: how many. */
size_t bridge_print_steps(const json_t *reply, const char *lead, FILE *to);

