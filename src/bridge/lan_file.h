// SPDX-License-Identifier: MIT
/*
 * The files that say which bridge LANs there are: NAME.lan in the configuration folder, for the privileged service.
 *
 * Such a file decides what root does, so it must be root's: it and its folder belong to the user that the service runs as (root), nobody
 * else may write to them, the file is opened without
 * following a link, and everything is asked of the one descriptor that is then read.
 */
#pragma once
#include "lan/config.h"

/**
 * lan_file_load() - read the file of a LAN
 * @folder: of the *.lan files, absolute
 * @name:   the LAN's; a name that is none finds no file
 * @error:  1024 bytes: why not, and what to do
 * Return: 0; -ENOENT: there is no such file; -EPERM: it is not root's alone; -EINVAL: what it says is wrong, or it is no bridge LAN's; or
 * another negative errno
 */
int lan_file_load(struct lan_config **out, const char *folder, const char *name, char *error, size_t error_size);

/** lan_file_each() - call @each for the name of every *.lan file there. Return: 0 or negative errno. */
int lan_file_each(const char *folder, void (*each)(void *owner, const char *name), void *owner);
