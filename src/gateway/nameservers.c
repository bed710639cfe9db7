// SPDX-License-Identifier: MIT
#include "gateway/nameservers.h"

#include <ctype.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/attr.h"
#include "wire/dns.h"

#define TEXT_MAX (ADDR_TEXT_SIZE + IF_NAMESIZE + 8) /* [address%zone]:port */
#define LINES_MAX 1000
#define SPACE " \t\r\n"

static void file_closep(FILE **f) { if (*f) fclose(*f); }

/* "ADDRESS" or "[ADDRESS]:PORT"; the port is cut off. Return: false if it is neither. */
static bool split_port(char **text, uint16_t *port)
{
	char *end, *digits;
	unsigned long value;

	*port = DNS_PORT;
	if (**text != '[')
		return true;
	end = strchr(++*text, ']');
	if (!end || end[1] != ':' || !isdigit((unsigned char)end[2]))
		return false;
	value = strtoul(end + 2, &digits, 10);
	*end = 0;
	*port = (uint16_t)value;
	return !*digits && value && value <= UINT16_MAX;
}

/* The interface behind "%": its name or number, as in if_nametoindex(3) and RFC 4007 section 11.2. Return: 0 if there is none. */
static unsigned int zone_index(const char *zone)
{
	unsigned int index = if_nametoindex(zone);
	char *end;

	if (index || !isdigit((unsigned char)*zone))
		return index;
	index = (unsigned int)strtoul(zone, &end, 10);
	return *end ? 0 : index;
}

bool nameserver_parse(const char *line, struct nameserver *out)
{
	char copy[TEXT_MAX], *text = copy, *zone;
	unsigned int scope = 0;
	uint16_t port;
	addr_t addr;

	if (snprintf(copy, sizeof(copy), "%s", line) >= (int)sizeof(copy) || !split_port(&text, &port))
		return false;
	zone = strchr(text, '%');
	if (zone) {
		*zone++ = 0;
		scope = zone_index(zone);
		if (!scope)
			return false;
	}
	if (!addr_parse(text, &addr) || addr_is_multicast(addr) || (zone && addr_is4(addr)))
		return false;
	*out = (struct nameserver){ 0 };
	out->size = host_sockaddr(&out->addr, addr, port);
	if (zone)
		((struct sockaddr_in6 *)&out->addr)->sin6_scope_id = scope;
	return true;
}

static void read_file(struct nameservers *n, FILE *f)
{
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;

	for (int i = 0; i < LINES_MAX && n->count < NAMESERVERS_MAX && getline(&line, &size, f) >= 0; i++) {
		char *rest, *key = strtok_r(line, SPACE, &rest);
		char *value = key && !strcmp(key, "nameserver") ? strtok_r(NULL, SPACE, &rest) : NULL;

		if (value && nameserver_parse(value, &n->servers[n->count]))
			n->count++;
	}
}

static bool same_file(const struct nameservers *n, const struct stat *s)
{
	return n->device == s->st_dev && n->inode == s->st_ino && n->size == s->st_size && n->changed.tv_sec == s->st_mtim.tv_sec &&
	       n->changed.tv_nsec == s->st_mtim.tv_nsec;
}

void nameservers_refresh(struct nameservers *n, const char *path)
{
	_cleanup_(file_closep) FILE *f = NULL;
	struct stat s;

	if (!stat(path, &s) && same_file(n, &s))
		return;
	*n = (struct nameservers){ 0 };
	f = fopen(path, "re");
	if (!f || fstat(fileno(f), &s) < 0 || !S_ISREG(s.st_mode))
		return;
	read_file(n, f);
	n->device = s.st_dev;
	n->inode = s.st_ino;
	n->size = s.st_size;
	n->changed = s.st_mtim;
}
