// SPDX-License-Identifier: MIT
/*
 * hospes-bridged: the privileged service that owns the bridge LANs of a host. org.hospes.Bridged, whose interface file lies beside this
 * one, is all that it can be asked.
 *
 * A LAN, by its journal and its files:
 *
 *	DOWN   --Up: file, snapshot, plan, apply, verify--> UP; with "confirm" --the gateway is asked first--> TRYING
 *	TRYING --Confirm--> UP; time over, or the gateway answers no more--> DOWN, rolled back
 *	UP     --Down--> DOWN;  any --a crash in the middle, or a step that could neither be taken nor undone--> BROKEN --Up or Down--> UP or
 *	DOWN
 *
 * The journal has a mark for each: "up", "trying UNTIL" (seconds of CLOCK_BOOTTIME), "working" while steps are taken. What a service that
 * starts finds, it goes on with.
 */
#pragma once
#include "io/loop.h"

struct service;

struct service_params {
	struct loop *loop;
	const char *config;       /* folder of NAME.lan files */
	const char *runtime;      /* where `bridged` and the LANs' sockets lie; made */
	const char *state;        /* where the LANs' journals and leases lie; made */
	const char *resolv_conf, *machine_id;
};

/**
 * service_new() - everything that needs more privileges than are kept: folders, sockets. Nothing is served yet.
 * Return: 0, or negative errno after a message: -EBUSY if another one runs.
 */
int service_new(struct service **out, const struct service_params *params);
/** service_start() - behind the walls: look at what journals say, then serve. Return: 0 or negative errno after a message. */
int service_start(struct service *s);
/** service_stop() - before the end: LANs on trial go back, since nobody may come who would see to it */
void service_stop(struct service *s);
/** service_free() - LANs stay as they are in the kernel, and the next service knows them */
struct service *service_free(struct service *s);
