// SPDX-License-Identifier: MIT
/*
 * What of the file system a LAN's daemon needs while it runs, for the sandbox:
 *
 *	runtime, state      its own: everything
 *	above runtime       to remove the runtime folder at the end
 *	configuration       /etc/hospes and the user's own, to reload
 *	resolv.conf         /etc, and where its link leads (/run)
 *	/proc/sys, /usr     what the kernel allows (ports, ping sockets); time zones, character sets
 *	sockets             of forwards: below /run, /tmp and $XDG_RUNTIME_DIR, where such things live, and in the folders of those that
 *	                    stand in the configuration when the LAN comes up. Who may make a socket in a folder must be able to remove
 *	                    files there, so it is not allowed everywhere.
 */
#pragma once
#include "io/sandbox.h"
#include "lan/config.h"

#define FOLDERS_FORWARDS 8
#define FOLDERS_MAX      (16 + FOLDERS_FORWARDS)

struct folders {
	char *runtime, *runtime_above, *state, *config, *config_own, *resolv_conf, *resolv_folder, *resolv_link;
	char *forwards[FOLDERS_FORWARDS]; /* of unix sockets; NULL after the last */
};

/** folders_init() - @resolv_conf: a file; @config_path: one, or NULL; @config: as read from it. Return: 0 or -ENOMEM. */
int folders_init(struct folders *f, const char *runtime, const char *state, const char *resolv_conf, const char *config_path,
		 const struct lan_config *config);
void folders_fini(struct folders *f);
/** folders_list() - for sandbox_enter(). The paths are borrowed from @f. Return: how many. */
size_t folders_list(const struct folders *f, struct sandbox_folder into[static FOLDERS_MAX]);
