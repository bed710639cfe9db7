// SPDX-License-Identifier: MIT
#include "cli/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "base/fd.h"
#include "base/usec.h"

/* In the child. What keeps it from running goes through @report, which closes by itself when the program runs. */
static void child(char *const *argv, const struct capture *how, int out, int report, pid_t parent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent && null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
	    (how->messages || dup2(null, STDERR_FILENO) >= 0) && (how->keep <= 0 || fcntl(how->keep, F_SETFD, 0) >= 0))
		execvp(argv[0], argv);
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		(void)0; /* the exit status tells, too */
	_exit(127);
}

/* Read until @deadline or until both the output and the process have ended. Return: 0 or negative errno. */
static int gather(int process, int from, char *out, size_t size, usec_t deadline)
{
	struct pollfd p[] = { { .fd = process, .events = POLLIN }, { .fd = from, .events = POLLIN } };
	size_t used = 0;
	char spill[4096];

	while (p[0].fd >= 0) {
		usec_t now = usec_now();
		ssize_t n;

		if (deadline != USEC_NEVER && now >= deadline)
			return -ETIMEDOUT;
		if (poll(p, 2, deadline == USEC_NEVER ? -1 : (int)((deadline - now) / USEC_MS) + 1) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents) {
			bool room = used + 1 < size;

			n = read(from, room ? out + used : spill, room ? size - used - 1 : sizeof(spill));
			if (n <= 0)
				p[1].fd = -1;
			else if (room)
				used += (size_t)n;
		} else if (p[0].revents) {
			p[0].fd = -1; /* and nothing is left to read */
		}
	}
	if (size)
		out[used] = 0;
	return 0;
}

static int wait_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int finish(pid_t pid, int from, int reports, const struct capture *how, char *out, size_t size)
{
	_cleanup_fd_ int process = (int)syscall(SYS_pidfd_open, pid, 0);
	usec_t deadline = how->timeout_ms ? usec_now() + how->timeout_ms * USEC_MS : USEC_NEVER;
	int status, error, r = process < 0 ? -errno : gather(process, from, out, size, deadline);

	if (r < 0)
		kill(pid, SIGKILL);
	status = wait_status(pid);
	if (r < 0)
		return r;
	return read(reports, &error, sizeof(error)) == sizeof(error) ? -error : status;
}

int capture_run(char *const *argv, const struct capture *how, char *out, size_t size)
{
	_cleanup_fd_ int from = -1, to = -1, reports = -1, report = -1;
	pid_t self = getpid(), pid;
	int fds[2];

	size = out ? size : 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	from = fds[0], to = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	reports = fds[0], report = fds[1];
	signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		child(argv, how, to, report, self);
	to = fd_close(to), report = fd_close(report);
	return finish(pid, from, reports, how, out, size);
}
