// SPDX-License-Identifier: MIT
#include "cli/guest_ref.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Where the guest's text ends and the port's begins. Return: the port's text, or NULL if there is none. */
static const char *find_port(const char *text, size_t *length)
{
	const char *colon = strrchr(text, ':'), *close = text[0] == '[' ? strchr(text, ']') : NULL;
	struct mac mac;
	addr_t addr;

	*length = strlen(text);
	if (close) {
		*length = (size_t)(close - text) + 1;
		return close[1] == ':' ? close + 2 : close[1] ? close : NULL; /* "]80" is no port */
	}
	if (!colon || mac_parse(text, &mac) || addr_parse(text, &addr))
		return NULL;
	*length = (size_t)(colon - text);
	return colon + 1;
}

/* Digits only, 1 to 65535. Return: 0 if it is none. */
static uint16_t parse_port(const char *text)
{
	unsigned int port = 0;

	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9' || port > 65535)
			return 0;
		port = port * 10 + (unsigned int)(*c - '0');
	}
	return port <= 65535 ? (uint16_t)port : 0;
}

/* Is the text before @dot of the form that has no port but may have dots? */
static bool is_address(const char *text)
{
	addr_t addr;

	return addr_parse(text, &addr);
}

void guest_ref_strip_domain(struct guest_ref *ref, const char *domain)
{
	size_t size = strlen(ref->guest), tail = strlen(domain);

	if (size && ref->guest[size - 1] == '.')
		ref->guest[--size] = 0;
	if (!tail || size < tail + 2 || is_address(ref->guest))
		return;
	if (ref->guest[size - tail - 1] == '.' && !strcasecmp(ref->guest + size - tail, domain))
		ref->guest[size - tail - 1] = 0;
}

/* NAME.hospes, NAME.LAN.hospes: the LAN moves to its own field. */
static void take_lan(struct guest_ref *ref)
{
	size_t before = strlen(ref->guest);
	char *dot;

	guest_ref_strip_domain(ref, GUEST_DOMAIN);
	dot = strlen(ref->guest) < before ? strchr(ref->guest, '.') : NULL;
	if (dot && lan_name_valid(dot + 1)) {
		*dot = 0;
		snprintf(ref->lan, sizeof(ref->lan), "%s", dot + 1);
	}
}

int guest_ref_parse(struct guest_ref *out, const char *text, char *error, size_t size)
{
	size_t length;
	const char *port = find_port(text, &length);

	*out = (struct guest_ref){ 0 };
	if (port) {
		out->port = parse_port(port);
		if (!out->port) {
			snprintf(error, size, "\"%s\" is no port: 1 to 65535 is expected behind GUEST:", port);
			return -EINVAL;
		}
	}
	if (text[0] == '[' && text[length - 1] == ']' && length >= 2)
		text++, length -= 2;
	if (!length || length >= sizeof(out->guest)) {
		snprintf(error, size, "\"%s\" names no guest: a name, a MAC or an address is expected", text);
		return -EINVAL;
	}
	memcpy(out->guest, text, length);
	out->guest[length] = 0;
	take_lan(out);
	return 0;
}
