// SPDX-License-Identifier: MIT
/*
 * A whole LAN in the test's own process: engine, loop and folders of its own; a client of its control socket; and a guest on its stream
 * socket, played by hand.
 */
#pragma once
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fd.h"
#include "engine/engine.h"
#include "io/varlink_client.h"
#include "io/varlink_message.h"
#include "wire/checksum.h"
#include "wire/tcp.h"

#define GUEST_MAC "52:54:00:00:00:99"

struct lan {
	char folder[64], runtime[80], state[80], config[80];
	struct loop *loop;
	struct engine *engine;
	struct lan_plan plan;
};

static inline void lan_turns(struct lan *l)
{
	for (int i = 0; i < 10; i++)
		assert_int_equal(loop_turn(l->loop, USEC_MS), 0);
}

static inline void lan_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Bring a LAN up with the configuration in l->config. Return: as engine_new(). */
static inline int lan_up(struct lan *l, struct engine **out)
{
	struct engine_params params = {
		.loop = l->loop, .plan = &l->plan, .machine_id = "0123", .config_path = l->config, .runtime = l->runtime, .state = l->state,
		.resolv_conf = "/etc/resolv.conf",
	};
	struct lan_config *config;
	char error[1024];

	if (lan_config_load(&config, "test", l->config, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	if (lan_plan_make(&l->plan, config, "0123", NULL, 0, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	return engine_new(out, &params, config);
}

static inline int lan_setup(void **state)
{
	struct lan *l = calloc(1, sizeof(*l));

	snprintf(l->folder, sizeof(l->folder), "/tmp/hospes-test-XXXXXX");
	assert_non_null(mkdtemp(l->folder));
	snprintf(l->runtime, sizeof(l->runtime), "%s/run", l->folder);
	snprintf(l->state, sizeof(l->state), "%s/state", l->folder);
	snprintf(l->config, sizeof(l->config), "%s/test.lan", l->folder);
	lan_write(l->config, "[LAN]\nIPv4 = 10.0.9.0/24\n");
	assert_int_equal(loop_new(&l->loop), 0);
	assert_int_equal(lan_up(l, &l->engine), 0);
	*state = l;
	return 0;
}

static inline int lan_teardown(void **state)
{
	struct lan *l = *state;
	char command[128];

	engine_free(l->engine);
	loop_free(l->loop);
	snprintf(command, sizeof(command), "rm -r %s", l->folder);
	assert_int_equal(system(command), 0);
	free(l);
	return 0;
}

static inline int lan_connect_to(struct lan *l, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", l->runtime, name);
	fd = varlink_connect(path, USEC_S);
	assert_true(fd >= 0);
	return fd;
}

/* --- the control socket --- */

static inline void lan_say(int fd, const char *method, const char *parameters, bool upgrade)
{
	char text[2048];
	int size = snprintf(text, sizeof(text), "{\"method\":\"org.hospes.Lan.%s\",\"parameters\":%s%s}", method, *parameters ? parameters
		: "{}",
			    upgrade ? ",\"upgrade\":true" : "");

	assert_int_equal(send(fd, text, (size_t)size + 1, MSG_NOSIGNAL), size + 1);
}

/* The whole answer as an object; NULL if none has come. */
static inline json_t *lan_hear(struct lan *l, int fd)
{
	static char text[VARLINK_CALL_MAX];
	json_t *message = NULL;
	size_t used = 0;

	lan_turns(l);
	while (used < sizeof(text) && recv(fd, text + used, 1, MSG_DONTWAIT) == 1)
		if (!text[used++])
			break;
	if (used)
		assert_int_equal(varlink_parse(text, used - 1, &message), 0);
	return message;
}

/* One call on a connection of its own. */
static inline json_t *lan_ask(struct lan *l, const char *method, const char *parameters)
{
	int fd = lan_connect_to(l, "control");
	json_t *message;

	lan_say(fd, method, parameters, false);
	message = lan_hear(l, fd);
	assert_non_null(message);
	close(fd);
	lan_turns(l);
	return message;
}

/* Call, and compare the answer's error ("" for none). Return: its parameters. */
static inline json_t *lan_expect(struct lan *l, const char *method, const char *parameters, const char *error)
{
	json_t *message = lan_ask(l, method, parameters), *answer;
	const char *name = json_string_value(json_object_get(message, "error"));

	assert_string_equal(name ? strrchr(name, '.') + 1 : "", error);
	answer = json_incref(json_object_get(message, "parameters"));
	json_decref(message);
	return answer;
}

static inline void lan_check(struct lan *l, const char *method, const char *parameters, const char *error)
{
	json_decref(lan_expect(l, method, parameters, error));
}

/* --- the guest --- */

static inline void guest_send(int fd, const void *frame, size_t size)
{
	uint8_t room[4 + 2048];
	be32_t length = be32((uint32_t)size);

	memcpy(room, &length, 4);
	memcpy(room + 4, frame, size);
	assert_int_equal(send(fd, room, size + 4, MSG_NOSIGNAL), (ssize_t)size + 4);
}

/* The next frame that is of @type; its size, 0 if there is none. */
static inline size_t guest_receive(struct lan *l, int fd, uint16_t type, uint8_t into[static 2048])
{
	be32_t length;

	lan_turns(l);
	while (recv(fd, &length, 4, MSG_DONTWAIT) == 4) {
		size_t size = be32_get(length);

		assert_true(size >= 14 && size <= 2048);
		assert_int_equal(recv(fd, into, size, MSG_WAITALL), (ssize_t)size);
		if (into[12] == type >> 8 && into[13] == (type & 0xff))
			return size;
	}
	return 0;
}

/* "Who has 10.0.9.2? Tell 10.0.9.50": after it the gateway knows the guest. Return: whether it answered. */
static inline bool guest_arp(struct lan *l, int fd, uint8_t mac_end)
{
	uint8_t frame[60] = { 255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0, 0, mac_end, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
			      0x52, 0x54, 0, 0, 0, mac_end, 10, 0, 9, 50, 0, 0, 0, 0, 0, 0, 10, 0, 9, 2 };
	uint8_t reply[2048];

	guest_send(fd, frame, sizeof(frame));
	return guest_receive(l, fd, 0x0806, reply) >= 42 && reply[21] == 2;
}

/* Answer the SYN in @syn with @flags. */
static inline void guest_answer_syn(int fd, const uint8_t *syn, uint8_t flags)
{
	struct iovec iov;
	struct cursor c = cursor_of(&iov, syn + 34, 40);
	struct tcp_segment in = tcp_parse(&c);
	struct tcp_segment out = { .src = in.dst, .dst = in.src, .seq = 1000, .ack = in.seq + 1, .flags = flags, .window = 65535 };
	uint8_t frame[14 + 20 + TCP_HEADER_MAX] = { 0 };
	be16_t sum;
	size_t size;

	memcpy(frame, syn + 6, 6);
	memcpy(frame + 6, syn, 6);
	frame[12] = 8;
	frame[14] = 0x45, frame[22] = 64, frame[23] = 6;
	memcpy(frame + 26, syn + 30, 4);
	memcpy(frame + 30, syn + 26, 4);
	size = tcp_emit(frame + 34, &out);
	frame[17] = (uint8_t)(20 + size);
	sum = sum_fold(sum_bytes(0, frame + 14, 20));
	memcpy(frame + 24, &sum, 2);
	sum = sum_fold(sum_bytes(sum_pseudo(0, addr_of4((struct ip4){{ frame[26], frame[27], frame[28], frame[29] }}),
					    addr_of4((struct ip4){{ frame[30], frame[31], frame[32], frame[33] }}), 6, (uint32_t)size),
						frame + 34, size));
	memcpy(frame + 50, &sum, 2);
	guest_send(fd, frame, 34 + size);
}
