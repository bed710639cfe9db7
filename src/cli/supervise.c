// SPDX-License-Identifier: MIT
#include "cli/supervise.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/log.h"

#define EXIT_FAILED     125
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND  127

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH };

static void child(char **argv, const sigset_t *mask, int (*prepare)(void), pid_t parent)
{
	int status = EXIT_CANNOT_RUN;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILED);
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (prepare && prepare() < 0)
		_exit(EXIT_FAILED);
	execvp(argv[0], argv);
	if (errno == ENOENT)
		status = EXIT_NOT_FOUND;
	log_error("cannot run %s: %s", argv[0], errno == ENOENT ? "there is no such program" : strerror(errno));
	_exit(status);
}

/* Until the child ends; stops when it stops. */
static int wait_child(pid_t pid, const sigset_t *set)
{
	siginfo_t info;
	int status;

	for (;;) {
		if (sigwaitinfo(set, &info) < 0)
			continue;
		if (info.si_signo != SIGCHLD) {
			/* What the terminal sends goes to the whole group. */
			if (info.si_code != SI_KERNEL)
				kill(pid, info.si_signo);
			continue;
		}
		if (waitpid(pid, &status, WNOHANG) != pid)
			continue;
		return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
}

int supervise_run(char **argv, int (*prepare)(void))
{
	sigset_t set, before;
	pid_t self = getpid(), pid;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(*passed_on); i++)
		sigaddset(&set, passed_on[i]);
	/* Inherited: with SIGCHLD ignored there would be no child to wait for. */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &set, &before);
	fflush(NULL);
	pid = fork();
	if (!pid)
		child(argv, &before, prepare, self);
	if (pid < 0)
		log_error("cannot start a process: %s", strerror(errno));
	status = pid < 0 ? EXIT_FAILED : wait_child(pid, &set);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}
