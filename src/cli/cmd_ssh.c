// SPDX-License-Identifier: MIT
/* hospes ssh: the user's own ssh, to a guest */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "cli/cli.h"
#include "cli/guest_ref.h"
#include "cli/lan_client.h"
#include "cli/ssh_paths.h"
#include "cli/ssh_text.h"

#define OWN_ARGUMENTS 40

/* The guest, as the LAN knows it. */
struct target {
	const char *lan;
	char name[132];   /* for connect */
	char alias[300];               /* NAME.DOMAIN or NAME.LAN.DOMAIN: what its host key is kept under */
	char user[64];                 /* "" if none was registered */
};

/* ssh's command line while it is made. */
struct line {
	char **argv;
	int count;
	char *made[OWN_ARGUMENTS];
	int made_count;
	bool failed;
};

static void put(struct line *l, const char *text)
{
	l->argv[l->count++] = (char *)text;
}

static void put_option(struct line *l, const char *format, ...) _printf_(2, 3);
static void put_option(struct line *l, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		l->failed = true, text = NULL;
	va_end(args);
	if (!text)
		return;
	l->made[l->made_count++] = text;
	put(l, "-o");
	put(l, text);
}

/* --lan and --lan=LAN, wherever main() or the user put it before the guest. Return: how many arguments are left in @argv. */
static int take_lan(int argc, char **argv, const char **lan)
{
	int to = 0, i = 0;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--lan") && i + 1 < argc)
			*lan = argv[++i];
		else if (!strncmp(argv[i], "--lan=", 6))
			*lan = argv[i] + 6;
		else if (ssh_words_split(1, argv + i) > 1 && i + 1 < argc)
			argv[to++] = argv[i], argv[to++] = argv[++i];
		else
			argv[to++] = argv[i];
	}
	for (; i < argc; i++)
		argv[to++] = argv[i];
	return to;
}

static int resolve(struct target *t, const struct guest_ref *ref)
{
	_cleanup_json_ json_t *status = NULL, *found = NULL;
	_cleanup_fd_ int fd = lan_connect(t->lan, LAN_AS_IS);
	struct guest_ref bare = *ref;
	const char *name, *domain;
	const json_t *guest;
	int r;

	if (fd == -ENOENT)
		log_error("LAN %s is down, so there is no guest %s; hospes run --lan %s --name %s IMAGE starts both",
			  t->lan, ref->guest, t->lan, ref->guest);
	r = fd < 0 ? fd : lan_call(fd, "Status", NULL, &status);
	if (r < 0)
		return r;
	domain = lan_text(status, "domain");
	guest_ref_strip_domain(&bare, domain);
	r = lan_call(fd, "Resolve", json_pack("{ss}", "guest", bare.guest), &found);
	if (r < 0)
		return r;
	guest = json_object_get(found, "guest");
	name = *lan_text(guest, "name") ? lan_text(guest, "name") : bare.guest;
	if (strcmp(lan_text(guest, "state"), "attached")) {
		log_error("guest %s is not running, or not on the network yet; hospes ls shows who is, "
			  "hospes run --lan %s --name %s IMAGE starts one",
			  name, t->lan, name);
		return -EHOSTUNREACH;
	}
	snprintf(t->name, sizeof(t->name), strchr(name, ':') ? "[%s]" : "%s", name);
	snprintf(t->user, sizeof(t->user), "%s", lan_text(found, "user"));
	if (strcmp(t->lan, LAN_DEFAULT))
		snprintf(t->alias, sizeof(t->alias), "%s.%s.%s", name, t->lan, domain);
	else
		snprintf(t->alias, sizeof(t->alias), "%s.%s", name, domain);
	return 0;
}

/* Our options stand behind the user's: of two, ssh takes the first. */
static int put_own_options(struct line *l, const struct target *t, const struct ssh_paths *p, bool have_user)
{
	_cleanup_(freep) char *program = ssh_quote_command(p->program);
	_cleanup_(freep) char *known = ssh_quote_path(p->known_hosts), *key = ssh_quote_path(p->key);

	if (!program || !known || !key) {
		log_error("ssh cannot take the path %s: it has quotes or backslashes in it", p->known_hosts);
		return -EINVAL;
	}
	put_option(l, "ProxyCommand=%s connect --lan %s %s:%%p", program, t->lan, t->name);
	put_option(l, "HostKeyAlias=%s", t->alias);
	put_option(l, "UserKnownHostsFile=%s ~/.ssh/known_hosts", known);
	put_option(l, "StrictHostKeyChecking=accept-new");
	if (*t->user && !have_user)
		put_option(l, "User=%s", t->user);
	if (!access(p->key, R_OK)) {
		/* Naming one key turns the default ones off: so they are named, too. */
		put_option(l, "IdentityFile=%s", key);
		for (char *const *k = p->keys; *k; k++)
			put_option(l, "IdentityFile=%s", *k);
	}
	return l->failed ? -ENOMEM : 0;
}

static int run_ssh(const struct target *t, int argc, char **argv, int host)
{
	_cleanup_ssh_paths_ struct ssh_paths paths = { 0 };
	_cleanup_(freep) char **list = calloc((size_t)argc + 2 * OWN_ARGUMENTS, sizeof(*list));
	_cleanup_(freep) char *where = NULL;
	const char *at = strrchr(argv[host], '@');
	struct line l = { .argv = list };
	int r;

	if (!list || asprintf(&where, "%.*s%s", at ? (int)(at + 1 - argv[host]) : 0, argv[host], t->alias) < 0)
		return -ENOMEM;
	r = ssh_paths_find(&paths, t->lan);
	if (r < 0)
		return r;
	put(&l, "ssh");
	for (int i = 0; i < host; i++)
		if (strcmp(argv[i], "--"))
			put(&l, argv[i]);
	r = put_own_options(&l, t, &paths, ssh_words_have_user(argc, argv, host));
	put(&l, "--");
	put(&l, where);
	for (int i = host + 1; i < argc; i++)
		put(&l, argv[i]);
	if (!r) {
		execvp("ssh", l.argv);
		r = -errno;
		log_error("cannot run ssh: %s; install it with: apt install openssh-client", strerror(errno));
	}
	for (int i = 0; i < l.made_count; i++)
		free(l.made[i]);
	return r;
}

int cmd_ssh(int argc, char **argv)
{
	struct target t = { .lan = LAN_DEFAULT };
	struct guest_ref ref;
	char error[256];
	const char *at;
	int host;

	argc = take_lan(argc - 1, ++argv, &t.lan);
	host = ssh_words_split(argc, argv);
	if (host >= argc)
		return cli_wrong("ssh", "a guest is expected, as in: hospes ssh web");
	at = strrchr(argv[host], '@');
	if (guest_ref_parse(&ref, at ? at + 1 : argv[host], error, sizeof(error)) < 0)
		return cli_wrong("ssh", "%s", error);
	if (ref.port)
		return cli_wrong("ssh", "the port is an option of ssh: -p %u", ref.port);
	if (*ref.lan)
		t.lan = ref.lan;
	if (lan_name_check(t.lan) < 0)
		return EXIT_USAGE;
	if (resolve(&t, &ref) < 0)
		return EXIT_FAILURE;
	run_ssh(&t, argc, argv, host);
	return EXIT_FAILURE;
}
