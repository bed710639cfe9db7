// SPDX-License-Identifier: MIT
/* Varlink: calls, answers at once and later, wrong parameters, descriptors, upgrades, and clients that mean ill. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fd.h"
#include "io/varlink_client.h"
#include "io/varlink_message.h"
#include "io/varlink_server.h"

#define INVALID(p) "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"" p "\"}}"

struct fixture {
	struct loop *loop;
	struct varlink_server *server;
	struct varlink_call *later;       /* a call that is to be answered later */
	struct varlink_hangup hangup;
	int gone;                         /* how often the hangup was told */
	int calls, taken;                 /* a descriptor that a call brought */
	int client;                       /* the other end of a connection */
	bool says;                        /* one byte is sent when a connection was upgraded */
};

/* --- the methods --- */

static void echo(void *owner, struct varlink_call *call, const json_t *parameters)
{
	struct fixture *f = owner;

	f->calls++;
	varlink_reply(call, json_incref((json_t *)parameters));
}

static void later(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	((struct fixture *)owner)->later = call;
}

static void gone(struct varlink_hangup *h)
{
	struct fixture *f = container_of(h, struct fixture, hangup);

	f->gone++;
	f->later = NULL;
}

static void hang(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct fixture *f = owner;

	varlink_hang_on(call, &f->hangup, gone);
	varlink_reply(call, NULL);
}

static void hang_later(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct fixture *f = owner;

	varlink_hang_on(call, &f->hangup, gone);
	f->later = call;
}

static void take(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct fixture *f = owner;

	f->taken = varlink_call_take_fd(call);
	varlink_reply(call, json_pack("{sb}", "taken", f->taken >= 0));
}

static void big(_unused_ void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	char *text = malloc(3000001);

	memset(text, 'x', 3000000);
	text[3000000] = 0;
	varlink_reply(call, json_pack("{ss}", "text", text));
	free(text);
}

static void upgrade(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct fixture *f = owner;

	f->taken = dup(varlink_call_socket(call));
	assert_int_equal(varlink_upgrade(call, NULL), 0);
	if (f->says)
		assert_int_equal(send(f->taken, "!", 1, 0), 1);
}

static const struct varlink_param echo_params[] = {
	{ .name = "text", .type = VARLINK_STRING, .max = 20 },
	{ .name = "count", .type = VARLINK_INT, .optional = true, .min = -1, .max = 10 },
	{ .name = "loud", .type = VARLINK_BOOL, .optional = true },
	{ 0 },
};
static const struct varlink_method methods[] = {
	{ .name = "Echo", .params = echo_params, .handle = echo },
	{ .name = "Later", .handle = later },
	{ .name = "Hang", .handle = hang },
	{ .name = "HangLater", .handle = hang_later },
	{ .name = "Take", .handle = take },
	{ .name = "Big", .handle = big },
	{ .name = "Upgrade", .upgrades = true, .handle = upgrade },
};
static const struct varlink_service service = {
	.vendor = "v", .product = "p", .version = "1", .url = "u", .interface = "a.b", .description = "interface a.b\n",
	.error_full = "a.b.Full", .methods = methods, .count = ARRAY_SIZE(methods),
};

/* --- what the tests do --- */

static void turns(struct fixture *f)
{
	for (int i = 0; i < 20; i++)
		assert_int_equal(loop_turn(f->loop, 0), 0);
}

static int join(struct fixture *f)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	varlink_server_adopt(f->server, ends[0]);
	return ends[1];
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->taken = -1;
	list_init(&f->hangup.node);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(varlink_server_new(&f->server, f->loop, &service, f, -1), 0);
	f->client = join(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	varlink_server_free(f->server);
	loop_free(f->loop);
	fd_close(f->taken);
	fd_close(f->client);
	free(f);
	return 0;
}

static void say(struct fixture *f, const char *text)
{
	assert_int_equal(send(f->client, text, strlen(text) + 1, MSG_NOSIGNAL), (ssize_t)strlen(text) + 1);
}

/* What came back, up to the first NUL; "" for nothing, "EOF" for the end. */
static const char *hear(struct fixture *f, char into[static 4096])
{
	size_t used = 0;

	turns(f);
	for (;;) {
		ssize_t n = recv(f->client, into + used, 1, 0);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return used ? into : "EOF";
		if (n < 0)
			return used ? into : "";
		if (!into[used++])
			return into;
		assert_true(used < 4096);
	}
}

static void expect(struct fixture *f, const char *reply)
{
	char text[4096] = "";

	assert_string_equal(hear(f, text), reply);
}

/* --- calls and answers --- */

static void test_answers(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"x\"}}");
	expect(f, "{\"parameters\":{\"text\":\"x\"}}");
	say(f, "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"x\",\"count\":null,\"loud\":true}}");
	expect(f, "{\"parameters\":{\"text\":\"x\",\"count\":null,\"loud\":true}}");
	say(f, "{\"method\":\"a.b.Hang\",\"parameters\":null}");
	expect(f, "{\"parameters\":{}}");
}

static void test_refuses_wrong_parameters(void **state)
{
	static const struct { const char *call, *reply; } cases[] = {
		{ "{\"method\":\"a.b.Echo\"}", INVALID("text") },
		{ "{\"method\":\"a.b.Echo\",\"parameters\":{}}", INVALID("text") },
		{ "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":null}}", INVALID("text") },
		{ "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":1}}", INVALID("text") },
		{ "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"123456789012345678901\"}}", INVALID("text") },
		{ "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"\",\"count\":\"1\"}}", INVALID("count") },
		{ "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"\",\"count\":1.5}}", INVALID("count") },
		{ "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"\",\"count\":11}}", INVALID("count") },
		{ "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"\",\"count\":-2}}", INVALID("count") },
		{ "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"\",\"loud\":1}}", INVALID("loud") },
		{ "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"\",\"more\":1}}", INVALID("more") },
		{ "{\"method\":\"a.b.Echo\",\"parameters\":[]}", INVALID("parameters") },
		{ "{\"method\":\"a.b.Later\",\"parameters\":{\"x\":1}}", INVALID("x") },
		{ "{\"method\":\"a.b.Upgrade\"}", INVALID("upgrade") },
		{ "{\"method\":\"a.b.Later\",\"upgrade\":true}", INVALID("upgrade") },
		{ "{\"method\":7}", INVALID("method") },
		{ "{}", INVALID("method") },
		{ "{\"method\":\"a.b.None\"}",
			"{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"a.b.None\"}}" },
		{ "{\"method\":\"c.d.Echo\"}",
			"{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"c.d\"}}" },
		{ "{\"method\":\"Echo\"}", "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"\"}}" },
		{ "{\"method\":\"\"}", "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"\"}}" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		say(f, cases[i].call);
		expect(f, cases[i].reply);
	}
	assert_int_equal(f->calls, 0);
}

static void test_describes_itself(void **state)
{
	struct fixture *f = *state;
	char text[4096];

	say(f, "{\"method\":\"org.varlink.service.GetInfo\"}");
	expect(f, "{\"parameters\":{\"vendor\":\"v\",\"product\":\"p\",\"version\":\"1\",\"url\":\"u\","
		  "\"interfaces\":[\"org.varlink.service\",\"a.b\"]}}");
	say(f, "{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{\"x\":1}}");
	expect(f, INVALID("x"));
	say(f, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"a.b\"}}");
	expect(f, "{\"parameters\":{\"description\":\"interface a.b\\n\"}}");
	say(f, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"org.varlink.service\"}}");
	assert_non_null(strstr(hear(f, text), "error InvalidParameter"));
	say(f, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"x\"}}");
	expect(f, "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x\"}}");
	say(f, "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}");
	expect(f, INVALID("interface"));
}

static void test_answers_later_and_in_order(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"method\":\"a.b.Later\"}");
	say(f, "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"second\"}}");
	expect(f, "");
	assert_non_null(f->later);
	assert_int_equal(f->calls, 0);
	varlink_reply(f->later, json_pack("{si}", "n", 1));
	expect(f, "{\"parameters\":{\"n\":1}}");
	expect(f, "{\"parameters\":{\"text\":\"second\"}}");
}

static void test_oneway_has_no_answer(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"method\":\"a.b.Echo\",\"oneway\":true,\"parameters\":{\"text\":\"x\"}}");
	say(f, "{\"method\":\"a.b.Echo\",\"oneway\":true}");
	expect(f, "");
	assert_int_equal(f->calls, 1);
}

static void test_hears_who_has_left_early(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"method\":\"a.b.Echo\",\"oneway\":true,\"parameters\":{\"text\":\"x\"}}");
	f->client = fd_close(f->client);
	turns(f);
	assert_int_equal(f->calls, 1);
}

static void test_half_closed_client_is_answered(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"method\":\"a.b.Later\"}");
	shutdown(f->client, SHUT_WR);
	expect(f, "");
	varlink_reply(f->later, NULL);
	expect(f, "{\"parameters\":{}}");
	expect(f, "EOF");
}

/* --- the end of a connection --- */

static void test_hangup_is_told_once(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"method\":\"a.b.Hang\"}");
	expect(f, "{\"parameters\":{}}");
	assert_int_equal(f->gone, 0);
	f->client = fd_close(f->client);
	turns(f);
	assert_int_equal(f->gone, 1);
}

static void test_client_goes_while_its_call_waits(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"method\":\"a.b.HangLater\"}");
	turns(f);
	assert_non_null(f->later);
	f->client = fd_close(f->client);
	turns(f);
	assert_int_equal(f->gone, 1);
	assert_null(f->later);
}

static void test_hangup_is_told_when_the_server_goes(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"method\":\"a.b.HangLater\"}");
	turns(f);
	f->server = varlink_server_free(f->server);
	assert_int_equal(f->gone, 1);
}

/* --- descriptors and upgrades --- */

static void say_with_fds(struct fixture *f, const char *text, size_t size, int fd, size_t count)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(16 * sizeof(int))]; } control = { 0 };
	struct iovec iov = { .iov_base = (char *)text, .iov_len = size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(count * sizeof(int)) };

	control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int)) };
	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(fd));
	assert_int_equal(sendmsg(f->client, &m, MSG_NOSIGNAL), (ssize_t)size);
}

/* How many ends of @pipe[1] are open: none when reading gives EOF. */
static bool closed_everywhere(int read_end)
{
	char byte;

	return read(read_end, &byte, 1) == 0;
}

static void test_takes_a_descriptor(void **state)
{
	static const char call[] = "{\"method\":\"a.b.Take\"}";
	struct fixture *f = *state;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	/* It comes with the first half of its call. */
	say_with_fds(f, call, 5, ends[1], 1);
	turns(f);
	assert_int_equal(send(f->client, call + 5, sizeof(call) - 5, 0), sizeof(call) - 5);
	expect(f, "{\"parameters\":{\"taken\":true}}");
	assert_true(f->taken >= 0);
	assert_true(fcntl(f->taken, F_GETFD) & FD_CLOEXEC);
	close(ends[1]);
	assert_false(closed_everywhere(ends[0]));
	f->taken = fd_close(f->taken);
	assert_true(closed_everywhere(ends[0]));
	close(ends[0]);
}

static void test_closes_descriptors_that_nobody_takes(void **state)
{
	static const char call[] = "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"x\"}}";
	struct fixture *f = *state;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	say_with_fds(f, call, sizeof(call), ends[1], 3);
	expect(f, "{\"parameters\":{\"text\":\"x\"}}");
	say_with_fds(f, "{", 1, ends[1], 16); /* more than are kept, and a call that never ends */
	turns(f);
	close(ends[1]);
	assert_false(closed_everywhere(ends[0]));
	f->client = fd_close(f->client);
	turns(f);
	assert_true(closed_everywhere(ends[0]));
	close(ends[0]);
	f->client = join(f);
	say(f, "{\"method\":\"a.b.Take\"}");
	expect(f, "{\"parameters\":{\"taken\":false}}");
}

static void test_upgrade_hands_over_the_connection(void **state)
{
	struct fixture *f = *state;
	char byte = 0;

	say(f, "{\"method\":\"a.b.Hang\"}");
	expect(f, "{\"parameters\":{}}");
	say(f, "{\"method\":\"a.b.Upgrade\",\"upgrade\":true}");
	expect(f, "{\"parameters\":{}}");
	assert_int_equal(f->gone, 0);
	assert_int_equal(send(f->taken, "!", 1, 0), 1);
	assert_int_equal(recv(f->client, &byte, 1, 0), 1);
	assert_int_equal(byte, '!');
	assert_int_equal(send(f->client, "?", 1, 0), 1);
	turns(f);
	assert_int_equal(recv(f->taken, &byte, 1, 0), 1);
	assert_int_equal(byte, '?');
}

/* --- clients that mean ill --- */

static void test_garbage_ends_the_connection(void **state)
{
	static const char *const garbage[] = {
		"", "x", "[]", "7", "{", "{\"method\":\"a.b.Later\"}}", "{\"method\":1,\"method\":2}", "{\"a\":\"\xff\"}",
			"{\"a\":\"\\u0000\"}",
		"{\"a\":[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]}",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		say(f, garbage[i]);
		say(f, "{\"method\":\"a.b.Later\"}");
		expect(f, INVALID("call"));
		expect(f, "EOF");
		assert_null(f->later);
		close(f->client);
		f->client = join(f);
	}
}

static void test_call_too_long(void **state)
{
	struct fixture *f = *state;
	char text[5000];

	memset(text, ' ', sizeof(text));
	text[0] = '{';
	for (int i = 0; i < 14; i++) {
		if (send(f->client, text, sizeof(text), MSG_NOSIGNAL) < 0)
			break;
		turns(f);
	}
	expect(f, INVALID("call"));
	expect(f, "EOF");
}

static void test_byte_by_byte(void **state)
{
	static const char call[] = "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"slow\"}}";
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(call); i++) {
		assert_int_equal(send(f->client, call + i, 1, 0), 1);
		turns(f);
	}
	expect(f, "{\"parameters\":{\"text\":\"slow\"}}");
}

/* Calls without end from one who never reads: what is kept for it is one answer, and others are served meanwhile. */
static void test_flood_by_one_who_never_reads(void **state)
{
	static const char call[] = "{\"method\":\"a.b.Big\"}";
	struct fixture *f = *state;
	int hostile = f->client;
	size_t sent = 0;

	for (int i = 0; i < 100000; i++) {
		ssize_t n = send(hostile, call + sent % sizeof(call), sizeof(call) - sent % sizeof(call), MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		else
			assert_int_equal(errno, EAGAIN);
		if (i % 100 == 0)
			assert_int_equal(loop_turn(f->loop, 0), 0);
	}
	turns(f);
	assert_true(sent < 4000000);
	f->client = join(f);
	say(f, "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"x\"}}");
	expect(f, "{\"parameters\":{\"text\":\"x\"}}");
	close(hostile);
	turns(f);
}

static void test_one_turn_takes_its_share_only(void **state)
{
	static const char call[] = "{\"method\":\"a.b.Echo\",\"oneway\":true,\"parameters\":{\"text\":\"x\"}}";
	struct fixture *f = *state;

	for (int i = 0; i < 200; i++)
		say(f, call);
	assert_int_equal(loop_turn(f->loop, 0), 0);
	assert_true(f->calls >= 16 && f->calls <= 48);
	turns(f);
	assert_int_equal(f->calls, 200);
}

static void test_one_connection_too_many(void **state)
{
	struct fixture *f = *state;
	int others[VARLINK_CONNECTIONS];

	for (size_t i = 0; i < VARLINK_CONNECTIONS - 1; i++)
		others[i] = join(f);
	others[VARLINK_CONNECTIONS - 1] = f->client;
	f->client = join(f);
	expect(f, "{\"error\":\"a.b.Full\",\"parameters\":{\"what\":\"connections\"}}");
	expect(f, "EOF");
	close(f->client);
	close(others[0]);
	turns(f);
	f->client = join(f);
	say(f, "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"x\"}}");
	expect(f, "{\"parameters\":{\"text\":\"x\"}}");
	for (size_t i = 1; i < VARLINK_CONNECTIONS; i++)
		close(others[i]);
}

static void test_random_bytes(void **state)
{
	static const char *const words[] = { "{", "}", "\"method\"", ":", "\"a.b.Echo\"", ",", "\"parameters\"", "\"text\"", "\"x\"", "[",
		"]", "1",
					     "\"a.b.Later\"", "\"upgrade\"", "true", "\\", "\"" };
	struct rng rng = { .state = 7 };
	struct fixture *f = *state;
	char sink[4096];

	for (int i = 0; i < 3000; i++) {
		const char *word = words[rng_below(&rng, ARRAY_SIZE(words))];
		size_t size = strlen(word) + (rng_below(&rng, 8) == 0);

		if (send(f->client, word, size, MSG_NOSIGNAL) < 0) {
			close(f->client);
			f->client = join(f);
		}
		if (rng_below(&rng, 4) == 0) {
			turns(f);
			while (recv(f->client, sink, sizeof(sink), 0) > 0)
				;
		}
		if (f->later)
			varlink_reply(steal(&f->later), NULL);
	}
}

/* --- the calling side --- */

/* Run @client in a process of its own against the server. Return: its exit status. */
static int with_client(struct fixture *f, int (*client)(int socket))
{
	pid_t child = fork();
	int status, turns_left = 2000;

	if (!child)
		_exit(client(f->client));
	f->client = fd_close(f->client);
	while (waitpid(child, &status, WNOHANG) == 0) {
		assert_true(turns_left-- > 0);
		loop_turn(f->loop, 5 * USEC_MS);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int call_well(int socket)
{
	char error[VARLINK_ERROR_SIZE];
	json_t *reply = NULL;
	int r = varlink_call(socket, &(struct varlink_request){ .method = "a.b.Echo", .parameters = json_pack("{ss}", "text", "hello"),
								.timeout = 5 * USEC_S }, &reply, error);

	if (r || *error || strcmp(json_string_value(json_object_get(reply, "text")), "hello"))
		return 1;
	json_decref(reply);
	r = varlink_call(socket, &(struct varlink_request){ .method = "a.b.Echo", .timeout = 5 * USEC_S }, &reply, error);
	if (r != VARLINK_ERROR || strcmp(error, "org.varlink.service.InvalidParameter") ||
	    strcmp(json_string_value(json_object_get(reply, "parameter")), "text"))
		return 2;
	json_decref(reply);
	r = varlink_call(socket, &(struct varlink_request){ .method = "a.b.Take", .fd = 1, .timeout = 5 * USEC_S }, &reply, error);
	if (r || !json_is_true(json_object_get(reply, "taken")))
		return 3;
	json_decref(reply);
	r = varlink_call(socket, &(struct varlink_request){ .method = "a.b.Big", .timeout = 5 * USEC_S }, &reply, error);
	if (r || json_string_length(json_object_get(reply, "text")) != 3000000)
		return 4;
	json_decref(reply);
	return 0;
}

static int call_without_answer(int socket)
{
	char error[VARLINK_ERROR_SIZE];
	usec_t start = usec_now();
	int r = varlink_call(socket, &(struct varlink_request){ .method = "a.b.Later", .timeout = 100 * USEC_MS }, NULL, error);

	return r == -ETIMEDOUT && usec_now() - start >= 100 * USEC_MS ? 0 : 1;
}

static int call_upgrade(int socket)
{
	char error[VARLINK_ERROR_SIZE], byte = 0;
	int r = varlink_call(socket, &(struct varlink_request){ .method = "a.b.Upgrade", .upgrade = true, .timeout = 5 * USEC_S }, NULL,
		error);

	/* The byte was sent right behind the answer. */
	for (int i = 0; !r && i < 100 && recv(socket, &byte, 1, 0) != 1; i++)
		usleep(10000);
	return !r && byte == '!' ? 0 : 1;
}

static void test_client_calls(void **state)
{
	assert_int_equal(with_client(*state, call_well), 0);
}

static void test_client_does_not_wait_forever(void **state)
{
	assert_int_equal(with_client(*state, call_without_answer), 0);
}

/* What stands right behind the answer is the client's to read, and no part of it. */
static void test_client_upgrades(void **state)
{
	((struct fixture *)*state)->says = true;
	assert_int_equal(with_client(*state, call_upgrade), 0);
}

static void test_connect_says_why(_unused_ void **state)
{
	char path[200];

	assert_int_equal(varlink_connect("/nonexistent/socket", USEC_S), -ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	assert_int_equal(varlink_connect(path, USEC_S), -ENAMETOOLONG);
}

static void test_listens(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct fixture *f = *state;
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "/tmp/test-varlink-%d", (int)getpid());
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(listener, 5), 0);
	varlink_server_free(f->server);
	assert_int_equal(varlink_server_new(&f->server, f->loop, &service, f, listener), 0);
	close(f->client);
	f->client = varlink_connect(sa.sun_path, USEC_S);
	assert_true(f->client >= 0);
	say(f, "{\"method\":\"a.b.Echo\",\"parameters\":{\"text\":\"x\"}}");
	expect(f, "{\"parameters\":{\"text\":\"x\"}}");
	f->server = varlink_server_free(f->server);
	assert_int_equal(varlink_connect(sa.sun_path, USEC_S), -ECONNREFUSED);
	unlink(sa.sun_path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers), TEST(test_refuses_wrong_parameters), TEST(test_describes_itself), TEST(test_answers_later_and_in_order),
		TEST(test_oneway_has_no_answer), TEST(test_hears_who_has_left_early), TEST(test_half_closed_client_is_answered),
		TEST(test_hangup_is_told_once), TEST(test_client_goes_while_its_call_waits), TEST(test_hangup_is_told_when_the_server_goes),
		TEST(test_takes_a_descriptor), TEST(test_closes_descriptors_that_nobody_takes),
			TEST(test_upgrade_hands_over_the_connection),
		TEST(test_garbage_ends_the_connection), TEST(test_call_too_long), TEST(test_byte_by_byte),
			TEST(test_flood_by_one_who_never_reads),
		TEST(test_one_turn_takes_its_share_only), TEST(test_one_connection_too_many), TEST(test_random_bytes),
		TEST(test_client_calls), TEST(test_client_does_not_wait_forever), TEST(test_client_upgrades), TEST(test_connect_says_why),
		TEST(test_listens),
	};

	return cmocka_run_group_tests_name("varlink", tests, NULL, NULL);
}
