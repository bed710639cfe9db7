// SPDX-License-Identifier: MIT
#include "cli/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "base/fd.h"

#define BUFFER_SIZE (256 * 1024)
#define PIPE_SIZE   (1024 * 1024)

/* One direction. Reading waits until all that was read is written: start == end. */
struct half {
	char *data;
	size_t start, end;
	bool ended;      /* nothing more to read */
	bool closed;     /* and the writing side was told */
};

struct relay {
	int socket, in, out;
	struct half up, down;   /* in to socket, socket to out */
	bool terminal;
};

static bool empty(const struct half *h) { return h->start == h->end; }

/* Return: 0 or negative errno; at the end of input the half has ended. */
static int fill(struct half *h, int fd)
{
	ssize_t n = read(fd, h->data, BUFFER_SIZE);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	h->start = 0, h->end = (size_t)n;
	h->ended = !n;
	return 0;
}

/* A socket that others use, too, must not become non-blocking for them: hence MSG_DONTWAIT. */
static int drain(struct half *h, int fd)
{
	ssize_t n = send(fd, h->data + h->start, h->end - h->start, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno == ENOTSOCK)
		n = write(fd, h->data + h->start, h->end - h->start);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	h->start += (size_t)n;
	return 0;
}

/* Tell the writing side of each half that has ended. Return: has the relay done its work? */
static bool close_ended(struct relay *r)
{
	if (r->up.ended && empty(&r->up) && !r->up.closed) {
		shutdown(r->socket, SHUT_WR);
		r->up.closed = true;
	}
	if (r->down.ended && empty(&r->down) && !r->down.closed) {
		if (shutdown(r->out, SHUT_WR) < 0)
			r->out = fd_close(r->out);
		r->down.closed = true;
	}
	return r->down.closed && (r->up.closed || r->terminal);
}

static int turn(struct relay *r)
{
	bool read_in = !r->up.ended && empty(&r->up), read_socket = !r->down.ended && empty(&r->down);
	struct pollfd p[] = {
		{ .fd = read_in ? r->in : -1, .events = POLLIN },
		{ .fd = r->socket, .events = (short)((read_socket ? POLLIN : 0) | (empty(&r->up) ? 0 : POLLOUT)) },
		{ .fd = r->down.closed ? -1 : r->out, .events = empty(&r->down) ? 0 : POLLOUT },
	};
	int result = 0;

	/* A hang-up is always told: listen to it only when there is nothing left to hear first. */
	if (!p[1].events && !r->down.closed)
		p[1].fd = -1;
	if (poll(p, 3, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[2].revents && empty(&r->down))
		return -EPIPE;
	if (p[2].revents)
		result = drain(&r->down, r->out);
	if (!result && p[1].revents && read_socket)
		result = fill(&r->down, r->socket);
	/* Who takes no more may still have something to say. */
	if (!result && p[1].revents && !empty(&r->up) && drain(&r->up, r->socket) < 0)
		r->up.start = r->up.end, r->up.ended = true;
	if (!result && p[0].revents)
		result = p[0].revents & POLLNVAL ? (r->up.ended = true, 0) : fill(&r->up, r->in);
	if (!result && r->down.closed && p[1].revents & (POLLHUP | POLLERR))
		r->up.start = r->up.end, r->up.ended = r->up.closed = true;
	return result;
}

/* A pipe is opened anew, so that it can be non-blocking for us alone, and made larger. */
static int own_output(int out)
{
	char path[32];
	struct stat st;
	int fd;

	if (fstat(out, &st) < 0 || !S_ISFIFO(st.st_mode))
		return out;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", out);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return out;
	fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
	close(out);
	return fd;
}

int relay_run(int socket, int in, int out)
{
	_cleanup_(freep) char *up = malloc(BUFFER_SIZE), *down = malloc(BUFFER_SIZE);
	struct relay r = { .socket = socket, .in = in, .out = own_output(out), .terminal = isatty(in),
			   .up = { .data = up }, .down = { .data = down } };
	int result = up && down ? 0 : -ENOMEM;

	signal(SIGPIPE, SIG_IGN);
	while (!result && !close_ended(&r))
		result = turn(&r);
	return result;
}
