// SPDX-License-Identifier: MIT
/*
 * hospes-tap: the program that QEMU calls for a tap on a bridge
 *
 *	qemu-system-x86_64 -netdev bridge,id=n,br=br0,helper=/usr/local/libexec/hospes/hospes-tap ...
 *
 * QEMU calls it with --use-vnet --br=BRIDGE --fd=N, waits for one byte with the tap's descriptor (SCM_RIGHTS) on the socket N,
 * and for its end with status 0. It has no privilege and needs none: hospes-bridged asks the kernel who calls, looks whether the
 * LAN's Allow names them, and makes the tap. The tap is QEMU's from then on: the kernel removes it when QEMU closes it or ends.
 *
 * What a guest may send is bound to its MAC, which QEMU does not tell. It is --mac, or belongs to --name (QEMU takes a helper with a
 * blank in it for a command line); with neither, it is read from the line that QEMU was started with.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "cli/bridged_client.h"
#include "cli/cli.h"
#include "cli/qemu_line.h"

#define LINE_MAX_SIZE (256 * 1024)

struct options {
	const char *bridge, *name, *mac;
	int fd;
	bool version;
};

static int usage(void)
{
	fputs("usage: hospes-tap [--name GUEST] [--mac MAC] [--use-vnet] --br=BRIDGE --fd=N\n"
	      "QEMU calls it: -netdev bridge,id=n,br=BRIDGE,helper=\"hospes-tap --name GUEST\"\n", stderr);
	return -EINVAL;
}

/* A descriptor that is open, and a unix socket: nothing else can carry the tap. */
static int parse_socket(const char *text)
{
	struct sockaddr_storage sa;
	socklen_t size = sizeof(sa);
	char *end;
	long fd = strtol(text, &end, 10);

	if (!*text || *end || fd < 0 || fd > 1 << 20)
		return -EINVAL;
	return !getsockname((int)fd, (struct sockaddr *)&sa, &size) && sa.ss_family == AF_UNIX ? (int)fd : -EBADF;
}

static int parse_options(struct options *o, int argc, char **argv)
{
	static const struct option table[] = {
		{ "br", required_argument, NULL, 'b' }, { "fd", required_argument, NULL, 'f' }, { "use-vnet", no_argument, NULL, 'v' },
		{ "name", required_argument, NULL, 'n' }, { "mac", required_argument, NULL, 'm' },
		{ "version", no_argument, NULL, 'V' }, { 0 },
	};
	const char *fd = NULL;
	int option;

	*o = (struct options){ .fd = -1 };
	while ((option = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		switch (option) {
		case 'b': o->bridge = optarg; break;
		case 'f': fd = optarg; break;
		case 'n': o->name = optarg; break;
		case 'm': o->mac = optarg; break;
		case 'v': break; /* the tap always has the header: QEMU looks for it */
		case 'V': o->version = true; break;
		default: return usage();
		}
	}
	if (o->version)
		return 0;
	if (optind < argc || !o->bridge || !fd)
		return usage();
	o->fd = parse_socket(fd);
	if (o->fd >= 0)
		return 0;
	log_error("--fd=%s: the descriptor of a unix socket is expected, as QEMU gives it", fd);
	return -EINVAL;
}

/* Return: the LAN's name, in @status; NULL after a message */
static const char *find_lan(const json_t *status, const char *bridge)
{
	const json_t *lan = bridged_lan_of_bridge(status, bridge);

	if (!lan)
		lan = bridged_lan(status, bridge);
	if (!lan)
		log_error("no bridge LAN has the bridge %s; /etc/hospes has the LANs, and sudo hospes up LAN brings one up", bridge);
	return lan ? lan_text(lan, "name") : NULL;
}

/* The words of a process. Return: how many bytes; 0 if they cannot be read. */
static size_t read_line(pid_t pid, char *into, size_t size)
{
	char path[32];
	_cleanup_fd_ int fd = -1;
	size_t used = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && used < size && (n = read(fd, into + used, size - used)) > 0)
		used += (size_t)n;
	return used;
}

/* Return: 0 if it cannot be told */
static pid_t parent_of(pid_t pid)
{
	char path[32], text[512] = "";
	_cleanup_fd_ int fd = -1;
	const char *end;
	int parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	/* Behind the name, in which anything may stand. */
	end = strrchr(text, ')');
	return end && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* Our parent is QEMU, or a shell that QEMU runs us by. */
static size_t find_macs(const char *bridge, struct mac out[static QEMU_LINE_MACS])
{
	_cleanup_(freep) char *line = malloc(LINE_MAX_SIZE);
	pid_t pid = getppid();
	size_t count = 0;

	for (int level = 0; line && !count && pid > 1 && level < 2; level++, pid = parent_of(pid))
		count = qemu_line_macs(line, read_line(pid, line, LINE_MAX_SIZE), bridge, out);
	return count;
}

/* Of several cards on the bridge, the first whose guest has no tap yet is the one that QEMU asks for now. */
static int attach_by_line(int service, const char *lan, const char *bridge)
{
	struct mac mac[QEMU_LINE_MACS];
	size_t count = find_macs(bridge, mac);
	char text[MAC_TEXT_SIZE];

	if (!count)
		log_warning("cannot tell which MAC QEMU gives the guest, and with another one its frames do not pass; say it, as in "
			    "helper=\"hospes-tap --mac=MAC\"");
	for (size_t i = 0; i + 1 < count; i++) {
		int tap = bridged_attach_free(service, lan, NULL, mac_format(mac[i], text), NULL);

		if (tap != -EBUSY)
			return tap;
	}
	return bridged_attach(service, lan, NULL, count ? mac_format(mac[count - 1], text) : NULL, NULL);
}

static int hand_tap(const struct options *o)
{
	_cleanup_json_ json_t *status = NULL;
	_cleanup_fd_ int service = bridged_connect(LAN_AS_IS), tap = -1;
	const char *lan;
	int r;

	if (service == -ENOENT)
		log_error("bridge %s is not there: hospes-bridged does not run; root starts it: sudo hospes up %s", o->bridge, o->bridge);
	if (service < 0 || bridged_call(service, "Status", NULL, &status) < 0)
		return -ESRCH;
	lan = find_lan(status, o->bridge);
	if (!lan)
		return -ENOENT;
	tap = o->name || o->mac ? bridged_attach(service, lan, o->name, o->mac, NULL) : attach_by_line(service, lan, o->bridge);
	if (tap < 0)
		return tap;
	r = fd_send_fd(o->fd, tap, "", 1);
	if (r < 0)
		log_error("cannot hand the tap to QEMU: %s", strerror(-r));
	return r;
}

int main(int argc, char **argv)
{
	struct options options;

	if (parse_options(&options, argc, argv) < 0)
		return EXIT_USAGE;
	if (options.version) {
		puts("hospes-tap " HOSPES_VERSION);
		return EXIT_SUCCESS;
	}
	signal(SIGPIPE, SIG_IGN);
	return hand_tap(&options) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
