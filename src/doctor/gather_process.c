// SPDX-License-Identifier: MIT
/* Processes: who has a tap open, which network cards QEMUs have; DHCP clients are gather_client.c's. */
#include "doctor/gather.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lan/paths.h"

#define COMMAND_SIZE 65536
#define WORDS_MAX    1024
#define TEXT_SIZE    1024    /* of what is read of small files */

static void dir_closep(DIR **dir) { if (*dir) closedir(*dir); }

enum namespace { OURS, ANOTHER, UNKNOWN };

/* Another user's cannot be told without privilege. */
static enum namespace network_of(pid_t pid)
{
	char path[64], own[64] = "", its[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	if (readlink(path, its, sizeof(its) - 1) < 0 || readlink("/proc/self/ns/net", own, sizeof(own) - 1) < 0)
		return UNKNOWN;
	return strcmp(own, its) ? ANOTHER : OURS;
}

/* Where a line of a small file begins with @start, a newline before it. Return: NULL if there is none. */
static const char *find_line(const char *path, const char *start, char text[static TEXT_SIZE])
{
	return gather_text(path, text, TEXT_SIZE) < 0 ? NULL : strstr(text, start);
}

/* The name of the tap behind a descriptor, from its fdinfo ("iff:\ttap0"). */
static bool read_tap(pid_t pid, const char *fd, char into[static IFNAMSIZ])
{
	char path[64], text[TEXT_SIZE];
	const char *line;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.20s", pid, fd);
	line = find_line(path, "\niff:", text);
	return line && sscanf(line, "\niff: %15s", into) == 1;
}

static void gather_holds(struct facts *f, pid_t pid, const char *program)
{
	char path[64], target[64], tap[IFNAMSIZ];
	_cleanup_(dir_closep) DIR *dir = NULL;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		ssize_t size = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		struct tap_holder *h;

		if (size < 0)
			continue;
		target[size] = 0;
		/* The node may have been mounted over another. */
		if (!strstr(target, "/tun") || !read_tap(pid, entry->d_name, tap))
			continue;
		h = facts_add(f, holders, holder_count);
		if (!h)
			return;
		h->pid = pid;
		snprintf(h->program, sizeof(h->program), "%s", program);
		snprintf(h->tap, sizeof(h->tap), "%s", tap);
	}
}

/* --- QEMU's words --- */

/* "key=" in "a,b=c,key=value": the value's text, up to the next comma. Return: false if it is not there. */
static bool option(const char *text, const char *key, char *into, size_t size)
{
	size_t length = strlen(key);

	for (const char *at = text; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, key, length) || at[length] != '=')
			continue;
		snprintf(into, size, "%.*s", (int)strcspn(at + length + 1, ","), at + length + 1);
		return true;
	}
	return false;
}

/* libvirt writes -device and -netdev as JSON. */
static bool get_option(const char *text, const char *key, char *into, size_t size)
{
	json_t *object;
	const char *value;
	bool found;

	if (*text != '{')
		return option(text, key, into, size);
	object = json_loads(text, 0, NULL);
	value = json_string_value(json_object_get(object, key));
	found = value;
	if (found)
		snprintf(into, size, "%s", value);
	json_decref(object);
	return found;
}

static bool is_word(const char *word, const char *name)
{
	word += *word == '-';
	word += *word == '-';
	return !strcmp(word, name);
}

/* Is it one of the sockets of the LAN that is examined? */
static bool is_on_lan(const struct facts *f, const char *text)
{
	char folder[sizeof(f->lan.control)];
	char *end;

	snprintf(folder, sizeof(folder), "%s", f->lan.control);
	end = strrchr(folder, '/');
	if (!end || *f->target.bridge)
		return false;
	end[1] = 0;
	return strstr(text, folder);
}

/* What a backend ("-netdev", the other half of "-nic") leads to. */
static void attach(const struct facts *f, struct nic_fact *n, const char *backend)
{
	if (!get_option(backend, "ifname", n->link, sizeof(n->link)))
		*n->link = 0;
	n->on_lan = is_on_lan(f, backend);
}

static void attach_by_id(const struct facts *f, struct nic_fact *n, const char *id, char *const *words, size_t count)
{
	char its[64];

	for (size_t i = 0; i + 1 < count; i++)
		if (is_word(words[i], "netdev") && get_option(words[i + 1], "id", its, sizeof(its)) && !strcmp(its, id))
			attach(f, n, words[i + 1]);
}

/* "-net tap" stands beside "-net nic": what one of them leads to, all do. */
static void attach_net(const struct facts *f, struct nic_fact *n, char *const *words, size_t count)
{
	for (size_t i = 0; i + 1 < count; i++)
		if (is_word(words[i], "net") && strncmp(words[i + 1], "nic", 3))
			attach(f, n, words[i + 1]);
}

/* The tap that it has open and none of its cards has named yet: it came as a descriptor. */
static void attach_by_descriptor(const struct facts *f, struct nic_fact *n, size_t first)
{
	for (size_t i = 0; i < f->holder_count; i++) {
		bool taken = f->holders[i].pid != n->pid;

		for (size_t k = first; k < f->nic_count; k++)
			taken |= !strcmp(f->nics[k].link, f->holders[i].tap);
		if (taken)
			continue;
		snprintf(n->link, sizeof(n->link), "%s", f->holders[i].tap);
		return;
	}
}

/* Return: the card, or NULL if these two words are none. */
static struct nic_fact *gather_nic(struct facts *f, char *const *words, size_t count, size_t at)
{
	const char *text = words[at + 1];
	bool device = is_word(words[at], "device"), nic = is_word(words[at], "nic"), net = is_word(words[at], "net");
	char id[64] = "", mac[32];
	struct nic_fact *n;

	if (!(device && get_option(text, "netdev", id, sizeof(id))) && !(nic && strcmp(text, "none")) && !(net && !strncmp(text, "nic", 3)))
		return NULL;
	n = facts_add(f, nics, nic_count);
	if (!n)
		return NULL;
	if (!get_option(text, "mac", mac, sizeof(mac)) && !get_option(text, "macaddr", mac, sizeof(mac)))
		*mac = 0;
	n->by_default = !mac_parse(mac, &n->mac);
	if (device)
		attach_by_id(f, n, id, words, count);
	else if (nic)
		attach(f, n, text);
	else
		attach_net(f, n, words, count);
	return n;
}

void gather_nics(struct facts *f, pid_t pid, char *const *words, size_t count)
{
	size_t first = f->nic_count;
	uint8_t defaults = 0;

	for (size_t i = 0; i + 1 < count; i++) {
		struct nic_fact *n = gather_nic(f, words, count, i);

		if (!n)
			continue;
		n->pid = pid;
		/* QEMU counts up from there, within one process. */
		if (n->by_default)
			n->mac = (struct mac){{ 0x52, 0x54, 0x00, 0x12, 0x34, (uint8_t)(0x56 + defaults++) }};
		if (!*n->link && !n->on_lan)
			attach_by_descriptor(f, n, first);
	}
}

/* --- all of them --- */

/* Return: how many words; they point into @text. */
static size_t read_words(pid_t pid, char *text, char **words)
{
	char path[64];
	size_t count = 0;
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	got = gather_text(path, text, COMMAND_SIZE);
	if (got < 0)
		return 0;
	for (char *at = text; at < text + got && count < WORDS_MAX; at += strlen(at) + 1)
		words[count++] = at;
	return count;
}

/*
 * The effective user. Not who owns /proc/PID: that is root wherever a program may not be traced, and a user can start such a one.
 * Return: false if the process has ended.
 */
static bool read_uid(pid_t pid, uid_t *uid)
{
	char path[64], text[TEXT_SIZE];
	const char *line;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	line = find_line(path, "\nUid:", text);
	return line && sscanf(line, "\nUid: %*u %u", uid) == 1;
}

static void gather_process(struct facts *f, pid_t pid, char *text, char **words)
{
	enum namespace network = network_of(pid);
	char path[64], program[PROGRAM_NAME];
	size_t count;
	uid_t uid;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (!gather_read(path, program, sizeof(program)) || network == ANOTHER)
		return;
	gather_holds(f, pid, program);
	count = read_words(pid, text, words);
	if (!strncmp(program, "qemu", 4))
		gather_nics(f, pid, words, count);
	/* It may be a container's, on a link of the same name: what is said of a client must be sure. */
	if (network == OURS && read_uid(pid, &uid))
		gather_client(f, pid, uid, program, words, count);
}

void gather_processes(struct facts *f)
{
	_cleanup_(dir_closep) DIR *dir = opendir("/proc");
	_cleanup_(freep) char *text = malloc(COMMAND_SIZE);
	_cleanup_(freep) char **words = calloc(WORDS_MAX, sizeof(*words));
	struct dirent *entry;

	if (!dir || !text || !words) {
		facts_gap(f, "processes", "/proc cannot be read");
		return;
	}
	while ((entry = readdir(dir)))
		if (isdigit((unsigned char)*entry->d_name))
			gather_process(f, (pid_t)strtol(entry->d_name, NULL, 10), text, words);
	f->sees_processes = f->root;
	if (!f->root && *f->target.bridge)
		facts_gap(f, "other users' processes", "only root sees what they have open: sudo hospes doctor");
}
