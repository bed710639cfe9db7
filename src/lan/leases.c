// SPDX-License-Identifier: MIT
#include "lan/leases.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"

static void file_closep(FILE **f) { if (*f) fclose(*f); }
#define _cleanup_file_ _cleanup_(file_closep)

/* A line as read, before it is believed. */
struct record {
	struct mac mac;
	char name[GUEST_NAME_SIZE];
	struct lease lease4, lease6;
};

static bool parse_number(const char *text, int64_t max, int64_t *out)
{
	int64_t v = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || v > (max - (*text - '0')) / 10)
			return false;
		v = v * 10 + (*text - '0');
	}
	*out = v;
	return true;
}

static bool parse_id(const char *text, struct lease *lease)
{
	size_t n = strlen(text);
	unsigned int byte;

	if (n % 2 || n / 2 > CLIENT_ID_MAX || strspn(text, "0123456789abcdef") != n)
		return false;
	for (size_t i = 0; i < n / 2; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		lease->client_id[i] = (uint8_t)byte;
	}
	lease->client_id_size = (uint8_t)(n / 2);
	return true;
}

static bool parse_addr(const char *text, bool four, struct lease *lease)
{
	return addr_parse(text, &lease->addr) && addr_is4(lease->addr) == four && !addr_is_unspecified(lease->addr) &&
	       !addr_is_multicast(lease->addr);
}

static bool parse_iaid(const char *text, struct lease *lease)
{
	int64_t v;

	if (!parse_number(text, UINT32_MAX, &v))
		return false;
	lease->iaid = (uint32_t)v;
	return true;
}

static bool parse_name(const char *text, char into[static GUEST_NAME_SIZE])
{
	if (!guest_name_valid(text))
		return false;
	strcpy(into, text);
	return true;
}

static bool parse_word(struct record *r, char *word)
{
	char *value = strchr(word, '=');

	if (!value)
		return false;
	*value++ = 0;
	if (!strcmp(word, "name"))
		return parse_name(value, r->name);
	if (!strcmp(word, "ip4"))
		return parse_addr(value, true, &r->lease4);
	if (!strcmp(word, "until4"))
		return parse_number(value, INT64_MAX, &r->lease4.until);
	if (!strcmp(word, "id4"))
		return parse_id(value, &r->lease4);
	if (!strcmp(word, "ip6"))
		return parse_addr(value, false, &r->lease6);
	if (!strcmp(word, "until6"))
		return parse_number(value, INT64_MAX, &r->lease6.until);
	if (!strcmp(word, "id6"))
		return parse_id(value, &r->lease6);
	if (!strcmp(word, "iaid"))
		return parse_iaid(value, &r->lease6);
	return false;
}

static bool parse_line(char *line, struct record *r)
{
	char *rest = line, *word = strsep(&rest, " ");

	*r = (struct record){ 0 };
	if (!mac_parse(word, &r->mac) || mac_is_group(r->mac) || mac_is_zero(r->mac))
		return false;
	while ((word = strsep(&rest, " ")))
		if (!parse_word(r, word))
			return false;
	return true;
}

static void take_lease(struct guests *g, struct guest *guest, struct lease *lease, const struct lease *read)
{
	if (addr_is_any(read->addr))
		return;
	guests_set_lease(g, guest, lease, read->addr, LEASE_BOUND, read->until);
	memcpy(lease->client_id, read->client_id, sizeof(lease->client_id));
	lease->client_id_size = read->client_id_size;
	lease->iaid = read->iaid;
}

/* Return: NULL, or why the record cannot be. Two holders of one address, or two lines of one MAC, were never written by us. */
static const char *take_record(struct guests *g, const struct record *r)
{
	struct guest *guest = guests_find(g, r->mac);

	if (guest && (guest->lease4.state != LEASE_FREE || guest->lease6.state != LEASE_FREE))
		return "a second line for this MAC";
	if ((!addr_is_any(r->lease4.addr) && guests_addr_use(g, r->lease4.addr, guest, 0) != ADDR_FREE) ||
	    (!addr_is_any(r->lease6.addr) && guests_addr_use(g, r->lease6.addr, guest, 0) != ADDR_FREE))
		return "its address is another guest's";
	guest = guests_add(g, r->mac, 0);
	if (!guest)
		return "the guest table is full";
	take_lease(g, guest, &guest->lease4, &r->lease4);
	take_lease(g, guest, &guest->lease6, &r->lease6);
	if (r->name[0])
		guests_set_name(g, guest, r->name, NAME_FROM_DHCP);
	return NULL;
}

static void load_line(struct guests *g, char *line, size_t size, const char *path, unsigned int number)
{
	const char *problem = "damaged";
	struct record r;

	if (size && line[size - 1] == '\n')
		line[--size] = 0;
	if (!size || line[0] == '#')
		return;
	if (strlen(line) == size && parse_line(line, &r))
		problem = take_record(g, &r);
	if (problem)
		log_warning("%s:%u: %s; the line is skipped, and its guest gets a new address", path, number, problem);
}

#define LINE_MAX_BYTES 1024 /* longer than any that is written */

int leases_load(struct guests *g, const char *path, int64_t wall)
{
	_cleanup_file_ FILE *f = fopen(path, "re");
	char line[LINE_MAX_BYTES];
	bool continued = false;
	unsigned int number = 0;
	struct stat st;

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fileno(f), &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	while (fgets(line, sizeof(line), f)) {
		bool whole = strchr(line, '\n') || feof(f);

		number += !continued;
		if (!continued && whole)
			load_line(g, line, strlen(line), path, number);
		else if (!continued)
			log_warning("%s:%u: damaged (too long, or not text); the line is skipped", path, number);
		continued = !whole;
	}
	guests_expire(g, wall);
	return ferror(f) ? -EIO : 0;
}

static void save_lease(FILE *f, const struct lease *lease, int version)
{
	char text[ADDR_TEXT_SIZE];

	if (lease->state != LEASE_BOUND && lease->state != LEASE_EXPIRED)
		return;
	fprintf(f, " ip%d=%s until%d=%" PRId64, version, addr_format(lease->addr, text), version, lease->until);
	if (lease->client_id_size)
		fprintf(f, " id%d=", version);
	for (size_t i = 0; i < lease->client_id_size; i++)
		fprintf(f, "%02x", lease->client_id[i]);
	if (version == 6)
		fprintf(f, " iaid=%" PRIu32, lease->iaid);
}

static bool worth_saving(const struct guest *guest)
{
	return guest->name[0] || guest->lease4.state == LEASE_BOUND || guest->lease4.state == LEASE_EXPIRED ||
	       guest->lease6.state == LEASE_BOUND || guest->lease6.state == LEASE_EXPIRED;
}

/* The whole file as text. Return: malloc'd, or NULL when out of memory. */
static char *format_all(struct guests *g, size_t *size)
{
	char *text = NULL, mac[MAC_TEXT_SIZE];
	FILE *f = open_memstream(&text, size);

	if (!f)
		return NULL;
	fputs("# Leases of a hospes LAN. Written by its daemon; lines may be removed while it is down.\n", f);
	for (const struct guest *i = guests_next(g, NULL); i; i = guests_next(g, i)) {
		if (!worth_saving(i))
			continue;
		fputs(mac_format(i->mac, mac), f);
		if (i->name[0])
			fprintf(f, " name=%s", i->name);
		save_lease(f, &i->lease4, 4);
		save_lease(f, &i->lease6, 6);
		fputc('\n', f);
	}
	if (!fclose(f))
		return text;
	free(text);
	return NULL;
}

static int write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			text += n, size -= (size_t)n;
	}
	return 0;
}

int leases_save(struct guests *g, const char *path)
{
	_cleanup_(freep) char *beside = NULL, *text = NULL;
	_cleanup_fd_ int fd = -1;
	size_t size;
	int r;

	if (asprintf(&beside, "%s.new", path) < 0)
		return -ENOMEM;
	text = format_all(g, &size);
	if (!text)
		return -ENOMEM;
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, size);
	if (close(fd_steal(&fd)) < 0 && !r)
		r = -errno; /* some file systems say only now that they are full */
	if (!r && rename(beside, path) < 0)
		r = -errno;
	if (r)
		unlink(beside);
	return r;
}
