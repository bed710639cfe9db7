// SPDX-License-Identifier: MIT
/*
 * A stream port that is written to by somebody hostile, in pieces of any size: what comes out is what a plain reading of all the
 * bytes at once says, however they were cut.
 */
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>
#include "base/hash.h"
#include "port/stream.h"
#include "wire/eth.h"

#define OUT_OF_STEP (128 * 1024)

struct tally {
	uint64_t frames, bytes, hash, shorts, oversize;
	bool closed;
};

static const struct hash_key key = { { 1, 2 } };

static void tally_add(struct tally *t, const void *data, size_t size)
{
	t->frames++;
	t->bytes += size;
	t->hash = t->hash * 31 + hash_bytes(&key, data, size);
}

static void heard_input(void *owner, _unused_ struct port *from, const struct frame *frames, size_t count)
{
	MUST(count && count <= PORT_BATCH);
	for (size_t i = 0; i < count; i++) {
		MUST(frames[i].parts == 1 && frames[i].iov->iov_len == frames[i].size);
		tally_add(owner, frames[i].iov->iov_base, frames[i].size);
	}
}

static void heard_close(void *owner, _unused_ struct port *p, _unused_ const char *why)
{
	struct tally *t = owner;

	MUST(!t->closed);
	t->closed = true;
}

/* What the port should make of it, if it saw all at once. */
static struct tally plain_reading(const uint8_t *data, size_t size)
{
	struct tally t = { 0 };

	while (size >= 4) {
		uint32_t length = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
		size_t here = MIN((size_t)length, size - 4);

		if (length > OUT_OF_STEP) {
			t.closed = true;
			break;
		}
		if (length < sizeof(struct eth))
			t.shorts++;
		else if (length > FRAME_MAX)
			t.oversize++;
		else if (here == length)
			tally_add(&t, data + 4, length);
		else
			break;
		data += 4 + here, size -= 4 + here;
	}
	return t;
}

/* Write pieces whose sizes come from the input, too, and turn the loop after each. */
static void write_pieces(struct loop *l, int fd, const uint8_t *data, size_t size, uint8_t pattern)
{
	for (size_t at = 0, piece; at < size; at += piece) {
		piece = MIN(size - at, (size_t)(pattern < 128 ? pattern + 1 : (pattern - 127) * 37));
		pattern = pattern & 1 ? pattern : (uint8_t)(pattern * 5 + data[at]);
		if (write(fd, data + at, piece) != (ssize_t)piece)
			return; /* the port has closed */
		MUST(loop_turn(l, 0) == 0);
	}
	MUST(loop_turn(l, 0) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tally heard = { 0 }, plain;
	const struct port_sink sink = { .input = heard_input, .closed = heard_close, .owner = &heard };
	struct loop *l;
	struct port *p;
	int fds[2];

	if (!size || size > 65536)
		return 0;
	MUST(loop_new(&l) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	MUST(stream_port_new(&p, l, &sink, fds[0]) == 0);
	write_pieces(l, fds[1], data + 1, size - 1, data[0]);
	plain = plain_reading(data + 1, size - 1);
	MUST(heard.frames == plain.frames && heard.bytes == plain.bytes && heard.hash == plain.hash && heard.closed == plain.closed);
	MUST(p->drops[DROP_SHORT] == plain.shorts && p->drops[DROP_OVERSIZE] == plain.oversize);
	MUST(p->from_guest.frames == plain.frames && p->from_guest.bytes == plain.bytes);
	port_free(p);
	close(fds[1]);
	loop_free(l);
	return 0;
}
