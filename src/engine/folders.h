// SPDX-License-Identifier: MIT
/*
 * What of the file system a LAN's daemon needs while it runs, for the sandbox:
 *
 *	runtime, state      its own: everything
 *	above runtime       to remove the runtime folder at the end
 *	configuration       /etc/hospes and the user's own, to reload
 *	resolv.conf         /etc, and where its link leads (/run)
 *	/proc/sys, /usr     what the kernel allows (ports, ping sockets); time zones, character sets
 *	sockets             a forward may listen on a unix socket anywhere; they can be removed where such things live: /run, /tmp, $XDG_RUNTIME_DIR
 */
#pragma once
#include "io/sandbox.h"

struct folders {
	char *runtime, *runtime_above, *state, *config, *config_own, *resolv_conf, *resolv_folder, *resolv_link;
};

/** folders_init() - @resolv_conf: a file; @config_path: one, or NULL. Return: 0 or -ENOMEM. */
int folders_init(struct folders *f, const char *runtime, const char *state, const char *resolv_conf, const char *config_path);
void folders_fini(struct folders *f);
/** folders_list() - for sandbox_enter(). The paths are borrowed from @f. Return: how many. */
size_t folders_list(const struct folders *f, struct sandbox_folder *into, size_t room);
