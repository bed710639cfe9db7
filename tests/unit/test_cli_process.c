// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/process.h"
#include "cli/supervise.h"

/* A child with a name that waits for a signal; with @deaf it does not hear SIGTERM. */
static pid_t start(const char *name, int deaf)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		alarm(60);
		prctl(PR_SET_NAME, name);
		if (deaf)
			signal(SIGTERM, SIG_IGN);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static int signal_that_ended(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void guests_are_ended_and_others_not(void **state)
{
	pid_t pids[] = { start("qemu-system-x86", 0), start("innocent", 0), start("hospes", 0), 0, 1, -1, 0x3fffffff };
	int status;

	(void)state;
	assert_int_equal(process_end_guests(pids, ARRAY_SIZE(pids)), 2);
	assert_int_equal(signal_that_ended(pids[0]), SIGTERM);
	assert_int_equal(signal_that_ended(pids[2]), SIGTERM);
	assert_int_equal(waitpid(pids[1], &status, WNOHANG), 0);
	assert_int_equal(process_open_guest(pids[1]), -ESRCH);
	kill(pids[1], SIGKILL);
	assert_int_equal(signal_that_ended(pids[1]), SIGKILL);
	assert_int_equal(process_end_guests(pids, 0), 0);
	/* All have gone: that is fine. */
	assert_int_equal(process_end_guests(pids, ARRAY_SIZE(pids)), 0);
}

static void who_does_not_hear_is_killed(void **state)
{
	pid_t pid = start("qemu-system-x86", 1);

	(void)state;
	assert_int_equal(process_end_guests(&pid, 1), 1);
	assert_int_equal(signal_that_ended(pid), SIGKILL);
}

static void an_open_guest_is_no_other(void **state)
{
	pid_t pid = start("qemu-system-x86", 0);
	_cleanup_fd_ int fd = process_open_guest(pid);

	(void)state;
	assert_true(fd >= 0);
	kill(pid, SIGKILL);
	signal_that_ended(pid);
	assert_int_equal(process_open_guest(pid), -ESRCH);
}

static int refuse(void) { return -EPERM; }

#define RUN(...) supervise_run((char *[]){ __VA_ARGS__, NULL }, NULL)

static void an_exit_status_is_passed_on(void **state)
{
	(void)state;
	assert_int_equal(RUN("true"), 0);
	assert_int_equal(RUN("sh", "-c", "exit 7"), 7);
	assert_int_equal(RUN("sh", "-c", "kill -9 $$"), 128 + SIGKILL);
	assert_int_equal(RUN("/etc/passwd"), 126);
	assert_int_equal(RUN("there-is-no-such-program"), 127);
	assert_int_equal(supervise_run((char *[]){ "true", NULL }, refuse), 125);
	/* Who ignores its children's end still learns of it. */
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(RUN("sh", "-c", "exit 3"), 3);
	signal(SIGCHLD, SIG_DFL);
}

static void signals_are_passed_on(void **state)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		alarm(60);
		dup2(ready[1], STDOUT_FILENO);
		_exit(RUN("sh", "-c", "trap 'kill $!; exit 9' TERM; sleep 50 & echo; wait"));
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	close(ready[0]);
	close(ready[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guests_are_ended_and_others_not),
		cmocka_unit_test(who_does_not_hear_is_killed),
		cmocka_unit_test(an_open_guest_is_no_other),
		cmocka_unit_test(an_exit_status_is_passed_on),
		cmocka_unit_test(signals_are_passed_on),
	};

	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
