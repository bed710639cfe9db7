// SPDX-License-Identifier: MIT
/* hospes forward: host ports handed to guests */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/lan_client.h"
#include "cli/table.h"
#include "lan/forward.h"

/* The daemon has another folder, so a path must be a whole one. */
static char *whole_path(const char *listen)
{
	_cleanup_(freep) char *here = NULL;
	char *whole = NULL;

	if (strncmp(listen, "./", 2) && strncmp(listen, "../", 3))
		return strdup(listen);
	here = getcwd(NULL, 0);
	return here && asprintf(&whole, "%s/%s", here, listen) >= 0 ? whole : NULL;
}

/* Read the words, and write them as the daemon keeps them. Return: 0, or the exit status after a message. */
static int canonical(const char *listen, const char *to, char *listen_out, char *to_out)
{
	_cleanup_(freep) char *whole = whole_path(listen);
	struct forward_rule rule;
	char error[256];

	if (!whole)
		return EXIT_FAILURE;
	if (forward_parse(&rule, whole, to, error, sizeof(error)) < 0)
		return cli_wrong("forward", "%s", error);
	forward_format(&rule, listen_out, to_out);
	return 0;
}

static int add(const char *lan, const char *listen, const char *to)
{
	char listen_text[FORWARD_TEXT_SIZE], to_text[FORWARD_TEXT_SIZE];
	_cleanup_fd_ int fd = -1;
	int r = canonical(listen, to, listen_text, to_text);

	if (r)
		return r;
	fd = lan_connect(lan, LAN_START);
	if (fd < 0)
		return cli_status(fd);
	if (lan_call(fd, "AddForward", json_pack("{ss ss}", "listen", listen_text, "to", to_text), NULL) < 0)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

static int rm(const char *lan, const char *listen)
{
	char listen_text[FORWARD_TEXT_SIZE], to_text[FORWARD_TEXT_SIZE];
	_cleanup_fd_ int fd = -1;
	/* Where it goes does not matter for taking it away. */
	int r = canonical(listen, "x:1", listen_text, to_text);

	if (r)
		return r;
	fd = lan_connect(lan, LAN_AS_IS);
	if (fd == -ENOENT)
		log_error("LAN %s is down, so it has no forward %s", lan, listen);
	if (fd < 0 || lan_call(fd, "RemoveForward", json_pack("{ss}", "listen", listen_text), NULL) < 0)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

static int print_forwards(const json_t *forwards)
{
	static const char *const headings[] = { "LISTEN", "TO", ">CLIENTS", NULL };
	_cleanup_(table_freep) struct table *table = NULL;
	json_t *f;
	size_t i;

	if (!json_array_size(forwards)) {
		printf("no forwards; hospes forward add 8080 GUEST:80 makes one\n");
		return EXIT_SUCCESS;
	}
	if (table_new(&table, headings) < 0)
		return EXIT_FAILURE;
	json_array_foreach(forwards, i, f) {
		if (table_cell(table, "%s", lan_text(f, "listen")) < 0 || table_cell(table, "%s", lan_text(f, "to")) < 0 ||
		    table_cell(table, "%lld", (long long)lan_number(f, "clients")) < 0)
			return EXIT_FAILURE;
	}
	table_print(table, stdout);
	return EXIT_SUCCESS;
}

static int ls(const char *lan, bool json)
{
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_fd_ int fd = lan_connect(lan, LAN_AS_IS);

	if (fd == -ENOENT) {
		puts(json ? "[]" : "no forwards: the LAN is down");
		return EXIT_SUCCESS;
	}
	if (fd < 0 || lan_call(fd, "ListForwards", NULL, &reply) < 0)
		return EXIT_FAILURE;
	if (!json)
		return print_forwards(json_object_get(reply, "forwards"));
	json_dumpf(json_object_get(reply, "forwards"), stdout, JSON_INDENT(2));
	putchar('\n');
	return EXIT_SUCCESS;
}

int cmd_forward(int argc, char **argv)
{
	const char *lan = LAN_DEFAULT;
	bool json = false;
	const struct args_option options[] = { ARGS_LAN(&lan), { "json", 'j', .flag = &json }, { 0 } };
	struct args args;

	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0 || lan_name_check(lan) < 0)
		return EXIT_USAGE;
	if (!args.count)
		return cli_wrong("forward", "add, rm or ls is expected");
	if (args.rest_count)
		return cli_wrong("forward", "there is nothing to write behind \"--\"");
	if (!strcmp(args.words[0], "add") && args.count == 3 && !json)
		return add(lan, args.words[1], args.words[2]);
	if (!strcmp(args.words[0], "rm") && args.count == 2 && !json)
		return rm(lan, args.words[1]);
	if (!strcmp(args.words[0], "ls") && args.count == 1)
		return ls(lan, json);
	return cli_wrong("forward", "\"%s\" is not written so", args.words[0]);
}
