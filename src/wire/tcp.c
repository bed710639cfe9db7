// SPDX-License-Identifier: MIT
#include "wire/tcp.h"

#include <string.h>
#include "base/attr.h"
#include "base/writer.h"

enum option { OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, OPTION_WINDOW_SCALE = 3, OPTION_SACK_PERMITTED = 4, OPTION_SACK = 5 };

#define WINDOW_SCALE_MAX 14

static uint32_t get32(const uint8_t *p) { return be32_get((be32_t){{ p[0], p[1], p[2], p[3] }}); }

static void parse_sack(const uint8_t *p, size_t size, struct tcp_segment *s)
{
	for (s->sack_count = 0; size >= 8 && s->sack_count < TCP_SACK_MAX; p += 8, size -= 8)
		s->sack[s->sack_count++] = (struct tcp_sack){ get32(p), get32(p + 4) };
}

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
		else if (p[0] == OPTION_SACK_PERMITTED && step == 2)
			s->sack_permitted = true;
		else if (p[0] == OPTION_SACK && step % 8 == 2)
			parse_sack(p + 2, step - 2, s);
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

static void put_syn_options(struct writer *w, const struct tcp_segment *s)
{
	if (s->mss) {
		writer_u8(w, OPTION_MSS);
		writer_u8(w, 4);
		writer_u16(w, s->mss);
	}
	if (s->window_scale != TCP_NO_SCALE) {
		writer_u8(w, OPTION_NOP);
		writer_u8(w, OPTION_WINDOW_SCALE);
		writer_u8(w, 3);
		writer_u8(w, s->window_scale);
	}
	if (s->sack_permitted) {
		writer_fill(w, OPTION_NOP, 2);
		writer_u8(w, OPTION_SACK_PERMITTED);
		writer_u8(w, 2);
	}
}

static void put_sack(struct writer *w, const struct tcp_segment *s)
{
	if (!s->sack_count)
		return;
	writer_fill(w, OPTION_NOP, 2);
	writer_u8(w, OPTION_SACK);
	writer_u8(w, (uint8_t)(2 + 8 * s->sack_count));
	for (unsigned int i = 0; i < s->sack_count; i++) {
		writer_u32(w, s->sack[i].from);
		writer_u32(w, s->sack[i].to);
	}
}

size_t tcp_emit(uint8_t into[static TCP_HEADER_MAX], const struct tcp_segment *s)
{
	struct writer w = writer_of(into, TCP_HEADER_MAX);
	struct tcp_header h = {
		.src = be16(s->src), .dst = be16(s->dst), .seq = be32(s->seq), .ack = be32(s->ack),
		.flags = s->flags, .window = be16(s->window),
	};

	writer_put(&w, &h, sizeof(h));
	if (s->flags & TCP_SYN)
		put_syn_options(&w, s);
	else
		put_sack(&w, s);
	into[offsetof(struct tcp_header, offset)] = (uint8_t)(w.used / 4 << 4);
	return w.used;
}
