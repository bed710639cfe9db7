// SPDX-License-Identifier: MIT
/* Datagrams that came to a socket in one call: which go to the guest as one frame, and that the rest goes as it came. */
#include "udp_run.h"
#include "switch/segment.h"

/* Let the guest begin a flow, so that the host can answer. Return: its port. */
static uint16_t begin(struct world *w, const char *addr, int s)
{
	uint16_t port;

	assert_int_equal(guest_udp(w, 0, 5001, a(addr), 7000, "?", 1, false), DROP_NONE);
	server_expect(s, "?", 1, &port);
	return port;
}

static void send_segments(int s, addr_t to, uint16_t port, size_t at, size_t size, int segment)
{
	assert_int_equal(setsockopt(s, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	server_send(s, to, port, bytes + at, size);
	segment = 0;
	assert_int_equal(setsockopt(s, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
}

/* Frame @index must stand for @size bytes in datagrams of @segment. Cut in software it is those, with right checksums. */
static void expect_frame(struct world *w, size_t index, const uint8_t *payload, size_t size, uint32_t segment, bool v6)
{
	struct fake_port *from = w->port[0], *to = fake_new(77, 0);
	struct iovec iov = { from->frames[index].data, from->frames[index].size };
	struct frame f = { .offload = from->frames[index].offload, .iov = &iov, .parts = 1, .size = from->frames[index].size };
	size_t headers = 14 + (v6 ? 40 : 20) + 8;

	assert_int_equal(f.size, headers + size);
	assert_int_equal(f.offload.gso, segment ? GSO_UDP : GSO_NONE);
	assert_int_equal(f.offload.segment_size, segment);
	assert_true(f.offload.checksum_open);
	segment_send(&from->port, &to->port, &f);
	assert_int_equal(to->count, segment ? (size + segment - 1) / segment : 1);
	w->port[0] = to;
	for (size_t at = 0, next = 0; at < size; at += segment) {
		size_t piece = segment ? MIN(segment, size - at) : size;

		expect_udp(w, 0, &next, a(v6 ? OWN6 : OWN4), 7000, 5001, payload + at, piece);
		if (!segment)
			break;
	}
	w->port[0] = from;
	fake_free(&to->port);
}

/* What the kernel put together, and equal ones that wait, is one frame. */
static void test_to_guest(void **state)
{
	struct world *w = *state;

	w->port[0]->port.takes = PORT_TAKES_ALL;
	for (int v6 = 0; v6 < 2; v6++) {
		const char *addr = v6 ? OWN6 : OWN4;
		int s = server(addr, 7000);
		uint16_t port = begin(w, addr, s);

		guest_forget(w);
		send_segments(s, a(addr), port, 0, 1050, 100);
		world_pump(w, 0, 1);
		assert_int_equal(w->port[0]->count, 1);
		expect_frame(w, 0, bytes, 1050, 100, v6);
		guest_forget(w);
		for (int i = 0; i < 5; i++)
			server_send(s, a(addr), port, bytes + 100 * i, 100);
		server_send(s, a(addr), port, bytes + 500, 50); /* the first one's last */
		server_send(s, a(addr), port, bytes + 550, 0);
		server_send(s, a(addr), port, bytes + 550, 60);
		send_segments(s, a(addr), port, 610, 130, 60);
		send_segments(s, a(addr), port, 0, 120, 60);
		send_segments(s, a(addr), port, 0, 100, 50);
		server_send(s, a(addr), port, bytes, 51);
		world_pump(w, 0, 6);
		expect_frame(w, 0, bytes, 550, 100, v6);
		expect_frame(w, 1, bytes, 0, 0, v6);
		expect_frame(w, 2, bytes + 550, 190, 60, v6);
		expect_frame(w, 3, bytes, 120, 60, v6);
		expect_frame(w, 4, bytes, 100, 50, v6);
		expect_frame(w, 5, bytes, 51, 0, v6);
		assert_int_equal(w->port[0]->count, 6);
		close(s);
	}
}

/* A port without the offload gets each by itself; so does everybody what does not fit the LAN's MTU, in fragments. */
static void test_to_guest_cut(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 4; i++) {
		const char *addr = i % 2 ? OWN6 : OWN4;
		uint32_t segment = i < 2 ? 100 : 2000, size = i < 2 ? 6450 : 11000;
		int s = server(addr, 7000);
		uint16_t port = begin(w, addr, s);
		size_t at = 0;

		w->port[0]->port.takes = i < 2 ? 0 : 15;
		guest_forget(w);
		send_segments(s, a(addr), port, 0, size, segment);
		if (i < 2) {
			world_pump(w, 0, 65);
		} else {
			/* Fragments have their checksums done; the frames in between none. */
			world_pump(w, 0, 12);
		}
		for (size_t done = 0; done < size; done += segment) {
			if (i >= 2 && size - done < 1400) {
				expect_frame(w, at++, bytes + done, size - done, 0, i % 2);
				break;
			}
			expect_udp(w, 0, &at, a(addr), 7000, 5001, bytes + done, MIN(segment, size - done));
		}
		assert_int_equal(at, w->port[0]->count);
		close(s);
	}
}

/* A frame has at most 64 datagrams, which is what older guests take. */
static void test_to_guest_many(void **state)
{
	struct world *w = *state;
	int s = server(OWN4, 7000);
	uint16_t port = begin(w, OWN4, s);

	w->port[0]->port.takes = PORT_TAKES_ALL;
	guest_forget(w);
	send_segments(s, a(OWN4), port, 0, 500, 10);
	send_segments(s, a(OWN4), port, 500, 500, 10);
	world_pump(w, 0, 2);
	assert_int_equal(w->port[0]->count, 2);
	expect_frame(w, 0, bytes, 640, 10, false);
	expect_frame(w, 1, bytes + 640, 360, 10, false);
	guest_forget(w);
	/* And 64 KiB. */
	for (int i = 0; i < 3; i++)
		send_segments(s, a(OWN4), port, 0, 30000, 1000);
	world_pump(w, 0, 2);
	assert_int_equal(w->port[0]->count, 2);
	assert_int_equal(w->port[0]->frames[0].size, 14 + 20 + 8 + 60000);
	assert_int_equal(w->port[0]->frames[1].size, 14 + 20 + 8 + 30000);
	close(s);
}

/* Another sender's in between is left out, and ends nothing else. */
static void test_stranger(void **state)
{
	struct world *w = *state;
	int s = server(OWN4, 7000);
	uint16_t port = begin(w, OWN4, s);
	struct flow *f = flow_next(w->flows, NULL);

	w->port[0]->port.takes = PORT_TAKES_ALL;
	guest_forget(w);
	f->udp.remote_port = 7999;
	send_segments(s, a(OWN4), port, 0, 100, 10);
	world_pump(w, 0, 1);
	assert_int_equal(w->port[0]->count, 0);
	f->udp.remote_port = 7000;
	send_segments(s, a(OWN4), port, 0, 100, 10);
	world_pump(w, 0, 1);
	expect_frame(w, 0, bytes, 100, 10, false);
	close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_to_guest), TEST(test_to_guest_cut), TEST(test_to_guest_many), TEST(test_stranger),
	};

	return RUN(tests);
}
