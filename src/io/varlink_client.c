// SPDX-License-Identifier: MIT
#include "io/varlink_client.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "io/varlink_message.h"

static usec_t deadline_of(usec_t timeout)
{
	return timeout <= 0 || timeout == USEC_NEVER ? USEC_NEVER : usec_now() + timeout;
}

/* Wait until the socket is ready. Return: 0, -ETIMEDOUT or another negative errno. */
static int wait_for(int socket, short events, usec_t deadline)
{
	struct pollfd p = { .fd = socket, .events = events };

	for (;;) {
		usec_t left = deadline == USEC_NEVER ? 0 : deadline - usec_now();
		struct timespec ts = { .tv_sec = left / USEC_S, .tv_nsec = left % USEC_S * 1000 };
		int r;

		if (left < 0)
			return -ETIMEDOUT;
		r = ppoll(&p, 1, deadline == USEC_NEVER ? NULL : &ts, NULL);
		if (r > 0)
			return 0;
		if (!r)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int varlink_connect(const char *path, usec_t timeout)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	usec_t deadline = deadline_of(timeout);
	_cleanup_fd_ int fd = -1;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* EAGAIN: the backlog is full, and there is no event to wait for. */
	while (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (usec_now() >= deadline)
			return -ETIMEDOUT;
		poll(NULL, 0, 5);
	}
	return fd_steal(&fd);
}

/* The descriptor, if any, goes with the first byte. Return: bytes sent, or negative errno. */
static ssize_t send_some(int socket, const char *data, size_t size, int fd)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	struct iovec iov = { .iov_base = (char *)data, .iov_len = size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fd > 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	n = sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

static int send_all(int socket, const char *data, size_t size, int fd, usec_t deadline)
{
	for (size_t sent = 0; sent < size;) {
		ssize_t n = send_some(socket, data + sent, size - sent, sent ? -1 : fd);
		int r;

		if (n > 0)
			sent += (size_t)n;
		if (n >= 0 || n == -EINTR)
			continue;
		if (n != -EAGAIN)
			return (int)n;
		r = wait_for(socket, POLLOUT, deadline);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Keep the first descriptor that came if one is wanted and none is there yet, and close all others. */
static void keep_fds(struct msghdr *m, int *fd)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t count = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

		for (size_t i = 0; i < count; i++) {
			int came;

			memcpy(&came, CMSG_DATA(c) + i * sizeof(int), sizeof(came));
			if (*fd < 0)
				*fd = came;
			else
				close(came);
		}
	}
}

/* Without a place for descriptors the kernel closes what comes. */
static ssize_t take_bytes(int socket, char *into, size_t size, int *fd)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(4 * sizeof(int))]; } control;
	struct iovec iov = { .iov_base = into, .iov_len = size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fd) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n >= 0 && fd)
		keep_fds(&m, fd);
	return n;
}

/*
 * Look at what is there, then take only what belongs to the message. Return: 1 when it is whole, 0 when more is to come, or negative errno.
 */
static int receive_some(int socket, char *into, size_t room, size_t *used, int *fd)
{
	ssize_t n = recv(socket, into + *used, room - *used, MSG_PEEK | MSG_DONTWAIT);
	const char *end;
	size_t take;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n)
		return -ECONNRESET;
	end = memchr(into + *used, 0, (size_t)n);
	take = end ? (size_t)(end - (into + *used)) + 1 : (size_t)n;
	n = take_bytes(socket, into + *used, take, fd);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	*used += (size_t)n;
	return end && (size_t)n == take;
}

static int receive_message(int socket, json_t **out, int *fd, usec_t deadline)
{
	_cleanup_(freep) char *text = NULL;
	size_t room = 0, used = 0;

	for (;;) {
		int r = wait_for(socket, POLLIN, deadline);

		if (r < 0)
			return r;
		if (used == room) {
			char *more = room < VARLINK_REPLY_MAX ? realloc(text, room ? room * 2 : 4096) : NULL;

			if (!more)
				return room < VARLINK_REPLY_MAX ? -ENOMEM : -EMSGSIZE;
			text = more;
			room = room ? room * 2 : 4096;
		}
		r = receive_some(socket, text, room, &used, fd);
		if (r < 0)
			return r;
		if (r)
			return varlink_parse(text, used - 1, out) < 0 ? -EPROTO : 0;
	}
}

static int receive_reply(int socket, json_t **reply, char *error, int *fd, usec_t deadline)
{
	json_auto_t *message = NULL;
	json_t *parameters;
	const char *name;
	int r = receive_message(socket, &message, fd, deadline);

	if (r < 0)
		return r;
	parameters = json_object_get(message, "parameters");
	name = json_string_value(json_object_get(message, "error"));
	if ((parameters && !json_is_object(parameters)) || (name && strlen(name) >= VARLINK_ERROR_SIZE))
		return -EPROTO;
	if (name)
		snprintf(error, VARLINK_ERROR_SIZE, "%s", name);
	if (reply) {
		*reply = parameters ? json_incref(parameters) : json_object();
		if (!*reply)
			return -ENOMEM;
	}
	return name ? VARLINK_ERROR : 0;
}

static json_t *request_message(const struct varlink_request *call)
{
	json_t *message = json_pack("{ss so*}", "method", call->method, "parameters", call->parameters);

	if (message && call->oneway)
		json_object_set_new(message, "oneway", json_true());
	if (message && call->upgrade)
		json_object_set_new(message, "upgrade", json_true());
	return message;
}

static int call_and_wait(int socket, const struct varlink_request *call, json_t **reply, char *error)
{
	usec_t deadline = deadline_of(call->timeout);
	_cleanup_(freep) char *text = NULL;
	size_t size;
	int r = varlink_format(request_message(call), &text, &size);

	if (r < 0)
		return r;
	if (size > VARLINK_CALL_MAX)
		return -EMSGSIZE;
	r = send_all(socket, text, size, call->fd, deadline);
	/* A server that refuses a connection says why before it closes it. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		return r;
	if (r < 0 && receive_reply(socket, reply, error, call->reply_fd, deadline) != VARLINK_ERROR)
		return -ECONNRESET;
	if (r < 0)
		return VARLINK_ERROR;
	return call->oneway ? 0 : receive_reply(socket, reply, error, call->reply_fd, deadline);
}

int varlink_call(int socket, const struct varlink_request *call, json_t **reply, char error[static VARLINK_ERROR_SIZE])
{
	int r;

	*error = 0;
	if (call->reply_fd)
		*call->reply_fd = -1;
	r = call_and_wait(socket, call, reply, error);
	if (r && call->reply_fd)
		*call->reply_fd = fd_close(*call->reply_fd);
	return r;
}
