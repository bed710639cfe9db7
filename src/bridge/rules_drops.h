// SPDX-License-Identifier: MIT
/* What the rules of a LAN have dropped, asked of the kernel by netlink: it takes CAP_NET_ADMIN, and no program. */
#pragma once
#include <stdint.h>
#include "base/drop.h"

/* One counter. @tap: the name of the link, as the kernel has it; good until this returns */
typedef void (*rules_drops_each)(void *owner, const char *tap, enum drop why, uint64_t frames);

/**
 * rules_drops_read() - all counters of a table that rules_text() made
 * @table: of family bridge
 * Return: 0, or negative errno: -ENOENT if there is no such table
 */
int rules_drops_read(const char *table, rules_drops_each each, void *owner);
