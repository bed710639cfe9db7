// SPDX-License-Identifier: MIT
#include "cli/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "base/fd.h"
#include "base/log.h"
#include "base/usec.h"
#include "io/varlink_client.h"
#include "lan/paths.h"

#define READY_TIMEOUT_MS 10000
#define EXIT_WRONG       2      /* hospesd: the command line or the configuration */

/* In the child: become the daemon, in a session of its own so that no terminal's signal ends it. */
static void become_daemon(const char *program, const char *lan, int ready)
{
	char number[16];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	fcntl(ready, F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", ready);
	execlp(program, "hospesd", "--lan", lan, "--ready-fd", number, (char *)NULL);
	log_error("cannot start LAN %s: %s: %s; install hospesd beside hospes", lan, program, strerror(errno));
	_exit(127);
}

/* Wait for the byte that says "ready". */
static int wait_ready(int fd, pid_t pid, const char *lan)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;
	int r, status;

	do
		r = poll(&p, 1, READY_TIMEOUT_MS);
	while (r < 0 && errno == EINTR);
	if (r > 0 && read(fd, &byte, 1) == 1) {
		/* What we started ends now; the daemon is its child. */
		waitpid(pid, &status, 0);
		return 0;
	}
	if (!r) {
		kill(pid, SIGTERM);
		log_error("cannot start LAN %s: hospesd (process %d) was not ready after %d s and was ended",
			  lan, (int)pid, READY_TIMEOUT_MS / 1000);
		return -ETIMEDOUT;
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	if (WIFSIGNALED(status))
		log_error("cannot start LAN %s: hospesd was ended by signal %d (%s)", lan, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (!WEXITSTATUS(status))
		log_error("cannot start LAN %s: hospesd ended before it was ready", lan);
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_WRONG ? -EBADMSG : -ESRCH; /* it has said why */
}

static int spawn(const char *lan)
{
	_cleanup_(freep) char *program = paths_own_program("hospesd");
	_cleanup_fd_ int ours = -1, theirs = -1;
	int pipe_fds[2];
	pid_t pid;

	if (!program)
		return -ENOMEM;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	ours = pipe_fds[0], theirs = pipe_fds[1];
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		become_daemon(program, lan, theirs);
	theirs = fd_close(theirs);
	return wait_ready(ours, pid, lan);
}

/* The folder that holds the LANs' runtime folders: it is there before any LAN, and goes after the last. */
static char *shared_folder(const char *runtime)
{
	char *folder = strdup(runtime);

	if (folder)
		*strrchr(folder, '/') = 0;
	return folder;
}

/* Return: 0, or -ESTALE if it was removed while we waited for it, or another negative errno after a message. */
static int try_lock(const char *folder, int *out)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;
	int r = paths_make(folder);

	if (r < 0) {
		log_error("cannot make the folder %s: %s; set XDG_RUNTIME_DIR to a folder of yours that only you can write to",
			  folder, strerror(-r));
		return r;
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return -ESTALE;
	if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		log_error("cannot lock the folder %s: %s", folder, strerror(errno));
		return r;
	}
	if (!st.st_nlink)
		return -ESTALE;
	*out = fd_steal(&fd);
	return 0;
}

static int lock_folder(const char *runtime)
{
	_cleanup_(freep) char *folder = shared_folder(runtime);
	int fd = -1, r;

	if (!folder)
		return -ENOMEM;
	do
		r = try_lock(folder, &fd);
	while (r == -ESTALE);
	return r < 0 ? r : fd;
}

void daemon_tidy(const char *lan)
{
	_cleanup_(freep) char *runtime = paths_runtime(lan), *folder = runtime ? shared_folder(runtime) : NULL;
	_cleanup_fd_ int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	/* Not while somebody starts a LAN in it. */
	if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
		rmdir(folder);
}

int daemon_start(const char *lan)
{
	_cleanup_(freep) char *runtime = paths_runtime(lan);
	_cleanup_(freep) char *control = runtime ? paths_join(runtime, "control") : NULL;
	_cleanup_fd_ int lock = -1, there = -1;

	if (!control) {
		log_error("cannot start LAN %s: no home folder is known; set HOME or XDG_RUNTIME_DIR", lan);
		return -ENOENT;
	}
	lock = lock_folder(runtime);
	if (lock < 0)
		return lock;
	there = varlink_connect(control, USEC_S);
	return there >= 0 ? 0 : spawn(lan);
}
