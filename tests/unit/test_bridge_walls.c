// SPDX-License-Identifier: MIT
/* What a service that was taken over could still do: each deed is tried behind the walls, in a process of its own. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridge/walls.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define DIED 1000

/* Somebody's file, and the service's own folders. */
static char folder[] = "/tmp/hospes-walls-XXXXXX", runtime[64], state[64], other[64], own[80];

static int set_uid_bit(void) { return chmod(other, 04755); }
static int set_uid_bit_at(void) { return fchmodat(AT_FDCWD, other, 04755, 0); }

static int set_uid_bit_by_descriptor(void)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? 0 : fchmod(fd, 0644);
}

static int cut_short(void) { return truncate(other, 0); }
static int give_away(void) { return chown(other, 1, 1); }
static int write_there(void) { return open(other, O_WRONLY | O_CLOEXEC); }
static int make_there(void) { return mkdir("/tmp/hospes-walls-more", 0700); }
static int hear_all(void) { return socket(AF_PACKET, SOCK_RAW, 0); }
static int run_program(void) { return execl("/bin/true", "true", (char *)NULL); }
static int open_to_all(void) { return chmod(runtime, 0755); }
static int make_socket(void) { return socket(AF_UNIX, SOCK_STREAM, 0) < 0 || socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? -1 : 0; }
static int write_own(void) { return open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 0600); }
static int other_namespace(void) { return unshare(CLONE_NEWNET); }
static int other_user(void) { return setuid(1); }
static int trace(void) { return (int)ptrace(PTRACE_ATTACH, 1, NULL, NULL); }

static const struct { const char *what; int (*deed)(void); int result; bool plain; } deeds[] = {
	{ "a program made setuid", set_uid_bit, EPERM, true },
	{ "the same by fchmodat(2)", set_uid_bit_at, EPERM, true },
	{ "a mode by a descriptor", set_uid_bit_by_descriptor, EPERM, true },
	{ "a file cut short", cut_short, EPERM, true },
	{ "a file given away", give_away, EPERM, true },
	{ "a file written", write_there, EACCES, false },
	{ "a folder made", make_there, EACCES, false },
	{ "frames heard", hear_all, EPERM, false },
	{ "another program", run_program, EACCES, true },
	{ "another namespace", other_namespace, DIED, true },
	{ "another user", other_user, DIED, true },
	{ "another process traced", trace, DIED, true },
	{ "its folder opened to all", open_to_all, 0, false },
	{ "sockets", make_socket, 0, false },
	{ "its own files", write_own, 0, false },
};

/* Return: errno, 0, or DIED by SIGSYS */
static int outcome_of(int (*deed)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		if (walls_enter("/etc", runtime, state) < 0)
			_exit(255);
		_exit(deed() < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return DIED;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void what_is_left(void **unused)
{
	int fd;

	(void)unused;
	assert_non_null(mkdtemp(folder));
	snprintf(runtime, sizeof(runtime), "%s/run", folder);
	snprintf(state, sizeof(state), "%s/state", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	snprintf(own, sizeof(own), "%s/own", state);
	assert_int_equal(mkdir(runtime, 0700) | mkdir(state, 0700), 0);
	fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(deeds); i++) {
		int result;

		if (deeds[i].plain && SANITIZED) /* such builds leave seccomp out, and let programs be started */
			continue;
		result = outcome_of(deeds[i].deed);
		if (result != deeds[i].result)
			print_error("%s: %d instead of %d\n", deeds[i].what, result, deeds[i].result);
		assert_int_equal(result, deeds[i].result);
	}
	unlink(other);
	unlink(own);
	assert_int_equal(rmdir(runtime) | rmdir(state) | rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_left) };

	if (geteuid()) {
		print_message("only root has something to lose: skipped\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
