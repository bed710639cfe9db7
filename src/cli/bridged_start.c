// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "base/log.h"
#include "cli/bridged_client.h"
#include "cli/capture.h"
#include "lan/paths.h"

#define PROGRAM         "hospes-bridged"
#define READY_TIMEOUT   (15 * USEC_S)
#define READY_STEP_MS   20
#define SYSTEMD_TIMEOUT 30000   /* milliseconds */
#define NO_SUCH_UNIT    5       /* systemctl(1), exit status */
#define LOG_PATH        BRIDGED_FOLDER "/bridged.log"

static bool same_namespace(const char *kind)
{
	char ours[64], first[64];
	struct stat a, b;

	snprintf(ours, sizeof(ours), "/proc/self/ns/%s", kind);
	snprintf(first, sizeof(first), "/proc/1/ns/%s", kind);
	return !stat(ours, &a) && !stat(first, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/*
 * What systemd starts stands in the machine's own network and sees its own files. From inside a namespace that would be the
 * wrong place to work on.
 */
static bool systemd_serves_us(void)
{
	struct stat st;

	return !lstat("/run/systemd/system", &st) && S_ISDIR(st.st_mode) && same_namespace("net") && same_namespace("mnt");
}

/* Return: 1 if systemd started it; 0 if it knows no such unit; or negative errno after a message. */
static int start_by_systemd(void)
{
	struct capture how = { .timeout_ms = SYSTEMD_TIMEOUT };
	char text[512] = "";
	int r = capture_run((char *[]){ "systemctl", "start", PROGRAM ".service", NULL }, &how, text, sizeof(text));

	if (!r)
		return 1;
	if (r == NO_SUCH_UNIT || r == -ENOENT)
		return 0;
	log_error("systemd cannot start " PROGRAM "; systemctl status " PROGRAM " shows why");
	return r < 0 ? r : -ESRCH;
}

/*
 * Without systemd its messages go into a file, for whoever reads our own output waits for the end of that. Return: a descriptor, or
 * negative errno.
 */
static int open_log(void)
{
	int fd;

	if (mkdir(BRIDGED_FOLDER, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(LOG_PATH, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* What it has said since @from. */
static void show_log(int log, off_t from)
{
	char text[4096];
	ssize_t n;

	while ((n = pread(log, text, sizeof(text), from)) > 0) {
		fwrite(text, 1, (size_t)n, stderr);
		from += n;
	}
}

static void become_bridged(const char *program, int log)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	dup2(log, STDERR_FILENO);
	close_range(3, ~0u, 0);
	execlp(program, PROGRAM, (char *)NULL);
	log_error("cannot start %s: %s; install it beside hospes or in ../libexec/hospes", program, strerror(errno));
	_exit(127);
}

static bool serves(void)
{
	_cleanup_fd_ int fd = varlink_connect(BRIDGED_SOCKET, USEC_S);

	return fd >= 0;
}

/*
 * It says itself what is wrong, and ends then. What we started may end well, too: its child serves. @pid: 0 if systemd started
 * it, and its process is none of ours
 */
static int wait_ready(pid_t pid)
{
	usec_t end = usec_now() + READY_TIMEOUT;
	bool running = pid > 0;
	int status;

	for (;; poll(NULL, 0, READY_STEP_MS)) {
		if (running && waitpid(pid, &status, WNOHANG) == pid) {
			running = false;
			if (WIFSIGNALED(status))
				log_error("cannot start " PROGRAM ": it was ended by signal %d (%s)",
					  WTERMSIG(status), strsignal(WTERMSIG(status)));
			if (!WIFEXITED(status) || WEXITSTATUS(status))
				return -ESRCH;
		}
		if (serves())
			return 0;
		if (usec_now() < end)
			continue;
		if (running)
			kill(pid, SIGTERM);
		log_error("cannot start " PROGRAM ": it did not serve %s after %d s", BRIDGED_SOCKET, (int)(READY_TIMEOUT / USEC_S));
		return -ETIMEDOUT;
	}
}

static int spawn(const char *program)
{
	_cleanup_fd_ int log = open_log();
	off_t from = log < 0 ? 0 : lseek(log, 0, SEEK_END);
	pid_t pid;
	int r;

	if (log < 0) {
		log_error("cannot start " PROGRAM ": cannot write %s: %s", LOG_PATH, strerror(-log));
		return log;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		r = -errno;
		log_error("cannot start a process: %s", strerror(errno));
		return r;
	}
	if (!pid)
		become_bridged(program, log);
	r = wait_ready(pid);
	if (r < 0)
		show_log(log, from);
	return r;
}

int bridged_start(void)
{
	_cleanup_(freep) char *program = paths_own_program(PROGRAM);
	int r = systemd_serves_us() ? start_by_systemd() : 0;

	if (r < 0 || !program)
		return r < 0 ? r : -ENOMEM;
	return r > 0 ? wait_ready(0) : spawn(program);
}
