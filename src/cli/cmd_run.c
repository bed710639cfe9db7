// SPDX-License-Identifier: MIT
/* hospes run: start a guest and attach it */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/fabric.h"
#include "cli/guest_run.h"
#include "cli/image.h"
#include "cli/kvm.h"
#include "cli/lan_client.h"
#include "cli/mini.h"

#define MINI      "mini"
#define MEM_MINI  "256M"
#define MEM_IMAGE "1G"
#define CPUS_MAX  255

/* The command line, as it was written. */
struct options {
	const char *lan, *name, *mem, *cpus, *port;
	struct args_list publish;
	bool detach, snapshot;
	const char *image;          /* NULL: there is none, and the words behind "--" say what is booted */
	char *const *extra;
};

static int check(const struct options *o)
{
	if (o->mem && !qemu_mem_valid(o->mem))
		return cli_wrong("run", "--mem %s: a size is expected, as in 512M or 2G", o->mem);
	if (o->cpus && (strspn(o->cpus, "0123456789") != strlen(o->cpus) || strlen(o->cpus) > 3 || atoi(o->cpus) < 1 || atoi(o->cpus) > CPUS_MAX))
		return cli_wrong("run", "--cpus %s: a number from 1 to %d is expected", o->cpus, CPUS_MAX);
	if (o->name && !guest_name_valid(o->name))
		return cli_wrong("run", "--name %s: 1 to 63 of a-z, 0-9 and \"-\" are expected, not first or last a \"-\"", o->name);
	if (lan_name_check(o->lan) < 0)
		return EXIT_USAGE;
	return 0;
}

static int parse(struct options *o, int argc, char **argv)
{
	const struct args_option options[] = {
		ARGS_LAN(&o->lan), { "name", 'n', .value = &o->name }, { "mem", 'm', .value = &o->mem }, { "cpus", 'c', .value = &o->cpus },
		{ "publish", 'p', .list = &o->publish }, { "port", 0, .value = &o->port }, { "detach", 'd', .flag = &o->detach },
		{ "snapshot", 's', .flag = &o->snapshot }, { 0 },
	};
	struct args args;

	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0)
		return EXIT_USAGE;
	if (args.count > 1)
		return cli_wrong("run", "one image at a time, not \"%s\" too; arguments for QEMU stand behind \"--\"", args.words[1]);
	if (!args.count && !args.rest_count)
		return cli_wrong("run", "an image is expected (.qcow2, .iso, .img), or the word mini");
	o->image = args.count ? args.words[0] : NULL;
	o->extra = args.rest;
	return check(o);
}

static int parse_publish(const struct options *o, struct guest_publish **out)
{
	_cleanup_(freep) struct guest_publish *list = calloc((size_t)o->publish.count + 1, sizeof(*list));
	char error[256];

	for (int i = 0; list && i < o->publish.count; i++)
		if (guest_publish_parse(&list[i], o->publish.value[i], error, sizeof(error)) < 0)
			return cli_wrong("run", "--publish %s", error);
	*out = steal(&list);
	return *out ? 0 : EXIT_FAILURE;
}

/* A mini, or what the image holds. @made: what belongs to the caller. */
static int choose_image(const struct options *o, struct guest_run *run, char *name, char **made)
{
	struct image image;

	if (!o->image)
		return 0;
	run->numbered = !o->name;
	if (!strcmp(o->image, MINI)) {
		run->mini = *made = mini_build();
		strcpy(name, MINI);
		return run->mini ? 0 : -EIO;
	}
	if (image_look(&image, o->image, o->snapshot) < 0)
		return -EINVAL;
	image_guest_name(o->image, name);
	if (image.cdrom)
		run->guest.cdrom = o->image;
	else
		run->guest.disk = o->image, run->guest.format = image.format;
	return 0;
}

static bool has_display(void)
{
	const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");

	return (x && *x) || (wayland && *wayland);
}

static int choose_machine(const struct options *o, struct guest_run *run)
{
	struct qemu_guest *g = &run->guest;

	g->own_accel = qemu_says_accel(o->extra);
	g->own_console = qemu_says_console(o->extra);
	g->plain_cpu = g->no_vga = run->mini;
	g->snapshot = o->snapshot && !run->mini;
	g->extra = o->extra;
	g->console = o->detach ? QEMU_CONSOLE_SOCKET : run->mini || !has_display() ? QEMU_CONSOLE_TERMINAL : QEMU_CONSOLE_DISPLAY;
	if (!g->own_accel && kvm_choose(&run->qemu, &g->accel) < 0)
		return -EINVAL;
	g->mem = o->mem ? o->mem : run->mini ? MEM_MINI : MEM_IMAGE;
	g->cpus = o->cpus ? atoi(o->cpus) : run->mini || g->accel == ACCEL_TCG || sysconf(_SC_NPROCESSORS_ONLN) < 2 ? 1 : 2;
	return 0;
}

static int choose_port(const struct options *o, enum fabric fabric, struct guest_run *run)
{
	bool own_memory = qemu_says_memory(o->extra);

	run->port = fabric == FABRIC_BRIDGE ? QEMU_PORT_TAP : own_memory ? QEMU_PORT_STREAM : QEMU_PORT_VHOST;
	if (o->port && qemu_port_parse(o->port, &run->port) < 0)
		return cli_wrong("run", "--port %s: %s is expected", o->port, qemu_ports());
	if (run->port == QEMU_PORT_VHOST && own_memory)
		return cli_wrong("run", "--port vhost shares the guest's memory with the LAN; say how much it has with --mem, not behind \"--\"");
	return qemu_port_suits(run->port, fabric, o->lan) ? 0 : EXIT_USAGE;
}

static int run_guest(const struct options *o, struct guest_run *run)
{
	_cleanup_(freep) struct guest_publish *publish = NULL;
	_cleanup_(freep) char *made = NULL;
	char name[GUEST_NAME_SIZE] = "";
	enum fabric fabric;
	int r = parse_publish(o, &publish);

	if (r)
		return r;
	r = fabric_of(o->lan, &fabric);
	if (r < 0)
		return cli_status(r);
	r = choose_port(o, fabric, run);
	if (r)
		return r;
	if (qemu_find(&run->qemu) < 0 || qemu_port_check(&run->qemu, run->port) < 0)
		return EXIT_FAILURE;
	if (choose_image(o, run, name, &made) < 0 || choose_machine(o, run) < 0)
		return EXIT_FAILURE;
	run->name = o->name ? o->name : *name ? name : NULL;
	run->publish = publish;
	run->publish_count = o->publish.count;
	return guest_run(run);
}

int cmd_run(int argc, char **argv)
{
	struct options o = { .lan = LAN_DEFAULT };
	struct guest_run run = { 0 };
	int r = parse(&o, argc, argv);

	if (r)
		return r;
	run.lan = o.lan;
	run.detach = o.detach;
	return run_guest(&o, &run);
}
