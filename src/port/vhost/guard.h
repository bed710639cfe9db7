// SPDX-License-Identifier: MIT
/*
 * Shared mappings that may vanish.
 *
 * Whoever shares a file can cut it short, and a touch of a page that has gone raises SIGBUS. The guard's handler puts zeroes in the place
 * of a guarded mapping that did so and notes that it is broken; the touch goes on. A SIGBUS anywhere else ends the process as before.
 *
 * Signal handlers have no owner to ask, so the table of guarded mappings is the one global of the program. It is fixed in size, written
 * by the one thread that maps, and read by the handler on that same thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define GUARDED_MAX 16384

/** guard_add() - watch over a mapping; the first installs the handler. Return: 0, -ENOSPC (the table is full) or as sigaction(2). */
int guard_add(void *mapping, size_t size);
/** guard_remove() - before it is unmapped; harmless on one that is not guarded */
void guard_remove(void *mapping);
/** guard_is_broken() - did a page of it go away? */
bool guard_is_broken(const void *mapping);
