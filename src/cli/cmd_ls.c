// SPDX-License-Identifier: MIT
/* hospes ls: a LAN, its guests and ports */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/fabric.h"
#include "cli/lan_client.h"
#include "cli/lan_word.h"
#include "cli/list_text.h"

struct ls {
	const char *lan;
	bool json, drops, watch;
};

static int print_down(const struct ls *ls)
{
	enum fabric fabric;
	int r = ls->json ? 0 : fabric_of(ls->lan, &fabric);

	if (r < 0)
		return r;
	if (ls->json)
		printf("{\"lan\": \"%s\", \"state\": \"down\", \"guests\": [], \"ports\": []}\n", ls->lan);
	else
		printf("LAN %s is down; %shospes up %s starts it\n", ls->lan, fabric == FABRIC_BRIDGE && geteuid() ? "sudo " : "", ls->lan);
	return 0;
}

static int print_json(const struct ls *ls, json_t *status, json_t *list)
{
	json_object_update_missing(status, list);
	json_object_set_new(status, "state", json_string("up"));
	json_dumpf(status, stdout, ls->watch ? JSON_COMPACT : JSON_INDENT(2));
	putchar('\n');
	return 0;
}

/* Return: 0; -ENOENT if the LAN is down; or negative errno after a message. */
static int print_once(const struct ls *ls)
{
	_cleanup_json_ json_t *status = NULL, *list = NULL;
	_cleanup_fd_ int fd = lan_connect(ls->lan, LAN_AS_IS);
	int r;

	if (fd < 0)
		return fd;
	r = lan_call(fd, "Status", NULL, &status);
	if (!r)
		r = lan_call(fd, "List", NULL, &list);
	if (r < 0)
		return r;
	if (ls->json)
		return print_json(ls, status, list);
	r = list_print_lan(status, stdout);
	if (!r)
		r = ls->drops ? list_print_drops(list, stdout) : list_print_guests(list, stdout);
	if (r < 0)
		log_error("cannot show LAN %s: %s", ls->lan, strerror(-r));
	return r;
}

static int watch(const struct ls *ls)
{
	bool screen = isatty(STDOUT_FILENO) && !ls->json;
	int r;

	do {
		if (screen)
			fputs("\033[H\033[2J", stdout);
		r = print_once(ls);
		if (r == -ENOENT)
			r = print_down(ls);
		/* Whoever reads us may have gone. */
		if (fflush(stdout) == EOF)
			return -EPIPE;
		sleep(1);
	} while (!r);
	return r;
}

int cmd_ls(int argc, char **argv)
{
	struct ls ls = { 0 };
	const struct args_option options[] = {
		ARGS_LAN(&ls.lan),
		{ "json", 'j', .flag = &ls.json },
		{ "drops", 'd', .flag = &ls.drops },
		{ "watch", 'w', .flag = &ls.watch },
		{ 0 }
	};
	struct args args;
	int r;

	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0 || lan_word("ls", &args, &ls.lan) < 0)
		return EXIT_USAGE;
	r = ls.watch ? watch(&ls) : print_once(&ls);
	if (r == -ENOENT)
		r = print_down(&ls);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
