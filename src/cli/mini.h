// SPDX-License-Identifier: MIT
/*
 * The guest mini: built once by the program mini-build (tools/mini-build) into the cache folder, and told apart at each start by what
 * is appended to its initrd.
 *
 * In the LAN's state folder lie
 *	id_ed25519, id_ed25519.pub   a key of ours, as OpenSSH has it: `hospes ssh` offers it, every mini takes it
 *	guest-key, guest-key.pub     the key that minis have for going on from there by ssh, as dropbear has it; every mini takes it
 *	host-keys/NAME               what the mini of that name is known by
 * and a mini takes the keys in ~/.ssh that end in .pub, too.
 */
#pragma once
#include "base/fd.h"

struct mini {
	char *kernel;     /* path */
	char *initrd;     /* path: of a descriptor that QEMU inherits */
	char *append;     /* the kernel's command line */
	int fd;           /* the initrd, in no folder */
};

/**
 * mini_build() - have mini-build make what is missing. Return: malloc'd path of the folder with kernel and initrd, or NULL after a
 * message.
 */
char *mini_build(void);

/**
 * mini_prepare() - all that is needed to start one
 * @folder: from mini_build()
 * @lan:    whose keys
 * @name:   the guest's
 * Return: 0, or negative errno after a message. Free with mini_fini().
 */
int mini_prepare(struct mini *out, const char *folder, const char *lan, const char *name);
void mini_fini(struct mini *m);
#define _cleanup_mini_ _cleanup_(mini_fini)
