// SPDX-License-Identifier: MIT
/* A TCP segment: what is read of it, written again and read again is the same. */
#include "fuzz.h"

#include "wire/tcp.h"

static void check_again(const struct tcp_segment *s)
{
	uint8_t bytes[TCP_HEADER_MAX];
	size_t size = tcp_emit(bytes, s);
	struct iovec iov;
	struct cursor c = cursor_of(&iov, bytes, size);
	struct tcp_segment again = tcp_parse(&c);
	bool syn = s->flags & TCP_SYN;

	MUST(!cursor_failed(&c) && size <= sizeof(bytes) && size % 4 == 0 && again.header_size == size);
	MUST(again.seq == s->seq && again.ack == s->ack && again.flags == s->flags && again.window == s->window);
	MUST(again.mss == (syn ? s->mss : 0));
	MUST(again.window_scale == (syn ? s->window_scale : TCP_NO_SCALE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(input_fini) struct input in = input_of(data, size);
	struct cursor c = input_cursor(&in);
	struct tcp_segment s = tcp_parse(&c);

	if (!cursor_failed(&c)) {
		MUST(s.header_size >= 20 && s.header_size + s.payload_size == in.size);
		MUST(s.window_scale <= 14 || s.window_scale == TCP_NO_SCALE);
		check_again(&s);
	}
	read_all(c);
	return 0;
}
