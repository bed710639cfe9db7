// SPDX-License-Identifier: MIT
#include "cli/cli.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"

static const struct verb verbs[] = {
	{ "run", cmd_run, "start a guest and attach it to the LAN",
		"[OPTIONS...] IMAGE|mini [-- QEMU-ARGS...]",
		"IMAGE is a disk (qcow2, raw...) or a CD (.iso); mini is a small guest that is built when it is first wanted.\n"
		"There may be none where QEMU-ARGS say what is booted.\n"
		"\n"
		"  -n, --name NAME              how the LAN knows it; it keeps MAC and address by its name\n"
		"  -m, --mem SIZE               1G; a mini has 256M\n"
		"  -c, --cpus N                 how many processors\n"
		"  -p, --publish [ADDRESS:]HOSTPORT:GUESTPORT[/udp]\n"
		"                               a forward for as long as it runs; may be there several times\n"
		"  -d, --detach                 return when it runs; its serial line goes into a file\n"
		"  -s, --snapshot               what it writes is lost at its end; the image is only read\n"
		"      --port vhost|stream|dgram|tap\n"
		"                               how it is attached; a bridge LAN has taps, and only they\n"
		"\n"
		"HOSPES_ACCEL=kvm|tcg decides how it runs; else KVM, where a guest really runs with it. HOSPES_QEMU names\n"
		"another QEMU. On a terminal, ctrl-a x ends the guest, ctrl-a c leads to QEMU's monitor and back.\n" },
	{ "stop", cmd_stop, "end a guest that run started", "GUEST..." },
	{ "up", cmd_up, "start the LAN", "[--dry-run] [--json] [LAN]",
		"      --dry-run  of a bridge LAN: only print what would be done, as ip and nft commands\n"
		"  -j, --json     as JSON\n"
		"\n"
		"A bridge LAN is root's to bring up. It has a file /etc/hospes/LAN.lan with \"Fabric = bridge\".\n" },
	{ "try", cmd_try, "bring a bridge LAN up, to go back by itself unless you confirm",
		"[--time SECONDS] [--dry-run] [--json] LAN\n--confirm [--json] LAN",
		"      --confirm       keep what is being tried; from any shell\n"
		"  -t, --time SECONDS  how long until it goes back by itself; 60\n"
		"      --dry-run       only print what would be done, as ip and nft commands\n"
		"  -j, --json          as JSON: a line when it is up, and one at the end\n"
		"\n"
		"Should the change cut you off, do nothing: the service puts everything back. It does so at once if the\n"
		"gateway stops answering.\n" },
	{ "down", cmd_down, "end the guests that run started, and the LAN", "[--keep-guests] [--dry-run] [--json] [LAN]",
		"  -k, --keep-guests  leave the guests running, without a network\n"
		"      --dry-run      of a bridge LAN: only print what would be done\n"
		"  -j, --json         as JSON\n"
		"\n"
		"A LAN that is down already is no error. A bridge LAN with guests attached stays up without --keep-guests:\n"
		"they may be other users'.\n" },
	{ "restart", cmd_restart, "down, then up", "[--keep-guests] [--dry-run] [--json] [LAN]",
		"  -k, --keep-guests  leave the guests running; those whose QEMU reconnects come back\n" },
	{ "reload", cmd_reload, "apply the LAN's configuration file, dropping no flow", "[--dry-run] [LAN]" },
	{ "ls", cmd_ls, "show the LAN, its guests, their addresses and rates", "[--json] [--drops] [-w] [LAN]",
		"  -j, --json   as JSON\n"
		"  -d, --drops  what was dropped, where and why\n"
		"  -w, --watch  again every second, until interrupted\n" },
	{ "ssh", cmd_ssh, "log in to a guest with your own ssh", "[SSH-OPTIONS...] [USER@]GUEST [COMMAND...]",
		"Options before the guest are ssh's own (-l is the login name here: write --lan for the LAN).\n" },
	{ "connect", cmd_connect, "join standard input and output to a TCP port of a guest", "GUEST[:PORT]",
		"The port is 22 if none is given. GUEST is a name, a MAC or an address; NAME.hospes and NAME.LAN.hospes\n"
		"name the LAN, too. Made for ssh's ProxyCommand; the exit status is 1 if the guest does not answer.\n" },
	{ "exec", cmd_exec, "run a program of this host on the LAN, in a network namespace", "[--name NAME] [--] COMMAND [ARGS...]",
		"  -n, --name NAME  how the other guests see it\n"
		"\n"
		"The exit status is the command's: 126 if it cannot be run, 127 if there is none, 128 and the number of the\n"
		"signal that ended it.\n" },
	{ "forward", cmd_forward, "hand ports of this host to guests",
		"add [ADDRESS:]PORT[-PORT][/udp]|PATH GUEST:PORT\n"
		"rm [ADDRESS:]PORT[-PORT][/udp]|PATH\n"
		"ls [--json]" },
	{ "ssh-config", cmd_ssh_config, "make plain `ssh NAME.hospes` work, and scp, rsync, git", "[--install|--remove]",
		"  --install  write ~/.config/hospes/ssh_config and include it in ~/.ssh/config\n"
		"  --remove   undo that\n"
		"\n"
		"With neither, print what --install would write.\n" },
	{ "qemu-args", cmd_qemu_args, "print what to add to a QEMU command line of your own",
		"[--name NAME] [--port vhost|stream|dgram|tap] [--mem SIZE]",
		"  -m, --mem SIZE  with --port vhost: the guest's memory, which it shares with the LAN\n"
		"\n"
		"A bridge LAN has taps: QEMU gets its tap by hospes-tap, which needs no privilege.\n" },
	{ "doctor", cmd_doctor, "find what is wrong, and say what to type against it",
		"[--probe] [--json] [GUEST]\n[--probe] [--json] --bridge BRIDGE",
		"  -b, --bridge BRIDGE  any bridge of this host, also one that hospes did not make\n"
		"  -p, --probe          send frames, too: finds other DHCP servers, switches that filter, addresses used twice\n"
		"  -j, --json           as JSON\n"
		"\n"
		"Nothing is changed. Root sees more: the firewall's rules, other users' processes. The exit status is 1 if\n"
		"there is an error or a warning; notes alone leave it 0.\n" },
	{ "help", cmd_help, "tell about a verb", "[VERB]" },
};

const struct verb *verb_at(size_t index)
{
	return index < ARRAY_SIZE(verbs) ? &verbs[index] : NULL;
}

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

/*
 * How many letters must be put in, left out, changed or swapped with their neighbour (optimal string alignment). Words over 15 letters
 * are far from all.
 */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int d[16][16];
	size_t m = strlen(a), n = strlen(b);

	if (m > 15 || n > 15)
		return UINT32_MAX;
	for (size_t i = 0; i <= m; i++)
		d[i][0] = (unsigned int)i;
	for (size_t j = 0; j <= n; j++)
		d[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= m; i++)
		for (size_t j = 1; j <= n; j++) {
			unsigned int change = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			d[i][j] = MIN(change, MIN(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[m][n];
}

/* What people who come from other programs type. */
static const struct { const char *word, *verb; } aliases[] = {
	{ "list", "ls" }, { "ps", "ls" }, { "status", "ls" }, { "show", "ls" },
	{ "start", "run" }, { "kill", "stop" }, { "nc", "connect" }, { "publish", "forward" }, { "port", "forward" },
};

const struct verb *verb_similar(const char *name)
{
	const struct verb *best = NULL;
	unsigned int nearest = 3; /* further away is no typing mistake */

	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (!strcmp(aliases[i].word, name))
			return verb_find(aliases[i].verb);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		unsigned int d = distance(name, verbs[i].name);

		if (d < nearest && d < strlen(verbs[i].name))
			nearest = d, best = &verbs[i];
	}
	return best;
}

static void print_usage(FILE *to, const struct verb *verb)
{
	const char *line = verb->usage;

	for (const char *lead = "usage:"; line; lead = "      ") {
		size_t length = strcspn(line, "\n");

		fprintf(to, "%s hospes %s%s%.*s\n", lead, verb->name, length ? " " : "", (int)length, line);
		line = line[length] ? line + length + 1 : NULL;
	}
}

int cli_wrong(const char *name, const char *format, ...)
{
	const struct verb *verb = verb_find(name);
	char text[400];
	va_list args;

	if (format) {
		va_start(args, format);
		vsnprintf(text, sizeof(text), format, args);
		va_end(args);
		log_error("%s: %s", name, text);
	}
	if (verb)
		print_usage(stderr, verb);
	return EXIT_USAGE;
}

int cli_unknown_verb(const char *name)
{
	const struct verb *meant = verb_similar(name);

	if (meant)
		log_error("there is no verb \"%s\"; did you mean \"%s\"? hospes help lists all", name, meant->name);
	else
		log_error("there is no verb \"%s\"; hospes help lists all", name);
	return EXIT_USAGE;
}

static void help_all(void)
{
	printf("hospes %s: a network for QEMU's guests that is reachable both ways\n\n"
	       "usage: hospes [-l LAN] VERB [ARGS...]\n\n", HOSPES_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-12s %s\n", verbs[i].name, verbs[i].help);
	printf("\n-l, --lan LAN: another LAN than \"" LAN_DEFAULT "\", before or after the verb. hospes help VERB tells more;\n"
	       "so does hospes(1).\n");
}

int cmd_help(int argc, char **argv)
{
	const struct verb *verb;

	if (argc > 2)
		return cli_wrong("help", "one verb at a time");
	if (argc < 2) {
		help_all();
		return EXIT_SUCCESS;
	}
	verb = verb_find(argv[1]);
	if (!verb)
		return cli_unknown_verb(argv[1]);
	printf("hospes %s: %s\n\n", verb->name, verb->help);
	print_usage(stdout, verb);
	if (verb->more)
		printf("\n%s", verb->more);
	return EXIT_SUCCESS;
}
