// SPDX-License-Identifier: MIT
/* hospes connect: standard input and output to a guest's TCP port */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/bridged_client.h"
#include "cli/cli.h"
#include "cli/dial.h"
#include "cli/guest_ref.h"
#include "cli/lan_client.h"
#include "cli/relay.h"

#define PORT_SSH 22

/*
 * A name with the domain of a LAN that has one of its own: only its daemon knows that. @direct: its fabric is a bridge
 */
static int look_at_lan(int fd, struct guest_ref *ref, bool *direct)
{
	_cleanup_json_ json_t *status = NULL;
	int r;

	r = lan_call(fd, "Status", NULL, &status);
	if (!r && strchr(ref->guest, '.'))
		guest_ref_strip_domain(ref, lan_text(status, "domain"));
	*direct = !strcmp(lan_text(status, "fabric"), "bridge");
	return r;
}

/* The bridge's name, for addresses that need one: only the service knows it. */
static void find_bridge(const char *lan, char *into, size_t size)
{
	_cleanup_json_ json_t *status = NULL;
	_cleanup_fd_ int fd = bridged_connect(LAN_AS_IS);
	char error[VARLINK_ERROR_SIZE];

	if (fd >= 0 && !bridged_try(fd, "Status", NULL, &status, error))
		snprintf(into, size, "%s", lan_text(bridged_lan(status, lan), "bridge"));
}

/* The host reaches the guests of a bridge LAN itself. Return: a connection, or negative errno after a message. */
static int connect_directly(int fd, const char *lan, const struct guest_ref *ref)
{
	_cleanup_json_ json_t *found = NULL;
	char bridge[16] = "", text[512];
	addr_t address[DIAL_MAX];
	size_t count;
	int r = lan_call(fd, "Resolve", json_pack("{ss}", "guest", ref->guest), &found);

	if (r < 0)
		return r;
	count = dial_addresses(json_object_get(found, "guest"), address);
	find_bridge(lan, bridge, sizeof(bridge));
	r = dial(address, count, ref->port, bridge);
	if (r < 0) {
		_cleanup_json_ json_t *p = json_pack("{ss si}", "guest", ref->guest, "port", ref->port);

		if (r == -ECONNREFUSED || r == -EHOSTUNREACH)
			log_error("%s", lan_error_text(r == -ECONNREFUSED ? "Refused" : "GuestAway", p, text, sizeof(text)));
		else
			log_error("cannot connect to guest %s: %s", ref->guest, strerror(-r));
	}
	return r;
}

static int connect_guest(const char *lan, struct guest_ref *ref)
{
	_cleanup_fd_ int fd = lan_connect(lan, LAN_AS_IS);
	bool direct;
	int r;

	if (fd == -ENOENT)
		log_error("LAN %s is down, so there is no guest %s; hospes run --lan %s --name %s IMAGE starts both",
			  lan, ref->guest, lan, ref->guest);
	if (fd < 0)
		return fd;
	r = look_at_lan(fd, ref, &direct);
	if (!r && direct)
		return connect_directly(fd, lan, ref);
	if (!r)
		r = lan_call_upgrade(fd, "Connect", json_pack("{ss si}", "guest", ref->guest, "port", ref->port));
	return r < 0 ? r : fd_steal(&fd);
}

int cmd_connect(int argc, char **argv)
{
	const char *lan = NULL;
	const struct args_option options[] = { ARGS_LAN(&lan), { 0 } };
	_cleanup_fd_ int fd = -1;
	struct guest_ref ref;
	struct args args;
	char error[256];
	int r;

	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0)
		return EXIT_USAGE;
	if (args.count != 1 || args.rest_count)
		return cli_wrong("connect", "one guest is expected, as in: hospes connect web:22");
	if (guest_ref_parse(&ref, args.words[0], error, sizeof(error)) < 0)
		return cli_wrong("connect", "%s", error);
	if (!ref.port)
		ref.port = PORT_SSH;
	if (*ref.lan)
		lan = ref.lan;
	fd = connect_guest(lan ? lan : LAN_DEFAULT, &ref);
	if (fd < 0)
		return EXIT_FAILURE;
	r = relay_run(fd, STDIN_FILENO, STDOUT_FILENO);
	if (r == -ECONNRESET)
		log_error("guest %s cut the connection to its port %d", ref.guest, ref.port);
	else if (r < 0 && r != -EPIPE)
		log_error("the connection to port %d of guest %s ended: %s", ref.port, ref.guest, strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
