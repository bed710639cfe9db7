// SPDX-License-Identifier: MIT
/* Where the things lie that ssh to guests needs. */
#pragma once
#include <stddef.h>
#include "base/attr.h"

#define SSH_DEFAULT_KEYS 6

struct ssh_paths {
	char *program;       /* this program */
	char *known_hosts;   /* host keys of guests of all LANs */
	char *key;           /* our own; it need not exist: `hospes run` makes it for minis */
	char *keys[SSH_DEFAULT_KEYS + 1]; /* the user's default keys that exist, as ssh_quote_path() has them */
};

/**
 * ssh_paths_find() - look them up
 * @lan: whose key; the known hosts are kept with the LAN `default`, for the names say which LAN they are of
 * Return: 0 or negative errno after a message. Free with ssh_paths_fini().
 */
int ssh_paths_find(struct ssh_paths *out, const char *lan);
void ssh_paths_fini(struct ssh_paths *p);
#define _cleanup_ssh_paths_ _cleanup_(ssh_paths_fini)
