// SPDX-License-Identifier: MIT
#include "bridge/ruleset.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* In the child. If the service dies, so does nft: rules that came behind the next service's back would stay for good. */
static void become_nft(pid_t service, int in, int out)
{
	char *const words[] = { (char *)RULESET_NFT, (char *)"-f", (char *)"-", NULL }, *const environment[] = { (char *)"LC_ALL=C", NULL };
	sigset_t none;

	/* The loop has signals blocked, which a program that is started would inherit. */
	sigemptyset(&none);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != service || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
	    dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		_exit(126);
	execve(RULESET_NFT, words, environment);
	_exit(127);
}

static int start(pid_t *pid, int in, int out)
{
	pid_t service = getpid();

	if (access(RULESET_NFT, X_OK) < 0)
		return -errno;
	*pid = fork();
	if (*pid < 0)
		return -errno;
	if (!*pid)
		become_nft(service, in, out);
	return 0;
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
	pid_t pid = -1;
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
