// SPDX-License-Identifier: MIT
/*
 * A configuration that has changed, applied while the LAN is up: forwards, guests, what guests may reach, the time of leases. What cannot
 * change while guests have it (addresses, MTU, domain, size of the flow table) is named. Forwards and guests that verbs added stay.
 */
#pragma once
#include "control/registry.h"
#include "gateway/forward.h"
#include "lan/config.h"

struct reload_parts {
	struct lan_plan *plan;
	struct forwards *forwards;
	struct registry *registry;
	struct guests *guests;
};

/* Called for each change, in words. */
struct reload_report {
	void (*say)(void *owner, const char *change);
	void *owner;
};

/**
 * reload_apply() - from one configuration to the next
 * @from: what is in force; NULL when the LAN comes up: all of @to is new
 * @to:   what is to be
 * A forward or guest that cannot be had is said too, and the rest is done.
 * Return: how many things could not be done.
 */
size_t reload_apply(const struct reload_parts *parts, const struct lan_config *from, const struct lan_config *to,
	const struct reload_report *report,
		    usec_t now);
