// SPDX-License-Identifier: MIT
/*
 * Leases on disk: one line a guest, so that the same MAC gets the same address after a restart.
 *
 *	52:54:00:12:34:57 name=web ip4=10.0.2.15 until4=1700000000 id4=01525400123457 ip6=fd00::1:2f until6=1700000000 iaid=7 id6=0003...
 *
 * Every word but the MAC may be missing; what a reader does not know makes the line damaged. The file is written anew beside the old one
 * and renamed, so that a full disk or a daemon that dies leaves the old one whole. It is not synced: the frames of a LAN do not wait for a
 * disk, and what a power failure loses is only a memory.
 */
#pragma once
#include "lan/guest.h"

/**
 * leases_load() - read @path into @g
 * @wall: seconds since 1970: leases that ended meanwhile are kept as expired
 * A missing file is an empty one; a damaged line is skipped with a warning that names file and line. A name is taken back as one from DHCP,
 * so that whoever registers it gets it.
 * Return: 0 or negative errno.
 */
int leases_load(struct guests *g, const char *path, int64_t wall);

/** leases_save() - write all leases that were taken, and names. Return: 0 or negative errno (-ENOSPC: the old file is still whole). */
int leases_save(struct guests *g, const char *path);
