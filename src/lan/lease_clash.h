// SPDX-License-Identifier: MIT
/*
 * One lease for two guests: a foreign DHCP server gave one address to both. It does so where they call themselves the same, as clones of
 * one image do (one machine-id, so one client identifier, RFC 4361), or where it has forgotten the first.
 *
 * The address stays the first one's; what the second sends with it is dropped. Here it is remembered, so that somebody can be told.
 */
#pragma once
#include "lan/guest.h"

#define LEASE_CLASHES_MAX 8

struct lease_clash { addr_t addr; struct mac holder, second; };
struct lease_clashes { struct lease_clash list[LEASE_CLASHES_MAX]; size_t count; };

/** lease_clash_note() - a server has leased @addr to @guest: is it another's, who is attached? Then it is kept. Return: true if so. */
bool lease_clash_note(struct lease_clashes *c, struct guests *guests, const struct guest *guest, addr_t addr);
/** lease_clash_settle() - forget those that are over: the holder has left or lost it, the second has left or got another lease */
void lease_clash_settle(struct lease_clashes *c, struct guests *guests);
