// SPDX-License-Identifier: MIT
/* hospes: the command line. See cli/cli.h for how a verb is called. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "cli/cli.h"

/* What may stand before the verb. Return: arguments used, 0 if @argv[0] is none of ours, or -1 after a message. */
static int global_option(int argc, char **argv, const char **lan)
{
	const char *arg = argv[0];

	if (!strcmp(arg, "-l") || !strcmp(arg, "--lan")) {
		if (argc < 2) {
			log_error("%s needs the name of a LAN, as in: hospes %s lab ls", arg, arg);
			return -1;
		}
		*lan = argv[1];
		return 2;
	}
	if (!strncmp(arg, "--lan=", 6))
		*lan = arg + 6;
	else if (!strncmp(arg, "-l", 2))
		*lan = arg + 2;
	else
		return 0;
	return 1;
}

static int call(const struct verb *verb, const char *lan, int argc, char **argv)
{
	_cleanup_(freep) char **args = calloc((size_t)argc + 3, sizeof(*args));
	int count = 0;

	if (!args) {
		log_error("out of memory");
		return EXIT_FAILURE;
	}
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return cmd_help(2, (char *[]){ "help", argv[0], NULL });
	args[count++] = argv[0];
	if (lan) {
		args[count++] = "--lan";
		args[count++] = (char *)lan;
	}
	for (int i = 1; i < argc; i++)
		args[count++] = argv[i];
	return verb->run(count, args);
}

int main(int argc, char **argv)
{
	const char *lan = NULL;
	int at = 1, used = 0;

	while (at < argc && (used = global_option(argc - at, argv + at, &lan)) > 0)
		at += used;
	if (used < 0)
		return EXIT_USAGE;
	if (at == argc) {
		cmd_help(1, (char *[]){ "help", NULL });
		return EXIT_USAGE;
	}
	if (!strcmp(argv[at], "--version") || !strcmp(argv[at], "-V"))
		return printf("hospes %s\n", HOSPES_VERSION) < 0;
	if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h"))
		argv[at] = "help";

	const struct verb *verb = verb_find(argv[at]);
	if (!verb)
		return cli_unknown_verb(argv[at]);
	return call(verb, verb->run == cmd_help ? NULL : lan, argc - at, argv + at);
}
