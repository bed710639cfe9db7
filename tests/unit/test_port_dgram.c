// SPDX-License-Identifier: MIT
/* The dgram hub and its ports against guests that are sockets of this process, or of a child. */
#include "recorder.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fd.h"
#include "port/dgram.h"
#include "port/queue.h"

struct fixture {
	struct recorder *r;
	struct dgram_hub *hub;
	struct port *ports[2 * DGRAM_PORTS_MAX];
	size_t added;
	bool refuse;
	char folder[64];
};

static struct sockaddr_un address_of(const struct fixture *f, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	assert_true(snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", f->folder, name) < (int)sizeof(a.sun_path));
	return a;
}

/* A datagram socket; bound to @name in the test's folder unless that is NULL. */
static int guest_new(const struct fixture *f, const char *name)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (name) {
		struct sockaddr_un a = address_of(f, name);

		unlink(a.sun_path);
		assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	}
	return fd;
}

static int added(void *owner, struct port *p)
{
	struct fixture *f = owner;

	assert_int_equal(p->from_guest.frames, 0);
	if (f->refuse)
		return -1;
	f->ports[f->added++] = p;
	return 0;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->folder, "/tmp/hospes-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->r = recorder_new();
	assert_int_equal(dgram_hub_new(&f->hub, f->r->loop, &f->r->sink, guest_new(f, "hub"), added, f), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	for (size_t i = 0; i < f->added; i++)
		port_free(f->ports[i]);
	dgram_hub_free(f->hub);
	recorder_free(f->r);
	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* Send one datagram to the hub. Return: false if its queue is full. */
static bool guest_send(const struct fixture *f, int fd, const void *data, size_t size)
{
	struct sockaddr_un a = address_of(f, "hub");
	ssize_t n = sendto(fd, data, size, MSG_DONTWAIT, (struct sockaddr *)&a, sizeof(a));

	assert_true(n == (ssize_t)size || errno == EAGAIN);
	return n >= 0;
}

static void send_seeded(const struct fixture *f, int fd, uint32_t size, uint64_t seed)
{
	static uint8_t data[FRAME_MAX + 100];
	struct iovec iov;

	frame_make(&iov, data, size, seed);
	while (!guest_send(f, fd, data, size))
		loop_turn(f->r->loop, 0);
}

static void assert_recorded(const struct fixture *f, size_t i, const struct port *from, uint32_t size, uint64_t seed)
{
	static uint8_t expected[FRAME_MAX];
	struct iovec iov;

	assert_true(i < f->r->count);
	frame_make(&iov, expected, size, seed);
	assert_ptr_equal(f->r->frames[i].from, from);
	assert_int_equal(f->r->frames[i].size, size);
	assert_memory_equal(f->r->frames[i].data, expected, size);
}

/* Read one datagram. Return: its size, or 0 if there is none. */
static size_t guest_read(int fd, uint8_t *into, size_t size)
{
	ssize_t n = recv(fd, into, size, MSG_DONTWAIT);

	return n < 0 ? 0 : (size_t)n;
}

static size_t port_send_seeded(struct port *p, uint32_t size, uint64_t seed)
{
	static uint8_t data[FRAME_MAX];
	struct iovec iov;
	struct frame frame = frame_make(&iov, data, size, seed);

	return port_send(p, &frame, 1);
}

static void paths_tell_guests_apart(void **state)
{
	struct fixture *f = *state;
	int a = guest_new(f, "a"), b = guest_new(f, "b");
	uint8_t got[256];

	send_seeded(f, a, 60, 1);
	send_seeded(f, b, 61, 2);
	send_seeded(f, b, 62, 3);
	send_seeded(f, a, FRAME_MAX, 4);
	recorder_turn(f->r, 2);
	assert_int_equal(f->added, 2);
	assert_int_equal(f->r->count, 4);
	assert_recorded(f, 0, f->ports[0], 60, 1);
	assert_recorded(f, 1, f->ports[1], 61, 2);
	assert_recorded(f, 2, f->ports[1], 62, 3);
	assert_recorded(f, 3, f->ports[0], FRAME_MAX, 4);
	assert_int_equal(f->ports[0]->from_guest.frames, 2);
	assert_int_equal(f->ports[0]->peer_pid, getpid());
	assert_int_equal(port_send_seeded(f->ports[1], 100, 5), 1);
	assert_int_equal(guest_read(a, got, sizeof(got)), 0);
	assert_int_equal(guest_read(b, got, sizeof(got)), 100);
	close(a), close(b);
}

static void who_cannot_be_answered_is_refused(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un nothing = { .sun_family = AF_UNIX }, relative = { .sun_family = AF_UNIX, .sun_path = "relative" };
	int unnamed = guest_new(f, NULL), abstract = guest_new(f, NULL), here = guest_new(f, NULL), vanished = guest_new(f, "v");

	assert_int_equal(bind(abstract, (struct sockaddr *)&nothing, sizeof(sa_family_t)), 0);
	assert_int_equal(chdir(f->folder), 0);
	assert_int_equal(bind(here, (struct sockaddr *)&relative, sizeof(relative)), 0);
	send_seeded(f, unnamed, 60, 1);
	send_seeded(f, abstract, 60, 2);
	send_seeded(f, here, 60, 3);
	send_seeded(f, vanished, 60, 4);
	close(vanished);
	recorder_turn(f->r, 2);
	assert_int_equal(f->added, 0);
	assert_int_equal(f->r->count, 0);
	assert_int_equal(dgram_hub_refused(f->hub), 4);
	f->refuse = true;
	vanished = guest_new(f, "v");
	send_seeded(f, vanished, 60, 5);
	recorder_turn(f->r, 2);
	assert_int_equal(dgram_hub_refused(f->hub), 5);
	f->refuse = false;
	send_seeded(f, vanished, 60, 6);
	recorder_turn(f->r, 2);
	assert_int_equal(f->added, 1);
	close(unnamed), close(abstract), close(here), close(vanished);
	assert_int_equal(chdir("/"), 0);
}

static void short_and_oversize_are_counted(void **state)
{
	struct fixture *f = *state;
	int a = guest_new(f, "a");

	send_seeded(f, a, 0, 1);
	send_seeded(f, a, 13, 1);
	send_seeded(f, a, FRAME_MAX + 1, 1);
	send_seeded(f, a, FRAME_MAX + 99, 1);
	send_seeded(f, a, 14, 7);
	recorder_turn(f->r, 2);
	assert_int_equal(f->r->count, 1);
	assert_recorded(f, 0, f->ports[0], 14, 7);
	assert_int_equal(f->ports[0]->drops[DROP_SHORT], 2);
	assert_int_equal(f->ports[0]->drops[DROP_OVERSIZE], 2);
	close(a);
}

/* A sender may attach descriptors: they must not stay in this process. */
static void attached_descriptors_do_not_stay(void **state)
{
	struct fixture *f = *state;
	int a = guest_new(f, "a"), before, after;
	struct sockaddr_un hub = address_of(f, "hub");
	uint8_t data[60] = { 0 };
	struct iovec iov = { data, sizeof(data) };
	union { struct cmsghdr align; uint8_t bytes[CMSG_SPACE(4 * sizeof(int))]; } control;
	struct msghdr m = { .msg_name = &hub, .msg_namelen = sizeof(hub), .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	send_seeded(f, a, 60, 1);
	recorder_turn(f->r, 1);
	before = dup(0);
	c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(4 * sizeof(int));
	memcpy(CMSG_DATA(c), (int[]){ a, a, a, a }, 4 * sizeof(int));
	assert_int_equal(sendmsg(a, &m, 0), 60);
	recorder_turn(f->r, 1);
	after = dup(0);
	assert_int_equal(f->r->count, 2);
	assert_int_equal(after, before + 1);
	close(before), close(after), close(a);
}

/* What a guest got, in order: each frame is whole and the one that was taken next. */
static size_t check_received(int guest, const uint64_t *seeds, const uint32_t *sizes, size_t seen)
{
	static uint8_t got[FRAME_MAX], expected[FRAME_MAX];
	struct iovec iov;
	size_t n;

	while ((n = guest_read(guest, got, sizeof(got)))) {
		frame_make(&iov, expected, sizes[seen], seeds[seen]);
		if (sizes[seen] < ETH_MIN)
			memset(expected + sizes[seen], 0, ETH_MIN - sizes[seen]);
		assert_int_equal(n, MAX(sizes[seen], (uint32_t)ETH_MIN));
		assert_memory_equal(got, expected, n);
		seen++;
	}
	return seen;
}

/*
 * Fill the port until it refuses; whatever was taken arrives whole and in order while the guest reads, then the sink hears that
 * there is room.
 */
static void fill_and_drain(struct fixture *f, int guest, struct port *p)
{
	static uint64_t seeds[10000];
	static uint32_t sizes[10000];
	size_t sent = 0, seen = 0;
	int drained = f->r->drained;

	assert_int_equal(port_room(p, FRAME_MAX), QUEUE_MAX);
	for (;;) {
		seeds[sent] = sent;
		sizes[sent] = 14 + (uint32_t)(sent * 37 % 1500);
		if (!port_send_seeded(p, sizes[sent], seeds[sent]))
			break;
		sent++;
		assert_true(sent < ARRAY_SIZE(seeds));
	}
	assert_true(sent > 100);
	assert_int_equal(p->drops[DROP_PORT_FULL], 1);
	assert_int_equal(port_room(p, 1514), 0);
	recorder_turn(f->r, 20);
	assert_int_equal(f->r->drained, drained);
	for (usec_t end = usec_now() + 10 * USEC_S; usec_now() < end && (seen < sent || f->r->drained == drained);) {
		seen = check_received(guest, seeds, sizes, seen);
		loop_turn(f->r->loop, USEC_MS);
	}
	assert_int_equal(seen, sent);
	assert_int_equal(f->r->drained, drained + 1);
	assert_int_equal(port_room(p, FRAME_MAX), QUEUE_MAX);
	assert_int_equal(f->r->closed, 0);
}

static void idle(struct fixture *f)
{
	usec_t start = usec_now();

	loop_turn(f->r->loop, 50 * USEC_MS);
	assert_true(usec_now() - start >= 50 * USEC_MS);
}

static void full_guest_is_queued_for_and_drained(void **state)
{
	struct fixture *f = *state;
	int a = guest_new(f, "a");

	send_seeded(f, a, 60, 1);
	recorder_turn(f->r, 1);
	fill_and_drain(f, a, f->ports[0]);
	recorder_turn(f->r, 1);
	idle(f);
	close(a);
}

/* A guest that connected its socket takes frames from the hub's own socket alone. */
static void connected_guest_is_served_too(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un hub = address_of(f, "hub");
	int a = guest_new(f, "a");

	assert_int_equal(connect(a, (struct sockaddr *)&hub, sizeof(hub)), 0);
	assert_int_equal(send(a, "hospes-hospes-hospes", 20, 0), 20);
	recorder_turn(f->r, 1);
	assert_int_equal(f->added, 1);
	fill_and_drain(f, a, f->ports[0]);
	recorder_turn(f->r, 3);
	idle(f);
	close(a);
}

static void guest_that_connects_later_is_served_on(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un hub = address_of(f, "hub");
	int a = guest_new(f, "a");
	uint8_t got[256];

	send_seeded(f, a, 60, 1);
	recorder_turn(f->r, 1);
	assert_int_equal(port_send_seeded(f->ports[0], 60, 1), 1);
	assert_int_equal(guest_read(a, got, sizeof(got)), 60);
	assert_int_equal(connect(a, (struct sockaddr *)&hub, sizeof(hub)), 0);
	assert_int_equal(port_send_seeded(f->ports[0], 60, 1), 1);
	assert_int_equal(guest_read(a, got, sizeof(got)), 60);
	assert_int_equal(f->r->closed, 0);
	close(a);
}

static void one_full_guest_does_not_stall_another(void **state)
{
	struct fixture *f = *state;
	int a = guest_new(f, "a"), b = guest_new(f, "b");
	uint8_t got[256];

	send_seeded(f, a, 60, 1);
	send_seeded(f, b, 60, 1);
	recorder_turn(f->r, 1);
	while (port_send_seeded(f->ports[0], 1514, 1))
		;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(port_send_seeded(f->ports[1], 60, 1), 1);
		assert_int_equal(guest_read(b, got, sizeof(got)), 60);
	}
	close(a), close(b);
}

static void sending_to_nobody_closes(void **state)
{
	struct fixture *f = *state;
	int a = guest_new(f, "a");

	send_seeded(f, a, 60, 1);
	recorder_turn(f->r, 1);
	close(a);
	assert_int_equal(port_send_seeded(f->ports[0], 60, 1), 0);
	assert_int_equal(f->r->closed, 1);
	assert_int_equal(f->ports[0]->drops[DROP_PORT_DOWN], 1);
	assert_int_equal(port_send_seeded(f->ports[0], 60, 1), 0);
	recorder_turn(f->r, 2);
	assert_int_equal(f->r->closed, 1);
}

static void sending_to_a_removed_path_closes(void **state)
{
	struct fixture *f = *state;
	int a = guest_new(f, "a");
	struct sockaddr_un path = address_of(f, "a");

	send_seeded(f, a, 60, 1);
	recorder_turn(f->r, 1);
	unlink(path.sun_path);
	close(a);
	assert_int_equal(port_send_seeded(f->ports[0], 60, 1), 0);
	assert_int_equal(f->r->closed, 1);
}

/* Restarted at the same path, the guest is the same guest to us. */
static void guest_that_came_back_keeps_its_port(void **state)
{
	struct fixture *f = *state;
	int a = guest_new(f, "a");
	uint8_t got[256];

	send_seeded(f, a, 60, 1);
	recorder_turn(f->r, 1);
	close(a);
	a = guest_new(f, "a");
	assert_int_equal(port_send_seeded(f->ports[0], 60, 1), 1);
	assert_int_equal(guest_read(a, got, sizeof(got)), 60);
	send_seeded(f, a, 60, 2);
	recorder_turn(f->r, 1);
	assert_int_equal(f->added, 1);
	assert_int_equal(f->r->closed, 0);
	close(a);
}

/* The guest's process ends: its port closes though nobody sends anything. */
static void end_of_the_process_closes(void **state)
{
	struct fixture *f = *state;
	int go[2], status;
	pid_t child;

	assert_int_equal(pipe(go), 0);
	child = fork();
	if (!child) {
		uint8_t frame[60] = { 0 };
		int fd = guest_new(f, "child");

		close(go[1]);
		guest_send(f, fd, frame, sizeof(frame));
		_exit((int)read(go[0], frame, 1));
	}
	close(go[0]);
	for (int i = 0; i < 1000 && !f->added; i++)
		recorder_turn(f->r, 1);
	assert_int_equal(f->added, 1);
	assert_int_equal(f->ports[0]->peer_pid, child);
	idle(f);
	assert_int_equal(f->r->closed, 0);
	close(go[1]);
	for (int i = 0; i < 1000 && !f->r->closed; i++)
		recorder_turn(f->r, 1);
	assert_int_equal(f->r->closed, 1);
	assert_non_null(strstr(f->r->why, "ended"));
	assert_int_equal(waitpid(child, &status, 0), child);
}

static void ports_are_bounded(void **state)
{
	struct fixture *f = *state;
	char name[32];

	for (size_t i = 0; i < DGRAM_PORTS_MAX + 3; i++) {
		snprintf(name, sizeof(name), "g%zu", i);
		int a = guest_new(f, name);

		send_seeded(f, a, 60, 1);
		while (f->r->count + dgram_hub_refused(f->hub) <= i)
			loop_turn(f->r->loop, USEC_MS);
		close(a);
	}
	assert_int_equal(f->added, DGRAM_PORTS_MAX);
	assert_int_equal(dgram_hub_refused(f->hub), 3);
	port_free(f->ports[--f->added]);
	int a = guest_new(f, "again");

	send_seeded(f, a, 60, 1);
	recorder_turn(f->r, 2);
	assert_int_equal(f->added, DGRAM_PORTS_MAX);
	close(a);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(paths_tell_guests_apart),
		test(who_cannot_be_answered_is_refused),
		test(short_and_oversize_are_counted),
		test(attached_descriptors_do_not_stay),
		test(full_guest_is_queued_for_and_drained),
		test(connected_guest_is_served_too),
		test(guest_that_connects_later_is_served_on),
		test(one_full_guest_does_not_stall_another),
		test(sending_to_nobody_closes),
		test(sending_to_a_removed_path_closes),
		test(guest_that_came_back_keeps_its_port),
		test(end_of_the_process_closes),
		test(ports_are_bounded),
	};

	fd_raise_limit();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
