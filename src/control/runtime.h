// SPDX-License-Identifier: MIT
/*
 * The runtime folder of a LAN that is up: the lock that says whose it is (the file `pid`), and the sockets in it.
 *
 * One daemon a LAN: whoever holds the lock. Sockets that a dead daemon left are replaced; anything else in their place is not touched.
 */
#pragma once
#include "base/attr.h"

struct runtime;

/**
 * runtime_new() - make the folder, or take over what a dead daemon left, and lock it
 * @folder: absolute
 * @lan:    for messages
 * Return: 0, or negative errno after a message: -EBUSY if another daemon has it.
 */
int runtime_new(struct runtime **out, const char *folder, const char *lan);
/** runtime_free() - remove what was made here, the folder too where nothing else is in it, and let go of the lock */
struct runtime *runtime_free(struct runtime *r);
DEFINE_CLEANUP(runtime)

/**
 * runtime_socket() - a bound, non-blocking unix socket, for this user alone
 * @name: its file
 * @type: SOCK_STREAM (listening) or SOCK_DGRAM
 * Return: a descriptor, or negative errno after a message: -EADDRINUSE if somebody serves there, -EEXIST if there is something else,
 * -ENAMETOOLONG.
 */
int runtime_socket(struct runtime *r, const char *name, int type);

/** runtime_log() - open the file `log`, to append to. Return: a descriptor or negative errno. */
int runtime_log(struct runtime *r);
