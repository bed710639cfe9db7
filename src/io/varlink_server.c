// SPDX-License-Identifier: MIT
#include "io/varlink_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "io/listen.h"
#include "io/varlink_dispatch.h"
#include "io/varlink_message.h"

#define CALLS_A_TURN 16
#define FDS_MAX      4

/* One at a time for a connection, so it lies in it. */
struct varlink_call {
	bool busy;                 /* taken and not yet answered */
	bool oneway;
};

struct connection {
	struct list node;
	struct varlink_server *server;
	struct varlink_call call;
	struct watch watch;
	struct deferred turn;      /* frees a doomed one, and goes on where a turn's share was used up or an answer came late */
	struct list hangups;
	int fd;
	int32_t pid;
	uint32_t uid;
	char *in;                  /* VARLINK_CALL_MAX bytes, made with the first byte */
	size_t start, scanned, end; /* in @in: first byte of the next call, no NUL before @scanned, end of what was read */
	char *out;                 /* what is being answered; NULL: nothing */
	size_t out_size, out_sent;
	int out_fd;                /* goes with the first byte of @out; -1: none */
	int fds[FDS_MAX];          /* came with bytes in @in and are not taken yet */
	size_t fd_count;
	bool eof;                  /* the client says no more, and may still listen */
	bool last;                 /* to be closed when @out has left */
	bool refused;              /* its user may not: its first call is answered with that */
	bool doomed, upgraded;
};

struct varlink_server {
	struct loop *loop;
	const struct varlink_service *service;
	void *owner;
	struct listener listener;
	struct list connections;
	size_t count;
	bool stopped;
};

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

static void connection_free(struct connection *c)
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
			if (c->fd_count < FDS_MAX)
				c->fds[c->fd_count++] = fd;
			else
				fd_close(fd);
		}
	}
}

static void connection_read(struct connection *c)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(FDS_MAX * sizeof(int))]; } control;
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
		connection_free(c);
}

/* --- the server --- */

/* Say why, as far as the socket takes it at once, and close. */
static void refuse(int fd, json_t *message)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;

	if (varlink_format(message, &text, &size) == 0 && send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("a refused client of the control socket had gone");
	fd_close(fd);
}

static bool is_admitted(const struct varlink_server *s, const struct ucred *peer)
{
	if (s->service->admits)
		return s->service->admits(s->owner, peer->uid);
	return peer->uid == geteuid() || peer->uid == 0;
}

static bool has_room(struct varlink_server *s, const struct ucred *peer)
{
	size_t limit = s->service->connections ? s->service->connections : VARLINK_CONNECTIONS, of_user = 0;

	if (s->stopped)
		return false;
	if (!peer->uid && s->service->admits)
		return s->count < 2 * limit;
	list_for_each(n, &s->connections)
		of_user += list_entry(n, struct connection, node)->uid == peer->uid;
	return s->count < limit && (!s->service->connections_of_user || of_user < s->service->connections_of_user);
}

void varlink_server_adopt(struct varlink_server *s, int fd)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	struct connection *c;
	bool admitted;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		fd_close(fd);
		return;
	}
	admitted = is_admitted(s, &peer);
	/* Where other users are expected they are no news, and hear it as an answer, so that they can tell it from a service that died. */
	if (!admitted && !s->service->admits) {
		log_warning("process %d of user %u was refused on the control socket", (int)peer.pid, (unsigned int)peer.uid);
		refuse(fd, json_pack("{ss s{}}", "error", "org.varlink.service.PermissionDenied", "parameters"));
		return;
	}
	c = has_room(s, &peer) ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		refuse(fd, json_pack("{ss s{ss}}", "error", s->service->error_full, "parameters", "what", "connections"));
		return;
	}
	*c = (struct connection){ .server = s, .fd = fd, .out_fd = -1, .pid = peer.pid, .uid = peer.uid, .refused = !admitted };
	list_init(&c->hangups);
	deferred_init(&c->turn, s->loop, connection_turn);
	list_append(&s->connections, &c->node);
	s->count++;
	if (watch_add(&c->watch, s->loop, fd, EPOLLIN, connection_ready) < 0) {
		c->watch.fd = -1;
		connection_free(c);
	}
}

static void accepted(struct listener *l, int fd)
{
	varlink_server_adopt(container_of(l, struct varlink_server, listener), fd);
}

int varlink_server_new(struct varlink_server **out, struct loop *loop, const struct varlink_service *service, void *owner, int fd)
{
	_cleanup_(freep) struct varlink_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	/* Objects are hash tables whose keys clients choose: take the random key now, while /dev/urandom can be opened. */
	json_object_seed(0);
	*s = (struct varlink_server){ .loop = loop, .service = service, .owner = owner };
	list_init(&s->connections);
	r = fd < 0 ? 0 : listener_init(&s->listener, loop, fd, accepted);
	if (r < 0)
		return r;
	*out = steal(&s);
	return 0;
}

void varlink_server_stop(struct varlink_server *s)
{
	listener_fini(&s->listener);
	s->stopped = true;
}

struct varlink_server *varlink_server_free(struct varlink_server *s)
{
	if (!s)
		return NULL;
	varlink_server_stop(s);
	while (!list_empty(&s->connections))
		connection_free(list_entry(s->connections.next, struct connection, node));
	free(s);
	return NULL;
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
