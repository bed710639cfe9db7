// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/file_replace.h"
#include "cli/guest_ref.h"
#include "cli/ssh_text.h"

#define LINE "Include \"/home/u/.config/hospes/ssh_config\""

#define SPLIT(...) ssh_words_split((int)ARRAY_SIZE(((char *[]){ __VA_ARGS__ })), (char *[]){ __VA_ARGS__ })

static void the_host_among_options(void **state)
{
	(void)state;
	assert_int_equal(SPLIT("web"), 0);
	assert_int_equal(SPLIT("web", "-l", "x"), 0);
	assert_int_equal(SPLIT("-v", "web"), 1);
	assert_int_equal(SPLIT("-l", "root", "web", "uname"), 2);
	assert_int_equal(SPLIT("-lroot", "web"), 1);
	assert_int_equal(SPLIT("-tvp", "22", "web"), 2);
	assert_int_equal(SPLIT("-vp22", "-o", "User=x", "web"), 3);
	assert_int_equal(SPLIT("-v", "--", "web"), 2);
	assert_int_equal(SPLIT("-v"), 1);
	assert_true(SPLIT("-l") >= 1);
}

#define HAVE_USER(host, ...) ssh_words_have_user((int)ARRAY_SIZE(((char *[]){ __VA_ARGS__ })), (char *[]){ __VA_ARGS__ }, host)

static void a_login_name_that_is_there(void **state)
{
	(void)state;
	assert_true(HAVE_USER(0, "root@web"));
	assert_true(HAVE_USER(2, "-l", "root", "web"));
	assert_true(HAVE_USER(1, "-vlroot", "web"));
	assert_true(HAVE_USER(2, "-o", "User=root", "web"));
	assert_true(HAVE_USER(1, "-ouser root", "web"));
	assert_false(HAVE_USER(0, "web"));
	assert_false(HAVE_USER(0, "web", "a@b"));
	assert_false(HAVE_USER(2, "-o", "UserKnownHostsFile=/x", "web"));
	assert_false(HAVE_USER(2, "-i", "-l", "web"));
}

static void check_quote(char *(*quote)(const char *), const char *path, const char *expected)
{
	char *text = quote(path);

	if (expected)
		assert_string_equal(text, expected);
	else
		assert_null(text);
	free(text);
}

static void paths_are_quoted(void **state)
{
	(void)state;
	check_quote(ssh_quote_command, "/usr/bin/hospes", "'/usr/bin/hospes'");
	check_quote(ssh_quote_command, "/a b/it's 5%", "'/a b/it'\\''s 5%%'");
	check_quote(ssh_quote_path, "/a b/5%", "\"/a b/5%%\"");
	check_quote(ssh_quote_path, "/a\"b", NULL);
	check_quote(ssh_quote_path, "/a\nHost *", NULL);
	check_quote(ssh_quote_path, "/a${HOME}", NULL);
	check_quote(ssh_quote_include, "/a b/[x]*?", "\"/a b/\\[x]\\*\\?\"");
	check_quote(ssh_quote_include, "/a%b", NULL);
	check_quote(ssh_quote_include, "/a\"b", NULL);
}

static void check_round_trip(const char *old)
{
	char *with = ssh_config_add(old, LINE), *again = ssh_config_add(with, LINE), *without;
	bool gone;

	assert_true(!strncmp(with, LINE "\n", strlen(LINE) + 1));
	assert_string_equal(again, with);
	without = ssh_config_remove(with, LINE, &gone);
	assert_string_equal(gone ? "" : without, old ? old : "");
	assert_int_equal(gone, !old);
	free(with);
	free(again);
	free(without);
}

static void the_include_line_comes_and_goes(void **state)
{
	(void)state;
	check_round_trip(NULL);
	check_round_trip("");
	check_round_trip("\n\n");
	check_round_trip("Host *\n\tUser me\n");
	check_round_trip("# no newline at the end");
	check_round_trip("Host a\r\n\r\n\tPort 5\r\n");
	check_round_trip("Include \"/home/u/.config/hospes/ssh_config2\"\n# " LINE "\n");
}

/* In a block it would count for that host alone. */
static void a_line_inside_a_block_is_not_enough(void **state)
{
	const char *old = "Port 5\nhost x\n" LINE "\n";
	char *text = ssh_config_add(old, LINE);

	(void)state;
	assert_int_equal(strlen(text), strlen(old) + strlen(LINE) + 1);
	free(text);
	/* But where it stands above all blocks, it may stand below other lines. */
	old = "# mine\n" LINE "\nHost x\n";
	text = ssh_config_add(old, LINE);
	assert_string_equal(text, old);
	free(text);
}

static void the_block_for_names(void **state)
{
	char *text = ssh_config_block(&(struct ssh_block){
		.pattern = "*.hospes", .program = "'/x/hospes'", .known_hosts = "\"/s/known_hosts\"", .key = "\"/s/id\"", .key_command = "'/s/id'",
		.keys = (const char *const[]){ "/h/.ssh/id_rsa", NULL } });

	(void)state;
	assert_string_equal(text,
		"Host *.hospes\n"
		"\tProxyCommand '/x/hospes' connect %h:%p\n"
		"\tUserKnownHostsFile \"/s/known_hosts\" ~/.ssh/known_hosts\n"
		"\tStrictHostKeyChecking accept-new\n"
		"Match host *.hospes exec \"test -r '/s/id'\"\n"
		"\tIdentityFile \"/s/id\"\n"
		"\tIdentityFile /h/.ssh/id_rsa\n");
	free(text);
}

static void guests_as_they_are_written(void **state)
{
	static const struct { const char *text, *guest, *lan; int port; } good[] = {
		{ "web", "web", "", 0 },
		{ "web:80", "web", "", 80 },
		{ "web.hospes", "web", "", 0 },
		{ "Web.HOSPES.:22", "Web", "", 22 },
		{ "web.lab.hospes:65535", "web", "lab", 65535 },
		{ "web.a.b.hospes", "web.a.b", "", 0 },
		{ "web.lab", "web.lab", "", 0 },
		{ "hospes", "hospes", "", 0 },
		{ "10.0.2.15", "10.0.2.15", "", 0 },
		{ "10.0.2.15:1", "10.0.2.15", "", 1 },
		{ "fd00::15", "fd00::15", "", 0 },
		{ "[fd00::15]", "fd00::15", "", 0 },
		{ "[fd00::15]:80", "fd00::15", "", 80 },
		{ "52:54:00:12:34:56", "52:54:00:12:34:56", "", 0 },
		{ "52:54:00:12:34:56:22", "52:54:00:12:34:56", "", 22 },
	};
	static const char *const bad[] = { "", ":", ":80", "web:", "web:0", "web:65536", "web:99999999999", "web:ssh", "web:-1", "[fd00::15]80", "[]", "[]:80" };
	struct guest_ref ref;
	char error[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(guest_ref_parse(&ref, good[i].text, error, sizeof(error)), 0);
		assert_string_equal(ref.guest, good[i].guest);
		assert_string_equal(ref.lan, good[i].lan);
		assert_int_equal(ref.port, good[i].port);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		*error = 0;
		assert_int_equal(guest_ref_parse(&ref, bad[i], error, sizeof(error)), -EINVAL);
		assert_true(*error);
	}
}

static void a_guest_that_is_too_long(void **state)
{
	char text[4096], error[200];
	struct guest_ref ref;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_int_equal(guest_ref_parse(&ref, text, error, sizeof(error)), -EINVAL);
}

static void files_are_replaced_whole(void **state)
{
	char folder[] = "/tmp/hospes-test-XXXXXX", file[64], link[64], target[64];
	struct stat st;
	char *text;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/config", folder);
	snprintf(link, sizeof(link), "%s/link", folder);
	assert_int_equal(file_replace(file, "one\n", 0600), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(chmod(file, 0644), 0);
	assert_int_equal(symlink(file, link), 0);
	assert_int_equal(file_replace(link, "two\n", 0600), 0);
	assert_true(readlink(link, target, sizeof(target)) > 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	text = file_read_text(file);
	assert_string_equal(text, "two\n");
	free(text);
	unlink(link);
	unlink(file);
	/* Nobody writes into it: that is not waited for. */
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_null(file_read_text(file));
	assert_int_equal(errno, EINVAL);
	unlink(file);
	assert_null(file_read_text(folder));
	assert_int_equal(errno, EISDIR);
	assert_null(file_read_text(file));
	assert_int_equal(errno, ENOENT);
	/* Nothing else was left beside it. */
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(file_replace(file, "three\n", 0600), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_host_among_options),
		cmocka_unit_test(a_login_name_that_is_there),
		cmocka_unit_test(paths_are_quoted),
		cmocka_unit_test(the_include_line_comes_and_goes),
		cmocka_unit_test(a_line_inside_a_block_is_not_enough),
		cmocka_unit_test(the_block_for_names),
		cmocka_unit_test(guests_as_they_are_written),
		cmocka_unit_test(a_guest_that_is_too_long),
		cmocka_unit_test(files_are_replaced_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
