// SPDX-License-Identifier: MIT
/*
 * hospes try: bring a bridge LAN up, and let it go back by itself unless somebody says that it works
 *
 * The clock runs in hospes-bridged, not here: this program only shows it and passes the answer on. Whoever is cut off by the
 * change, or whose ssh dies, needs to do nothing.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/bridge_verbs.h"
#include "cli/bridged_client.h"
#include "cli/cli.h"
#include "cli/dhcp_hint.h"
#include "cli/fabric.h"
#include "cli/lan_word.h"

#define SECONDS_DEFAULT 60
#define SECONDS_MIN     5
#define SECONDS_MAX     3600
#define STEP_MS         500     /* how soon it is seen that another shell confirmed, or that it went back */

struct try {
	const char *lan;
	bool confirm, dry_run, json;
	int seconds;
	bool terminal;          /* somebody can be asked */
};

/* What became of it. */
enum outcome { TRYING, KEPT, WENT_BACK };

static int parse(struct try *t, int argc, char **argv)
{
	const char *seconds = NULL;
	const struct args_option options[] = {
		ARGS_LAN(&t->lan), { "confirm", 0, .flag = &t->confirm }, { "dry-run", 0, .flag = &t->dry_run },
		{ "time", 't', .value = &seconds }, { "json", 'j', .flag = &t->json }, { 0 },
	};
	struct args args;

	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0)
		return -EINVAL;
	if (t->confirm && (t->dry_run || seconds)) {
		cli_wrong("try", "--confirm goes with no other option");
		return -EINVAL;
	}
	t->seconds = SECONDS_DEFAULT;
	t->terminal &= !t->json;
	if (seconds) {
		t->seconds = strspn(seconds, "0123456789") == strlen(seconds) && strlen(seconds) <= 4 ? atoi(seconds) : 0;
		if (t->seconds < SECONDS_MIN || t->seconds > SECONDS_MAX) {
			cli_wrong("try", "--time %s: %d to %d seconds are expected", seconds, SECONDS_MIN, SECONDS_MAX);
			return -EINVAL;
		}
	}
	return lan_word("try", &args, &t->lan);
}

/* Return: 0 or negative errno after a message. @left: seconds, while it is being tried */
static int ask_outcome(int fd, const struct try *t, enum outcome *out, int *left)
{
	_cleanup_json_ json_t *status = NULL;
	const json_t *found;
	const char *state;
	int r = bridged_call(fd, "Status", NULL, &status);

	if (r < 0)
		return r;
	found = bridged_lan(status, t->lan);
	state = lan_text(found, "state");
	*left = (int)lan_number(found, "seconds_left");
	*out = !strcmp(state, "trying") ? TRYING : !strcmp(state, "up") ? KEPT : WENT_BACK;
	return 0;
}

/* Wait a moment for a line. Return: 1 and the line; 0 if none came; -EPIPE if none can come any more. */
static int read_answer(char *line, size_t size)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, STEP_MS) <= 0)
		return 0;
	n = read(STDIN_FILENO, line, size - 1);
	if (n <= 0)
		return n < 0 && errno == EINTR ? 0 : -EPIPE;
	line[n] = 0;
	line[strcspn(line, "\r\n")] = 0;
	return 1;
}

static int confirm(int fd, const struct try *t)
{
	return bridged_call(fd, "Confirm", json_pack("{s:s}", "lan", t->lan), NULL);
}

static int go_back(int fd, const struct try *t)
{
	return bridged_call(fd, "Down", json_pack("{s:s, s:b}", "lan", t->lan, "force", 1), NULL);
}

/* Act on what was typed. */
static int answered(int fd, const struct try *t, const char *line)
{
	if (!strcasecmp(line, "y") || !strcasecmp(line, "yes"))
		return confirm(fd, t);
	if (!strcasecmp(line, "n") || !strcasecmp(line, "no"))
		return go_back(fd, t);
	if (*line)
		printf("\"yes\" keeps it, \"no\" puts everything back now; with neither it goes back by itself\n");
	return 0;
}

static void show_question(const struct try *t, int left)
{
	if (t->terminal)
		printf("\rKeep LAN %s? yes or no; it goes back by itself in %d s   \b\b\b", t->lan, left);
	fflush(stdout);
}

/* The client of the uplink can be told only now: had it gone back, the uplink would need it. */
static void say_kept(int fd, const struct try *t)
{
	_cleanup_json_ json_t *status = NULL;
	struct dhcp_hint hint = { 0 };
	char error[VARLINK_ERROR_SIZE];
	const json_t *entry = bridged_try(fd, "Status", NULL, &status, error) ? NULL : bridged_lan(status, t->lan);

	dhcp_hint_up(&hint, lan_text(entry, "bridge"));
	if (t->json) {
		bridge_print_json(t->lan, "up", entry, NULL, &hint);
	} else {
		printf("LAN %s is up, and stays\n", t->lan);
		dhcp_hint_print(&hint, stdout);
	}
	dhcp_hint_fini(&hint);
}

static int say_outcome(int fd, const struct try *t, enum outcome outcome)
{
	if (t->terminal)
		putchar('\n');
	if (outcome == KEPT) {
		say_kept(fd, t);
		return EXIT_SUCCESS;
	}
	if (t->json)
		bridge_print_json(t->lan, "down", NULL, NULL, NULL);
	else
		printf("LAN %s went back: everything is as it was before\n", t->lan);
	return EXIT_FAILURE;
}

static int wait_outcome(int fd, struct try *t)
{
	enum outcome outcome = TRYING;
	char line[80];
	int left, r, got;

	for (;;) {
		r = ask_outcome(fd, t, &outcome, &left);
		if (r < 0)
			return EXIT_FAILURE;
		if (outcome != TRYING)
			return say_outcome(fd, t, outcome);
		show_question(t, left);
		if (!t->terminal) {
			poll(NULL, 0, STEP_MS);
			continue;
		}
		got = read_answer(line, sizeof(line));
		/* The terminal is gone: no answer will come, and it goes back. */
		if (got < 0)
			t->terminal = false;
		if (got > 0 && answered(fd, t, line) < 0)
			return EXIT_FAILURE;
	}
}

/* Who has the uplink's lease is left alone during the trial, but said at its start: the lease may be a short one. */
static void say_trial(int fd, const struct try *t, const json_t *reply)
{
	_cleanup_json_ json_t *status = NULL;
	_cleanup_(freep) char *names = NULL;
	struct dhcp_hint hint = { 0 };
	char error[VARLINK_ERROR_SIZE];
	const json_t *entry = bridged_try(fd, "Status", NULL, &status, error) ? NULL : bridged_lan(status, t->lan);

	dhcp_hint_up(&hint, lan_text(entry, "bridge"));
	names = dhcp_hint_names(&hint);
	if (t->json)
		bridge_print_json(t->lan, "trying", entry, reply, &hint);
	else
		printf("LAN %s is up for %d s, then everything goes back by itself; at once if the gateway stops answering.\n"
		       "Should this connection hang, do nothing; from another shell, sudo hospes try --confirm %s keeps it.\n",
		       t->lan, (int)lan_number(reply, "seconds_left"), t->lan);
	if (names && !t->json)
		printf("A DHCP client has the lease of %s: %s. It wants to be told where the address is, once the LAN is kept: how is said then.\n",
		       lan_text(entry, "uplink"), names);
	fflush(stdout);
	dhcp_hint_fini(&hint);
}

static int try_up(int fd, struct try *t)
{
	_cleanup_json_ json_t *reply = NULL;

	if (bridged_call(fd, "Up", json_pack("{s:s, s:i}", "lan", t->lan, "confirm", t->seconds), &reply) < 0)
		return EXIT_FAILURE;
	if (!t->json)
		bridge_print_steps(reply, "  ", stdout);
	/* It may be on trial without a step: tried again, for another time. */
	if (json_is_integer(json_object_get(reply, "seconds_left"))) {
		say_trial(fd, t, reply);
		return wait_outcome(fd, t);
	}
	if (t->json) {
		say_kept(fd, t);
		return EXIT_SUCCESS;
	}
	printf("LAN %s is as its file says: nothing to try\n", t->lan);
	return EXIT_SUCCESS;
}

int cmd_try(int argc, char **argv)
{
	struct try t = { .terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) };
	_cleanup_fd_ int fd = -1;
	enum fabric fabric;
	int r;

	if (parse(&t, argc, argv) < 0)
		return EXIT_USAGE;
	r = fabric_of(t.lan, &fabric);
	if (r < 0)
		return cli_status(r);
	if (fabric == FABRIC_USER)
		return cli_wrong("try", "LAN %s is no bridge LAN, so there is nothing to lose: hospes up %s", t.lan, t.lan);
	if (fabric_need_root(t.confirm ? "try --confirm" : "try", t.lan) < 0)
		return EXIT_FAILURE;
	fd = bridged_connect(LAN_START);
	if (fd < 0)
		return EXIT_FAILURE;
	if (t.dry_run)
		return bridge_print_plan(fd, t.lan, false, t.json);
	if (!t.confirm)
		return try_up(fd, &t);
	if (confirm(fd, &t) < 0)
		return EXIT_FAILURE;
	say_kept(fd, &t);
	return EXIT_SUCCESS;
}
