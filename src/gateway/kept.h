// SPDX-License-Identifier: MIT
/*
 * Kept source ports: which port of the host stands for a port of a guest, for as long as there is a flow. All peers of one guest port see
 * the same one (RFC 4787 section 4.1).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "wire/addr.h"

struct kept_ports;

/** kept_new() - an empty table. Return: 0 or -ENOMEM. */
int kept_new(struct kept_ports **out);
struct kept_ports *kept_free(struct kept_ports *k);

/** kept_find() - Return: the host's port that stands for the guest's; 0 if none does */
uint16_t kept_find(struct kept_ports *k, addr_t guest, uint16_t port);

/**
 * kept_take() - one flow more has a socket on @host_port for the guest's port
 * Return: false if another port stands for it already, or when out of memory: then that port is not kept, and kept_release() not due.
 */
bool kept_take(struct kept_ports *k, addr_t guest, uint16_t port, uint16_t host_port);
/** kept_release() - one flow less */
void kept_release(struct kept_ports *k, addr_t guest, uint16_t port);
