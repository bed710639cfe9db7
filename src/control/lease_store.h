// SPDX-License-Identifier: MIT
/*
 * The leases of a LAN and the file that outlives it: loaded once, saved a second after a change (so that a burst of them is one write) and
 * at the end.
 */
#pragma once
#include <stdbool.h>
#include "io/loop.h"
#include "lan/guest.h"

struct lease_store {
	struct guests *guests;   /* borrowed */
	char *path;              /* NULL: nothing is kept */
	struct timer timer;
	bool changed;            /* since the last save that went well */
	bool failed;             /* and it was said */
};

/**
 * lease_store_init() - load the leases
 * @folder: the LAN's state folder, made if it is missing; where it cannot be made or read, leases are kept in memory alone, after a warning
 * Return: 0 or -ENOMEM.
 */
int lease_store_init(struct lease_store *s, struct loop *loop, struct guests *guests, const char *folder);
/** lease_store_changed() - a lease or a name was changed */
void lease_store_changed(struct lease_store *s);
/** lease_store_fini() - save what has changed. Harmless on a zeroed one. */
void lease_store_fini(struct lease_store *s);
