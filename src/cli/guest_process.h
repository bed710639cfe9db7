// SPDX-License-Identifier: MIT
/* QEMU as our child: started, watched, ended. */
#pragma once
#include <stdbool.h>
#include "cli/guest_folder.h"

struct guest_process {
	const char *name;                   /* the guest's, for messages */
	char *const *argv;
	int keep[2];                        /* descriptors that QEMU inherits; 0 or less: none */
	const struct guest_folder *folder;
	int ready;                          /* a pipe: gets the guest's name when it runs; -1: nobody waits */
	bool detached;                      /* QEMU has no terminal: what it says goes into the folder's qemu.log */
	bool gentle;                        /* asked to end, the guest may power off first */
};

/** guest_process_run() - run it to its end. Return: the exit status for the verb. */
int guest_process_run(const struct guest_process *p);
