// SPDX-License-Identifier: MIT
#include "io/varlink_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "io/varlink_dispatch.h"
#include "io/varlink_message.h"

#define CALLS_A_TURN 16

static struct connection *connection_of(const struct varlink_call *call)
{
	return container_of((struct varlink_call *)call, struct connection, call);
}

/* --- end of a connection --- */

static void connection_tell_hangups(struct connection *c)
{
	while (!list_empty(&c->hangups)) {
		struct varlink_hangup *h = list_entry(c->hangups.next, struct varlink_hangup, node);

		list_remove(&h->node);
		if (!c->upgraded)
			h->gone(h);
	}
}

static void connection_close_fds(struct connection *c)
{
	while (c->fd_count)
		fd_close(c->fds[--c->fd_count]);
}

void varlink_connection_free(struct connection *c)
{
	watch_remove(&c->watch);
	deferred_remove(&c->turn);
	list_remove(&c->node);
	c->server->count--;
	connection_tell_hangups(c);
	connection_close_fds(c);
	fd_close(c->out_fd);
	fd_close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

/* Freed at the turn's end, since whoever finds out may be in the middle of a handler. */
static void connection_doom(struct connection *c)
{
	if (c->doomed)
		return;
	c->doomed = true;
	watch_remove(&c->watch);
	deferred_add(&c->turn);
}

/* --- out --- */

static ssize_t connection_send(struct connection *c)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control = { .header = {
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { c->out + c->out_sent, c->out_size - c->out_sent };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (c->out_fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &c->out_fd, sizeof(c->out_fd));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		c->out_fd = fd_close(c->out_fd);
	return n;
}

static void connection_flush(struct connection *c)
{
	while (c->out && c->out_sent < c->out_size) {
		ssize_t n = connection_send(c);

		if (n >= 0) {
			c->out_sent += (size_t)n;
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR) {
			connection_doom(c);
			return;
		}
	}
	free(c->out);
	c->out = NULL;
	if (c->last)
		connection_doom(c);
}

/* Answers the call: from here on it is gone, and the next one can be looked at. */
static void connection_answer(struct connection *c, json_t *message)
{
	c->call.busy = false;
	deferred_add(&c->turn);
	if (c->call.oneway || c->doomed) {
		json_decref(message);
		if (c->last) /* nothing will leave that it could wait for */
			connection_doom(c);
		return;
	}
	if (varlink_format(message, &c->out, &c->out_size) < 0) {
		log_error("cannot answer a call on the control socket (no memory, or text that is not UTF-8); its connection is closed");
		connection_doom(c);
		return;
	}
	c->out_sent = 0;
	connection_flush(c);
}

void varlink_reply(struct varlink_call *call, json_t *parameters)
{
	connection_answer(connection_of(call), json_pack("{so}", "parameters", parameters ? parameters : json_object()));
}

void varlink_reply_fd(struct varlink_call *call, json_t *parameters, int fd)
{
	struct connection *c = connection_of(call);

	c->out_fd = fd;
	varlink_reply(call, parameters);
	if (!c->out) /* it has gone, or never will: who cannot be answered gets nothing */
		c->out_fd = fd_close(c->out_fd);
}

void varlink_fail(struct varlink_call *call, const char *error, json_t *parameters)
{
	connection_answer(connection_of(call), json_pack("{ss so}", "error", error, "parameters", parameters ? parameters : json_object()));
}

void varlink_invalid(struct varlink_call *call, const char *parameter)
{
	varlink_fail(call, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", parameter));
}

int varlink_upgrade(struct varlink_call *call, json_t *parameters)
{
	struct connection *c = connection_of(call);

	varlink_reply(call, parameters);
	if (c->doomed)
		return -EPIPE;
	if (c->out) { /* its socket's buffer is full of what was never read */
		connection_doom(c);
		return -EAGAIN;
	}
	c->upgraded = true;
	connection_doom(c);
	return 0;
}

/* --- in --- */

static void connection_handle(struct connection *c, const char *text, size_t size)
{
	struct varlink_server *s = c->server;
	json_auto_t *message = NULL;
	const char *method;
	json_t *parameters;

	c->call = (struct varlink_call){ .busy = true };
	if (varlink_parse(text, size, &message) < 0) {
		c->last = true; /* who knows where its next call begins */
		varlink_invalid(&c->call, "call");
		return;
	}
	method = json_string_value(json_object_get(message, "method"));
	parameters = json_object_get(message, "parameters");
	c->call.oneway = json_is_true(json_object_get(message, "oneway"));
	if (c->refused) {
		c->last = true;
		varlink_fail(&c->call, "org.varlink.service.PermissionDenied", NULL);
	} else if (!method) {
		varlink_invalid(&c->call, "method");
	} else if (parameters && !json_is_object(parameters) && !json_is_null(parameters))
		varlink_invalid(&c->call, "parameters");
	else
		varlink_dispatch(s->service, s->owner, &c->call, method, parameters, json_is_true(json_object_get(message, "upgrade")));
}

/* Return: the end of the next whole call in the buffer, or NULL. */
static char *connection_next_end(struct connection *c)
{
	char *end = c->scanned < c->end ? memchr(c->in + c->scanned, 0, c->end - c->scanned) : NULL;

	c->scanned = end ? (size_t)(end - c->in) : c->end;
	return end;
}

/* Hand on calls that are whole, one after the other's answer. */
static void connection_work(struct connection *c)
{
	for (int i = 0; !c->doomed && !c->call.busy && !c->out && !c->last && !c->server->stopped; i++) {
		char *end = connection_next_end(c);
		const char *text;

		if (!end && c->eof) {
			connection_doom(c);
			return;
		}
		if (!end && c->start == 0 && c->end == VARLINK_CALL_MAX) {
			c->call = (struct varlink_call){ .busy = true };
			c->last = true;
			varlink_invalid(&c->call, "call");
			return;
		}
		/* Nobody took them, and no further call has begun that they could have come with. */
		if (c->start == c->end)
			connection_close_fds(c);
		if (!end)
			return;
		if (i == CALLS_A_TURN) {
			deferred_add(&c->turn);
			return;
		}
		text = c->in + c->start;
		c->start = c->scanned = (size_t)(end - c->in) + 1;
		connection_handle(c, text, (size_t)(end - text));
	}
}

/* Make room at the end of the buffer. Return: bytes. */
static size_t connection_room(struct connection *c)
{
	if (!c->in)
		c->in = malloc(VARLINK_CALL_MAX);
	if (!c->in)
		return 0;
	if (c->start) {
		memmove(c->in, c->in + c->start, c->end - c->start);
		c->end -= c->start;
		c->scanned -= c->start;
		c->start = 0;
	}
	return VARLINK_CALL_MAX - c->end;
}

static void connection_take_fds(struct connection *c, struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (c->fd_count < VARLINK_FDS)
				c->fds[c->fd_count++] = fd;
			else
				fd_close(fd);
		}
	}
}

static void connection_read(struct connection *c)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(VARLINK_FDS * sizeof(int))]; } control;
	size_t room = connection_room(c);
	struct iovec iov = { .iov_base = room ? c->in + c->end : NULL, .iov_len = room };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n;

	if (!c->in) {
		connection_doom(c);
		return;
	}
	n = room ? recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) : -1;
	if (!room || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	if (n < 0) {
		connection_doom(c);
		return;
	}
	connection_take_fds(c, &m);
	c->end += (size_t)n;
	if (!n)
		c->eof = true;
}

/* --- its turn --- */

static void connection_watch(struct connection *c)
{
	bool wants_calls = !c->eof && !c->call.busy && !c->out && !c->last && !c->server->stopped;

	if (!c->doomed && watch_set(&c->watch, (c->out ? EPOLLOUT : 0) | (wants_calls ? EPOLLIN : 0)) < 0)
		connection_doom(c);
}

static void connection_ready(struct watch *w, uint32_t events)
{
	struct connection *c = container_of(w, struct connection, watch);
	bool reads = events & EPOLLIN;

	if (events & EPOLLOUT)
		connection_flush(c);
	if (reads && !c->doomed)
		connection_read(c);
	/* What the client said before it went is still heard; once there is nothing to hear, or nobody to answer, it is gone. */
	if ((events & (EPOLLHUP | EPOLLERR)) && (!reads || c->call.busy || c->out))
		connection_doom(c);
	connection_work(c);
	connection_watch(c);
}

static void connection_turn(struct deferred *d)
{
	struct connection *c = container_of(d, struct connection, turn);

	if (!c->doomed) {
		connection_work(c);
		connection_watch(c);
	}
	if (c->doomed)
		varlink_connection_free(c);
}

int varlink_connection_new(struct varlink_server *s, int fd, const struct ucred *peer, bool refused)
{
	struct connection *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		fd_close(fd);
		return -ENOMEM;
	}
	*c = (struct connection){ .server = s, .fd = fd, .out_fd = -1, .pid = peer->pid, .uid = peer->uid, .refused = refused };
	list_init(&c->hangups);
	deferred_init(&c->turn, s->loop, connection_turn);
	list_append(&s->connections, &c->node);
	s->count++;
	r = watch_add(&c->watch, s->loop, fd, EPOLLIN, connection_ready);
	if (r < 0)
		varlink_connection_free(c);
	return r;
}

/* --- for handlers --- */

int varlink_call_socket(const struct varlink_call *call)
{
	return connection_of(call)->fd;
}

int varlink_call_take_fd(struct varlink_call *call)
{
	struct connection *c = connection_of(call);
	int fd = c->fd_count ? c->fds[0] : -1;

	if (fd >= 0)
		memmove(c->fds, c->fds + 1, --c->fd_count * sizeof(*c->fds));
	return fd;
}

int32_t varlink_call_pid(const struct varlink_call *call)
{
	return connection_of(call)->pid;
}

uint32_t varlink_call_uid(const struct varlink_call *call)
{
	return connection_of(call)->uid;
}

void varlink_hang_on(struct varlink_call *call, struct varlink_hangup *h, void (*gone)(struct varlink_hangup *h))
{
	h->gone = gone;
	list_init(&h->node);
	list_append(&connection_of(call)->hangups, &h->node);
}

void varlink_hang_off(struct varlink_hangup *h)
{
	list_remove(&h->node);
}
