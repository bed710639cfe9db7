// SPDX-License-Identifier: MIT
/* hospes up, reload */
#include <errno.h>
#include <stdio.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/bridge_verbs.h"
#include "cli/cli.h"
#include "cli/fabric.h"
#include "cli/lan_client.h"
#include "cli/lan_word.h"

static void say_up(const json_t *status, bool was_up)
{
	const char *net4 = lan_text(status, "network4"), *net6 = lan_text(status, "network6");

	printf("LAN %s is %sup: %s%s%s", lan_text(status, "lan"), was_up ? "already " : "", net4, *net4 && *net6 ? " and " : "", net6);
	printf("; the host is %s\n", *net4 ? lan_text(status, "gateway4") : lan_text(status, "gateway6"));
}

/* Return: 0 or the exit status after a message. */
static int parse(int argc, char **argv, const char **lan, struct bridge_options *o, enum fabric *fabric)
{
	const struct args_option options[] = {
		ARGS_LAN(lan), { "dry-run", 0, .flag = &o->dry_run }, { "json", 'j', .flag = &o->json }, { 0 },
	};
	struct args args;
	int r;

	*lan = NULL;
	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0 || lan_word(argv[0], &args, lan) < 0)
		return EXIT_USAGE;
	r = fabric_of(*lan, fabric);
	if (r < 0)
		return cli_status(r);
	if (o->dry_run && *fabric == FABRIC_USER)
		return cli_wrong(argv[0], "LAN %s is no bridge LAN, so nothing of this host would be changed: there is no plan to print",
				 *lan);
	return 0;
}

static int print_up(json_t *status, bool was_up, bool json)
{
	if (!json) {
		say_up(status, was_up);
		return EXIT_SUCCESS;
	}
	json_object_set_new(status, "state", json_string("up"));
	json_dumpf(status, stdout, JSON_COMPACT);
	putchar('\n');
	return EXIT_SUCCESS;
}

static int user_up(const char *lan, const struct bridge_options *o)
{
	_cleanup_json_ json_t *status = NULL;
	_cleanup_fd_ int fd = lan_connect(lan, LAN_AS_IS);
	bool was_up = fd >= 0;
	int r = was_up ? lan_call(fd, "Status", NULL, &status) : -ECONNRESET;

	if (fd < 0 && fd != -ENOENT)
		return cli_status(fd);
	if (r == -ECONNRESET) { /* down, or it went down at this moment */
		was_up = false;
		fd_close(fd);
		fd = lan_connect(lan, LAN_START);
		if (fd < 0)
			return cli_status(fd);
		r = lan_call(fd, "Status", NULL, &status);
	}
	return r < 0 ? EXIT_FAILURE : print_up(status, was_up, o->json);
}

static int user_reload(const char *lan, _unused_ const struct bridge_options *o)
{
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_fd_ int fd = lan_connect(lan, LAN_AS_IS);
	json_t *change;
	size_t i;

	if (fd == -ENOENT)
		log_error("LAN %s is down, so there is nothing to reload; hospes up %s starts it with its file as it is now", lan, lan);
	if (fd < 0 || lan_call(fd, "Reload", NULL, &reply) < 0)
		return EXIT_FAILURE;
	json_array_foreach(json_object_get(reply, "changes"), i, change)
		printf("%s\n", json_string_value(change));
	if (!json_array_size(json_object_get(reply, "changes")))
		printf("LAN %s: nothing to change\n", lan);
	return EXIT_SUCCESS;
}

/* The same words for both fabrics, each of which has its own way. */
static int run(int argc, char **argv, int (*bridge)(const char *lan, const struct bridge_options *o),
	       int (*user)(const char *lan, const struct bridge_options *o))
{
	struct bridge_options o = { 0 };
	enum fabric fabric;
	const char *lan;
	int r = parse(argc, argv, &lan, &o, &fabric);

	if (r)
		return r;
	return fabric == FABRIC_BRIDGE ? bridge(lan, &o) : user(lan, &o);
}

int cmd_up(int argc, char **argv)
{
	return run(argc, argv, bridge_up, user_up);
}

int cmd_reload(int argc, char **argv)
{
	return run(argc, argv, bridge_reload, user_reload);
}
