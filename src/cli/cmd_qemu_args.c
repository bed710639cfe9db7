// SPDX-License-Identifier: MIT
/* hospes qemu-args: what attaches a QEMU that somebody else starts */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/lan_client.h"
#include "cli/qemu.h"
#include "lan/paths.h"
#include "lan/plan.h"

struct options {
	const char *lan, *name;
	enum qemu_port port;
};

static int parse(struct options *o, int argc, char **argv)
{
	const char *port = NULL;
	const struct args_option options[] = { ARGS_LAN(&o->lan), { "name", 'n', .value = &o->name }, { "port", 0, .value = &port }, { 0 } };
	struct args args;

	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0)
		return EXIT_USAGE;
	if (args.count || args.rest_count)
		return cli_wrong("qemu-args", "no word is expected, but \"%s\" is there", args.count ? args.words[0] : args.rest[0]);
	if (qemu_port_parse(port, &o->port) < 0)
		return cli_wrong("qemu-args", "--port %s: stream or dgram is expected", port);
	if (o->name && !guest_name_valid(o->name))
		return cli_wrong("qemu-args", "--name %s: 1 to 63 of a-z, 0-9 and \"-\" are expected, not first or last a \"-\"", o->name);
	return lan_name_check(o->lan) < 0 ? EXIT_USAGE : 0;
}

static int print(const struct options *o, const struct qemu_program *qemu, const json_t *guest)
{
	_cleanup_(freep) char *runtime = paths_runtime(o->lan), *own = NULL, *line = NULL;
	_cleanup_(freep) char *path = runtime ? paths_join(runtime, o->port == QEMU_PORT_DGRAM ? "dgram" : "stream") : NULL;
	_cleanup_words_ struct words words = { 0 };

	if (!path || asprintf(&own, "%s/dgram.%s", runtime, lan_text(guest, "name")) < 0)
		return EXIT_FAILURE;
	qemu_add_net(&words, qemu, &(struct qemu_net){ .port = o->port, .mac = lan_text(guest, "mac"), .path = path, .own_path = own });
	line = words_quote(&words);
	return line && puts(line) >= 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int cmd_qemu_args(int argc, char **argv)
{
	struct options o = { .lan = LAN_DEFAULT };
	_cleanup_json_ json_t *guest = NULL;
	struct qemu_program qemu;
	_cleanup_fd_ int fd = -1;
	int r = parse(&o, argc, argv);

	if (r)
		return r;
	if (qemu_find(&qemu) < 0)
		return EXIT_FAILURE;
	if (!qemu_connects_itself(&qemu)) {
		log_error("QEMU %d.%d cannot connect to a LAN by itself (7.2 can); hospes run connects it", qemu.major, qemu.minor);
		return EXIT_FAILURE;
	}
	fd = lan_connect(o.lan, LAN_START);
	if (fd < 0)
		return cli_status(fd);
	if (lan_call(fd, "Register", json_pack("{s:s*}", "name", o.name), &guest) < 0)
		return EXIT_FAILURE;
	return print(&o, &qemu, guest);
}
