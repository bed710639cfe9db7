// SPDX-License-Identifier: MIT
/* Forwards: a host address and port (or unix socket) handed to a guest. Here only the noun and its text; gateway/forward.h carries them. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "lan/plan.h"

enum forward_kind { FORWARD_TCP, FORWARD_UDP, FORWARD_UNIX };

struct forward_rule {
	enum forward_kind kind;
	addr_t listen;               /* any: all addresses of the host, both versions; the default is 127.0.0.1 (and ::1) */
	bool listen_default;         /* no address was written: 127.0.0.1 and ::1 */
	uint16_t first, last;        /* host ports */
	char path[108];              /* FORWARD_UNIX */
	char guest[64];              /* name or address as text: looked up when a connection comes */
	uint16_t to;                 /* guest port of @first; a range goes on from there */
};

#define FORWARD_TEXT_SIZE 256

/**
 * forward_parse() - from the words of the command line and of [Forward]
 * @listen: "8080", "127.0.0.1:8080", "[::1]:8080-8090", "8080/udp", "0.0.0.0:53/udp", "/run/x.sock"
 * @to:     "web:80", "10.0.2.15:80", "[fd00::15]:80"; for a range the first port
 * @error:  filled in with what was wrong
 * Return: 0 or -EINVAL.
 */
int forward_parse(struct forward_rule *out, const char *listen, const char *to, char *error, size_t error_size);
/** forward_format() - listen and to as text that forward_parse() reads back; each buffer FORWARD_TEXT_SIZE bytes */
void forward_format(const struct forward_rule *f, char *listen, char *to);
/** forward_overlaps() - do two rules want the same host port or path? */
bool forward_overlaps(const struct forward_rule *a, const struct forward_rule *b);
