// SPDX-License-Identifier: MIT
/*
 * Running a guest: registered with the LAN while it runs, its ports published, QEMU started and looked after, everything undone at its end.
 *
 * The calling process stays with QEMU. SIGTERM (of `hospes stop` and `hospes down`) asks the guest to power off, and ends QEMU when it
 * has not done so in some seconds, or at a second SIGTERM; every other signal ends QEMU at once.
 */
#pragma once
#include "cli/args.h"
#include "cli/qemu.h"
#include "lan/forward.h"

struct guest_publish {
	char listen[FORWARD_TEXT_SIZE];
	char port[8];                     /* the guest's, the first of a range */
};

struct guest_run {
	const char *lan;
	const char *name;                 /* NULL: the LAN finds one */
	bool numbered;                    /* a name that is taken gets "-2", "-3"... behind it */
	const char *mini;                 /* the folder with kernel and initrd of a mini; NULL: it is none */
	bool detach;
	enum qemu_port port;
	struct qemu_program qemu;
	struct qemu_guest guest;          /* but for what depends on the name */
	const struct guest_publish *publish;
	int publish_count;
};

/**
 * guest_publish_parse() - from "8080:80", "127.0.0.1:8080:80", "8080-8090:80", "53:53/udp", "/path/of/socket:80". Return: 0, or -EINVAL
 * with @error.
 */
int guest_publish_parse(struct guest_publish *out, const char *text, char *error, size_t size);

/** guest_run() - run it; with @detach, return when it runs. Return: the exit status for the verb. */
int guest_run(struct guest_run *run);
