// SPDX-License-Identifier: MIT
#include "wire/udp.h"

struct udp_header udp_parse(struct cursor *c)
{
	struct udp_header u;

	cursor_copy(c, &u, sizeof(u));
	if (be16_get(u.size) < sizeof(u))
		cursor_fail(c);
	else
		cursor_limit(c, be16_get(u.size) - sizeof(u));
	return u;
}
