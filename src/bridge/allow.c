// SPDX-License-Identifier: MIT
#include "bridge/allow.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

#define GROUPS_MAX  1024
#define RECORD_SIZE 65536   /* of passwd and group entries: a group may have many members */

/* --- the system's names --- */

static bool system_user(const char *name, uid_t *uid)
{
	_cleanup_(freep) char *room = malloc(RECORD_SIZE);
	struct passwd entry, *found = NULL;

	if (!room || getpwnam_r(name, &entry, room, RECORD_SIZE, &found) || !found)
		return false;
	*uid = found->pw_uid;
	return true;
}

static bool system_group(const char *name, gid_t *gid)
{
	_cleanup_(freep) char *room = malloc(RECORD_SIZE);
	struct group entry, *found = NULL;

	if (!room || getgrnam_r(name, &entry, room, RECORD_SIZE, &found) || !found)
		return false;
	*gid = found->gr_gid;
	return true;
}

static size_t system_groups(uid_t uid, gid_t *into, size_t max)
{
	_cleanup_(freep) char *room = malloc(RECORD_SIZE);
	struct passwd entry, *found = NULL;
	int count = (int)max;

	if (!room || getpwuid_r(uid, &entry, room, RECORD_SIZE, &found) || !found)
		return 0;
	/* With too little room it says how many there are, and has filled what there was. */
	getgrouplist(found->pw_name, found->pw_gid, into, &count);
	return count < 0 ? 0 : (size_t)count;
}

const struct allow_lookup allow_system = { .user = system_user, .group = system_group, .groups = system_groups };

const char *allow_name(uid_t uid, char into[static USER_NAME_SIZE])
{
	_cleanup_(freep) char *room = malloc(RECORD_SIZE);
	struct passwd entry, *found = NULL;

	if (room && !getpwuid_r(uid, &entry, room, RECORD_SIZE, &found) && found && strlen(found->pw_name) < USER_NAME_SIZE)
		strcpy(into, found->pw_name);
	else
		snprintf(into, USER_NAME_SIZE, "user %u", (unsigned int)uid);
	return into;
}

/* --- the rule --- */

static bool is_member(gid_t gid, const gid_t *groups, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

bool allow_user(const struct bridge_config *config, uid_t uid, const struct allow_lookup *lookup)
{
	gid_t groups[GROUPS_MAX], gid;
	size_t count = SIZE_MAX;
	uid_t named;

	if (!uid)
		return true;
	for (size_t i = 0; i < config->allow_count; i++) {
		const struct bridge_allow *a = &config->allow[i];

		if (!a->group && lookup->user(a->name, &named) && named == uid)
			return true;
		if (!a->group)
			continue;
		if (count == SIZE_MAX)
			count = MIN(lookup->groups(uid, groups, GROUPS_MAX), (size_t)GROUPS_MAX);
		if (lookup->group(a->name, &gid) && is_member(gid, groups, count))
			return true;
	}
	return false;
}
