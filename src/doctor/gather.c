// SPDX-License-Identifier: MIT
#include "doctor/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fd.h"

#define LINE_MAX_SIZE 256
#define SET_BY_USER   3    /* NET_ADDR_SET in the kernel's linux/netdevice.h */

ssize_t gather_text(const char *path, char *into, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, into, size - 1);

	if (got < 0)
		return -errno;
	into[got] = 0;
	return got;
}

bool gather_read(const char *path, char *into, size_t size)
{
	if (gather_text(path, into, size) < 0)
		return false;
	into[strcspn(into, "\n")] = 0;
	return true;
}

/* Behind sudo it is whoever typed it. */
static void gather_user(struct facts *f)
{
	const char *sudo = getenv("SUDO_UID");
	struct passwd *account;

	f->root = geteuid() == 0;
	f->uid = f->root && sudo ? (uid_t)strtoul(sudo, NULL, 10) : getuid();
	account = getpwuid(f->uid);
	if (account)
		snprintf(f->user, sizeof(f->user), "%s", account->pw_name);
	else
		snprintf(f->user, sizeof(f->user), "%u", f->uid);
}

static void file_closep(FILE **file) { if (*file) fclose(*file); }

static void gather_neighbours(struct facts *f)
{
	_cleanup_(file_closep) FILE *file = fopen("/proc/net/arp", "re");
	char line[LINE_MAX_SIZE], ip[64], mac[32], link[IFNAMSIZ];

	while (file && fgets(line, sizeof(line), file)) {
		struct neighbour_fact n = { 0 }, *kept;

		if (sscanf(line, "%63s %*s %*s %31s %*s %15s", ip, mac, link) != 3 || !addr_parse(ip, &n.addr) || !mac_parse(mac, &n.mac) ||
		    mac_is_zero(n.mac))
			continue;
		kept = facts_add(f, neighbours, neighbour_count);
		if (!kept)
			return;
		*kept = n;
		snprintf(kept->link, sizeof(kept->link), "%s", link);
	}
}

/* /sys may show another network namespace than ours: what it says counts only if it means the same link. */
static void gather_fixed_mac(struct facts *f)
{
	const struct link *bridge = facts_bridge(f);
	char path[96], text[32], mac[MAC_TEXT_SIZE];

	f->mac_fixed = -1;
	if (!bridge)
		return;
	snprintf(path, sizeof(path), "/sys/class/net/%s/ifindex", bridge->name);
	if (!gather_read(path, text, sizeof(text)) || strtoul(text, NULL, 10) != bridge->index)
		return;
	snprintf(path, sizeof(path), "/sys/class/net/%s/address", bridge->name);
	if (!gather_read(path, text, sizeof(text)) || strcmp(text, mac_format(bridge->mac, mac)))
		return;
	snprintf(path, sizeof(path), "/sys/class/net/%s/addr_assign_type", bridge->name);
	if (gather_read(path, text, sizeof(text)))
		f->mac_fixed = strtol(text, NULL, 10) == SET_BY_USER;
}

int facts_gather_clients(struct facts *f)
{
	int r = snapshot_read(&f->net);

	if (r < 0)
		return r;
	gather_user(f);
	gather_processes(f);
	return f->failed ? -ENOMEM : 0;
}

int facts_gather(struct facts *f)
{
	int r = snapshot_read(&f->net);

	if (r < 0)
		return r;
	gather_user(f);
	gather_fixed_mac(f);
	gather_neighbours(f);
	gather_filter(f);
	gather_host(f);
	gather_lan(f);
	gather_processes(f);
	return f->failed ? -ENOMEM : 0;
}
