// SPDX-License-Identifier: MIT
#include "lan/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

char *paths_join(const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* An absolute path from the environment (the XDG base directory specification ignores others), or NULL. */
static const char *from_environment(const char *variable)
{
	const char *value = getenv(variable);

	return value && value[0] == '/' ? value : NULL;
}

static const char *home(void)
{
	const char *value = from_environment("HOME");
	const struct passwd *pw = value ? NULL : getpwuid(geteuid());

	return value ? value : pw && pw->pw_dir && pw->pw_dir[0] == '/' ? pw->pw_dir : NULL;
}

/* "$@variable/hospes", else "~/@beside_home/hospes" */
static char *user_folder(const char *variable, const char *beside_home)
{
	const char *base = from_environment(variable);
	char *path;

	if (base)
		return paths_join(base, "hospes");
	base = home();
	if (!base || asprintf(&path, "%s/%s/hospes", base, beside_home) < 0)
		return NULL;
	return path;
}

/* The folder of all LANs' sockets. */
static char *runtime_base(void)
{
	const char *base = from_environment("XDG_RUNTIME_DIR");
	unsigned int uid = geteuid();
	char session[64], *path;

	if (!uid)
		return strdup("/run/hospes");
	if (base)
		return paths_join(base, "hospes");
	snprintf(session, sizeof(session), "/run/user/%u", uid);
	if (is_folder(session))
		return paths_join(session, "hospes");
	return asprintf(&path, "/tmp/hospes-%u", uid) < 0 ? NULL : path;
}

char *paths_runtime(const char *lan)
{
	_cleanup_(freep) char *base = runtime_base();

	return base ? paths_join(base, lan) : NULL;
}

char *paths_state(const char *lan)
{
	_cleanup_(freep) char *base = geteuid() ? user_folder("XDG_STATE_HOME", ".local/state") : strdup("/var/lib/hospes");

	return base ? paths_join(base, lan) : NULL;
}

char *paths_cache(void)
{
	return geteuid() ? user_folder("XDG_CACHE_HOME", ".cache") : strdup("/var/cache/hospes");
}

char *paths_config(void)
{
	return user_folder("XDG_CONFIG_HOME", ".config");
}

/* Nobody but its owner (and root) can put something else in the place of what lies in this folder. */
static bool is_private(const struct stat *st)
{
	return !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/*
 * One step down, made if it is missing. Below a folder where others may write (/tmp) the step must be ours or root's, and no link: another
 * user may have put it there. Return: 0 or negative errno; *@at is the folder afterwards, *@st what it is.
 */
static int step_down(int *at, const char *name, struct stat *st)
{
	bool exposed = !is_private(st);
	_cleanup_fd_ int next = -1;

	if (mkdirat(*at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	next = openat(*at, name, O_PATH | O_DIRECTORY | O_CLOEXEC | (exposed ? O_NOFOLLOW : 0));
	if (next < 0)
		return exposed && (errno == ENOTDIR || errno == ELOOP) ? -EPERM : -errno;
	if (fstat(next, st) < 0)
		return -errno;
	if (exposed && st->st_uid != geteuid() && st->st_uid)
		return -EPERM;
	fd_close(*at);
	*at = fd_steal(&next);
	return 0;
}

int paths_make(const char *folder)
{
	_cleanup_(freep) char *copy = strdup(folder);
	_cleanup_fd_ int at = open(folder[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *rest = copy, *name;
	struct stat st;
	int r;

	if (!copy)
		return -ENOMEM;
	if (at < 0 || fstat(at, &st) < 0)
		return -errno;
	while ((name = strsep(&rest, "/"))) {
		if (!name[0] || !strcmp(name, "."))
			continue;
		r = step_down(&at, name, &st);
		if (r)
			return r;
	}
	return st.st_uid == geteuid() && is_private(&st) ? 0 : -EPERM;
}

/* malloc'd folder of the running program, or NULL */
static char *own_folder(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (n <= 0)
		return NULL;
	path[n] = 0;
	slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	*slash = 0;
	return strdup(path);
}

char *paths_own_program(const char *name)
{
	static const char *const places[] = { "", "/../libexec/hospes" };
	_cleanup_(freep) char *folder = own_folder();
	char path[PATH_MAX];

	for (size_t i = 0; folder && i < ARRAY_SIZE(places); i++) {
		int n = snprintf(path, sizeof(path), "%s%s/%s", folder, places[i], name);

		if (n > 0 && (size_t)n < sizeof(path) && !access(path, X_OK))
			return strdup(path);
	}
	return strdup(name);
}
