// SPDX-License-Identifier: MIT
/*
 * A user LAN that is up: switch, gateway, ports, sockets and control, tied together.
 *
 * Only here do the parts meet; each knows what it borrows and no more. They are made in the order in which they need each other, and go in
 * the opposite one.
 */
#pragma once
#include "io/loop.h"
#include "io/sandbox.h"
#include "lan/config.h"
#include "port/fault.h"

struct engine;

struct engine_params {
	struct loop *loop;
	const struct lan_plan *plan;    /* copied */
	const char *machine_id;
	const char *config_path;        /* what reload reads; NULL: none, unless @config_search */
	bool config_search;             /* look for the LAN's file anew when reloading: it may have been written since */
	const char *runtime, *state;    /* folders, absolute */
	const char *resolv_conf;
	const struct fault *fault;      /* for every guest's port; NULL: none */
	bool no_peek_offset;            /* see struct gateway_params */
};

/**
 * engine_new() - bring a LAN up: when this returns, guests can attach
 * @out:    the engine
 * @params: copied where it is kept; the loop is borrowed
 * @config: owned by the engine, whether this succeeds or not
 * Return: 0, or negative errno after a message: -EBUSY if the LAN is up already. Forwards and guests of the configuration that cannot be
 * had fail it too (-EINVAL).
 */
int engine_new(struct engine **out, const struct engine_params *params, struct lan_config *config);

/** engine_down() - take the LAN down: guests hear that their router goes, leases are saved, sockets and files removed. */
void engine_down(struct engine *e);

/** engine_free() - engine_down(), and the rest */
struct engine *engine_free(struct engine *e);

/** engine_reload() - read the configuration again and apply it; what changed, or why it could not be, goes to the log */
void engine_reload(struct engine *e);

/** engine_log() - the file `log` in the runtime folder. Return: a descriptor or negative errno. */
int engine_log(struct engine *e);

/**
 * engine_folders() - what of the file system it needs while it runs
 * @into: room for ENGINE_FOLDERS; their paths live as long as the engine
 * Return: how many.
 */
#define ENGINE_FOLDERS 32
size_t engine_folders(const struct engine *e, struct sandbox_folder into[static ENGINE_FOLDERS]);
