// SPDX-License-Identifier: MIT
/*
 * Guests that somebody registered: `hospes run`, AttachTap and [Guest] of the configuration. A registered guest has a name and a MAC that
 * nobody else may use; here is also kept who runs it and whom `hospes ssh` logs in as.
 */
#pragma once
#include "base/list.h"
#include "lan/guest.h"
#include "switch/switch.h"

#define REGISTRY_USER_SIZE 33  /* the longest user name of Linux, and a NUL */
#define REGISTRY_ERROR     512

struct registration {
	struct list node;
	struct mac mac;
	char name[GUEST_NAME_SIZE];
	char user[REGISTRY_USER_SIZE]; /* "" if not told */
	int32_t pid;                   /* 0 if not told */
};

struct registry;

struct registry_params {
	struct guests *guests;
	struct switch_ *sw;            /* NULL: the kernel's bridge */
	const char *lan, *machine_id;  /* a MAC that was not given is made from them and the name */
};

/** registry_new() - all parts are borrowed. Return: 0 or -ENOMEM. */
int registry_new(struct registry **out, const struct registry_params *params);
struct registry *registry_free(struct registry *r);

/**
 * registry_add() - register a guest, or tell more of one that is registered
 * @want:  name ("": the one that its MAC has, or a free guest-N), MAC (zero: the one that belongs to the name), user, pid
 * @out:   the guest
 * @error: on failure, why
 * Return: 0; -EEXIST (the name or MAC is another guest's, or that guest runs); -EINVAL (no valid name or MAC); -ENOSPC.
 */
int registry_add(struct registry *r, const struct registration *want, struct guest **out, char error[static REGISTRY_ERROR], usec_t now);
/**
 * registry_remove() - forget it; a guest that is attached or leased keeps its place in the table of guests, as one that nobody registered.
 * Return: 0 or -ENOENT.
 */
int registry_remove(struct registry *r, const char *name);

/** registry_free_name() - "guest-N" that nobody has. Return: false if there is none. */
bool registry_free_name(const struct registry *r, char into[static GUEST_NAME_SIZE]);
/** registry_mac() - the MAC that belongs to a name */
struct mac registry_mac(const struct registry *r, const char *name);

/** registry_find() - what was told of a guest. Return: NULL if it is not registered. */
const struct registration *registry_find(const struct registry *r, struct mac mac);
/** registry_next() - all of them: start with NULL. Return: NULL at the end. */
const struct registration *registry_next(const struct registry *r, const struct registration *after);
/** registry_alive() - does the process that runs the guest run? false if none was told, or it has ended and nobody has asked for it yet. */
bool registry_alive(const struct registration *g);
