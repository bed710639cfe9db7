// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"

struct parsed {
	const char *lan;
	bool json, watch;
	struct args_list publish;
	struct args args;
	char error[160];
};

static int parse(struct parsed *p, enum args_style style, char **argv)
{
	const struct args_option options[] = {
		ARGS_LAN(&p->lan),
		{ "json", 'j', .flag = &p->json },
		{ "watch", 'w', .flag = &p->watch },
		{ "publish", 'p', .list = &p->publish },
		{ 0 }
	};
	int argc = 0;

	*p = (struct parsed){ 0 };
	while (argv[argc])
		argc++;
	return args_parse_quiet(&p->args, argc, argv, options, style, p->error, sizeof(p->error));
}

#define PARSE(p, style, ...) parse(p, style, (char *[]){ "verb", __VA_ARGS__ __VA_OPT__(,) NULL })

static void options_stand_anywhere(void **state)
{
	struct parsed p;

	(void)state;
	assert_int_equal(PARSE(&p, ARGS_ANYWHERE, "a", "--lan", "lab", "b", "-jw", "--publish=1:2", "-p3:4", "-p", "5:6", "c"), 0);
	assert_string_equal(p.lan, "lab");
	assert_true(p.json && p.watch);
	assert_int_equal(p.publish.count, 3);
	assert_string_equal(p.publish.value[0], "1:2");
	assert_string_equal(p.publish.value[1], "3:4");
	assert_string_equal(p.publish.value[2], "5:6");
	assert_int_equal(p.args.count, 3);
	assert_string_equal(p.args.words[0], "a");
	assert_string_equal(p.args.words[1], "b");
	assert_string_equal(p.args.words[2], "c");
	assert_null(p.args.words[3]);
	assert_int_equal(p.args.rest_count, 0);
}

static void two_dashes_end_the_options(void **state)
{
	struct parsed p;

	(void)state;
	assert_int_equal(PARSE(&p, ARGS_ANYWHERE, "image", "-j", "--", "-m", "1G", "--"), 0);
	assert_true(p.json);
	assert_int_equal(p.args.count, 1);
	assert_null(p.args.words[1]);
	assert_int_equal(p.args.rest_count, 3);
	assert_string_equal(p.args.rest[0], "-m");
	assert_string_equal(p.args.rest[2], "--");
	assert_null(p.args.rest[3]);
	assert_int_equal(PARSE(&p, ARGS_ANYWHERE), 0);
	assert_int_equal(p.args.count, 0);
	assert_null(p.args.words[0]);
}

static void the_first_word_ends_the_options(void **state)
{
	struct parsed p;

	(void)state;
	assert_int_equal(PARSE(&p, ARGS_FIRST, "--lan", "lab", "ls", "-j", "--", "-l"), 0);
	assert_false(p.json);
	assert_string_equal(p.lan, "lab");
	assert_int_equal(p.args.count, 4);
	assert_string_equal(p.args.words[1], "-j");
	assert_string_equal(p.args.words[2], "--");
	assert_string_equal(p.args.words[3], "-l");
	assert_null(p.args.words[4]);
	assert_int_equal(PARSE(&p, ARGS_FIRST, "-j", "--", "ls", "-l"), 0);
	assert_true(p.json);
	assert_int_equal(p.args.count, 0);
	assert_int_equal(p.args.rest_count, 2);
	assert_string_equal(p.args.rest[1], "-l");
}

static void what_is_wrong_is_said(void **state)
{
	static const struct { const char *arg, *second, *error; } wrong[] = {
		{ "--jsn", NULL, "there is no option --jsn" },
		{ "--js", NULL, "there is no option --js" },
		{ "--json=yes", NULL, "--json takes no value" },
		{ "-jx", NULL, "there is no option -x" },
		{ "--lan", NULL, "--lan needs a value" },
		{ "-jl", NULL, "-l needs a value" },
		{ "--nothing=1", NULL, "there is no option --nothing" },
	};
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(PARSE(&p, ARGS_ANYWHERE, (char *)wrong[i].arg), -EINVAL);
		assert_string_equal(p.error, wrong[i].error);
	}
	/* A lone "-" is a word; an empty one, too. */
	assert_int_equal(PARSE(&p, ARGS_ANYWHERE, "-", ""), 0);
	assert_int_equal(p.args.count, 2);
}

static void lists_are_bounded(void **state)
{
	char *argv[ARGS_LIST_MAX + 3] = { "verb" };
	struct parsed p;

	(void)state;
	for (int count = ARGS_LIST_MAX; count <= ARGS_LIST_MAX + 1; count++) {
		for (int i = 1; i <= count; i++)
			argv[i] = "-p1";
		assert_int_equal(parse(&p, ARGS_ANYWHERE, argv), count > ARGS_LIST_MAX ? -EINVAL : 0);
		assert_int_equal(p.publish.count, ARGS_LIST_MAX);
	}
}

static const char *meant(const char *name)
{
	const struct verb *v = verb_similar(name);

	return v ? v->name : "";
}

static void a_verb_that_was_meant(void **state)
{
	(void)state;
	assert_string_equal(verb_find("ssh")->name, "ssh");
	assert_null(verb_find("sssh"));
	assert_null(verb_find(""));
	assert_string_equal(meant("sssh"), "ssh");
	assert_string_equal(meant("conect"), "connect");
	assert_string_equal(meant("donw"), "down");
	assert_string_equal(meant("sl"), "ls");
	assert_string_equal(meant("list"), "ls");
	assert_string_equal(meant("forwards"), "forward");
	assert_string_equal(meant("qemu-arg"), "qemu-args");
	assert_string_equal(meant("bicycle"), "");
	assert_string_equal(meant("a-word-that-is-longer-than-any-verb"), "");
	assert_string_equal(meant(""), "");
}

static void every_verb_can_be_helped_with(void **state)
{
	size_t count = 0;

	(void)state;
	for (const struct verb *v; (v = verb_at(count)); count++) {
		assert_non_null(v->run);
		assert_ptr_equal(verb_find(v->name), v);
		assert_true(strlen(v->help) > 0 && strlen(v->help) < 80);
		assert_non_null(v->usage);
		assert_true(!v->more || v->more[strlen(v->more) - 1] == '\n');
	}
	assert_true(count > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_anywhere),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(the_first_word_ends_the_options),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(lists_are_bounded),
		cmocka_unit_test(a_verb_that_was_meant),
		cmocka_unit_test(every_verb_can_be_helped_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
