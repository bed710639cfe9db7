// SPDX-License-Identifier: MIT
#include "wire/tcp.h"

#include <string.h>
#include "base/attr.h"
#include "base/writer.h"

enum option { OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, OPTION_WINDOW_SCALE = 3 };

#define WINDOW_SCALE_MAX 14

/* Read @size bytes of options. A list that is damaged ends where the damage is. */
static void parse_options(const uint8_t *p, size_t size, struct tcp_segment *s)
{
	while (size && p[0] != OPTION_END) {
		size_t step = p[0] == OPTION_NOP ? 1 : size >= 2 ? p[1] : 0;

		if (!step || step > size || (step == 1 && p[0] != OPTION_NOP))
			return;
		if (p[0] == OPTION_MSS && step == 4)
			s->mss = be16_get((be16_t){{ p[2], p[3] }});
		else if (p[0] == OPTION_WINDOW_SCALE && step == 3)
			s->window_scale = MIN(p[2], (uint8_t)WINDOW_SCALE_MAX);
		p += step;
		size -= step;
	}
}

struct tcp_segment tcp_parse(struct cursor *c)
{
	uint8_t options[TCP_HEADER_MAX - sizeof(struct tcp_header)];
	struct tcp_segment s;
	struct tcp_header h;
	size_t size;

	cursor_copy(c, &h, sizeof(h));
	size = (size_t)(h.offset >> 4) * 4;
	s = (struct tcp_segment){
		.src = be16_get(h.src), .dst = be16_get(h.dst), .seq = be32_get(h.seq), .ack = be32_get(h.ack),
		.flags = h.flags, .window = be16_get(h.window), .window_scale = TCP_NO_SCALE, .header_size = (uint8_t)size,
	};
	if (size < sizeof(h)) {
		cursor_fail(c);
		return s;
	}
	cursor_copy(c, options, size - sizeof(h));
	if (!cursor_failed(c))
		parse_options(options, size - sizeof(h), &s);
	s.payload_size = (uint32_t)cursor_left(c);
	return s;
}

size_t tcp_emit(uint8_t into[static TCP_HEADER_MAX], const struct tcp_segment *s)
{
	struct writer w = writer_of(into, TCP_HEADER_MAX);
	struct tcp_header h = {
		.src = be16(s->src), .dst = be16(s->dst), .seq = be32(s->seq), .ack = be32(s->ack),
		.flags = s->flags, .window = be16(s->window),
	};

	writer_put(&w, &h, sizeof(h));
	if (s->flags & TCP_SYN && s->mss) {
		writer_u8(&w, OPTION_MSS);
		writer_u8(&w, 4);
		writer_u16(&w, s->mss);
	}
	if (s->flags & TCP_SYN && s->window_scale != TCP_NO_SCALE) {
		writer_u8(&w, OPTION_NOP);
		writer_u8(&w, OPTION_WINDOW_SCALE);
		writer_u8(&w, 3);
		writer_u8(&w, s->window_scale);
	}
	into[offsetof(struct tcp_header, offset)] = (uint8_t)(w.used / 4 << 4);
	return w.used;
}
