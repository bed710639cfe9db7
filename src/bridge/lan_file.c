// SPDX-License-Identifier: MIT
#include "bridge/lan_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

#define SUFFIX ".lan"

static int open_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Nobody but the service's own user can have written it. */
static int check_owner(int fd, const char *path, bool folder, char *error, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!folder && !S_ISREG(st.st_mode)) {
		snprintf(error, size, "%s is no plain file", path);
		return -EPERM;
	}
	if (st.st_uid != geteuid()) {
		snprintf(error, size, "%s belongs to user %u, and has to be root's: chown root %s", path, (unsigned int)st.st_uid, path);
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		snprintf(error, size, "%s can be written by others than root: chmod go-w %s", path, path);
		return -EPERM;
	}
	return 0;
}

static int open_file(const char *folder, const char *name, const char *path, char *error, size_t size)
{
	_cleanup_fd_ int dir = open_folder(folder), fd = -1;
	char file[LAN_NAME_SIZE + sizeof(SUFFIX)];
	int r;

	if (dir < 0)
		return dir;
	r = check_owner(dir, folder, true, error, size);
	if (r < 0)
		return r;
	snprintf(file, sizeof(file), "%s" SUFFIX, name);
	fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && errno == ELOOP) {
		snprintf(error, size, "%s is a symbolic link, and those are not followed: put the file itself there", path);
		return -EPERM;
	}
	if (fd < 0)
		return -errno;
	r = check_owner(fd, path, false, error, size);
	return r < 0 ? r : fd_steal(&fd);
}

static int parse_file(struct lan_config **out, const char *name, int fd, const char *path, char *error, size_t size)
{
	_cleanup_(lan_config_freep) struct lan_config *config = NULL;
	FILE *text = fdopen(fd, "re");
	int r;

	if (!text) {
		close(fd);
		return -errno;
	}
	r = lan_config_parse(&config, name, text, path, error, size);
	fclose(text);
	if (r < 0)
		return r;
	if (config->fabric != FABRIC_BRIDGE) {
		snprintf(error, size, "%s: Fabric is not bridge; it is a user LAN, and needs no privileges: hospes up %s", path, name);
		return -EINVAL;
	}
	*out = steal(&config);
	return 0;
}

int lan_file_load(struct lan_config **out, const char *folder, const char *name, char *error, size_t error_size)
{
	char path[512];
	int fd;

	*error = 0;
	snprintf(path, sizeof(path), "%s/%.15s" SUFFIX, folder, name);
	fd = lan_name_valid(name) ? open_file(folder, name, path, error, error_size) : -ENOENT;
	if (fd == -ENOENT)
		snprintf(error, error_size, "there is no %s; write one with Fabric = bridge (man hospes.lan has an example)", path);
	else if (fd < 0 && !*error)
		snprintf(error, error_size, "cannot open %s: %s", path, strerror(-fd));
	return fd < 0 ? fd : parse_file(out, name, fd, path, error, error_size);
}

int lan_file_each(const char *folder, void (*each)(void *owner, const char *name), void *owner)
{
	_cleanup_fd_ int fd = open_folder(folder);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (fd < 0 || !dir)
		return fd == -ENOENT ? 0 : fd < 0 ? fd : -errno;
	fd_steal(&fd);
	while ((entry = readdir(dir))) {
		size_t size = strlen(entry->d_name);
		char name[LAN_NAME_SIZE];

		if (size < sizeof(SUFFIX) || size - (sizeof(SUFFIX) - 1) >= sizeof(name) || strcmp(entry->d_name + size - (sizeof(SUFFIX) - 1), SUFFIX))
			continue;
		size -= sizeof(SUFFIX) - 1;
		memcpy(name, entry->d_name, size);
		name[size] = 0;
		if (lan_name_valid(name))
			each(owner, name);
	}
	closedir(dir);
	return 0;
}
