// SPDX-License-Identifier: MIT
#include "cli/guest_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include "base/log.h"
#include "base/usec.h"
#include "cli/file_replace.h"
#include "cli/qmp.h"

#define POWERDOWN_TIMEOUT (8 * USEC_S)    /* less than the ten seconds that `hospes down` waits */
#define TERM_TIMEOUT      (1500 * USEC_MS)
#define QMP_TIMEOUT       USEC_S
#define START_TIMEOUT     (20 * USEC_S)
#define START_STEP        (50 * USEC_MS)

static const int signals[] = { SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT };

/* In the child. */
static void become_qemu(const struct guest_process *p, const sigset_t *mask, pid_t parent)
{
	int log = p->detached ? open(p->folder->qemu_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

	/* Should this process be killed, the guest does not stay behind, unregistered. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	if (log >= 0) {
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
	}
	for (size_t i = 0; i < ARRAY_SIZE(p->keep); i++)
		if (p->keep[i] > 0)
			fcntl(p->keep[i], F_SETFD, 0);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(p->argv[0], p->argv);
	log_error("cannot run %s: %s", p->argv[0], strerror(errno));
	_exit(127);
}

/* Ask the guest to power off, as its power button does. Return: false if nobody hears that. */
static bool ask_powerdown(const struct guest_process *p)
{
	_cleanup_fd_ int qmp = qmp_connect(p->folder->qmp, usec_now() + QMP_TIMEOUT);

	return qmp >= 0 && qmp_execute(qmp, "system_powerdown", usec_now() + QMP_TIMEOUT) == 0;
}

/* How it is being ended: each step has a signal for QEMU and a time after which the next follows. */
enum ending { RUNNING, POWERING_DOWN, TERMINATING, KILLING };

static enum ending end_more(const struct guest_process *p, pid_t pid, enum ending at, bool at_once, usec_t *deadline)
{
	if (at == RUNNING && !at_once && p->gentle && ask_powerdown(p)) {
		*deadline = usec_now() + POWERDOWN_TIMEOUT;
		return POWERING_DOWN;
	}
	if (at < TERMINATING) {
		kill(pid, SIGTERM);
		*deadline = usec_now() + TERM_TIMEOUT;
		return TERMINATING;
	}
	kill(pid, SIGKILL);
	*deadline = USEC_NEVER;
	return KILLING;
}

/* Return: a signal, or 0 when @deadline has come */
static int next_signal(const sigset_t *set, usec_t deadline)
{
	for (;;) {
		usec_t left = deadline == USEC_NEVER ? 3600 * USEC_S : MAX(deadline - usec_now(), (usec_t)0);
		struct timespec wait = { .tv_sec = left / USEC_S, .tv_nsec = left % USEC_S * 1000 };
		int signal = sigtimedwait(set, NULL, &wait);

		if (signal > 0)
			return signal;
		if (errno == EAGAIN && deadline != USEC_NEVER)
			return 0;
	}
}

/* Until QEMU has ended. Return: what waitpid() tells. */
static int watch(const struct guest_process *p, pid_t pid, const sigset_t *set)
{
	enum ending ending = RUNNING;
	usec_t deadline = USEC_NEVER;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		int signal = next_signal(set, deadline);

		if (signal != SIGCHLD)
			ending = end_more(p, pid, ending, signal && signal != SIGTERM, &deadline);
	}
	/* Ended because somebody wanted that. */
	return ending != RUNNING && (WIFSIGNALED(status) || WEXITSTATUS(status)) ? 0 : status;
}

static void show_log(const struct guest_process *p)
{
	_cleanup_(freep) char *text = p->detached ? file_read_text(p->folder->qemu_log) : NULL;

	if (text && *text)
		fprintf(stderr, "%s%s", text, text[strlen(text) - 1] == '\n' ? "" : "\n");
}

/*
 * Wait until QEMU answers; then whoever waits is told, and the terminal let go. One that runs but does not answer for long is no reason to
 * keep anybody waiting until its end.
 */
static void tell_ready(const struct guest_process *p, pid_t pid)
{
	usec_t end = usec_now() + START_TIMEOUT;
	int null;

	for (;;) {
		_cleanup_fd_ int qmp = qmp_connect(p->folder->qmp, usec_now() + START_STEP);
		siginfo_t ended = { 0 };

		if (qmp >= 0)
			break;
		if (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) < 0 || ended.si_pid)
			return;
		if (usec_now() > end)
			break;
	}
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		fd_close(null);
	}
	if (write(p->ready, p->name, strlen(p->name)) < 0)
		log_debug("nobody waits for guest %s any more", p->name);
}

int guest_process_run(const struct guest_process *p)
{
	pid_t self = getpid(), pid;
	sigset_t set, before;
	int status;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&set, signals[i]);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &set, &before);
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		log_error("cannot start a process: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (!pid)
		become_qemu(p, &before, self);
	if (p->ready >= 0)
		tell_ready(p, pid);
	status = watch(p, pid, &set);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return EXIT_SUCCESS;
	show_log(p);
	if (WIFSIGNALED(status))
		log_error("guest %s: QEMU was ended by signal %d (%s)", p->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_error("guest %s: QEMU ended with status %d; what it says stands above", p->name, WEXITSTATUS(status));
	return EXIT_FAILURE;
}
