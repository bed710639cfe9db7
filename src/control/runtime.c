// SPDX-License-Identifier: MIT
#include "control/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "lan/paths.h"

#define BACKLOG    128
#define LOG_MAX    (1 << 20)  /* a log that has grown beyond this is begun anew */
#define LOCK_TRIES 8

#define MADE_MAX   8

struct runtime {
	char *folder;
	char *lan;
	int lock;
	char *made[MADE_MAX]; /* paths of what was made in it, to be removed; NULL after the last */
};

/* Remember what to remove. @path is owned from now on. */
static void runtime_made(struct runtime *r, char *path)
{
	for (size_t i = 0; path && i < MADE_MAX; i++) {
		if (r->made[i] && !strcmp(r->made[i], path))
			break;
		if (r->made[i])
			continue;
		r->made[i] = path;
		return;
	}
	free(path);
}

/* --- the lock --- */

static void say_busy(const struct runtime *r, int fd, const char *path)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	if (n > 0)
		pid[strcspn(pid, "\n")] = 0;
	log_error("LAN %s is up already: process %s holds %s; hospes down %s ends it", r->lan, n > 0 ? pid : "(unknown)", path, r->lan);
}

/* Is the file that was locked still the one at that path? A daemon that ends removes it before it lets go. */
static bool still_there(int fd, const char *path)
{
	struct stat ours, there;

	return !fstat(fd, &ours) && !stat(path, &there) && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static int lock_once(struct runtime *r, const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		int error = -errno;

		log_error("cannot open %s: %s", path, strerror(-error));
		return error;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int error = -errno;

		if (error != -EWOULDBLOCK)
			log_error("cannot lock %s: %s", path, strerror(-error));
		else
			say_busy(r, fd, path);
		return error == -EWOULDBLOCK ? -EBUSY : error;
	}
	if (!still_there(fd, path))
		return -EAGAIN;
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
		log_error("cannot write %s: %s", path, strerror(errno));
		return -EIO;
	}
	r->lock = fd_steal(&fd);
	return 0;
}

static int runtime_lock(struct runtime *r)
{
	_cleanup_(freep) char *path = paths_join(r->folder, "pid");
	int error = path ? -EAGAIN : -ENOMEM;

	for (int i = 0; i < LOCK_TRIES && error == -EAGAIN; i++) {
		/* The one that ended may have taken the folder with it. */
		int made = paths_make(r->folder);

		error = made < 0 ? made : lock_once(r, path);
		if (made < 0)
			log_error("cannot make the folder %s: %s%s", r->folder, strerror(-made),
				  made == -EPERM ? " (it, or one above it, is not this user's alone); --runtime names another" : "");
	}
	if (!error) {
		runtime_made(r, steal(&path));
		/* A dead daemon's log goes too, if this one writes none. */
		runtime_made(r, paths_join(r->folder, "log"));
	}
	return error;
}

int runtime_new(struct runtime **out, const char *folder, const char *lan)
{
	_cleanup_(freep) struct runtime *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return -ENOMEM;
	*r = (struct runtime){ .folder = strdup(folder), .lan = strdup(lan), .lock = -1 };
	error = r->folder && r->lan ? runtime_lock(r) : -ENOMEM;
	if (error < 0) {
		free(r->folder);
		free(r->lan);
		return error;
	}
	*out = steal(&r);
	return 0;
}

/* --- sockets --- */

/* Does anybody serve there? Return: 1, 0 for a dead one, or negative errno. */
static int probe(const struct sockaddr_un *sa, int type)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) || errno == EAGAIN || errno == EPROTOTYPE)
		return 1;
	return errno == ECONNREFUSED ? 0 : -errno;
}

/* Make sure that the path is free. */
static int clear_path(const struct sockaddr_un *sa, int type)
{
	struct stat st;
	int live;

	if (lstat(sa->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		log_error("%s is in the way: a socket is to stand there, and it is no socket; remove it", sa->sun_path);
		return -EEXIST;
	}
	live = probe(sa, type);
	if (live > 0) {
		log_error("another program serves the socket %s, and is not the daemon of this LAN: end it (ss -xlp | grep %s shows it), "
			"or give --runtime "
			  "another folder", sa->sun_path, sa->sun_path);
		return -EADDRINUSE;
	}
	return !live && unlink(sa->sun_path) < 0 ? -errno : live;
}

static int bind_socket(const struct sockaddr_un *sa, int type)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t before;
	int r;

	if (fd < 0)
		return -errno;
	before = umask(077);
	r = bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? -errno : 0;
	umask(before);
	if (!r && type == SOCK_STREAM && listen(fd, BACKLOG) < 0)
		r = -errno;
	return r < 0 ? r : fd_steal(&fd);
}

int runtime_socket(struct runtime *r, const char *name, int type)
{
	_cleanup_(freep) char *path = paths_join(r->folder, name);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int error;

	if (!path)
		return -ENOMEM;
	if (strlen(path) >= sizeof(sa.sun_path)) {
		log_error("the path %s has %zu bytes, and a unix socket's may have %zu: set XDG_RUNTIME_DIR to a shorter folder, or give "
			"one with --runtime",
			  path, strlen(path), sizeof(sa.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(sa.sun_path, path, strlen(path) + 1);
	error = clear_path(&sa, type);
	if (error == -EEXIST || error == -EADDRINUSE)
		return error;
	if (!error)
		error = bind_socket(&sa, type);
	if (error < 0)
		log_error("cannot make the socket %s: %s", path, strerror(-error));
	else
		runtime_made(r, steal(&path));
	return error;
}

int runtime_log(struct runtime *r)
{
	_cleanup_(freep) char *path = paths_join(r->folder, "log");
	_cleanup_fd_ int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
	struct stat st;

	if (fd < 0)
		return path ? -errno : -ENOMEM;
	runtime_made(r, steal(&path));
	if (!fstat(fd, &st) && st.st_size > LOG_MAX && ftruncate(fd, 0) < 0)
		return -errno;
	return fd_steal(&fd);
}

/* --- the end --- */

struct runtime *runtime_free(struct runtime *r)
{
	if (!r)
		return NULL;
	/* The lock's file was made first and goes last: until then nobody else may begin. */
	for (size_t i = MADE_MAX; i--;) {
		if (r->made[i] && unlink(r->made[i]) < 0 && errno != ENOENT)
			log_warning("cannot remove %s: %s", r->made[i], strerror(errno));
		free(r->made[i]);
	}
	rmdir(r->folder); /* unless somebody put something in it */
	fd_close(r->lock);
	free(r->folder);
	free(r->lan);
	free(r);
	return NULL;
}
