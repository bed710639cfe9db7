// SPDX-License-Identifier: MIT
/*
 * A listening stream socket in the loop. When the process is out of descriptors or memory, the listener rests for a second instead of
 * turning the loop in vain: the connection that waits in its backlog stays readable.
 */
#pragma once
#include "io/loop.h"

struct listener {
	struct watch watch;
	struct timer rest;
	int fd;                                                /* owned */
	void (*accepted)(struct listener *l, int fd);          /* owns @fd: connected, non-blocking, close-on-exec */
};

/**
 * listener_init() - serve @fd, a listening, non-blocking socket, which is the listener's when this succeeds. Return: 0 or negative errno.
 */
int listener_init(struct listener *l, struct loop *loop, int fd, void (*accepted)(struct listener *l, int fd));
/** listener_fini() - harmless on a zeroed one */
void listener_fini(struct listener *l);

/**
 * listener_of_same_user() - is the other end of a unix connection a process of this user's, or of root's (SO_PEERCRED)? @pid: whose, if
 * wanted
 */
bool listener_of_same_user(int fd, int32_t *pid);
