// SPDX-License-Identifier: MIT
/* A vhost-user channel: messages in pieces, with descriptors right and wrong. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "base/fd.h"
#include "port/vhost/message.h"

struct fixture {
	struct vhost_channel *channel;
	int front;
	int event;
	struct vhost_message m;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2];

	assert_non_null(f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(vhost_channel_new(&f->channel, fds[0]), 0);
	f->front = fds[1];
	f->event = eventfd(0, EFD_CLOEXEC);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vhost_channel_free(f->channel);
	fd_close(f->front);
	fd_close(f->event);
	free(f);
	return 0;
}

/* @count times the same descriptor goes with the bytes. */
static void put(struct fixture *f, const void *data, size_t size, size_t count)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(32 * sizeof(int))]; } control = { .header = {
		.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (void *)data, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &f->event, sizeof(int));
	if (count) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	assert_int_equal(sendmsg(f->front, &m, MSG_NOSIGNAL), size);
}

struct wire { struct vhost_header head; uint8_t bytes[512]; };

static struct wire wire_of(uint32_t request, uint32_t size)
{
	struct wire w = { .head = { request, VHOST_FLAG_VERSION, size } };

	for (size_t i = 0; i < sizeof(w.bytes); i++)
		w.bytes[i] = (uint8_t)(i + request);
	return w;
}

static int receive(struct fixture *f)
{
	return vhost_channel_receive(f->channel, &f->m);
}

static void every_cut_of_a_message(void **state)
{
	struct fixture *f = *state;
	struct wire w = wire_of(VHOST_SET_VRING_ADDR, 40);
	size_t size = sizeof(w.head) + 40;

	for (size_t cut = 1; cut < size; cut++) {
		assert_int_equal(receive(f), 0);
		put(f, &w, cut, 2);
		assert_int_equal(receive(f), 0);
		put(f, (uint8_t *)&w + cut, size - cut, 0);
		assert_int_equal(receive(f), 1);
		assert_int_equal(f->m.head.request, VHOST_SET_VRING_ADDR);
		assert_memory_equal(f->m.payload.bytes, w.bytes, 40);
		for (size_t i = 40; i < VHOST_PAYLOAD_MAX; i++)
			assert_int_equal(f->m.payload.bytes[i], 0);
		assert_int_equal(f->m.fd_count, 2);
		assert_true(f->m.fds[1] >= 0 && f->m.fds[2] == -1);
		assert_true(fcntl(f->m.fds[1], F_GETFD) & FD_CLOEXEC);
		vhost_message_fini(&f->m);
		assert_int_equal(f->m.fds[0], -1);
	}
}

static void several_at_once(void **state)
{
	struct fixture *f = *state;
	struct wire w = wire_of(VHOST_GET_FEATURES, 0);

	put(f, &w, sizeof(w.head), 0);
	put(f, &w, sizeof(w.head), 1);
	put(f, &w, sizeof(w.head), 8);
	for (size_t count = 0; count <= 8; count += count ? 7 : 1) {
		assert_int_equal(receive(f), 1);
		assert_int_equal(f->m.fd_count, count);
		vhost_message_fini(&f->m);
	}
	assert_int_equal(receive(f), 0);
}

static void descriptors_in_pieces_of_the_header(void **state)
{
	struct fixture *f = *state;
	struct wire w = wire_of(VHOST_SET_MEM_TABLE, 8);

	put(f, &w, 5, 3);
	put(f, (uint8_t *)&w + 5, 15, 5);
	assert_int_equal(receive(f), 1);
	assert_int_equal(f->m.fd_count, 8);
	vhost_message_fini(&f->m);
	put(f, &w, 5, 4);
	put(f, (uint8_t *)&w + 5, 15, 5);
	assert_int_equal(receive(f), -EPROTO);
}

static void descriptors_behind_the_header(void **state)
{
	struct fixture *f = *state;
	struct wire w = wire_of(VHOST_SET_MEM_TABLE, 8);

	put(f, &w, sizeof(w.head) + 3, 0);
	put(f, w.bytes + 3, 5, 1);
	assert_int_equal(receive(f), -EPROTO);
}

static void too_many_descriptors(void **state)
{
	struct fixture *f = *state;
	struct wire w = wire_of(VHOST_SET_MEM_TABLE, 0);

	put(f, &w, sizeof(w.head), 9);
	assert_int_equal(receive(f), -EPROTO);
}

static void no_room_for_descriptors(void **state)
{
	struct fixture *f = *state;
	struct wire w = wire_of(VHOST_SET_MEM_TABLE, 0);
	struct rlimit before, none = { 0 };

	put(f, &w, sizeof(w.head), 2);
	getrlimit(RLIMIT_NOFILE, &before);
	none.rlim_max = before.rlim_max;
	none.rlim_cur = (rlim_t)f->event + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(receive(f), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void wrong_headers(void **state)
{
	static const struct vhost_header wrong[] = {
		{ VHOST_GET_FEATURES, 0, 0 }, { VHOST_GET_FEATURES, 2, 0 }, { VHOST_GET_FEATURES, 3, 0 },
		{ VHOST_GET_FEATURES, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, 0 },
		{ VHOST_GET_FEATURES, VHOST_FLAG_VERSION, VHOST_PAYLOAD_MAX + 1 }, { VHOST_GET_FEATURES, VHOST_FLAG_VERSION, UINT32_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		put(*state, &wrong[i], sizeof(wrong[i]), 1);
		assert_int_equal(receive(*state), -EPROTO);
		teardown(state);
		setup(state);
	}
}

static void the_longest_message(void **state)
{
	struct fixture *f = *state;
	struct wire w = wire_of(VHOST_SET_CONFIG, VHOST_PAYLOAD_MAX);

	put(f, &w, sizeof(w.head) + VHOST_PAYLOAD_MAX, 0);
	assert_int_equal(receive(f), 1);
	assert_memory_equal(f->m.payload.bytes, w.bytes, VHOST_PAYLOAD_MAX);
}

static void the_other_side_goes(void **state)
{
	struct fixture *f = *state;
	struct wire w = wire_of(VHOST_SET_MEM_TABLE, 8);

	put(f, &w, sizeof(w.head) + 4, 8);
	assert_int_equal(receive(f), 0);
	f->front = fd_close(f->front);
	assert_int_equal(receive(f), -ECONNRESET);
	assert_int_equal(vhost_channel_reply(f->channel, &w.head, "", 0, -1), -EPIPE);
}

static void replies(void **state)
{
	struct fixture *f = *state;
	struct vhost_header head = { VHOST_GET_INFLIGHT_FD, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY, 24 };
	union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control;
	struct { struct vhost_header head; uint8_t data[3]; } got;
	struct iovec iov = { &got, sizeof(got) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int fd;

	assert_int_equal(vhost_channel_reply(f->channel, &head, "abc", 3, f->event), 0);
	assert_int_equal(recvmsg(f->front, &m, MSG_CMSG_CLOEXEC), 15);
	assert_int_equal(got.head.request, VHOST_GET_INFLIGHT_FD);
	assert_int_equal(got.head.flags, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
	assert_int_equal(got.head.size, 3);
	assert_memory_equal(got.data, "abc", 3);
	assert_int_equal(m.msg_controllen, CMSG_SPACE(sizeof(int)));
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	fd_close(fd);
	assert_int_equal(fcntl(f->event, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void nobody_reads_replies(void **state)
{
	struct fixture *f = *state;
	struct vhost_header head = { VHOST_GET_FEATURES, VHOST_FLAG_VERSION, 0 };
	int r = 0;

	for (int i = 0; i < 100000 && !r; i++)
		r = vhost_channel_reply(f->channel, &head, "12345678", 8, -1);
	assert_int_equal(r, -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_cut_of_a_message, setup, teardown),
		cmocka_unit_test_setup_teardown(several_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors_in_pieces_of_the_header, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors_behind_the_header, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(no_room_for_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(the_longest_message, setup, teardown),
		cmocka_unit_test_setup_teardown(the_other_side_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(replies, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_reads_replies, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
