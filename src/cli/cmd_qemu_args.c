// SPDX-License-Identifier: MIT
/* hospes qemu-args: what attaches a QEMU that somebody else starts */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/bridged_client.h"
#include "cli/cli.h"
#include "cli/fabric.h"
#include "cli/lan_client.h"
#include "cli/qemu.h"
#include "lan/guest.h"
#include "lan/machine_id.h"
#include "lan/paths.h"
#include "lan/plan.h"

struct options {
	const char *lan, *name, *port_text, *mem;
	enum qemu_port port;
	enum fabric fabric;
};

static int parse(struct options *o, int argc, char **argv)
{
	const struct args_option options[] = {
		ARGS_LAN(&o->lan), { "name", 'n', .value = &o->name }, { "port", 0, .value = &o->port_text },
		{ "mem", 'm', .value = &o->mem }, { 0 },
	};
	struct args args;

	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0)
		return EXIT_USAGE;
	if (args.count || args.rest_count)
		return cli_wrong("qemu-args", "no word is expected, but \"%s\" is there", args.count ? args.words[0] : args.rest[0]);
	if (o->name && !guest_name_valid(o->name))
		return cli_wrong("qemu-args", "--name %s: 1 to 63 of a-z, 0-9 and \"-\" are expected, not first or last a \"-\"", o->name);
	if (o->mem && !qemu_mem_valid(o->mem))
		return cli_wrong("qemu-args", "--mem %s: a size is expected, as in 512M or 2G", o->mem);
	return lan_name_check(o->lan) < 0 ? EXIT_USAGE : 0;
}

static int choose_port(struct options *o)
{
	int r = fabric_of(o->lan, &o->fabric);

	if (r < 0)
		return cli_status(r);
	o->port = o->fabric == FABRIC_BRIDGE ? QEMU_PORT_TAP : QEMU_PORT_STREAM;
	if (o->port_text && qemu_port_parse(o->port_text, &o->port) < 0)
		return cli_wrong("qemu-args", "--port %s: %s is expected", o->port_text, qemu_ports());
	if ((o->port == QEMU_PORT_VHOST) != !!o->mem)
		return cli_wrong("qemu-args", o->mem ? "--mem is for --port vhost alone, which shares the guest's memory with the LAN" :
				 "--port vhost shares the guest's memory with the LAN: say how much it has, as in --mem 2G");
	return qemu_port_suits(o->port, o->fabric, o->lan) ? 0 : EXIT_USAGE;
}

/* The command line of hospes-tap as QEMU takes it, malloc'd: with a blank in it, a shell reads it, and QEMU puts its own options behind. */
static char *helper_line(const char *name)
{
	_cleanup_(freep) char *program = paths_own_program("hospes-tap");
	_cleanup_words_ struct words words = { 0 };

	if (!program || *program != '/') {
		log_error("there is no hospes-tap beside hospes or in ../libexec/hospes; install it there");
		return NULL;
	}
	words_add(&words, "%s", program);
	words_add(&words, "--name=%s", name);
	return words_quote(&words);
}

/* Return: malloc'd name of the LAN's bridge, or NULL after a message */
static char *find_bridge(const char *lan)
{
	_cleanup_json_ json_t *status = NULL;
	_cleanup_fd_ int fd = bridged_connect(LAN_START);
	const char *bridge;

	if (fd < 0 || bridged_call(fd, "Status", NULL, &status) < 0)
		return NULL;
	bridge = lan_text(bridged_lan(status, lan), "bridge");
	if (!*bridge)
		log_error("hospes-bridged does not tell the bridge of LAN %s", lan);
	return *bridge ? strdup(bridge) : NULL;
}

/* What the LAN knows of a guest. Return: 1; 0 if it knows none of that name; or negative errno after a message. */
static int look_up(int lan, const char *name, char mac[static MAC_TEXT_SIZE])
{
	_cleanup_json_ json_t *reply = NULL;
	char error[VARLINK_ERROR_SIZE], text[512];
	int r = lan_try(lan, "Resolve", json_pack("{s:s}", "guest", name), &reply, error);

	if (r == VARLINK_ERROR && !strcmp(error, "NoGuest"))
		return 0;
	if (r == VARLINK_ERROR)
		log_error("%s", lan_error_text(error, reply, text, sizeof(text)));
	if (r)
		return r == VARLINK_ERROR ? -EREMOTEIO : r;
	snprintf(mac, MAC_TEXT_SIZE, "%s", lan_text(json_object_get(reply, "guest"), "mac"));
	return 1;
}

/*
 * Name and MAC that the guest of a bridge LAN will have. Nothing is registered there before it is attached, but the MAC is that of its
 * entry in the file, or else follows from the name, for hospes-bridged as for us.
 */
static int foresee(int lan, const struct options *o, char name[static GUEST_NAME_SIZE], char mac[static MAC_TEXT_SIZE])
{
	char machine_id[MACHINE_ID_SIZE];
	int r = 0;

	snprintf(name, GUEST_NAME_SIZE, "%s", o->name ? o->name : "guest-1");
	r = look_up(lan, name, mac);
	for (unsigned int number = 2; r > 0 && !o->name; number++) {
		snprintf(name, GUEST_NAME_SIZE, "guest-%u", number);
		r = look_up(lan, name, mac);
	}
	if (r)
		return r < 0 ? r : 0;
	machine_id_read(machine_id);
	mac_format(guest_mac(machine_id, o->lan, name), mac);
	return 0;
}

static int print_tap(int lan, const struct options *o, const struct qemu_program *qemu)
{
	_cleanup_(freep) char *helper = NULL, *bridge = NULL, *line = NULL;
	_cleanup_words_ struct words words = { 0 };
	char name[GUEST_NAME_SIZE], mac[MAC_TEXT_SIZE];

	if (foresee(lan, o, name, mac) < 0)
		return EXIT_FAILURE;
	helper = helper_line(name);
	bridge = helper ? find_bridge(o->lan) : NULL;
	if (!bridge)
		return EXIT_FAILURE;
	qemu_add_net(&words, qemu, &(struct qemu_net){
		.port = o->port, .mac = mac, .bridge = bridge, .helper = helper, .vhost = qemu_vhost() });
	line = words_quote(&words);
	return line && puts(line) >= 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print(const struct options *o, const struct qemu_program *qemu, const json_t *guest)
{
	_cleanup_(freep) char *runtime = paths_runtime(o->lan), *own = NULL, *line = NULL;
	static const char *const sockets[] = { [QEMU_PORT_VHOST] = "vhost", [QEMU_PORT_STREAM] = "stream", [QEMU_PORT_DGRAM] = "dgram" };
	_cleanup_(freep) char *path = runtime ? paths_join(runtime, sockets[o->port]) : NULL;
	_cleanup_words_ struct words words = { 0 };

	if (!path || asprintf(&own, "%s/dgram.%s", runtime, lan_text(guest, "name")) < 0)
		return EXIT_FAILURE;
	/* Nobody knows whether the guest will run under KVM: its card interrupts in the way that works everywhere. */
	qemu_add_net(&words, qemu, &(struct qemu_net){
		.port = o->port, .mac = lan_text(guest, "mac"), .path = path, .own_path = own, .mem = o->mem, .no_msix = true });
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

	if (!r)
		r = choose_port(&o);
	if (r)
		return r;
	if (qemu_find(&qemu) < 0)
		return EXIT_FAILURE;
	if (o.fabric == FABRIC_USER && o.port != QEMU_PORT_VHOST && !qemu_connects_itself(&qemu)) {
		log_error("QEMU %d.%d cannot connect to a LAN by itself (7.2 can); hospes run connects it", qemu.major, qemu.minor);
		return EXIT_FAILURE;
	}
	fd = lan_connect(o.lan, LAN_START);
	if (fd < 0)
		return cli_status(fd);
	if (o.fabric == FABRIC_BRIDGE)
		return print_tap(fd, &o, &qemu);
	if (lan_call(fd, "Register", json_pack("{s:s*}", "name", o.name), &guest) < 0)
		return EXIT_FAILURE;
	return print(&o, &qemu, guest);
}
