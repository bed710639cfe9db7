// SPDX-License-Identifier: MIT
/* The kinds of steps as they are taken, for apply.c alone. */
#pragma once
#include "bridge/nl.h"
#include "bridge/step.h"

/** apply_is_netlink() - does it go in a batch? */
bool apply_is_netlink(enum step_kind kind);
/**
 * apply_put() - its messages at the end of the batch (one, or two)
 * Return: 0; -ENODEV if a link that it names is not there (yet: it may be made by the batch); or -ENOMEM. Nothing was put then.
 */
int apply_put(struct nl *n, const struct step *s);
/** apply_is_harmless() - an error that says that it is as wanted already: what was to be removed is gone, what was to be added is there */
bool apply_is_harmless(enum step_kind kind, int error);
/** apply_take() - one that is not netlink. Return: 0 or negative errno, with @error (512 bytes) where there is more to say */
int apply_take(const struct step *s, char *error, size_t error_size);
/** apply_owner() - the user who is to own a tap. Return: 0, -ENOENT (no such user) or -EIO. */
int apply_owner(const char *name, uint32_t *uid);
