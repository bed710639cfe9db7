// SPDX-License-Identifier: MIT
/*
 * What a guest that `hospes run` started has in the LAN's runtime folder: guests/NAME/ with
 *
 *	pid          of the process that looks after it, which holds the file locked: so it is known whether that still lives
 *	qmp          QEMU's control socket
 *	serial       with --detach: the serial line
 *	serial.log   what it said
 *	qemu.log     what QEMU said
 *	dgram        with --port dgram: the guest's address
 */
#pragma once
#include <sys/types.h>
#include "base/fd.h"

struct guest_folder {
	char *path, *qmp, *serial, *serial_log, *qemu_log, *dgram;
	int lock;
};

/**
 * guest_folder_new() - make it, lock it, write our process number into it; what a dead one left is removed
 * Return: 0, or negative errno after a message: -EBUSY (that guest runs already), -ENAMETOOLONG.
 */
int guest_folder_new(struct guest_folder *out, const char *lan, const char *name);
/** guest_folder_fini() - remove it, and the folders above it that are empty then (the LAN's own, should the LAN be down meanwhile) */
void guest_folder_fini(struct guest_folder *f);
#define _cleanup_guest_folder_ _cleanup_(guest_folder_fini)

/** guest_folder_pid() - who looks after a guest. Return: the process, 0 if nobody does. */
pid_t guest_folder_pid(const char *lan, const char *name);

/**
 * guest_folder_sweep() - when a LAN is down: remove what guests left whose processes did not end well
 *
 * Those are folders whose lock nobody holds, and datagram sockets (dgram.NAME, see `hospes qemu-args`) that nobody has open.
 */
void guest_folder_sweep(const char *lan);
