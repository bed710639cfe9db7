// SPDX-License-Identifier: MIT
#include "cli/guest_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "base/log.h"
#include "lan/paths.h"
#include "lan/plan.h"

static const char *const files[] = { "qmp", "serial", "serial.log", "qemu.log", "dgram", "pid" };

static char *folder_of(const char *lan, const char *name)
{
	_cleanup_(freep) char *runtime = paths_runtime(lan);
	char *path;

	return runtime && asprintf(&path, "%s/guests/%s", runtime, name) >= 0 ? path : NULL;
}

/* The lock counts only while the file is the one that has this name: whoever held it before may have removed it meanwhile. */
static int lock_pid(const char *path)
{
	for (;;) {
		_cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		struct stat locked, named;

		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (!fstat(fd, &locked) && !stat(path, &named) && locked.st_ino == named.st_ino && locked.st_dev == named.st_dev)
			return fd_steal(&fd);
	}
}

static int take(const char *folder)
{
	_cleanup_(freep) char *path = NULL;
	int fd, r;

	if (asprintf(&path, "%s/pid", folder) < 0)
		return -ENOMEM;
	/* Another one that ends removes the folder between the two steps. */
	do {
		r = paths_make(folder);
		fd = r < 0 ? r : lock_pid(path);
	} while (fd == -ENOENT);
	if (fd >= 0 && (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)) {
		fd_close(fd);
		return -errno;
	}
	return fd;
}

static void remove_files(const char *folder, bool pid_too)
{
	for (size_t i = 0; i < ARRAY_SIZE(files) - !pid_too; i++) {
		_cleanup_(freep) char *path = paths_join(folder, files[i]);

		if (path)
			unlink(path);
	}
}

int guest_folder_new(struct guest_folder *out, const char *lan, const char *name)
{
	_cleanup_guest_folder_ struct guest_folder f = { .lock = -1 };

	f.path = folder_of(lan, name);
	f.lock = f.path ? take(f.path) : -ENOMEM;
	if (f.lock == -EBUSY)
		log_error("guest %s runs already on LAN %s; give this one another name with --name", name, lan);
	else if (f.lock < 0)
		log_error("cannot make the folder %s: %s", f.path ? f.path : name, strerror(-f.lock));
	if (f.lock < 0) {
		free(steal(&f.path));
		return f.lock;
	}
	remove_files(f.path, false);
	f.qmp = paths_join(f.path, "qmp");
	f.serial = paths_join(f.path, "serial");
	f.serial_log = paths_join(f.path, "serial.log");
	f.qemu_log = paths_join(f.path, "qemu.log");
	f.dgram = paths_join(f.path, "dgram");
	if (!f.qmp || !f.serial || !f.serial_log || !f.qemu_log || !f.dgram)
		return -ENOMEM;
	if (strlen(f.serial) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		log_error("the path %s is too long for a socket; give the guest a shorter name with --name", f.serial);
		return -ENAMETOOLONG;
	}
	*out = f;
	f = (struct guest_folder){ .lock = -1 };
	return 0;
}

/* Folders that hold something else stay. */
static void remove_folders(char *path)
{
	for (int level = 0; level < 3 && !rmdir(path); level++)
		*strrchr(path, '/') = 0;
}

void guest_folder_fini(struct guest_folder *f)
{
	if (f->path) {
		remove_files(f->path, true);
		remove_folders(f->path);
	}
	f->lock = fd_close(f->lock);
	free(steal(&f->path));
	free(steal(&f->qmp));
	free(steal(&f->serial));
	free(steal(&f->serial_log));
	free(steal(&f->qemu_log));
	free(steal(&f->dgram));
}

pid_t guest_folder_pid(const char *lan, const char *name)
{
	_cleanup_(freep) char *folder = guest_name_valid(name) ? folder_of(lan, name) : NULL, *path = folder ? paths_join(folder, "pid") : NULL;
	_cleanup_fd_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	char text[16] = "";

	if (fd < 0)
		return 0;
	/* Nobody holds it: what is written there is of the past. */
	if (!flock(fd, LOCK_SH | LOCK_NB) || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	return (pid_t)strtol(text, NULL, 10);
}

/* Is there no process left behind a datagram socket? */
static bool is_deserted(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(sa.sun_path))
		return false;
	strcpy(sa.sun_path, path);
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno == ECONNREFUSED;
}

static void sweep_sockets(const char *runtime)
{
	_cleanup_(freep) char *pattern = paths_join(runtime, "dgram.*");
	glob_t found;

	if (!pattern || glob(pattern, GLOB_NOSORT, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (is_deserted(found.gl_pathv[i]))
			unlink(found.gl_pathv[i]);
	globfree(&found);
}

static void sweep_guests(const char *runtime)
{
	_cleanup_(freep) char *pattern = paths_join(runtime, "guests/*/pid");
	glob_t found;

	if (!pattern || glob(pattern, GLOB_NOSORT, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct guest_folder f = { .lock = lock_pid(found.gl_pathv[i]) };

		if (f.lock < 0)
			continue;
		*strrchr(found.gl_pathv[i], '/') = 0;
		f.path = strdup(found.gl_pathv[i]);
		guest_folder_fini(&f);
	}
	globfree(&found);
}

void guest_folder_sweep(const char *lan)
{
	_cleanup_(freep) char *runtime = paths_runtime(lan);

	if (!runtime)
		return;
	sweep_guests(runtime);
	sweep_sockets(runtime);
	rmdir(runtime); /* unless the LAN is up again, or a guest runs on */
}
