// SPDX-License-Identifier: MIT
/*
 * hospesd: the daemon of one user LAN.
 *
 * It reads the configuration first, so that what is wrong with it is said at once, in the words of its file and line (exit status 2). Then
 * it forks: the child makes everything, and the parent waits and passes on how that went. Messages go to the caller's standard error until
 * the LAN is up, and to the file `log` in the runtime folder from then on.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/background.h"
#include "base/fd.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/routes.h"
#include "lan/machine_id.h"
#include "lan/paths.h"

#define EXIT_WRONG   2   /* the command line or the configuration */
#define MESSAGE_SIZE 1024

struct options {
	const char *lan, *config, *runtime, *state, *resolv_conf, *fault;
	bool no_config, foreground, version, no_peek_offset;
	int ready;               /* -1: nobody waits */
};

/* What the options amount to, made whole. */
struct setup {
	struct lan_config *config;
	struct lan_plan plan;
	struct fault fault;
	char *config_path, *runtime, *state, *resolv_conf;
	char machine_id[MACHINE_ID_SIZE];
};

/* --- command line --- */

static int usage(void)
{
	fputs("usage: hospesd [--lan NAME] [--config FILE | --no-config] [--runtime DIR] [--state DIR] [--resolv-conf FILE]\n"
	      "               [--ready-fd N] [--foreground] [--fault TEXT] [--no-peek-offset] [--version]\n", stderr);
	return -EINVAL;
}

static bool parse_number(const char *text, int *out)
{
	char *end;
	long value = strtol(text, &end, 10);

	*out = (int)value;
	return *text && !*end && value >= 0 && value < 1 << 20;
}

static int parse_options(struct options *o, int argc, char **argv)
{
	static const struct option table[] = {
		{ "lan", required_argument, NULL, 'l' },
		{ "config", required_argument, NULL, 'c' },
		{ "no-config", no_argument, NULL, 'C' },
		{ "runtime", required_argument, NULL, 'r' },
		{ "state", required_argument, NULL, 's' },
		{ "resolv-conf", required_argument, NULL, 'n' },
		{ "ready-fd", required_argument, NULL, 'R' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "fault", required_argument, NULL, 'F' },
		{ "version", no_argument, NULL, 'V' }, { "no-peek-offset", no_argument, NULL, 'P' },
		{ 0 },
	};
	int option;

	*o = (struct options){ .lan = "default", .resolv_conf = "/etc/resolv.conf", .ready = -1 };
	while ((option = getopt_long(argc, argv, "l:", table, NULL)) >= 0) {
		switch (option) {
		case 'l': o->lan = optarg; break;
		case 'c': o->config = optarg; break;
		case 'C': o->no_config = true; break;
		case 'r': o->runtime = optarg; break;
		case 's': o->state = optarg; break;
		case 'n': o->resolv_conf = optarg; break;
		case 'f': o->foreground = true; break;
		case 'F': o->fault = optarg; break;
		case 'P': o->no_peek_offset = true; break;
		case 'V': o->version = true; break;
		case 'R':
			if (parse_number(optarg, &o->ready) && fcntl(o->ready, F_SETFD, FD_CLOEXEC) == 0)
				break;
			log_error("--ready-fd %s: expected the number of an open descriptor", optarg);
			return -EINVAL;
		default:
			return usage();
		}
	}
	if (optind < argc) {
		log_error("\"%s\" is more than hospesd expects", argv[optind]);
		return usage();
	}
	if (o->config && o->no_config) {
		log_error("--config and --no-config do not go together");
		return -EINVAL;
	}
	return 0;
}

/* --- what it amounts to --- */

static void setup_fini(struct setup *s)
{
	lan_config_free(s->config);
	free(s->config_path);
	free(s->runtime);
	free(s->state);
	free(s->resolv_conf);
}

/* A path that stays good when the working folder changes; NULL when there is no memory. */
static char *absolute(const char *path)
{
	_cleanup_(freep) char *here = *path == '/' ? NULL : getcwd(NULL, 0);

	return *path == '/' ? strdup(path) : here ? paths_join(here, path) : NULL;
}

static int setup_paths(struct setup *s, const struct options *o)
{
	s->runtime = o->runtime ? absolute(o->runtime) : paths_runtime(o->lan);
	s->state = o->state ? absolute(o->state) : paths_state(o->lan);
	s->resolv_conf = absolute(o->resolv_conf);
	if (o->config)
		s->config_path = absolute(o->config);
	else if (!o->no_config)
		s->config_path = lan_config_find(o->lan);
	if (s->runtime && s->state && s->resolv_conf && (s->config_path || !o->config))
		return 0;
	log_error("cannot tell where the files of LAN %s lie: no home folder is known; set HOME, or give --runtime and --state", o->lan);
	return -EINVAL;
}

static int setup_plan(struct setup *s)
{
	_cleanup_(freep) struct net4 *taken = NULL;
	char error[MESSAGE_SIZE] = "";
	size_t count = 0;
	int r = routes_list(&taken, &count);

	if (r < 0)
		log_warning("cannot read the host's routes: %s; whether the LAN's network overlaps one is not checked", strerror(-r));
	r = lan_plan_make(&s->plan, s->config, s->machine_id, taken, count, error, sizeof(error));
	if (r < 0)
		log_error("%s", error);
	return r;
}

static int setup_init(struct setup *s, const struct options *o)
{
	char error[MESSAGE_SIZE] = "";
	int r;

	*s = (struct setup){ 0 };
	if (!lan_name_valid(o->lan)) {
		log_error("\"%s\" is no name of a LAN: 1 to 15 of a-z, 0-9 and \"-\", not first or last a \"-\"", o->lan);
		return -EINVAL;
	}
	if (o->fault && fault_parse(&s->fault, o->fault) < 0) {
		log_error("--fault %s: expected, for example, lose=1%%,duplicate=0.5%%,reorder=1%%,seed=7", o->fault);
		return -EINVAL;
	}
	r = setup_paths(s, o);
	if (r < 0)
		return r;
	r = lan_config_load(&s->config, o->lan, s->config_path, error, sizeof(error));
	if (r < 0) {
		log_error("%s", error);
		return r;
	}
	if (s->config->fabric == FABRIC_BRIDGE) {
		log_error("%s: Fabric = bridge is not hospesd's to carry; it carries user LANs", s->config_path);
		return -EINVAL;
	}
	machine_id_read(s->machine_id);
	return setup_plan(s);
}

/* --- the daemon --- */

struct daemon {
	struct loop *loop;
	struct engine *engine;
};

static void signalled(void *owner, int signal)
{
	struct daemon *d = owner;

	if (signal == SIGHUP) {
		engine_reload(d->engine);
		return;
	}
	engine_down(d->engine);
	loop_stop(d->loop, 0);
}

/* Behind the walls of the sandbox, and away from the terminal. */
static int settle(struct engine *e, bool foreground)
{
	struct sandbox_folder folders[ENGINE_FOLDERS];
	_cleanup_fd_ int log = foreground ? -1 : engine_log(e);
	_cleanup_fd_ int null = foreground ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
	int r;

	if (!foreground && (log < 0 || null < 0 || chdir("/") < 0)) {
		log_error("cannot open the file log in the runtime folder: %s", strerror(log < 0 ? -log : errno));
		return -EIO;
	}
	r = sandbox_enter(folders, engine_folders(e, folders));
	if (r < 0 || foreground)
		return r;
	if (dup3(null, STDIN_FILENO, 0) < 0 || dup3(null, STDOUT_FILENO, 0) < 0 || dup3(log, STDERR_FILENO, 0) < 0)
		return -errno;
	return 0;
}

/* Return: 0 when the LAN has gone down as it was told; or negative errno after a message. */
static int carry(struct setup *s, const struct options *o, int parent)
{
	struct daemon d = { 0 };
	struct engine_params params = {
		.plan = &s->plan, .machine_id = s->machine_id, .config_path = s->config_path, .config_search = !o->config && !o->no_config,
		.runtime = s->runtime, .state = s->state, .resolv_conf = s->resolv_conf, .fault = o->fault ? &s->fault : NULL,
		.no_peek_offset = o->no_peek_offset,
	};
	int r = loop_new(&d.loop);

	if (r < 0)
		return r;
	params.loop = d.loop;
	/* Signals first: who finds the control socket may end us at once, and a LAN that is half up goes down as one that is up. */
	r = loop_on_signal(d.loop, signalled, &d);
	if (!r)
		r = engine_new(&d.engine, &params, steal(&s->config));
	if (!r)
		r = settle(d.engine, o->foreground);
	if (!r) {
		background_tell(o->ready);
		background_tell(parent);
		r = loop_run(d.loop);
		if (r < 0)
			log_error("LAN %s goes down: %s", o->lan, strerror(-r));
	}
	engine_free(d.engine);
	loop_free(d.loop);
	return r;
}

/* What a caller left open by mistake is not to stay open for as long as the LAN is up: somebody may wait for the other end to close. */
static void close_inherited(int keep)
{
	if (keep > 3)
		close_range(3, (unsigned int)keep - 1, 0);
	close_range(keep >= 3 ? (unsigned int)keep + 1 : 3, ~0u, 0);
}

static int run(struct setup *s, const struct options *o)
{
	int ends[2];
	pid_t child;

	if (o->foreground)
		return carry(s, o, -1) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		log_error("cannot start: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	child = fork();
	if (child < 0) {
		log_error("cannot start: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (!child) {
		fd_close(ends[0]);
		setsid();
		return carry(s, o, ends[1]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	/* Who waits at the other end is to see it close if the child dies. */
	fd_close(ends[1]);
	fd_close(o->ready);
	return background_await(ends[0], child, "hospesd ended by a signal before the LAN was up");
}

int main(int argc, char **argv)
{
	_cleanup_(setup_fini) struct setup setup = { 0 };
	struct options options;

	if (parse_options(&options, argc, argv) < 0)
		return EXIT_WRONG;
	if (options.version) {
		puts("hospesd " HOSPES_VERSION);
		return EXIT_SUCCESS;
	}
	if (setup_init(&setup, &options) < 0)
		return EXIT_WRONG;
	close_inherited(options.ready);
	signal(SIGPIPE, SIG_IGN);
	fd_raise_limit();
	return run(&setup, &options);
}
