// SPDX-License-Identifier: MIT
/* Varlink for many users: who is admitted, what one user may use up, and descriptors that go with an answer. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/fd.h"
#include "io/varlink_server.h"

#define DENIED    "{\"error\":\"org.varlink.service.PermissionDenied\",\"parameters\":{}}"
#define FULL      "{\"error\":\"a.b.Full\",\"parameters\":{\"what\":\"connections\"}}"
#define ROOM      6    /* connections in all */
#define ROOM_USER 3
#define ONE       61001
#define TWO       61002

struct fixture {
	struct loop *loop;
	struct varlink_server *server;
	struct varlink_call *later;
	int give;                         /* the descriptor that the next Give hands over */
	int calls, asked;                 /* how often a handler, and admits, were called */
	uint32_t uid;                     /* with whom admits was called last */
	uint32_t wanted;                  /* the only user that it admits; UINT32_MAX: all */
	int pipe[2];                      /* [1] is what is given away: reading [0] tells whether anybody has it still */
};

/* --- the service --- */

static void give(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	struct fixture *f = owner;

	f->calls++;
	varlink_reply_fd(call, json_pack("{ss}", "what", "tap"), fd_steal(&f->give));
}

/* More than a socket's buffer takes. */
static void give_much(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	char *text = malloc(3000001);
	struct fixture *f = owner;

	memset(text, 'x', 3000000);
	text[3000000] = 0;
	varlink_reply_fd(call, json_pack("{ss}", "text", text), fd_steal(&f->give));
	free(text);
}

static void later(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	((struct fixture *)owner)->later = call;
}

static void who(void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	((struct fixture *)owner)->calls++;
	varlink_reply(call, json_pack("{si}", "uid", (int)varlink_call_uid(call)));
}

static bool admits(void *owner, uint32_t uid)
{
	struct fixture *f = owner;

	f->asked++;
	f->uid = uid;
	return f->wanted == UINT32_MAX || uid == f->wanted;
}

static const struct varlink_method methods[] = {
	{ .name = "Give", .handle = give }, { .name = "GiveMuch", .handle = give_much }, { .name = "Later", .handle = later },
	{ .name = "Who", .handle = who },
};
static const struct varlink_service service = {
	.vendor = "v", .product = "p", .version = "1", .url = "u", .interface = "a.b", .description = "interface a.b\n",
	.error_full = "a.b.Full", .methods = methods, .count = ARRAY_SIZE(methods),
	.admits = admits, .connections = ROOM, .connections_of_user = ROOM_USER,
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->wanted = UINT32_MAX;
	assert_int_equal(pipe2(f->pipe, O_CLOEXEC | O_NONBLOCK), 0);
	f->give = fd_steal(&f->pipe[1]);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(varlink_server_new(&f->server, f->loop, &service, f, -1), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	varlink_server_free(f->server);
	loop_free(f->loop);
	fd_close(f->give);
	fd_close(f->pipe[0]);
	free(f);
	return 0;
}

/* --- clients --- */

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

/* As another user: the kernel notes whose process made the pair. */
static int join_as(struct fixture *f, uid_t uid)
{
	int fd, r = seteuid(uid);

	assert_int_equal(r, 0);
	fd = join(f);
	assert_int_equal(seteuid(0), 0);
	return fd;
}

static void say(int client, const char *text)
{
	assert_int_equal(send(client, text, strlen(text) + 1, MSG_NOSIGNAL), (ssize_t)strlen(text) + 1);
}

/* One read. Return: bytes, and the descriptor that came with them, or -1. */
static ssize_t receive(int client, void *into, size_t size, int *fd)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(4 * sizeof(int))]; } control;
	struct iovec iov = { into, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(client, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	*fd = -1;
	if (h) {
		assert_int_equal(h->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(fd, CMSG_DATA(h), sizeof(*fd));
		assert_null(CMSG_NXTHDR(&m, h));
	}
	return n;
}

/* The whole answer, with which no descriptor comes. */
static void expect(struct fixture *f, int client, const char *reply)
{
	char text[4096] = "";
	int fd;

	turns(f);
	assert_int_equal(receive(client, text, sizeof(text) - 1, &fd), (ssize_t)strlen(reply) + 1);
	assert_string_equal(text, reply);
	assert_int_equal(fd, -1);
}

static void expect_end(struct fixture *f, int client)
{
	char byte;

	turns(f);
	assert_int_equal(recv(client, &byte, 1, 0), 0);
}

/* Has nobody the descriptor that was given away any more? */
static bool given_is_closed(struct fixture *f)
{
	char byte;

	return read(f->pipe[0], &byte, 1) == 0;
}

/* --- a descriptor with the answer --- */

static void test_descriptor_comes_with_the_answer(void **state)
{
	static const char reply[] = "{\"parameters\":{\"what\":\"tap\"}}";
	struct fixture *f = *state;
	int client = join(f), fd;
	char text[100];

	say(client, "{\"method\":\"a.b.Give\"}");
	turns(f);
	/* With its first byte, so that whoever reads byte by byte has it at once. */
	assert_int_equal(receive(client, text, 1, &fd), 1);
	assert_true(fd >= 0);
	assert_int_equal(receive(client, text + 1, sizeof(text) - 1, &(int){ 0 }), sizeof(reply) - 1);
	assert_string_equal(text, reply);
	assert_false(given_is_closed(f));
	close(fd);
	assert_true(given_is_closed(f)); /* the server kept none */
	/* It was of that answer alone. */
	say(client, "{\"method\":\"a.b.Who\"}");
	snprintf(text, sizeof(text), "{\"parameters\":{\"uid\":%u}}", (unsigned int)geteuid());
	expect(f, client, text);
	close(client);
}

static void test_descriptor_comes_once_with_an_answer_in_parts(void **state)
{
	static char text[100000];
	struct fixture *f = *state;
	int client = join(f), fd, first = -1;
	size_t size = 0, descriptors = 0;

	say(client, "{\"method\":\"a.b.GiveMuch\"}");
	for (int i = 0; i < 10000 && size < 3000000; i++) {
		ssize_t n = receive(client, text, sizeof(text), &fd);

		assert_int_equal(loop_turn(f->loop, 0), 0);
		if (fd >= 0) {
			assert_int_equal(size, 0);
			first = fd;
			descriptors++;
		}
		size += n > 0 ? (size_t)n : 0;
	}
	assert_true(size >= 3000000);
	assert_int_equal(descriptors, 1);
	close(first);
	assert_true(given_is_closed(f));
	close(client);
}

static void test_descriptor_that_nobody_gets_is_closed(void **state)
{
	struct fixture *f = *state;
	int client = join(f);
	char text[10];

	/* Who wants no answer gets none. */
	say(client, "{\"method\":\"a.b.Give\",\"oneway\":true}");
	turns(f);
	assert_int_equal(f->calls, 1);
	assert_int_equal(recv(client, text, sizeof(text), 0), -1);
	assert_true(given_is_closed(f));
	close(client);
}

static void test_descriptor_of_a_client_that_goes(void **state)
{
	struct fixture *f = *state;
	int client = join(f);

	/* It does not read its answer, and goes. */
	say(client, "{\"method\":\"a.b.GiveMuch\"}");
	turns(f);
	assert_false(given_is_closed(f));
	close(client);
	turns(f);
	assert_true(given_is_closed(f));
}

static void test_descriptor_comes_late(void **state)
{
	struct fixture *f = *state;
	int client = join(f), fd;
	char text[100];

	say(client, "{\"method\":\"a.b.Later\"}");
	turns(f);
	assert_non_null(f->later);
	varlink_reply_fd(f->later, NULL, fd_steal(&f->give));
	turns(f);
	assert_true(receive(client, text, sizeof(text), &fd) > 0);
	assert_true(fd >= 0);
	assert_string_equal(text, "{\"parameters\":{}}");
	close(fd);
	assert_true(given_is_closed(f));
	close(client);
}

/* --- who is admitted --- */

static void test_admits_is_asked_by_connection(void **state)
{
	struct fixture *f = *state;
	int client = join(f);
	char text[100];

	assert_int_equal(f->asked, 1);
	assert_int_equal(f->uid, geteuid());
	/* What is admitted stays so: it is not asked again for a call. */
	f->wanted = geteuid() + 1;
	say(client, "{\"method\":\"a.b.Who\"}");
	snprintf(text, sizeof(text), "{\"parameters\":{\"uid\":%u}}", (unsigned int)geteuid());
	expect(f, client, text);
	assert_int_equal(f->asked, 1);
	close(client);
}

/* The first call is answered, so that he knows; no handler sees it, and the connection ends. */
static void test_refused(void **state)
{
	struct fixture *f = *state;
	int client;

	f->wanted = geteuid() + 1;
	client = join(f);
	assert_int_equal(f->asked, 1);
	say(client, "{\"method\":\"a.b.Give\"}");
	say(client, "{\"method\":\"a.b.Who\"}");
	expect(f, client, DENIED);
	expect_end(f, client);
	assert_int_equal(f->calls, 0);
	assert_true(f->give >= 0);
	close(client);
	/* Neither does he learn what there is. */
	client = join(f);
	say(client, "{\"method\":\"org.varlink.service.GetInfo\"}");
	expect(f, client, DENIED);
	close(client);
	/* Who wants no answer gets none, and holds no place either. */
	client = join(f);
	say(client, "{\"method\":\"a.b.Give\",\"oneway\":true}");
	expect_end(f, client);
	assert_int_equal(f->calls, 0);
	close(client);
	turns(f);
}

static void need_root(void)
{
	if (geteuid())
		skip(); /* only root can be several users */
}

static void test_user_of_a_connection(void **state)
{
	struct fixture *f = *state;
	int one, two;

	need_root();
	f->wanted = ONE;
	one = join_as(f, ONE);
	two = join_as(f, TWO);
	assert_int_equal(f->uid, TWO);
	say(one, "{\"method\":\"a.b.Who\"}");
	say(two, "{\"method\":\"a.b.Who\"}");
	expect(f, one, "{\"parameters\":{\"uid\":61001}}");
	expect(f, two, DENIED);
	close(one);
	close(two);
}

/* What one user uses up is not another's, and never root's. */
static void test_room_of_users(void **state)
{
	struct fixture *f = *state;
	int held[2 * ROOM], count = 0, more;

	need_root();
	for (int i = 0; i < ROOM_USER; i++)
		held[count++] = join_as(f, ONE);
	more = join_as(f, ONE);
	expect(f, more, FULL);
	expect_end(f, more);
	close(more);
	for (int i = 0; i < ROOM_USER; i++)
		held[count++] = join_as(f, TWO);
	/* All room is taken; root's is beyond. */
	more = join_as(f, TWO + 1);
	expect(f, more, FULL);
	close(more);
	while (count < 2 * ROOM) {
		held[count] = join(f);
		say(held[count], "{\"method\":\"a.b.Who\"}");
		expect(f, held[count++], "{\"parameters\":{\"uid\":0}}");
	}
	more = join(f);
	expect(f, more, FULL);
	close(more);
	/* One that goes makes room. */
	while (count > 1)
		close(held[--count]);
	turns(f);
	more = join_as(f, ONE);
	say(more, "{\"method\":\"a.b.Who\"}");
	expect(f, more, "{\"parameters\":{\"uid\":61001}}");
	close(more);
	close(held[0]);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_descriptor_comes_with_the_answer), TEST(test_descriptor_comes_once_with_an_answer_in_parts),
		TEST(test_descriptor_that_nobody_gets_is_closed), TEST(test_descriptor_of_a_client_that_goes), TEST(test_descriptor_comes_late),
		TEST(test_admits_is_asked_by_connection), TEST(test_refused), TEST(test_user_of_a_connection), TEST(test_room_of_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
