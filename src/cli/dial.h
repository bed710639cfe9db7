// SPDX-License-Identifier: MIT
/* A TCP connection of our own to a guest of a bridge LAN, which the host reaches itself. */
#pragma once
#include <jansson.h>
#include <stdint.h>
#include "wire/addr.h"

#define DIAL_MAX 16

/**
 * dial_addresses() - a guest's addresses in the order in which they are tried, each once: its lease, then those that were learned,
 * global ones before link-local ones, which need a link
 * @guest: the object
 * @out:   filled in
 * Return: how many.
 */
size_t dial_addresses(const json_t *guest, addr_t out[static DIAL_MAX]);

/**
 * dial() - connect to the first of the addresses that answers
 * @link: the bridge's name, for link-local addresses; "": they are passed over
 * Return: a connected, non-blocking socket; -ECONNREFUSED if an address answered that nobody listens; -EHOSTUNREACH if none
 * answered; or another negative errno. No message.
 */
int dial(const addr_t *address, size_t count, uint16_t port, const char *link);
