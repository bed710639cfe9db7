// SPDX-License-Identifier: MIT
/* The parts of reading a snapshot, for snapshot.c alone. */
#pragma once
#include "bridge/nl.h"
#include "bridge/snapshot.h"

/** snapshot_read_links() - Return: 0 or negative errno; so do the others */
int snapshot_read_links(struct snapshot *s, struct nl *n);
/** snapshot_read_routes() - addresses, routes, rules */
int snapshot_read_routes(struct snapshot *s, struct nl *n);
int snapshot_read_tables(struct snapshot *s);
/** snapshot_read_sysctls() - of the links that @s has already */
int snapshot_read_sysctls(struct snapshot *s);

/* The next in a list, zeroed, or NULL when out of memory. Its count is the caller's to raise. */
#define SNAPSHOT_NEXT(s, list, count)                                                                                             \
	({ __typeof__((s)->list) _a = array_grow((s)->list, (s)->count, sizeof(*(s)->list)); _a ? ((s)->list = _a) + (s)->count : NULL; })
