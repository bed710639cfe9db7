// SPDX-License-Identifier: MIT
/* The networks that the host's routes cover, so that a LAN does not take one of them. */
#pragma once
#include "lan/config.h"

/**
 * routes_list() - read the host's IPv4 routes by netlink, default routes left out
 * @out:   malloc'd
 * @count: how many
 * Return: 0 or negative errno.
 */
int routes_list(struct net4 **out, size_t *count);
