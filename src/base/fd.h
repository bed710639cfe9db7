// SPDX-License-Identifier: MIT
/* File descriptors: ownership and small helpers. "No descriptor" is -1. */
#pragma once
#include <stddef.h>
#include <unistd.h>
#include "base/attr.h"

_unused_ static inline int fd_close(int fd) { if (fd >= 0) close(fd); return -1; }
_unused_ static inline void fd_closep(int *fd) { *fd = fd_close(*fd); }
/* For variables: _cleanup_fd_ int fd = open(...); hand over with fd_steal(&fd). */
#define _cleanup_fd_ _cleanup_(fd_closep)
_unused_ static inline int fd_steal(int *fd) { int taken = *fd; *fd = -1; return taken; }

/** fd_set_nonblock() - Return: 0 or negative errno */
int fd_set_nonblock(int fd);

/**
 * fd_send_fd() - write @size bytes to a unix socket with one descriptor attached (SCM_RIGHTS)
 * Return: 0 or negative errno. The caller keeps @fd.
 */
int fd_send_fd(int socket, int fd, const void *data, size_t size);

/** fd_raise_limit() - raise RLIMIT_NOFILE to its hard limit. Return: the limit now in force. */
size_t fd_raise_limit(void);
