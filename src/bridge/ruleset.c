// SPDX-License-Identifier: MIT
#include "bridge/ruleset.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/usec.h"

#define PATIENCE (10 * USEC_S)

/* A memory file holds the text, so that neither side waits for the other. Return: a descriptor at its start, or negative errno. */
static int text_file(const char *text)
{
	_cleanup_fd_ int fd = memfd_create("nft", MFD_CLOEXEC);
	size_t size = text ? strlen(text) : 0, done = 0;

	while (fd >= 0 && done < size) {
		ssize_t n = write(fd, text + done, size - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return fd_steal(&fd);
}

static int start(pid_t *pid, int in, int out)
{
	char *const words[] = { (char *)RULESET_NFT, (char *)"-f", (char *)"-", NULL }, *const environment[] = { (char *)"LC_ALL=C", NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none;
	int r;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attributes);
	/* The loop has signals blocked, which a program that is started would inherit. */
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
	r = posix_spawn(pid, RULESET_NFT, &files, &attributes, words, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return -r;
}

/* Return: its exit status, or negative errno. */
static int finish(pid_t pid)
{
	usec_t deadline = usec_now() + PATIENCE;
	int status;

	for (;;) {
		pid_t done = waitpid(pid, &status, WNOHANG);

		if (done == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
		if (done < 0 && errno != EINTR)
			return -errno;
		if (usec_now() > deadline) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -ETIMEDOUT;
		}
		poll(NULL, 0, 1);
	}
}

static void read_error(int fd, char *error, size_t size)
{
	ssize_t n = pread(fd, error, size - 1, 0);

	error[n > 0 ? n : 0] = 0;
	error[strcspn(error, "\n")] = 0;
}

int ruleset_load(const char *text, char *error, size_t error_size)
{
	_cleanup_fd_ int in = text_file(text), out = text_file(NULL);
	pid_t pid;
	int r;

	*error = 0;
	r = in < 0 ? in : out < 0 ? out : start(&pid, in, out);
	if (r == -ENOENT)
		snprintf(error, error_size, "there is no " RULESET_NFT ": install nftables (apt install nftables)");
	if (!r)
		r = finish(pid);
	if (r > 0) {
		read_error(out, error, error_size);
		r = -EINVAL;
	} else if (r < 0 && !*error) {
		snprintf(error, error_size, "cannot run " RULESET_NFT ": %s", strerror(-r));
	}
	return r;
}
