// SPDX-License-Identifier: MIT
/*
 * What the host's DHCP clients have to be told when its address has moved between an uplink and a bridge: doctor's finding "port-dhcp",
 * said by the verb that moved it. Without a client on the link that lost its address there is nothing to say.
 */
#pragma once
#include <jansson.h>
#include <stdio.h>
#include "doctor/facts.h"
#include "doctor/finding.h"

struct dhcp_hint {
	struct facts facts;
	struct findings found;
};
/** dhcp_hint_fini() - harmless on a zeroed one */
void dhcp_hint_fini(struct dhcp_hint *h);

/** dhcp_hint_up() - the bridge has the address: look for clients of its ports. What cannot be looked at is not said: the verb was done. */
void dhcp_hint_up(struct dhcp_hint *h, const char *bridge);
/** dhcp_hint_before_down() - remember the clients of the bridge, which is about to go */
void dhcp_hint_before_down(struct dhcp_hint *h, const char *bridge);
/** dhcp_hint_down() - it is gone: what those clients are to do; @to: the uplink, or the bridge that was made anew */
void dhcp_hint_down(struct dhcp_hint *h, const char *to);

/** dhcp_hint_print() - as text, nothing if there is nothing to say */
void dhcp_hint_print(const struct dhcp_hint *h, FILE *to);
/** dhcp_hint_names() - "dhclient (process 77)", ...: the clients that are to be told. Return: malloc'd; NULL: none, or out of memory. */
char *dhcp_hint_names(const struct dhcp_hint *h);
/** dhcp_hint_json() - an array of findings, as doctor has them. Return: a new reference, or NULL when out of memory. */
json_t *dhcp_hint_json(const struct dhcp_hint *h);
