// SPDX-License-Identifier: MIT
/* hospes down, restart */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/bridge_verbs.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/fabric.h"
#include "cli/guest_folder.h"
#include "cli/lan_client.h"
#include "cli/lan_word.h"
#include "cli/process.h"

#define GONE_TIMEOUT_MS 10000

/* Return: how many guests were ended, or negative errno after a message. */
static int end_guests(const json_t *reply)
{
	const json_t *guests = json_object_get(reply, "guests");
	size_t count = json_array_size(guests);
	_cleanup_(freep) pid_t *pids = calloc(count + 1, sizeof(*pids));

	if (!pids)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		pids[i] = (pid_t)json_integer_value(json_array_get(guests, i));
	return process_end_guests(pids, count);
}

/* The daemon closes the connection last of all. */
static int wait_gone(int fd, const char *lan)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int r;

	do
		r = poll(&p, 1, GONE_TIMEOUT_MS);
	while (r < 0 && errno == EINTR);
	if (r > 0)
		return 0;
	log_error("the daemon of LAN %s said that it is down, but does not end; look for its process with: pgrep -a hospesd", lan);
	return -ETIMEDOUT;
}

/* Return: 1 if it was up, 0 if it was down already, negative errno after a message. */
static int take_down(const char *lan, bool keep_guests, int *ended)
{
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_fd_ int fd = lan_connect(lan, LAN_AS_IS);
	int r;

	*ended = 0;
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	r = lan_call(fd, "Down", NULL, &reply);
	if (r < 0)
		return r;
	if (!keep_guests)
		*ended = end_guests(reply);
	r = wait_gone(fd, lan);
	return r < 0 ? r : *ended < 0 ? *ended : 1;
}

struct options {
	const char *lan;
	bool keep_guests, dry_run, json;
	enum fabric fabric;
};

/* Return: 0 or the exit status after a message. */
static int parse(int argc, char **argv, struct options *o)
{
	const struct args_option options[] = {
		ARGS_LAN(&o->lan), { "keep-guests", 'k', .flag = &o->keep_guests }, { "dry-run", 0, .flag = &o->dry_run },
		{ "json", 'j', .flag = &o->json }, { 0 },
	};
	struct args args;
	int r;

	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0 || lan_word(argv[0], &args, &o->lan) < 0)
		return EXIT_USAGE;
	r = fabric_of(o->lan, &o->fabric);
	if (r < 0)
		return cli_status(r);
	if (o->dry_run && o->fabric == FABRIC_USER)
		return cli_wrong(argv[0], "LAN %s is no bridge LAN, so nothing of this host would be changed: there is no plan to print",
				 o->lan);
	return 0;
}

static void say_down(const char *lan, bool was_up, int ended, bool json)
{
	if (json)
		printf("{\"lan\": \"%s\", \"state\": \"down\", \"guests_ended\": %d}\n", lan, ended);
	else if (!was_up)
		printf("LAN %s is down already\n", lan);
	else if (ended)
		printf("LAN %s is down; %d guest%s ended\n", lan, ended, ended == 1 ? "" : "s");
	else
		printf("LAN %s is down\n", lan);
}

static int user_down(const char *lan, bool keep, bool json)
{
	int ended, r = take_down(lan, keep, &ended);

	if (r < 0)
		return EXIT_FAILURE;
	guest_folder_sweep(lan);
	daemon_tidy(lan);
	say_down(lan, r, ended, json);
	return EXIT_SUCCESS;
}

int cmd_down(int argc, char **argv)
{
	struct options o = { 0 };
	int r = parse(argc, argv, &o);

	if (r)
		return r;
	if (o.fabric == FABRIC_BRIDGE)
		return bridge_down(o.lan, &(struct bridge_options){ .dry_run = o.dry_run, .force = o.keep_guests,
				   .json = o.json });
	return user_down(o.lan, o.keep_guests, o.json);
}

int cmd_restart(int argc, char **argv)
{
	struct options o = { 0 };
	int ended, r = parse(argc, argv, &o);

	if (r)
		return r;
	if (o.fabric == FABRIC_BRIDGE)
		return bridge_restart(o.lan, &(struct bridge_options){ .dry_run = o.dry_run, .force = o.keep_guests,
				   .json = o.json });
	if (take_down(o.lan, o.keep_guests, &ended) < 0)
		return EXIT_FAILURE;
	if (ended && !o.json)
		printf("%d guest%s ended\n", ended, ended == 1 ? "" : "s");
	return cmd_up(o.json ? 4 : 3, (char *[]){ "up", "--lan", (char *)o.lan, o.json ? "--json" : NULL, NULL });
}
