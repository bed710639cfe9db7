// SPDX-License-Identifier: MIT
/* A UDP datagram. */
#include "fuzz.h"

#include "wire/udp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(input_fini) struct input in = input_of(data, size);
	struct cursor c = input_cursor(&in);
	struct udp_header u = udp_parse(&c);

	MUST(cursor_failed(&c) == (be16_get(u.size) < sizeof(u) || be16_get(u.size) > in.size));
	MUST(cursor_failed(&c) || cursor_left(&c) == be16_get(u.size) - sizeof(u));
	read_all(c);
	return 0;
}
