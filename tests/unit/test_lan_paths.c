// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lan/paths.h"

/* Some user who is neither root nor we. */
#define SOMEBODY 54321

static void assert_path(char *got, const char *expected)
{
	assert_non_null(got);
	assert_string_equal(got, expected);
	free(got);
}

/* As an ordinary user, in a child, since it cannot go back. Return: what @check returns (0 is well), or 77 where we are not root. */
static int as_somebody(int (*check)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		if (!geteuid() && (setgid(SOMEBODY) < 0 || setuid(SOMEBODY) < 0))
			_exit(99);
		_exit(check());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int check_environment(void)
{
	char fallback[64];

	setenv("XDG_RUNTIME_DIR", "/run/rt", 1);
	setenv("XDG_STATE_HOME", "/h/state", 1);
	setenv("XDG_CACHE_HOME", "/h/cache", 1);
	setenv("XDG_CONFIG_HOME", "/h/config", 1);
	assert_path(paths_runtime("lab"), "/run/rt/hospes/lab");
	assert_path(paths_state("lab"), "/h/state/hospes/lab");
	assert_path(paths_cache(), "/h/cache/hospes");
	assert_path(paths_config(), "/h/config/hospes");
	/* A relative one counts as none. */
	setenv("XDG_STATE_HOME", "state", 1);
	setenv("XDG_CACHE_HOME", "", 1);
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("XDG_RUNTIME_DIR");
	setenv("HOME", "/h", 1);
	assert_path(paths_state("lab"), "/h/.local/state/hospes/lab");
	assert_path(paths_cache(), "/h/.cache/hospes");
	assert_path(paths_config(), "/h/.config/hospes");
	snprintf(fallback, sizeof(fallback), "/run/user/%u", geteuid());
	snprintf(fallback, sizeof(fallback), access(fallback, F_OK) ? "/tmp/hospes-%u/lab" : "/run/user/%u/hospes/lab", geteuid());
	assert_path(paths_runtime("lab"), fallback);
	return 0;
}

static void environment(void **state)
{
	(void)state;
	assert_int_equal(as_somebody(check_environment), 0);
}

static void root(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	setenv("XDG_RUNTIME_DIR", "/run/rt", 1);
	assert_path(paths_runtime("lab"), "/run/hospes/lab");
	assert_path(paths_state("lab"), "/var/lib/hospes/lab");
	assert_path(paths_cache(), "/var/cache/hospes");
}

static void make(void **state)
{
	char base[] = "/tmp/paths-XXXXXX", path[100], link_path[100];
	struct stat st;

	(void)state;
	umask(0);
	assert_non_null(mkdtemp(base));
	snprintf(path, sizeof(path), "%s/a//./b/c/", base);
	assert_int_equal(paths_make(path), 0);
	assert_int_equal(paths_make(path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	/* Others may write there. */
	assert_int_equal(chmod(path, 0770), 0);
	assert_int_equal(paths_make(path), -EPERM);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(paths_make(path), 0);
	/* A file in the way. */
	snprintf(link_path, sizeof(link_path), "%s/a/file", base);
	assert_int_equal(mknod(link_path, S_IFREG | 0600, 0), 0);
	assert_int_equal(paths_make(link_path), -ENOTDIR);
	unlink(link_path);
	/* A link is well where nobody else could have put it, and refused where all may. */
	snprintf(link_path, sizeof(link_path), "%s/l", base);
	assert_int_equal(symlink("a/b/c", link_path), 0);
	assert_int_equal(paths_make(link_path), 0);
	assert_int_equal(chmod(base, 01777), 0);
	assert_int_equal(paths_make(link_path), -EPERM);
	unlink(link_path);
	snprintf(path, sizeof(path), "rm -r %s", base);
	assert_int_equal(system(path), 0);
}

/* Somebody else was there first, under /tmp. */
static void folders_of_others(void **state)
{
	char base[] = "/tmp/paths-XXXXXX", path[100];

	(void)state;
	if (geteuid())
		skip();
	assert_non_null(mkdtemp(base));
	assert_int_equal(chmod(base, 01777), 0);
	snprintf(path, sizeof(path), "%s/theirs", base);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chown(path, SOMEBODY, SOMEBODY), 0);
	assert_int_equal(paths_make(path), -EPERM);
	strcat(path, "/below");
	assert_int_equal(paths_make(path), -EPERM);
	assert_int_equal(access(path, F_OK), -1); /* nothing was made there */
	*strrchr(path, '/') = 0;
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(base), 0);
}

static void own_program(void **state)
{
	(void)state;
	char *path = paths_own_program("test_lan_paths");

	assert_int_equal(path[0], '/');
	assert_int_equal(access(path, X_OK), 0);
	free(path);
	assert_path(paths_own_program("no-such-program-anywhere"), "no-such-program-anywhere");
	assert_path(paths_join("/a", "b"), "/a/b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(environment), cmocka_unit_test(root), cmocka_unit_test(make), cmocka_unit_test(folders_of_others),
		cmocka_unit_test(own_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
