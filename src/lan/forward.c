// SPDX-License-Identifier: MIT
#include "lan/forward.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"

#define LOOPBACK4 addr_of4(ip4(0x7f000001))
#define LOOPBACK6 ((addr_t){{ [15] = 1 }})

static int refuse(char *error, size_t error_size, const char *what, const char *text, const char *expected)
{
	snprintf(error, error_size, "%s \"%.100s\": expected %s", what, text, expected);
	return -EINVAL;
}

/* 1 to 65535, digits alone; the text goes on at *@end. */
static bool parse_port(const char *text, const char **end, uint16_t *out)
{
	unsigned int v = 0, n = 0;

	for (; text[n] >= '0' && text[n] <= '9' && n < 6; n++)
		v = v * 10 + (unsigned int)(text[n] - '0');
	*end = text + n;
	*out = (uint16_t)v;
	return n && v >= 1 && v <= 65535;
}

static bool parse_ports(const char *text, struct forward_rule *f)
{
	if (!parse_port(text, &text, &f->first))
		return false;
	f->last = f->first;
	if (*text == '-' && !parse_port(text + 1, &text, &f->last))
		return false;
	return !*text && f->first <= f->last;
}

/*
 * "HOST:PORTS" or "[HOST]:PORTS" in two, in place.
 * Return: the ports; *@host is NULL where there is none. NULL: a bracket without its fellow.
 */
static char *split_host(char *text, char **host)
{
	char *end;

	*host = NULL;
	if (text[0] == '[') {
		end = strstr(text, "]:");
		if (!end)
			return NULL;
		*host = text + 1;
		*end = 0;
		return end + 2;
	}
	end = strrchr(text, ':');
	if (!end)
		return text;
	*host = text;
	*end = 0;
	return end + 1;
}

static bool parse_listen_host(const char *host, struct forward_rule *f)
{
	if (!host) {
		f->listen_default = true;
		f->listen = LOOPBACK4;
		return true;
	}
	if (!strcmp(host, "*")) {
		f->listen = ADDR_ANY;
		return true;
	}
	return addr_parse(host, &f->listen) && !addr_is_multicast(f->listen);
}

static bool parse_listen(const char *listen, struct forward_rule *f)
{
	char text[FORWARD_TEXT_SIZE], *slash, *host, *ports;

	if (strlen(listen) >= sizeof(text))
		return false;
	strcpy(text, listen);
	if (text[0] == '/') {
		f->kind = FORWARD_UNIX;
		if (strlen(text) >= sizeof(f->path) || text[strlen(text) - 1] == '/')
			return false;
		strcpy(f->path, text);
		return true;
	}
	slash = strchr(text, '/');
	if (slash && strcmp(slash, "/udp") && strcmp(slash, "/tcp"))
		return false;
	f->kind = slash && slash[1] == 'u' ? FORWARD_UDP : FORWARD_TCP;
	if (slash)
		*slash = 0;
	ports = split_host(text, &host);
	return ports && parse_listen_host(host, f) && parse_ports(ports, f);
}

static bool parse_to(const char *to, struct forward_rule *f)
{
	char text[FORWARD_TEXT_SIZE], *host, *port;
	const char *end;
	addr_t addr;

	if (strlen(to) >= sizeof(text))
		return false;
	strcpy(text, to);
	port = split_host(text, &host);
	if (!port || !host || !parse_port(port, &end, &f->to) || *end)
		return false;
	if (addr_parse(host, &addr))
		addr_format(addr, f->guest);
	else if (guest_name_valid(host))
		strcpy(f->guest, host);
	else
		return false;
	return true;
}

int forward_parse(struct forward_rule *out, const char *listen, const char *to, char *error, size_t error_size)
{
	struct forward_rule f = { 0 };

	if (!parse_listen(listen, &f))
		return refuse(error, error_size, "listen", listen,
			      "[ADDRESS:]PORT[-PORT][/tcp|/udp], such as 8080, 127.0.0.1:8080 or [::1]:5000-5010/udp, "
			      "or the path of a unix socket");
	if (!parse_to(to, &f))
		return refuse(error, error_size, "to", to,
			      "GUEST:PORT, such as web:80, 10.0.2.15:80 or [fd00::15]:80 (the name without its domain)");
	if (f.to + (f.last - f.first) > 65535)
		return refuse(error, error_size, "to", to, "a first port that leaves room for the whole range below 65536");
	*out = f;
	return 0;
}

/* An address before a port. */
static const char *format_host(addr_t a, char into[static ADDR_TEXT_SIZE + 2])
{
	char text[ADDR_TEXT_SIZE];

	snprintf(into, ADDR_TEXT_SIZE + 2, addr_is4(a) ? "%s" : "[%s]", addr_format(a, text));
	return into;
}

void forward_format(const struct forward_rule *f, char *listen, char *to)
{
	const char *suffix = f->kind == FORWARD_UDP ? "/udp" : "";
	char host[ADDR_TEXT_SIZE + 2], address[ADDR_TEXT_SIZE + 3] = "", range[8] = "";
	addr_t addr;

	if (f->last != f->first)
		snprintf(range, sizeof(range), "-%u", f->last);
	if (!f->listen_default)
		snprintf(address, sizeof(address), "%s:", format_host(f->listen, host));
	if (f->kind == FORWARD_UNIX)
		snprintf(listen, FORWARD_TEXT_SIZE, "%s", f->path);
	else
		snprintf(listen, FORWARD_TEXT_SIZE, "%s%u%s%s", address, f->first, range, suffix);
	snprintf(to, FORWARD_TEXT_SIZE, "%s:%u", addr_parse(f->guest, &addr) ? format_host(addr, host) : f->guest, f->to);
}

/* Can a socket on @a be in the way of one on @b? */
static bool listens_meet(addr_t a, addr_t b)
{
	if (addr_is_any(a) || addr_is_any(b))
		return true;
	if (addr_is4(a) != addr_is4(b))
		return false;
	return addr_is_unspecified(a) || addr_is_unspecified(b) || addr_equal(a, b);
}

bool forward_overlaps(const struct forward_rule *a, const struct forward_rule *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == FORWARD_UNIX)
		return !strcmp(a->path, b->path);
	if (a->last < b->first || b->last < a->first)
		return false;
	return listens_meet(a->listen, b->listen) || (a->listen_default && listens_meet(LOOPBACK6, b->listen)) ||
	       (b->listen_default && listens_meet(LOOPBACK6, a->listen));
}
