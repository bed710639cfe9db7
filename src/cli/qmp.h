// SPDX-License-Identifier: MIT
/* QEMU's machine protocol: just enough to ask whether a guest runs, and to tell it to power off. */
#pragma once
#include "base/usec.h"

/**
 * qmp_connect() - connect to QEMU's socket, and get through the greeting
 * @path:     of the socket; it may not be there yet
 * @deadline: as usec_now() tells the time
 * Return: a descriptor (close it with fd_close(): QEMU serves one at a time) or negative errno: -ETIMEDOUT, -EPROTO.
 */
int qmp_connect(const char *path, usec_t deadline);

/** qmp_execute() - a command without arguments. Return: 0, or negative errno: -EREMOTEIO (QEMU refused it), -ETIMEDOUT, -ECONNRESET. */
int qmp_execute(int fd, const char *command, usec_t deadline);
