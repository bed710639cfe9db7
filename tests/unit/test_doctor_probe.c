// SPDX-License-Identifier: MIT
/* Probes on a user LAN, whose stream socket is played here: one that loses what it is sent first, one that ends. */
#include "unit.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/usec.h"
#include "doctor/probe.h"

#define FRAME_AT 4   /* behind the length */

struct lan {
	char folder[32], path[64];
	int listener, lose;         /* how many requests of each kind it loses; -1: it ends at once */
	pthread_t thread;
};

/* An answer by broadcast, from 10.0.0.9 at 02:00:00:00:00:09. */
static void answer_dhcp(int fd, uint8_t *frame, size_t size)
{
	static const uint8_t options[] = { 53, 1, 2, 54, 4, 10, 0, 0, 9, 255 };
	uint8_t *message = frame + 14 + 20 + 8;

	memcpy(frame + 6, "\2\0\0\0\0\11", 6);
	frame[35] = 67, frame[37] = 68;
	message[0] = 2;
	memset(message + 240, 0, size - 42 - 240);
	memcpy(message + 240, options, sizeof(options));
	assert_int_equal(write(fd, frame - FRAME_AT, size + FRAME_AT), size + FRAME_AT);
}

static void answer_arp(int fd, uint8_t *frame, size_t size)
{
	memcpy(frame, frame + 6, 6);
	frame[21] = 2;
	memcpy(frame + 32, frame + 22, 6);
	memcpy(frame + 28, frame + 38, 4);
	memcpy(frame + 22, "\2\0\0\0\0\11", 6);
	assert_int_equal(write(fd, frame - FRAME_AT, size + FRAME_AT), size + FRAME_AT);
}

static void *serve(void *data)
{
	struct lan *lan = data;
	int fd = accept(lan->listener, NULL, NULL), dhcp = 0, arp = 0;
	uint8_t bytes[600], *frame = bytes + FRAME_AT;

	while (lan->lose >= 0 && recv(fd, bytes, FRAME_AT, MSG_WAITALL) == FRAME_AT) {
		size_t size = (size_t)(bytes[2] << 8 | bytes[3]);

		assert_int_equal(recv(fd, frame, size, MSG_WAITALL), size);
		if (frame[12] == 8 && frame[13] == 0 && dhcp++ >= lan->lose)
			answer_dhcp(fd, frame, size);
		if (frame[12] == 8 && frame[13] == 6 && arp++ >= lan->lose)
			answer_arp(fd, frame, size);
	}
	close(fd);
	return NULL;
}

/* A LAN with one guest, 10.0.0.9, and the facts of it. */
static struct facts lan_start(struct lan *lan)
{
	struct facts f = { .target = { .lan = "lab" }, .lan = { .state = LAN_UP } };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct guest_fact *g = facts_add(&f, lan.guests, lan.guest_count);

	g->count = 1;
	assert_true(addr_parse("10.0.0.9", &g->addresses[0]));
	strcpy(lan->folder, "/tmp/hospes-test-XXXXXX");
	assert_non_null(mkdtemp(lan->folder));
	snprintf(f.lan.control, sizeof(f.lan.control), "%s/control", lan->folder);
	snprintf(lan->path, sizeof(lan->path), "%s/stream", lan->folder);
	strcpy(sa.sun_path, lan->path);
	lan->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(lan->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(lan->listener, 1), 0);
	assert_int_equal(pthread_create(&lan->thread, NULL, serve, lan), 0);
	return f;
}

static void lan_end(struct lan *lan)
{
	pthread_join(lan->thread, NULL);
	close(lan->listener);
	unlink(lan->path);
	rmdir(lan->folder);
}

static void what_is_lost_is_asked_again(void **state)
{
	struct lan lan = { .lose = 1 };
	struct facts f = lan_start(&lan);

	(void)state;
	assert_int_equal(probe_run(&f), 0);
	lan_end(&lan);
	assert_int_equal(f.probe.dhcp_count, 1);
	assert_int_equal(f.probe.address_count, 1);
	assert_int_equal(f.gap_count, 0);
	facts_fini(&f);
}

static void a_lan_that_ends_is_not_waited_for(void **state)
{
	struct lan lan = { .lose = -1 };
	struct facts f = lan_start(&lan);
	usec_t start = usec_now();

	(void)state;
	assert_int_equal(probe_run(&f), 0);
	lan_end(&lan);
	assert_true(usec_now() - start < 2 * USEC_S);
	assert_int_equal(f.gap_count, 1);
	facts_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lan_that_ends_is_not_waited_for),
		cmocka_unit_test(what_is_lost_is_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
