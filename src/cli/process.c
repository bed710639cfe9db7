// SPDX-License-Identifier: MIT
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "base/fd.h"
#include "base/log.h"
#include "base/usec.h"

#define TERM_TIMEOUT (10 * USEC_S)
#define KILL_TIMEOUT (5 * USEC_S)
#define NOTE_AFTER   USEC_S

static int pidfd_open(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

static int pidfd_signal(int fd, int signal)
{
	return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 ? -errno : 0;
}

/* Is what runs under this number ours, and a guest? */
static int check(pid_t pid)
{
	_cleanup_fd_ int folder = -1, file = -1;
	char path[32], name[32] = "";
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || fstat(folder, &st) < 0 || st.st_uid != geteuid())
		return -ESRCH;
	file = openat(folder, "comm", O_RDONLY | O_CLOEXEC);
	if (file < 0 || read(file, name, sizeof(name) - 1) <= 0)
		return -ESRCH;
	return !strncmp(name, "qemu", 4) || !strncmp(name, "hospes", 6) ? 0 : -ESRCH;
}

int process_open_guest(pid_t pid)
{
	_cleanup_fd_ int fd = -1;
	int r;

	if (pid <= 1)
		return -ESRCH;
	/* First the descriptor, then the look: what was looked at cannot have become another process meanwhile. */
	fd = pidfd_open(pid);
	if (fd < 0)
		return fd;
	r = check(pid);
	return r < 0 ? r : pidfd_signal(fd, 0) < 0 ? -ESRCH : fd_steal(&fd);
}

/* Wait until all have ended, or until @deadline. Ended ones become -1. Return: how many are left. */
static size_t wait_for(struct pollfd *p, size_t count, usec_t deadline)
{
	for (;;) {
		usec_t now = usec_now();
		size_t left = 0;

		for (size_t i = 0; i < count; i++)
			left += p[i].fd >= 0;
		if (!left || now >= deadline)
			return left;
		if (poll(p, count, (int)((deadline - now) / USEC_MS) + 1) <= 0)
			continue;
		for (size_t i = 0; i < count; i++)
			if (p[i].fd >= 0 && p[i].revents)
				p[i].fd = fd_close(p[i].fd);
	}
}

static void signal_all(struct pollfd *p, size_t count, int signal)
{
	for (size_t i = 0; i < count; i++)
		if (p[i].fd >= 0)
			pidfd_signal(p[i].fd, signal);
}

static int end_all(struct pollfd *p, size_t count)
{
	usec_t start = usec_now();
	size_t left;

	signal_all(p, count, SIGTERM);
	left = wait_for(p, count, start + NOTE_AFTER);
	if (left) {
		log_info("waiting up to %d s for %zu guest%s to end", (int)(TERM_TIMEOUT / USEC_S), left, left == 1 ? "" : "s");
		left = wait_for(p, count, start + TERM_TIMEOUT);
	}
	if (!left)
		return 0;
	log_warning("%zu guest%s did not end by SIGTERM and %s killed", left, left == 1 ? "" : "s", left == 1 ? "is" : "are");
	signal_all(p, count, SIGKILL);
	return wait_for(p, count, usec_now() + KILL_TIMEOUT) ? -EBUSY : 0;
}

int process_end_guests(const pid_t *pids, size_t count)
{
	struct pollfd *p = calloc(count + 1, sizeof(*p));
	size_t open = 0;
	int r;

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		int fd = process_open_guest(pids[i]);

		if (fd >= 0)
			p[open++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
	r = end_all(p, open);
	if (r < 0)
		log_error("a guest's process does not end, even by SIGKILL: it hangs in the kernel (state D in ps)");
	for (size_t i = 0; i < open; i++)
		fd_close(p[i].fd);
	free(p);
	return r < 0 ? r : (int)open;
}
