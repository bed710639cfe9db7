// SPDX-License-Identifier: MIT
/*
 * hospes-bridged: the privileged service of bridge LANs.
 *
 * It opens what needs more, drops all but CAP_NET_ADMIN, and serves. In the background (the default) the caller returns when it serves.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/background.h"
#include "base/fd.h"
#include "base/log.h"
#include "bridge/service.h"
#include "bridge/walls.h"
#include "lan/machine_id.h"
#include "lan/paths.h"

#define EXIT_WRONG 2

struct options {
	char *config, *runtime, *state;
	bool foreground, version;
};

static int usage(void)
{
	fputs("usage: hospes-bridged [--config DIR] [--runtime DIR] [--state DIR] [--foreground] [--version]\n", stderr);
	return -EINVAL;
}

/* A path that stays good when the working folder changes; NULL when there is no memory. */
static char *absolute(const char *path)
{
	_cleanup_(freep) char *here = *path == '/' ? NULL : getcwd(NULL, 0);

	return *path == '/' ? strdup(path) : here ? paths_join(here, path) : NULL;
}

static void options_fini(struct options *o)
{
	free(o->config);
	free(o->runtime);
	free(o->state);
}

static int parse_options(struct options *o, int argc, char **argv)
{
	static const struct option table[] = {
		{ "config", required_argument, NULL, 'c' }, { "runtime", required_argument, NULL, 'r' }, { "state", required_argument, NULL, 's' },
		{ "foreground", no_argument, NULL, 'f' }, { "version", no_argument, NULL, 'V' }, { 0 },
	};
	const char *config = "/etc/hospes", *runtime = "/run/hospes", *state = "/var/lib/hospes";
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		switch (option) {
		case 'c': config = optarg; break;
		case 'r': runtime = optarg; break;
		case 's': state = optarg; break;
		case 'f': o->foreground = true; break;
		case 'V': o->version = true; break;
		default: return usage();
		}
	}
	if (optind < argc) {
		log_error("\"%s\" is more than hospes-bridged expects", argv[optind]);
		return usage();
	}
	o->config = absolute(config);
	o->runtime = absolute(runtime);
	o->state = absolute(state);
	return o->config && o->runtime && o->state ? 0 : -ENOMEM;
}

static void signalled(void *owner, int signal)
{
	if (signal != SIGHUP) /* files are read when they are used */
		loop_stop(owner, 0);
}

/* Messages go to the caller's standard error as long as somebody waits, and to wherever it led from then on: a journal, or nowhere. */
static int serve(struct service *s, const struct options *o, struct loop *loop, int parent)
{
	int r = loop_on_signal(loop, signalled, loop);

	if (!r)
		r = walls_enter(o->config, o->runtime, o->state);
	if (!r)
		r = service_start(s);
	if (r < 0)
		return r;
	background_tell(parent);
	r = loop_run(loop);
	if (r < 0)
		log_error("hospes-bridged ends: %s; the LANs stay as they are, but for those on trial", strerror(-r));
	service_stop(s);
	return r;
}

static int carry(const struct options *o, int parent)
{
	char machine_id[MACHINE_ID_SIZE];
	struct service_params params = { .config = o->config, .runtime = o->runtime, .state = o->state, .resolv_conf = "/etc/resolv.conf",
			.machine_id = machine_id };
	struct service *service = NULL;
	struct loop *loop;
	int r = loop_new(&loop);

	if (r < 0)
		return r;
	machine_id_read(machine_id);
	params.loop = loop;
	r = service_new(&service, &params);
	if (!r)
		r = serve(service, o, loop, parent);
	service_free(service);
	loop_free(loop);
	return r;
}

static int run(const struct options *o)
{
	int ends[2];
	pid_t child;

	if (o->foreground)
		return carry(o, -1) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (pipe2(ends, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		log_error("cannot start: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (!child) {
		fd_close(ends[0]);
		setsid();
		return chdir("/") < 0 || carry(o, ends[1]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	fd_close(ends[1]);
	return background_await(ends[0], child, "hospes-bridged ended by a signal before it served");
}

int main(int argc, char **argv)
{
	_cleanup_(options_fini) struct options options = { 0 };

	if (parse_options(&options, argc, argv) < 0)
		return EXIT_WRONG;
	if (options.version) {
		puts("hospes-bridged " HOSPES_VERSION);
		return EXIT_SUCCESS;
	}
	if (geteuid()) {
		log_error("hospes-bridged has to be started as root: it keeps CAP_NET_ADMIN alone");
		return EXIT_WRONG;
	}
	/* What a caller left open by mistake, or on purpose, is not ours. */
	close_range(3, ~0u, 0);
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	fd_raise_limit();
	return run(&options);
}
