// SPDX-License-Identifier: MIT
/*
 * DHCP clients, and the links that they serve.
 *
 * dhclient and udhcpc say their link among their words. dhcpcd has one process a link, or one for all, and writes into its title which.
 * systemd-networkd and NetworkManager serve many: what they keep in /run tells which.
 */
#include "doctor/gather.h"

#include <ctype.h>
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TITLE         "dhcpcd: "
#define DHCPCD_CONFIG "/etc/dhcpcd.conf"
#define LEASES        "/run/systemd/netif/leases"
#define DEVICES       "/run/NetworkManager/devices"
#define LINE_SIZE     1024
#define USERS_FROM    1000     /* numbers below are the system's own (login.defs(5), SYS_UID_MAX) */

static void dir_closep(DIR **dir) { if (*dir) closedir(*dir); }
static void file_closep(FILE **file) { if (*file) fclose(*file); }

static struct dhcp_client *keep_client(struct facts *f, enum client_kind kind, pid_t pid, const char *name, const char *link)
{
	struct dhcp_client *c = facts_add(f, clients, client_count);

	if (!c)
		return NULL;
	c->kind = kind;
	c->pid = pid;
	snprintf(c->link, sizeof(c->link), "%s", link);
	c->command = strdup(name);
	f->failed |= !c->command;
	return c;
}

/* Has the link, or the bridge that it is a port of, an address whose life ends: a lease? */
static bool has_lease(const struct facts *f, const struct link *link)
{
	for (size_t i = 0; f->net && i < f->net->address_count; i++) {
		const struct link_address *a = &f->net->addresses[i];

		if ((a->index == link->index || (link->master && a->index == link->master)) && addr_is4(a->local) && a->valid != LIFE_FOREVER)
			return true;
	}
	return false;
}

/* --- dhclient, udhcpc --- */

static bool is_client(const char *program)
{
	static const char *const programs[] = { "dhclient", "udhcpc", "dhcpcd", "dhcpcd5" }; /* an old dhcpcd has no title */

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (!strcmp(program, programs[i]))
			return true;
	return false;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "busybox udhcpc" is one, too; "sudo dhclient" is not: it has one as its child. */
static const char *client_name(char *const *words, size_t count)
{
	size_t at = count > 1 && !strcmp(base_name(words[0]), "busybox");

	return at < count && is_client(base_name(words[at])) ? base_name(words[at]) : NULL;
}

/* ifup gives its clients a file for their process id, whose name nobody else uses. */
static bool is_of_ifupdown(char *const *words, size_t count, const char *name, const char *link)
{
	char path[64];

	snprintf(path, sizeof(path), "/run/%s.%s.pid", name, link);
	for (size_t i = 0; i < count; i++)
		if (!strcmp(words[i], path))
			return access("/run/network", F_OK) == 0;
	return false;
}

static void keep_words(struct facts *f, pid_t pid, const char *name, const char *link, char *const *words, size_t count)
{
	struct dhcp_client *c = keep_client(f, CLIENT_WORDS, pid, name, link);

	if (!c)
		return;
	c->ifupdown = is_of_ifupdown(words, count, name, link);
	c->argv = calloc(count, sizeof(*c->argv));
	for (; c->argv && c->argc < count; c->argc++)
		c->argv[c->argc] = strdup(words[c->argc]);
	for (size_t i = 0; i < c->argc; i++)
		f->failed |= !c->argv[i];
	f->failed |= !c->argv;
}

static void gather_words(struct facts *f, pid_t pid, char *const *words, size_t count)
{
	const char *name = client_name(words, count);

	for (size_t i = 1; name && i < count; i++)
		if (facts_link(f, words[i]))
			keep_words(f, pid, name, words[i], words, count);
}

/* --- dhcpcd --- */

/* Does its configuration keep the one for all away from the link? */
static bool is_denied(const char *link)
{
	_cleanup_(file_closep) FILE *file = fopen(DHCPCD_CONFIG, "re");
	char line[LINE_SIZE], *rest, *word;
	bool denied = false, allowed = false, listed = false;

	/* All lines of a kind are one list. */
	while (file && fgets(line, sizeof(line), file)) {
		bool allow;

		word = strtok_r(line, " \t\n", &rest);
		allow = word && !strcmp(word, "allowinterfaces");
		if (!word || (!allow && strcmp(word, "denyinterfaces")))
			continue;
		listed |= allow;
		while ((word = strtok_r(NULL, " \t\n", &rest)))
			*(allow ? &allowed : &denied) |= !fnmatch(word, link, 0);
	}
	return denied || (listed && !allowed);
}

/* A bridge is served only if the configuration names it. */
static bool is_named(const char *link)
{
	_cleanup_(file_closep) FILE *file = fopen(DHCPCD_CONFIG, "re");
	char line[LINE_SIZE], name[IFNAMSIZ];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, " interface %15s", name) == 1 && !strcmp(name, link))
			return true;
	return false;
}

static void set_family(struct dhcp_client *c, const char *title)
{
	bool ip4 = strstr(title, "[ip4]"), ip6 = strstr(title, "[ip6]");

	if (c && ip4 != ip6)
		snprintf(c->family, sizeof(c->family), "%s", ip4 ? "-4" : "-6");
}

/* "dhcpcd: eth0 [ip4]", "dhcpcd: [manager] [ip4] [ip6]"; its helpers have other words in the first brackets. */
static void gather_dhcpcd(struct facts *f, pid_t pid, const char *title)
{
	char name[IFNAMSIZ];

	title += strlen(TITLE);
	if (*title != '[') {
		if (sscanf(title, "%15s", name) == 1 && facts_link(f, name))
			set_family(keep_client(f, CLIENT_DHCPCD, pid, "dhcpcd", name), title);
		return;
	}
	if (strncmp(title, "[manager]", strlen("[manager]")) && strncmp(title, "[master]", strlen("[master]")))
		return;
	for (size_t i = 0; f->net && i < f->net->link_count; i++) {
		const struct link *l = &f->net->links[i];
		bool chosen = strcmp(l->kind, "bridge") && !l->tap.tap;

		if (has_lease(f, l) && !is_denied(l->name) && (chosen || is_named(l->name)))
			set_family(keep_client(f, CLIENT_DHCPCD_ALL, pid, "dhcpcd", l->name), title);
	}
}

/* --- systemd-networkd --- */

/*
 * A client's identity is its hardware address, or a machine's DUID behind a number of the link (RFC 4361); only that number is another
 * link's.
 */
static void read_identity(struct dhcp_client *c, const char *path)
{
	_cleanup_(file_closep) FILE *file = fopen(path, "re");
	char line[LINE_SIZE];
	unsigned int iaid;

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "CLIENTID=01", strlen("CLIENTID=01")))
			snprintf(c->identity, sizeof(c->identity), "ClientIdentifier=mac");
		else if (sscanf(line, "CLIENTID=ff%8x", &iaid) == 1)
			snprintf(c->identity, sizeof(c->identity), "IAID=0x%08x", iaid);
	}
}

static void gather_networkd(struct facts *f, pid_t pid)
{
	_cleanup_(dir_closep) DIR *dir = opendir(LEASES);
	struct dirent *entry;
	char path[sizeof(LEASES) + 256];

	while (dir && (entry = readdir(dir))) {
		const struct link *l = isdigit((unsigned char)*entry->d_name) && f->net ?
			snapshot_link(f->net, (unsigned int)strtoul(entry->d_name, NULL, 10)) : NULL;
		struct dhcp_client *c = l ? keep_client(f, CLIENT_NETWORKD, pid, "systemd-networkd", l->name) : NULL;

		snprintf(path, sizeof(path), LEASES "/%.255s", entry->d_name);
		if (c)
			read_identity(c, path);
	}
}

/* --- NetworkManager --- */

static bool is_managed(const char *path)
{
	_cleanup_(file_closep) FILE *file = fopen(path, "re");
	char line[LINE_SIZE];

	while (file && fgets(line, sizeof(line), file))
		if (!strcmp(line, "managed=true\n") || !strcmp(line, "managed=1\n"))
			return true;
	return false;
}

static void gather_network_manager(struct facts *f, pid_t pid)
{
	char path[sizeof(DEVICES) + 16];

	for (size_t i = 0; f->net && i < f->net->link_count; i++) {
		const struct link *l = &f->net->links[i];

		snprintf(path, sizeof(path), DEVICES "/%u", l->index);
		if (has_lease(f, l) && is_managed(path))
			keep_client(f, CLIENT_NETWORK_MANAGER, pid, "NetworkManager", l->name);
	}
}

void gather_client(struct facts *f, pid_t pid, uid_t uid, const char *program, char *const *words, size_t count)
{
	if (uid >= USERS_FROM)
		return;
	if (!strcmp(program, "systemd-network"))
		gather_networkd(f, pid);
	else if (!strcmp(program, "NetworkManager"))
		gather_network_manager(f, pid);
	else if (!strcmp(program, "dhcpcd") && count && !strncmp(words[0], TITLE, strlen(TITLE)))
		gather_dhcpcd(f, pid, words[0]);
	else if (!uid)
		gather_words(f, pid, words, count);
}
