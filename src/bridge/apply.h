// SPDX-License-Identifier: MIT
/*
 * Steps taken: netlink, sysctl files, the tun device, nft.
 *
 * Contiguous steps of netlink go in one sendmsg of several messages, so that the host is without its addresses for no longer than the
 * kernel needs. Each step is in the journal before it is taken.
 */
#pragma once
#include "bridge/bridge.h"
#include "bridge/journal.h"

struct apply {
	struct journal *journal;      /* NULL: none is kept */
	bool undo;                    /* a step fails: undo those taken and stop; otherwise go on with the rest (the way down) */
	bool single;                  /* one message at a time, for tests that stop between any two steps */
	/* For tests; may be NULL: called after each step was taken. Return: nonzero to stop there and then, as if killed. */
	int (*after)(void *owner, const struct step *step, size_t number);
	void *owner;
};

struct apply_result {
	size_t taken;                 /* steps that succeeded */
	size_t failed;                /* which step failed first; SIZE_MAX: none */
	int error;                    /* its negative errno */
	bool rolled_back;             /* and all that were taken were undone */
	char message[512];            /* what failed, on what, why */
};

/**
 * bridge_apply() - take the steps, in order
 * @steps: numbers are filled in
 * Return: 0; -ECANCELED if @a->after stopped it; or the first step's negative errno, with @result. Users who own taps are looked up before
 * the first step.
 */
int bridge_apply(const struct apply *a, struct steps *steps, struct apply_result *result);

/**
 * bridge_verify() - does the kernel now have what the configuration wants, but for what a DHCP client put back onto the uplink?
 * Return: 0; -EUCLEAN with @error naming what still differs; or another negative errno with @error (512 bytes)
 */
int bridge_verify(const struct lan_config *config, char *error, size_t error_size);
