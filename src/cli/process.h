// SPDX-License-Identifier: MIT
/* Processes of guests: making sure that a number still means the guest, and ending it. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

/**
 * process_open_guest() - a descriptor of a guest's process (pidfd), which from then on means no other
 * @pid: as it was registered
 * Return: a descriptor; -ESRCH if it is gone, or the number now belongs to a process that is not ours, or is no guest (neither QEMU nor
 * hospes).
 */
int process_open_guest(pid_t pid);

/**
 * process_end_guests() - SIGTERM to all; after ten seconds SIGKILL to those that are left. Says so while it waits.
 * @pids:  as they were registered; those that are gone are fine
 * @count: how many
 * Return: how many were ended, or negative errno after a message (one of them could not be ended).
 */
int process_end_guests(const pid_t *pids, size_t count);
