// SPDX-License-Identifier: MIT
/*
 * Leases on disk: one line a guest, so that the same MAC gets the same address after a restart. The file is written anew beside the old one and renamed, so that
 * a full disk or a crash leaves the old one whole.
 */
#pragma once
#include "lan/guest.h"

/** leases_load() - read @path into @g; a missing file is an empty one; a damaged line is skipped with a warning that names file and line. Return: 0 or negative errno. */
int leases_load(struct guests *g, const char *path);
/** leases_save() - write all leases and names. Return: 0 or negative errno (-ENOSPC: the old file is still whole). */
int leases_save(struct guests *g, const char *path);
