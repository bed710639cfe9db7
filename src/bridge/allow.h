// SPDX-License-Identifier: MIT
/*
 * Who may attach guests to a bridge LAN: root, and whom `Allow` names, users and (@) groups.
 *
 * A caller is known by the user id that the kernel vouches for (SO_PEERCRED). Names are looked up to ids, never the other way round and
 * compared as text, so that no name is cut short or
 * spelled in a second way. What cannot be looked up allows nobody.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include "lan/config_bridge.h"

/* How names become ids: the system's own, or a test's. */
struct allow_lookup {
	bool (*user)(const char *name, uid_t *uid);
	bool (*group)(const char *name, gid_t *gid);
	/* The groups of a user, the primary one too. Return: how many there are, which may be more than @room: those beyond are not told. */
	size_t (*groups)(uid_t uid, gid_t *into, size_t room);
};

/** allow_system() - /etc/passwd, /etc/group and whatever else nsswitch.conf(5) names */
extern const struct allow_lookup allow_system;

/** allow_user() - may this user attach guests? */
bool allow_user(const struct bridge_config *config, uid_t uid, const struct allow_lookup *lookup);

/** allow_name() - the user's name for a message, or its number; Return: @into */
const char *allow_name(uid_t uid, char into[static USER_NAME_SIZE]);
