// SPDX-License-Identifier: MIT
/*
 * The segmenter: the first bytes are the offload header and what the port takes, the rest is the frame. Whatever they say, pieces are whole
 * frames, no larger than the frame was and its headers allow, and what is not sent is counted.
 */
#include "fuzz.h"
#include "switch/segment.h"

struct sink { struct port port; size_t frames; uint32_t largest; };

static size_t sink_send(struct port *p, const struct frame *frames, size_t count)
{
	struct sink *s = container_of(p, struct sink, port);

	MUST(count && count <= PORT_BATCH);
	for (size_t i = 0; i < count; i++) {
		struct cursor c = frame_cursor(&frames[i]);

		MUST(cursor_left(&c) == frames[i].size && !frames[i].offload.gso && !frames[i].offload.checksum_open);
		read_all(c);
		s->largest = MAX(s->largest, frames[i].size);
	}
	s->frames += count;
	return count;
}

static const struct port_ops sink_ops = { .kind = "sink", .send = sink_send };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sink to = { .port = { .ops = &sink_ops } }, from = { .port = { .ops = &sink_ops } };
	struct frame f = { .parts = 2 };
	struct { uint8_t gso, flags, takes; uint8_t segment[2], start[2], offset[2]; } head;
	struct input in;

	if (size < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	in = input_of(data + sizeof(head), size - sizeof(head));
	f.iov = in.iov;
	f.size = in.size;
	f.offload.gso = head.flags & 2 ? head.gso : head.gso % 4;
	f.offload.checksum_open = head.flags & 1;
	f.offload.segment_size = head.segment[0] << 8 | head.segment[1];
	f.offload.checksum_start = head.flags & 4 ? head.start[0] << 8 | head.start[1] : head.start[1];
	f.offload.checksum_offset = head.flags & 4 ? head.offset[0] << 8 | head.offset[1] : head.offset[1];
	to.port.takes = head.takes;
	to.port.mtu = head.flags & 8 ? 1500 : 0;
	if (segment_needed(&to.port, &f)) {
		segment_send(&from.port, &to.port, &f);
		MUST(to.frames || from.port.drops[DROP_MALFORMED] || to.port.drops[DROP_OVERSIZE]);
		MUST(to.largest <= f.size);
	}
	input_fini(&in);
	return 0;
}
