// SPDX-License-Identifier: MIT
/* A guest as it is written on the command line: a name, a MAC or an address; with the LAN's domain, and with a port. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lan/plan.h"

#define GUEST_DOMAIN "hospes"    /* what names carry outside their LAN, where they need no other mark */

struct guest_ref {
	char guest[128];           /* as Resolve and Connect take it */
	char lan[LAN_NAME_SIZE];   /* "" if it was not written */
	uint16_t port;             /* 0 if it was not written */
};

/**
 * guest_ref_parse() - take it apart
 * @out:   filled in
 * @text:  "web", "web:80", "web.hospes", "web.lab.hospes:22", "52:54:00:12:34:56:22", "10.0.2.15:80", "fd00::15", "[fd00::15]:80"
 * @error: what was wrong, @size bytes
 * Return: 0 or -EINVAL.
 */
int guest_ref_parse(struct guest_ref *out, const char *text, char *error, size_t size);

/** guest_ref_strip_domain() - take the domain of a LAN (without a dot before it) off the guest's name, if it ends in it */
void guest_ref_strip_domain(struct guest_ref *ref, const char *domain);
