// SPDX-License-Identifier: MIT
/*
 * Where a LAN's files lie.
 *
 *	runtime  $XDG_RUNTIME_DIR/hospes/LAN  (else /run/user/UID/hospes/LAN where that exists, else /tmp/hospes-UID/LAN);
 *	         root: /run/hospes/LAN
 *	state    $XDG_STATE_HOME/hospes/LAN   (else ~/.local/state/hospes/LAN);  root: /var/lib/hospes/LAN
 *	cache    $XDG_CACHE_HOME/hospes       (else ~/.cache/hospes);            root: /var/cache/hospes
 *
 * In the runtime folder: the sockets `stream`, `dgram`, `control`, (`vhost`), and `pid`, which the daemon holds locked. In the state
 * folder: `leases`.
 */
#pragma once
#include <stddef.h>

/**
 * paths_runtime() - the runtime folder of LAN @lan, not made. Return: malloc'd, or NULL when out of memory or no home is known. Likewise
 * the others.
 */
char *paths_runtime(const char *lan);
char *paths_state(const char *lan);
char *paths_cache(void);
/**
 * paths_config() - the user's own folder of NAME.lan files: $XDG_CONFIG_HOME/hospes (else ~/.config/hospes), for root too. malloc'd, or
 * NULL.
 */
char *paths_config(void);
/** paths_join() - "@folder/@name", malloc'd */
char *paths_join(const char *folder, const char *name);
/**
 * paths_make() - make a folder and its parents, 0700 where it makes them
 * Return: 0 or negative errno; -EPERM if it (or a parent of ours under /tmp) belongs to another user or others may write to it.
 */
int paths_make(const char *folder);
/**
 * paths_own_program() - the full path of a program beside the running one ("hospesd"), else in ../libexec/hospes, else the bare name for
 * execvp(). malloc'd.
 */
char *paths_own_program(const char *name);
