// SPDX-License-Identifier: MIT
/* The stream port against the other end of a socket pair: how it cuts, what it queues, refuses and counts. */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/be.h"
#include "base/fd.h"
#include "port/queue.h"
#include "port/stream.h"

struct fixture {
	struct recorder *r;
	struct port *port;
	int guest;                /* the other end, non-blocking */
	int ours;                 /* the port's end: the port's */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2];

	assert_non_null(f);
	f->r = recorder_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(stream_port_new(&f->port, f->r->loop, &f->r->sink, fds[0]), 0);
	f->guest = fds[1];
	f->ours = fds[0];
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	f->port = port_free(f->port);
	fd_close(f->guest);
	recorder_free(f->r);
	free(f);
	return 0;
}

/* Append a frame as it goes on the wire. Return: the new end. */
static size_t wire_put(uint8_t *wire, size_t at, uint32_t size, uint64_t seed)
{
	be32_t prefix = be32(size);
	struct iovec iov;

	memcpy(wire + at, &prefix, sizeof(prefix));
	frame_make(&iov, wire + at + sizeof(prefix), size, seed);
	return at + sizeof(prefix) + size;
}

static void guest_write(struct fixture *f, const void *data, size_t size)
{
	assert_int_equal(write(f->guest, data, size), size);
}

static void assert_recorded(const struct fixture *f, size_t i, uint32_t size, uint64_t seed)
{
	static uint8_t expected[FRAME_MAX];
	struct iovec iov;

	assert_true(i < f->r->count);
	frame_make(&iov, expected, size, seed);
	assert_int_equal(f->r->frames[i].size, size);
	assert_memory_equal(f->r->frames[i].data, expected, size);
	assert_ptr_equal(f->r->frames[i].from, f->port);
}

/* Read all that is there at the guest's end. */
static size_t guest_read(struct fixture *f, uint8_t *into, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size && (n = read(f->guest, into + have, size - have)) > 0)
		have += (size_t)n;
	return have;
}

static void frames_come_in_batches(void **state)
{
	struct fixture *f = *state;
	static uint8_t wire[200 * 1600];
	size_t end = 0;

	for (uint32_t i = 0; i < 100; i++)
		end = wire_put(wire, end, 14 + i * 15, i);
	guest_write(f, wire, end);
	recorder_turn(f->r, 1);
	assert_int_equal(f->r->count, 100);
	assert_int_equal(f->r->calls, 2);
	for (uint32_t i = 0; i < 100; i++)
		assert_recorded(f, i, 14 + i * 15, i);
	assert_int_equal(f->port->from_guest.frames, 100);
	assert_int_equal(f->port->from_guest.bytes, end - 100 * FRAME_PREFIX);
}

/* Every way to cut two frames' wire bytes in three writes, length prefixes included. */
static void any_split_gives_the_same_frames(void **state)
{
	struct fixture *f = *state;
	uint8_t wire[128];
	size_t end = wire_put(wire, wire_put(wire, 0, 20, 1), 14, 2);

	for (size_t a = 0; a <= end; a++)
		for (size_t b = a; b <= end; b++) {
			const size_t cuts[] = { 0, a, b, end };

			for (int i = 0; i < 3; i++) {
				if (cuts[i + 1] > cuts[i])
					guest_write(f, wire + cuts[i], cuts[i + 1] - cuts[i]);
				loop_turn(f->r->loop, 0);
			}
			assert_int_equal(f->r->count, 2);
			assert_recorded(f, 0, 20, 1);
			assert_recorded(f, 1, 14, 2);
			recorder_forget(f->r);
		}
}

static void longest_frame_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	static uint8_t wire[FRAME_MAX + 4];
	size_t end = wire_put(wire, 0, FRAME_MAX, 9), at = 0;

	while (at < 100)
		guest_write(f, wire + at++, 1), loop_turn(f->r->loop, 0);
	for (; at < end - 1; at += MIN(end - 1 - at, (size_t)777))
		guest_write(f, wire + at, MIN(end - 1 - at, (size_t)777)), loop_turn(f->r->loop, 0);
	assert_int_equal(f->r->count, 0);
	guest_write(f, wire + at, 1);
	recorder_turn(f->r, 1);
	assert_int_equal(f->r->count, 1);
	assert_recorded(f, 0, FRAME_MAX, 9);
}

static void short_and_oversize_are_counted_and_skipped(void **state)
{
	struct fixture *f = *state;
	static uint8_t wire[2 * 128 * 1024];
	static const uint32_t bad[] = { 0, 1, 13, FRAME_MAX + 1, 128 * 1024 };
	size_t end = 0, sent = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		end = wire_put(wire, end, bad[i], 100 + i);
		end = wire_put(wire, end, 64, i);
	}
	while (sent < end) {
		size_t now = MIN(end - sent, (size_t)50000);

		guest_write(f, wire + sent, now);
		sent += now;
		recorder_turn(f->r, 1);
	}
	assert_int_equal(f->r->count, ARRAY_SIZE(bad));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_recorded(f, i, 64, i);
	assert_int_equal(f->port->drops[DROP_SHORT], 3);
	assert_int_equal(f->port->drops[DROP_OVERSIZE], 2);
	assert_int_equal(f->r->closed, 0);
}

static void out_of_step_closes(void **state)
{
	struct fixture *f = *state;
	uint8_t wire[256];
	size_t end = wire_put(wire, 0, 60, 1);
	be32_t nonsense = be32(128 * 1024 + 1);

	memcpy(wire + end, &nonsense, sizeof(nonsense));
	end = wire_put(wire, end + sizeof(nonsense), 60, 2);
	guest_write(f, wire, end);
	recorder_turn(f->r, 3);
	assert_int_equal(f->r->count, 1);
	assert_recorded(f, 0, 60, 1);
	assert_int_equal(f->r->closed, 1);
	assert_non_null(strstr(f->r->why, "out of step"));
	assert_true(f->port->down);
}

static void closing_is_told_once(void **state)
{
	struct fixture *f = *state;
	uint8_t data[60], wire[64];
	struct iovec iov;
	struct frame frame = frame_make(&iov, data, sizeof(data), 1);

	/* What came before the end is still taken; half a frame is not. */
	guest_write(f, wire, wire_put(wire, 0, 60, 5));
	guest_write(f, "\0\0\0", 3);
	f->guest = fd_close(f->guest);
	recorder_turn(f->r, 4);
	assert_int_equal(f->r->count, 1);
	assert_int_equal(f->r->closed, 1);
	assert_non_null(strstr(f->r->why, "closed"));
	assert_int_equal(port_send(f->port, &frame, 1), 0);
	assert_int_equal(f->port->drops[DROP_PORT_DOWN], 1);
	assert_int_equal(port_room(f->port, 1), 0);
	assert_int_equal(f->r->closed, 1);
}

static void sending_to_a_dead_guest_closes(void **state)
{
	struct fixture *f = *state;
	uint8_t data[60];
	struct iovec iov;
	struct frame frame = frame_make(&iov, data, sizeof(data), 1);

	f->guest = fd_close(f->guest);
	assert_int_equal(port_send(f->port, &frame, 1), 0);
	assert_int_equal(f->r->closed, 1);
	assert_int_equal(f->port->drops[DROP_PORT_DOWN], 1);
	recorder_turn(f->r, 2);
	assert_int_equal(f->r->closed, 1);
}

static void sends_parts_and_pads(void **state)
{
	struct fixture *f = *state;
	uint8_t data[200], got[1024];
	struct iovec whole, parts[] = { { data, 1 }, { data + 1, 0 }, { data + 1, 30 }, { data + 31, 169 } }, small = { data, 14 };
	const struct frame frames[] = { { .iov = parts, .parts = 4, .size = 200 }, { .iov = &small, .parts = 1, .size = 14 } };

	frame_make(&whole, data, sizeof(data), 3);
	assert_int_equal(port_send(f->port, frames, 2), 2);
	assert_int_equal(guest_read(f, got, sizeof(got)), 4 + 200 + 4 + 60);
	assert_memory_equal(got, "\0\0\0\xc8", 4);
	assert_memory_equal(got + 4, data, 200);
	assert_memory_equal(got + 204, "\0\0\0\x3c", 4);
	assert_memory_equal(got + 208, data, 14);
	for (int i = 14; i < 60; i++)
		assert_int_equal(got[208 + i], 0);
	assert_int_equal(f->port->to_guest.frames, 2);
	assert_int_equal(f->port->to_guest.bytes, 214);
}

/* More parts than one sendmsg takes: still one frame at the other end. */
static void a_frame_in_very_many_parts(void **state)
{
	struct fixture *f = *state;
	static uint8_t data[3000], got[4096];
	static struct iovec parts[3000];
	struct iovec whole;
	const struct frame frames[] = { { .iov = &whole, .parts = 1, .size = 3000 }, { .iov = parts, .parts = 3000, .size = 3000 } };

	frame_make(&whole, data, sizeof(data), 3);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		parts[i] = (struct iovec){ data + i, 1 };
	assert_int_equal(port_send(f->port, frames, 2), 2);
	recorder_turn(f->r, 2);
	assert_int_equal(guest_read(f, got, 3004), 3004);
	assert_memory_equal(got + 4, data, 3000);
	assert_int_equal(guest_read(f, got, sizeof(got)), 3004);
	assert_memory_equal(got + 4, data, 3000);
	assert_int_equal(port_room(f->port, 1), QUEUE_MAX);
}

/*
 * With a tiny socket buffer, most frames are cut by it. Whatever was taken must arrive whole, once and in order; what was
 * refused must not leave a trace; and the counters must say so.
 */
static void what_was_taken_arrives_whole(void **state)
{
	struct fixture *f = *state;
	static uint8_t data[PORT_BATCH][2000], got[1 << 20], expected[2000];
	struct iovec iov[PORT_BATCH];
	struct frame frames[PORT_BATCH];
	static uint64_t seeds[20000];
	size_t have = 0, sent = 0, seen = 0, refused = 0;
	struct rng rng = { 77 };
	int small = 1;
	usec_t end = usec_now() + 20 * USEC_S;

	assert_int_equal(setsockopt(f->ours, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	for (uint64_t round = 0; seen < 5000 && usec_now() < end; round++) {
		size_t count = 1 + rng_below(&rng, PORT_BATCH), taken, at = 0;

		for (size_t i = 0; i < count; i++)
			frames[i] = frame_make(&iov[i], data[i], 60 + (uint32_t)rng_below(&rng, 1900), round * PORT_BATCH + i);
		taken = port_send(f->port, frames, count);
		refused += count - taken;
		for (size_t i = 0; i < taken; i++)
			seeds[sent++] = round * PORT_BATCH + i;
		assert_true(sent < ARRAY_SIZE(seeds));
		have += guest_read(f, got + have, rng_below(&rng, 150000));
		loop_turn(f->r->loop, 0);
		while (have - at >= 4 && have - at >= 4 + be32_get(*(be32_t *)(got + at))) {
			uint32_t size = be32_get(*(be32_t *)(got + at));
			struct iovec e;

			assert_true(size <= 2000);
			frame_make(&e, expected, size, seeds[seen++]);
			assert_memory_equal(got + at + 4, expected, size);
			at += 4 + size;
		}
		memmove(got, got + at, have - at);
		have -= at;
	}
	assert_true(seen >= 5000);
	assert_true(refused > 100);
	assert_int_equal(f->port->drops[DROP_PORT_FULL], refused);
	assert_int_equal(f->port->to_guest.frames, sent);
}

static void full_queue_drops_then_drains(void **state)
{
	struct fixture *f = *state;
	static uint8_t data[1514], got[4 << 20];
	struct iovec iov;
	struct frame frame = frame_make(&iov, data, sizeof(data), 1);
	size_t sent = 0, have = 0;

	assert_true(port_room(f->port, 1) >= FRAME_MAX);
	while (port_send(f->port, &frame, 1))
		sent++;
	assert_int_equal(f->port->drops[DROP_PORT_FULL], 1);
	assert_int_equal(port_room(f->port, 1514), 0);
	assert_true(f->port->short_of_room);
	recorder_turn(f->r, 2);
	assert_int_equal(f->r->drained, 0);
	for (int i = 0; i < 100 && have < sent * 1518; i++) {
		have += guest_read(f, got, sizeof(got));
		recorder_turn(f->r, 1);
	}
	assert_int_equal(have, sent * 1518);
	assert_int_equal(f->r->drained, 1);
	assert_false(f->port->short_of_room);
	assert_true(port_room(f->port, 1514) >= FRAME_MAX);
	/* Nobody is short of room now: a second filling and draining tells nobody. */
	while (port_send(f->port, &frame, 1))
		;
	while (guest_read(f, got, sizeof(got)))
		recorder_turn(f->r, 1);
	assert_int_equal(f->r->drained, 1);
}

static void fill_again(struct recorder *r, struct port *p)
{
	static uint8_t data[1514];
	struct iovec iov;
	struct frame frame = frame_make(&iov, data, sizeof(data), 1);

	if (r->drained < 5)
		while (port_room(p, FRAME_MAX) >= FRAME_MAX)
			assert_int_equal(port_send(p, &frame, 1), 1);
}

/* A sender that waits for room and then fills it, from within drained(), loses nothing. */
static void who_waits_for_room_loses_nothing(void **state)
{
	struct fixture *f = *state;
	static uint8_t got[4 << 20];
	size_t have = 0;

	f->r->on_drained = fill_again;
	fill_again(f->r, f->port);
	for (int i = 0; i < 200 && f->r->drained < 5; i++) {
		have += guest_read(f, got, sizeof(got));
		recorder_turn(f->r, 1);
	}
	assert_int_equal(f->r->drained, 5);
	have += guest_read(f, got, sizeof(got));
	assert_int_equal(have, f->port->to_guest.frames * 1518);
	assert_int_equal(f->port->drops[DROP_PORT_FULL], 0);
}

/* After traffic and a full queue nothing is left behind: no buffer, and no wake-up. */
static void idle_port_sleeps(void **state)
{
	struct fixture *f = *state;
	usec_t start;

	full_queue_drops_then_drains(state);
	recorder_turn(f->r, 2);
	start = usec_now();
	loop_turn(f->r->loop, 100 * USEC_MS);
	assert_true(usec_now() - start >= 100 * USEC_MS);
}

/* One that writes for ever does not keep the turn from ending: a quarter of a MiB, then it is others' turn. */
static void a_turn_takes_a_budget(void **state)
{
	struct fixture *f = *state;
	static uint8_t wire[2 << 20];
	size_t end = 0;
	ssize_t n;
	int big = 4 << 20;

	setsockopt(f->guest, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	for (uint32_t i = 0; i < 1000; i++)
		end = wire_put(wire, end, 1514, i);
	n = write(f->guest, wire, end);
	assert_true(n > 300 * 1024);
	loop_turn(f->r->loop, 0);
	assert_true(f->r->count > 0 && f->r->count <= 256 * 1024 / 1518 + 1);
	recorder_turn(f->r, 20);
	assert_int_equal(f->r->count, (size_t)n / 1518);
	for (uint32_t i = 0; i < f->r->count; i++)
		assert_recorded(f, i, 1514, i);
}

static void knows_its_peer(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->port->peer_pid, getpid());
	assert_string_equal(f->port->ops->kind, "stream");
	assert_int_equal(f->port->takes, 0);
}

static void rates_rise_and_fall(void **state)
{
	struct fixture *f = *state;
	usec_t now = loop_now(f->r->loop);

	port_rates(f->port, now);
	for (int i = 1; i <= 40; i++) {
		f->port->from_guest.bytes += 250000;
		port_rates(f->port, now += 250 * USEC_MS);
	}
	assert_in_range(f->port->rate_from, 990000, 1000000);
	assert_int_equal(f->port->rate_to, 0);
	f->port->from_guest.bytes += 5000000;
	port_rates(f->port, now + USEC_MS); /* too soon to say */
	assert_in_range(f->port->rate_from, 990000, 1000000);
	port_rates(f->port, now += 3600 * USEC_S);
	assert_true(f->port->rate_from < 3000);
}

static void refuses_what_is_no_socket(void **state)
{
	struct fixture *f = *state;
	struct port *p = NULL;

	assert_int_equal(stream_port_new(&p, f->r->loop, &f->r->sink, -1), -EBADF);
	assert_null(p);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(frames_come_in_batches),
		test(any_split_gives_the_same_frames),
		test(longest_frame_byte_by_byte),
		test(short_and_oversize_are_counted_and_skipped),
		test(out_of_step_closes),
		test(closing_is_told_once),
		test(sending_to_a_dead_guest_closes),
		test(sends_parts_and_pads),
		test(a_frame_in_very_many_parts),
		test(what_was_taken_arrives_whole),
		test(full_queue_drops_then_drains),
		test(who_waits_for_room_loses_nothing),
		test(idle_port_sleeps),
		test(a_turn_takes_a_budget),
		test(knows_its_peer),
		test(rates_rise_and_fall),
		test(refuses_what_is_no_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
