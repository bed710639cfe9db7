// SPDX-License-Identifier: MIT
#include "cli/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include "base/fd.h"
#include "base/log.h"
#include "cli/capture.h"

#define VERSION_TIMEOUT_MS 10000
#define VHOST_QUEUE_SIZE   1024   /* the most that QEMU has */

bool qemu_version_parse(const char *text, int *major, int *minor)
{
	const char *at = strstr(text, " version ");

	return at && sscanf(at, " version %d.%d", major, minor) == 2 && *major >= 0 && *minor >= 0;
}

bool qemu_at_least(const struct qemu_program *q, int major, int minor)
{
	return q->major > major || (q->major == major && q->minor >= minor);
}

/* uname's word for a machine where QEMU has another, and Debian's package. */
static const struct { const char *machine, *arch, *package; } arches[] = {
	{ "x86_64", "x86_64", "qemu-system-x86" }, { "aarch64", "aarch64", "qemu-system-arm" }, { "riscv64", "riscv64", "qemu-system-misc" },
	{ "ppc64le", "ppc64", "qemu-system-ppc" }, { "s390x", "s390x", "qemu-system-s390x" },
};

int qemu_find(struct qemu_program *out)
{
	const char *own = getenv("HOSPES_QEMU"), *arch = "x86_64", *package = "qemu-system";
	struct capture how = { .timeout_ms = VERSION_TIMEOUT_MS };
	struct utsname machine;
	char text[512];
	int r;

	*out = (struct qemu_program){ 0 };
	for (size_t i = 0; !uname(&machine) && i < ARRAY_SIZE(arches); i++)
		if (!strcmp(machine.machine, arches[i].machine))
			arch = arches[i].arch, package = arches[i].package;
	if (own && strlen(own) >= sizeof(out->path)) {
		log_error("HOSPES_QEMU names a program whose path is longer than %zu bytes; link it to a shorter one", sizeof(out->path) - 1);
		return -ENAMETOOLONG;
	}
	if (own && *own)
		snprintf(out->path, sizeof(out->path), "%s", own);
	else
		snprintf(out->path, sizeof(out->path), "qemu-system-%s", arch);
	r = capture_run((char *[]){ out->path, "-version", NULL }, &how, text, sizeof(text));
	if (r == -ENOENT && own && *own)
		log_error("there is no program %s, which HOSPES_QEMU names", own);
	else if (r == -ENOENT)
		log_error("QEMU is not installed: there is no program %s; install it with: apt install %s", out->path, package);
	else if (r < 0)
		log_error("cannot run %s: %s", out->path, strerror(-r));
	else if (!qemu_version_parse(text, &out->major, &out->minor))
		log_error("%s does not tell its version (status %d); is it QEMU?", out->path, r);
	else
		return 0;
	return r < 0 ? r : -EINVAL;
}

/* A value within an option, malloc'd: QEMU takes a comma that stands twice for one. */
static char *escaped(const char *value)
{
	char *text = malloc(2 * strlen(value) + 1), *to = text;

	for (; text && *value; value++) {
		if (*value == ',')
			*to++ = ',';
		*to++ = *value;
	}
	if (text)
		*to = 0;
	return text;
}

/* "@option @before VALUE @after" */
static void add_value(struct words *w, const char *option, const char *before, const char *value, const char *after)
{
	_cleanup_(freep) char *text = escaped(value);

	if (text)
		words_add_pair(w, option, "%s%s%s", before, text, after);
	else
		w->failed = true;
}

/* The same with two values. */
static void add_values(struct words *w, const char *option, const char *before, const char *one, const char *between, const char *other)
{
	_cleanup_(freep) char *text = escaped(one), *last = escaped(other);

	if (text && last)
		words_add_pair(w, option, "%s%s%s%s", before, text, between, last);
	else
		w->failed = true;
}

bool qemu_connects_itself(const struct qemu_program *q)
{
	return qemu_at_least(q, 7, 2);
}

int qemu_port_parse(const char *text, enum qemu_port *out)
{
	static const char *const names[] = {
		[QEMU_PORT_VHOST] = "vhost", [QEMU_PORT_STREAM] = "stream", [QEMU_PORT_DGRAM] = "dgram", [QEMU_PORT_TAP] = "tap",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(text, names[i])) {
			*out = (enum qemu_port)i;
			return 0;
		}
	return -EINVAL;
}

const char *qemu_ports(void)
{
	return "vhost, stream, dgram or tap";
}

bool qemu_port_suits(enum qemu_port port, enum fabric fabric, const char *lan)
{
	if ((port == QEMU_PORT_TAP) == (fabric == FABRIC_BRIDGE))
		return true;
	if (fabric == FABRIC_BRIDGE)
		log_error("LAN %s is a bridge LAN, whose guests have taps; leave --port out", lan);
	else
		log_error("LAN %s is a user LAN; only bridge LANs have taps: take --port vhost, stream or dgram", lan);
	return false;
}

bool qemu_vhost(void)
{
	_cleanup_fd_ int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);

	return fd >= 0;
}

int qemu_port_check(const struct qemu_program *q, enum qemu_port port)
{
	if (port != QEMU_PORT_DGRAM || qemu_connects_itself(q))
		return 0;
	log_error("QEMU %d.%d has no dgram ports (7.2 has); take --port stream", q->major, q->minor);
	return -EOPNOTSUPP;
}

bool qemu_mem_valid(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits && digits < 10 && text[0] != '0' && (!text[digits] || (strchr("kKmMgGtT", text[digits]) && !text[digits + 1]));
}

static void add_stream(struct words *w, const struct qemu_program *q, const char *path)
{
	const char *again = qemu_at_least(q, 9, 2) ? ",reconnect-ms=1000" : qemu_at_least(q, 8, 0) ? ",reconnect=1" : "";

	add_value(w, "-netdev", "stream,id=hospes,server=off,addr.type=unix,addr.path=", path, again);
}

/* A character device could be told to connect again long before a netdev could. */
static void add_vhost(struct words *w, const struct qemu_program *q, const struct qemu_net *net)
{
	const char *again = qemu_at_least(q, 9, 2) ? ",reconnect-ms=1000" : ",reconnect=1";
	/* A bare number is MiB for -m, but bytes for an object. */
	const char *unit = net->mem[strspn(net->mem, "0123456789")] ? "" : "M";

	words_add_pair(w, "-m", "%s%s", net->mem, unit);
	words_add_pair(w, "-object", "memory-backend-memfd,id=hospes-memory,size=%s%s,share=on", net->mem, unit);
	words_add_pair(w, "-machine", "memory-backend=hospes-memory");
	add_value(w, "-chardev", "socket,id=hospes,path=", net->path, again);
	if (net->queues > 1)
		words_add_pair(w, "-netdev", "vhost-user,id=hospes,chardev=hospes,queues=%d", net->queues);
	else
		words_add_pair(w, "-netdev", "vhost-user,id=hospes,chardev=hospes");
}

/* What the card itself has to know of it: room for bursts, and a vector for each queue. */
static void vhost_card(const struct qemu_net *net, char *out, size_t size)
{
	int used = snprintf(out, size, ",rx_queue_size=%d,tx_queue_size=%d", VHOST_QUEUE_SIZE, VHOST_QUEUE_SIZE);

	if (net->no_msix)
		snprintf(out + used, size - (size_t)used, ",vectors=0");
	else if (net->queues > 1)
		snprintf(out + used, size - (size_t)used, ",mq=on,vectors=%d", 2 * net->queues + 2);
}

static void add_tap(struct words *w, const struct qemu_net *net)
{
	const char *vhost = net->vhost ? ",vhost=on" : "";
	char before[48];

	snprintf(before, sizeof(before), "tap,id=hospes,br=%s,helper=", net->bridge ? net->bridge : "");
	if (net->fd > 0)
		words_add_pair(w, "-netdev", "tap,id=hospes,fd=%d%s", net->fd, vhost);
	else
		add_value(w, "-netdev", before, net->helper, vhost);
}

void qemu_add_net(struct words *w, const struct qemu_program *q, const struct qemu_net *net)
{
	char card[96] = "";

	switch (net->port) {
	case QEMU_PORT_VHOST:
		add_vhost(w, q, net);
		vhost_card(net, card, sizeof(card));
		break;
	case QEMU_PORT_STREAM:
		if (net->fd > 0)
			words_add_pair(w, "-netdev", "socket,id=hospes,fd=%d", net->fd);
		else
			add_stream(w, q, net->path);
		break;
	case QEMU_PORT_DGRAM:
		add_values(w, "-netdev", "dgram,id=hospes,local.type=unix,local.path=", net->own_path, ",remote.type=unix,remote.path=", net->path);
		break;
	case QEMU_PORT_TAP:
		add_tap(w, net);
		break;
	}
	words_add_pair(w, "-device", "virtio-net-pci,netdev=hospes,mac=%s%s%s", net->mac, net->no_rom ? ",romfile=" : "", card);
}

/* A file's name as QEMU takes it for one: "a:b" would be something else, at the end of a protocol "a" ("nbd:", "json:"). */
static const char *plain_file(const char *path)
{
	return path[strcspn(path, ":/")] == ':' ? "./" : "";
}

/*
 * A raw disk goes without its format. QEMU finds out, and then does not let the guest write the head of another format into the first
 * sector: with that, the guest's next start would open any file of the host that the head names.
 */
static void add_disk(struct words *w, const char *path, const char *format)
{
	char before[64];

	if (strcmp(format, "raw"))
		snprintf(before, sizeof(before), "if=virtio,format=%s,file=%s", format, plain_file(path));
	else
		snprintf(before, sizeof(before), "if=virtio,file=%s", plain_file(path));
	add_value(w, "-drive", before, path, "");
}

static void add_boot(struct words *w, const struct qemu_guest *g)
{
	char before[64];

	if (g->kernel) {
		words_add_pair(w, "-kernel", "%s", g->kernel);
		words_add_pair(w, "-initrd", "%s", g->initrd);
		words_add_pair(w, "-append", "%s", g->append);
	}
	if (g->disk)
		add_disk(w, g->disk, g->format);
	if (g->cdrom) {
		snprintf(before, sizeof(before), "media=cdrom,readonly=on,format=raw,file=%s", plain_file(g->cdrom));
		add_value(w, "-drive", before, g->cdrom, "");
		words_add_pair(w, "-boot", "d");
	}
	if (g->snapshot)
		words_add(w, "-snapshot");
}

static void add_console(struct words *w, const struct qemu_guest *g)
{
	if (g->own_console)
		return;
	switch (g->console) {
	case QEMU_CONSOLE_DISPLAY:
		return;
	case QEMU_CONSOLE_TERMINAL:
		/* -nographic shows what the firmware and boot loaders say, too. */
		if (!g->no_vga) {
			words_add(w, "-nographic");
			return;
		}
		words_add_pair(w, "-display", "none");
		words_add_pair(w, "-serial", "mon:stdio");
		break;
	case QEMU_CONSOLE_SOCKET:
		words_add_pair(w, "-display", "none");
		add_values(w, "-chardev", "socket,id=serial,server=on,wait=off,path=", g->serial, ",logfile=", g->serial_log);
		words_add_pair(w, "-serial", "chardev:serial");
		break;
	}
	if (g->no_vga)
		words_add_pair(w, "-vga", "none");
}

void qemu_add_guest(struct words *w, const struct qemu_program *q, const struct qemu_guest *g)
{
	words_add(w, "%s", q->path);
	add_value(w, "-name", "guest=", g->name, "");
	if (!g->own_accel) {
		words_add_pair(w, "-accel", "%s", g->accel == ACCEL_KVM ? "kvm" : "tcg");
		if (g->accel == ACCEL_KVM || !g->plain_cpu)
			words_add_pair(w, "-cpu", "%s", g->accel == ACCEL_KVM ? QEMU_CPU_KVM : "max");
	}
	if (g->net.port != QEMU_PORT_VHOST)
		words_add_pair(w, "-m", "%s", g->mem);
	words_add_pair(w, "-smp", "%d", g->cpus);
	/* Without it a guest that has no random numbers yet keeps its ssh waiting. */
	words_add_pair(w, "-device", "virtio-rng-pci");
	qemu_add_net(w, q, &g->net);
	add_boot(w, g);
	add_console(w, g);
	add_value(w, "-qmp", "unix:", g->qmp, ",server=on,wait=off");
	for (char *const *word = g->extra; word && *word; word++)
		words_add(w, "%s", *word);
}

/* An option as QEMU takes it: with one or two dashes. */
static bool is_option(const char *word, const char *name)
{
	if (*word++ != '-')
		return false;
	return !strcmp(word + (*word == '-'), name);
}

bool qemu_says_accel(char *const *extra)
{
	for (; extra && *extra; extra++)
		if (is_option(*extra, "accel") || is_option(*extra, "enable-kvm") || strstr(*extra, "accel="))
			return true;
	return false;
}

bool qemu_says_memory(char *const *extra)
{
	for (; extra && *extra; extra++)
		if (is_option(*extra, "m") || is_option(*extra, "numa") || strstr(*extra, "memory-backend"))
			return true;
	return false;
}

bool qemu_says_console(char *const *extra)
{
	static const char *const names[] = { "nographic", "display", "vnc", "spice", "curses", "serial", "monitor", "daemonize" };

	for (; extra && *extra; extra++)
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (is_option(*extra, names[i]))
				return true;
	return false;
}
