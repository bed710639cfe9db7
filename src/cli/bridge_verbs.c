// SPDX-License-Identifier: MIT
#include "cli/bridge_verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "cli/bridged_client.h"
#include "cli/fabric.h"

size_t bridge_print_steps(const json_t *reply, const char *lead, FILE *to)
{
	const json_t *steps = json_object_get(reply, "steps");
	json_t *step;
	size_t i;

	json_array_foreach(steps, i, step)
		fprintf(to, "%s%s\n", lead, lan_text(step, "text"));
	return json_array_size(steps);
}

int bridge_print_plan(int fd, const char *lan, bool down)
{
	_cleanup_json_ json_t *reply = NULL;

	if (bridged_call(fd, "Plan", json_pack("{s:s, s:b}", "lan", lan, "down", down), &reply) < 0)
		return EXIT_FAILURE;
	if (!bridge_print_steps(reply, "", stdout))
		printf("LAN %s: nothing to do\n", lan);
	return EXIT_SUCCESS;
}

/* Root's connection to the service, which is started if need be. Return: a descriptor, or negative errno after a message. */
static int connect_as_root(const char *words, const char *lan)
{
	int r = fabric_need_root(words, lan);

	return r < 0 ? r : bridged_connect(LAN_START);
}

static void say_up(int fd, const char *lan, size_t steps)
{
	_cleanup_json_ json_t *status = NULL;
	char error[VARLINK_ERROR_SIZE];
	const json_t *found = NULL;

	if (!bridged_try(fd, "Status", NULL, &status, error))
		found = bridged_lan(status, lan);
	printf("LAN %s is %sup: bridge %s", lan, steps ? "" : "already ", lan_text(found, "bridge"));
	if (*lan_text(found, "uplink"))
		printf(" on %s", lan_text(found, "uplink"));
	if (steps)
		printf("; %zu step%s taken", steps, steps == 1 ? "" : "s");
	putchar('\n');
}

static int up(int fd, const char *lan)
{
	_cleanup_json_ json_t *reply = NULL;

	if (bridged_call(fd, "Up", json_pack("{s:s}", "lan", lan), &reply) < 0)
		return EXIT_FAILURE;
	say_up(fd, lan, json_array_size(json_object_get(reply, "steps")));
	return EXIT_SUCCESS;
}

int bridge_up(const char *lan, const struct bridge_options *o)
{
	_cleanup_fd_ int fd = connect_as_root(o->dry_run ? "up --dry-run" : "up", lan);

	if (fd < 0)
		return EXIT_FAILURE;
	return o->dry_run ? bridge_print_plan(fd, lan, false) : up(fd, lan);
}

/* Return: how many steps were taken, or negative errno after a message. */
static int down(int fd, const char *lan, bool force)
{
	_cleanup_json_ json_t *reply = NULL;
	char error[VARLINK_ERROR_SIZE], text[1024];
	int r = bridged_try(fd, "Down", json_pack("{s:s, s:b}", "lan", lan, "force", force), &reply, error);

	if (!r)
		return (int)json_array_size(json_object_get(reply, "steps"));
	if (r == VARLINK_ERROR)
		log_error("%s%s", bridged_error_text(error, reply, text, sizeof(text)),
			  strcmp(error, "Busy") || force ? "" :
			  "; hospes stop ends a guest, hospes down --keep-guests takes the network from under all");
	return r == VARLINK_ERROR ? -EREMOTEIO : r;
}

/*
 * A LAN that is down needs no service to be started for it, unless a crash left something: its journal says so, and only the
 * service reads that.
 */
int bridge_down(const char *lan, const struct bridge_options *o)
{
	_cleanup_fd_ int fd = connect_as_root(o->dry_run ? "down --dry-run" : "down", lan);
	int steps;

	if (fd < 0)
		return EXIT_FAILURE;
	if (o->dry_run)
		return bridge_print_plan(fd, lan, true);
	steps = down(fd, lan, o->force);
	if (steps < 0)
		return EXIT_FAILURE;
	if (steps)
		printf("LAN %s is down; everything is as it was before (%d step%s)\n", lan, steps, steps == 1 ? "" : "s");
	else
		printf("LAN %s is down already\n", lan);
	return EXIT_SUCCESS;
}

int bridge_restart(const char *lan, const struct bridge_options *o)
{
	_cleanup_fd_ int fd = connect_as_root(o->dry_run ? "restart --dry-run" : "restart", lan);

	if (fd >= 0 && o->dry_run) {
		int status = bridge_print_plan(fd, lan, true);

		return status ? status : bridge_print_plan(fd, lan, false);
	}
	if (fd < 0 || down(fd, lan, o->force) < 0)
		return EXIT_FAILURE;
	return up(fd, lan);
}

/* Up is idempotent: it takes the steps between what is and what the file says. */
int bridge_reload(const char *lan, const struct bridge_options *o)
{
	_cleanup_json_ json_t *status = NULL, *reply = NULL;
	_cleanup_fd_ int fd = connect_as_root(o->dry_run ? "reload --dry-run" : "reload", lan);
	const json_t *found, *changes;
	json_t *change;
	size_t i;

	if (fd < 0 || bridged_call(fd, "Status", NULL, &status) < 0)
		return EXIT_FAILURE;
	found = bridged_lan(status, lan);
	if (!found || !strcmp(lan_text(found, "state"), "down")) {
		log_error("LAN %s is down, so there is nothing to reload; hospes up %s starts it with its file as it is now", lan, lan);
		return EXIT_FAILURE;
	}
	if (o->dry_run)
		return bridge_print_plan(fd, lan, false);
	if (bridged_call(fd, "Up", json_pack("{s:s}", "lan", lan), &reply) < 0)
		return EXIT_FAILURE;
	changes = json_object_get(reply, "changes");
	json_array_foreach(changes, i, change)
		printf("%s\n", json_string_value(change));
	if (!bridge_print_steps(reply, "", stdout) && !json_array_size(changes))
		printf("LAN %s: nothing to change\n", lan);
	return EXIT_SUCCESS;
}
