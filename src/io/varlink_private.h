// SPDX-License-Identifier: MIT
/* What varlink_server.c (who may connect) and varlink_connection.c (what is said) share. Nobody else includes this. */
#pragma once
#include <sys/socket.h>
#include "io/listen.h"
#include "io/varlink_server.h"

#define VARLINK_FDS 4

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
	int fds[VARLINK_FDS];      /* came with bytes in @in and are not taken yet */
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

/**
 * varlink_connection_new() - serve a connected socket
 * @fd:      owned by the connection, also on failure
 * @peer:    whose it is (SO_PEERCRED)
 * @refused: he may not, and hears that as the answer to his first call
 * Return: 0 or negative errno
 */
int varlink_connection_new(struct varlink_server *s, int fd, const struct ucred *peer, bool refused);
/** varlink_connection_free() - close it, and tell whoever hangs on it */
void varlink_connection_free(struct connection *c);
