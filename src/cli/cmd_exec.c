// SPDX-License-Identifier: MIT
/*
 * hospes exec: a program of this host on the LAN
 *
 * It runs in a network namespace whose only way out is a tap device. The tap's descriptor goes to the LAN's daemon, which answers with
 * the addresses; the connection stays open as long as the program runs, and with it goes the tap.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/fabric.h"
#include "cli/lan_client.h"
#include "cli/namespace.h"
#include "cli/netlink.h"
#include "cli/supervise.h"
#include "lan/paths.h"
#include "lan/plan.h"

#define DEVICE       "lan0"
#define LOOPBACK     1        /* the index of "lo", the first link of every namespace */
#define EXIT_FAILED  125      /* as with env(1) and chroot(1): it was not the program that failed */

/* An address or MAC of the answer that is missing is none; one that cannot be read is an error. */
static int get_address(const json_t *reply, const char *key, addr_t *out)
{
	const char *text = lan_text(reply, key);

	*out = ADDR_ANY;
	return *text && !addr_parse(text, out) ? -EPROTO : 0;
}

static int set_version(struct netlink *n, unsigned int index, addr_t addr, int64_t bits, addr_t gateway)
{
	int r;

	if (addr_is_any(addr))
		return 0;
	r = bits < 0 || bits > 128 ? -EPROTO : netlink_add_address(n, index, addr, (unsigned int)bits);
	return r < 0 || addr_is_any(gateway) ? r : netlink_add_default_route(n, index, gateway);
}

static int set_links(const json_t *reply, unsigned int index)
{
	_cleanup_(netlink_freep) struct netlink *n = NULL;
	addr_t address4, gateway4, address6, gateway6;
	struct mac mac;
	int r = 0;

	if (!mac_parse(lan_text(reply, "mac"), &mac) ||
	    get_address(reply, "address4", &address4) || get_address(reply, "gateway4", &gateway4) ||
	    get_address(reply, "address6", &address6) || get_address(reply, "gateway6", &gateway6))
		r = -EPROTO;
	if (!r)
		r = netlink_new(&n);
	if (!r)
		r = netlink_set_link(n, LOOPBACK, NULL, 0);
	if (!r)
		r = netlink_set_link(n, index, &mac, (uint32_t)lan_number(reply, "mtu"));
	if (!r)
		r = set_version(n, index, address4, lan_number(reply, "bits4"), gateway4);
	/* A host with IPv6 switched off takes no such address: the program has the other version. */
	if (!r && set_version(n, index, address6, lan_number(reply, "bits6"), gateway6) < 0 && addr_is_any(address4))
		r = -EAFNOSUPPORT;
	if (r < 0)
		log_error("exec cannot set up its network: %s", strerror(-r));
	return r;
}

static int set_resolver(const char *lan, const json_t *reply)
{
	static const char *const keys[] = { "dns4", "dns6" };
	_cleanup_(freep) char *folder = paths_runtime(lan);
	char text[512];
	int used = snprintf(text, sizeof(text), "# hospes exec, LAN %s\nsearch %s\n", lan, lan_text(reply, "domain"));

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (*lan_text(reply, keys[i]))
			used += snprintf(text + used, sizeof(text) - (size_t)used, "nameserver %.60s\n", lan_text(reply, keys[i]));
	return folder ? namespace_set_resolver(folder, text) : -ENOMEM;
}

/* Return: 0, or negative errno after a message; @fd must stay open as long as the tap is needed. */
static int join_lan(int fd, const char *lan, const char *name)
{
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_fd_ int tap = -1;
	unsigned int index;
	int r;

	tap = namespace_open_tap(DEVICE, &index);
	if (tap < 0)
		return tap;
	r = lan_call_fd(fd, "AttachTap", json_pack("{ss*}", "name", name), tap, &reply);
	if (r < 0)
		return r;
	namespace_set_sysctls(DEVICE);
	r = set_links(reply, index);
	return r < 0 ? r : set_resolver(lan, reply);
}

static int run(const char *lan, const char *name, char **command)
{
	_cleanup_fd_ int fd = -1;
	enum fabric fabric;
	bool user;
	int r = fabric_of(lan, &fabric);

	if (!r && fabric == FABRIC_BRIDGE)
		log_error("LAN %s is a bridge LAN: this host is on it already, and reaches its guests without exec, at the addresses that "
			  "hospes ls %s shows", lan, lan);
	if (r < 0 || fabric == FABRIC_BRIDGE)
		return r == -EBADMSG ? EXIT_USAGE : EXIT_FAILED;
	if (namespace_check_tap() < 0)
		return EXIT_FAILED;
	fd = lan_connect(lan, LAN_START);
	if (fd < 0)
		return fd == -EBADMSG ? EXIT_USAGE : EXIT_FAILED;
	if (namespace_enter(&user) < 0 || join_lan(fd, lan, name) < 0)
		return EXIT_FAILED;
	return supervise_run(command, user ? namespace_drop : NULL);
}

int cmd_exec(int argc, char **argv)
{
	const char *lan = LAN_DEFAULT, *name = NULL;
	const struct args_option options[] = { ARGS_LAN(&lan), { "name", 'n', .value = &name }, { 0 } };
	struct args args;

	if (args_parse(&args, argc, argv, options, ARGS_FIRST) < 0 || lan_name_check(lan) < 0)
		return EXIT_USAGE;
	if (!args.count == !args.rest_count)
		return cli_wrong("exec", "a command is expected, as in: hospes exec -- curl http://web/");
	if (name && !guest_name_valid(name))
		return cli_wrong("exec", "\"%s\" is no name for a guest: a-z, 0-9 and \"-\", 63 at most", name);
	return run(lan, name, args.count ? args.words : args.rest);
}
