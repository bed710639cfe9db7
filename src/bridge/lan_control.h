// SPDX-License-Identifier: MIT
/* org.hospes.Lan of a bridge LAN, on its control socket: the same nouns as a user LAN's. */
#pragma once
#include "bridge/lan_up.h"

/**
 * lan_control_new() - serve @l on @fd, a listening socket that is owned when this succeeds. Root and whom Allow names may connect.
 * Return: 0 or negative errno.
 */
int lan_control_new(struct varlink_server **out, struct lan_up *l, int fd);
