// SPDX-License-Identifier: MIT
/* Varlink: whatever bytes a client sends, cut into two pieces, with a descriptor or without; the server answers or closes, and turns on. */
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "io/varlink_message.h"
#include "io/varlink_server.h"

static void answer(_unused_ void *owner, struct varlink_call *call, const json_t *parameters)
{
	fd_close(varlink_call_take_fd(call));
	varlink_reply(call, json_incref((json_t *)parameters));
}

static void upgrade(_unused_ void *owner, struct varlink_call *call, _unused_ const json_t *parameters)
{
	varlink_upgrade(call, NULL);
}

static const struct varlink_param params[] = {
	{ .name = "s", .type = VARLINK_STRING, .max = 10 },
	{ .name = "i", .type = VARLINK_INT, .optional = true, .min = 1, .max = 3 },
	{ .name = "b", .type = VARLINK_BOOL, .optional = true },
	{ 0 },
};
static const struct varlink_method methods[] = {
	{ .name = "A", .params = params, .handle = answer },
	{ .name = "U", .upgrades = true, .handle = upgrade },
};
static const struct varlink_service service = {
	.vendor = "", .product = "", .version = "", .url = "", .interface = "a.b", .description = "", .error_full = "a.b.Full",
	.methods = methods, .count = ARRAY_SIZE(methods),
};

static void send_part(int fd, const struct iovec *part, bool with_fd)
{
	if (!part->iov_len)
		return;
	if (with_fd)
		fd_send_fd(fd, fd, part->iov_base, part->iov_len);
	else if (send(fd, part->iov_base, part->iov_len, MSG_NOSIGNAL) < 0)
		return; /* the server has closed it: fine */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, MIN(size, (size_t)4096));
	struct varlink_server *server;
	struct loop *loop;
	char sink[65536];
	int ends[2];

	MUST(loop_new(&loop) == 0);
	MUST(varlink_server_new(&server, loop, &service, NULL, -1) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	varlink_server_adopt(server, ends[0]);
	for (size_t i = 0; i < ARRAY_SIZE(in.iov); i++) {
		send_part(ends[1], &in.iov[i], size % 2);
		MUST(loop_turn(loop, 0) == 0);
		while (recv(ends[1], sink, sizeof(sink), 0) > 0)
			;
	}
	for (int i = 0; i < 4; i++)
		MUST(loop_turn(loop, 0) == 0);
	close(ends[1]);
	MUST(loop_turn(loop, 0) == 0);
	varlink_server_free(server);
	loop_free(loop);
	input_fini(&in);
	return 0;
}
