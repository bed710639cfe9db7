// SPDX-License-Identifier: MIT
/*
 * Reassembly of a guest's fragments (RFC 791 section 3.2, RFC 8200 section 4.5, RFC 5722: overlapping fragments are never accepted).
 *
 * A fixed pool: 32 packets at once, 64 KiB each (allocated when used, freed when done); at most 8 of one source. The oldest gives
 * way. A packet that is not whole after 30 s is forgotten, which is looked at lazily, when a fragment comes: an idle LAN needs no
 * timer. (No ICMP "reassembly time exceeded" is sent: it would need one.)
 */
#pragma once
#include "base/drop.h"
#include "base/usec.h"
#include "wire/ip.h"

struct reassembly;

int reassembly_new(struct reassembly **out);
struct reassembly *reassembly_free(struct reassembly *r);

/**
 * reassembly_add() - take a fragment
 * @ip:   in: a fragment; out, when whole: the packet, not a fragment any more
 * @data: in: cursor at its data; out, when whole: cursor at the packet's data, good until the next call
 * @whole: set to whether the packet is complete
 * Return: DROP_NONE, or DROP_FRAGMENT if it was refused (overlap, too large, a length that is no multiple of eight, too many).
 */
enum drop reassembly_add(struct reassembly *r, struct ip_packet *ip, struct cursor *data, bool *whole, usec_t now);
