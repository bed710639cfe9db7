// SPDX-License-Identifier: MIT
#include "io/listen.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"

#define ACCEPTS_A_TURN 16

static void listener_rested(struct timer *t)
{
	watch_set(&container_of(t, struct listener, rest)->watch, EPOLLIN);
}

static void listener_tired(struct listener *l, int error)
{
	log_warning("cannot take a connection: %s; trying again every second%s", strerror(error),
		    error == EMFILE ? " (raise the limit of open files: ulimit -n)" : "");
	watch_set(&l->watch, 0);
	timer_set(&l->rest, loop_now(l->watch.loop) + USEC_S);
}

static void listener_ready(struct watch *w, _unused_ uint32_t events)
{
	struct listener *l = container_of(w, struct listener, watch);

	/* The listener may be closed by what it calls. */
	for (int i = 0; i < ACCEPTS_A_TURN && l->watch.fd >= 0; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			l->accepted(l, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			listener_tired(l, errno);
			return;
		} else if (errno == EAGAIN) {
			return;
		}
	}
}

int listener_init(struct listener *l, struct loop *loop, int fd, void (*accepted)(struct listener *l, int fd))
{
	int r = watch_add(&l->watch, loop, fd, EPOLLIN, listener_ready);

	if (r < 0)
		return r;
	timer_init(&l->rest, loop, listener_rested);
	l->accepted = accepted;
	l->fd = fd;
	return 0;
}

void listener_fini(struct listener *l)
{
	if (!l->accepted)
		return;
	watch_remove(&l->watch);
	timer_set(&l->rest, USEC_NEVER);
	l->fd = fd_close(l->fd);
	l->accepted = NULL;
}

bool listener_of_same_user(int fd, int32_t *pid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	if (pid)
		*pid = peer.pid;
	return peer.uid == geteuid() || peer.uid == 0;
}
