// SPDX-License-Identifier: MIT
/*
 * The switch: learns which port a MAC is behind, and passes frames on.
 *
 * - A source MAC is learned with the port it came in by, and forgotten 300 s after its last frame (IEEE 802.1Q section 8.8.3; looked at
 *   lazily, so an idle LAN needs no timer).
 * - Broadcast, multicast and unknown destinations go to every other port. Unknown unicast does not go to a port that was given a MAC (the
 *   gateway).
 * - Behind one port 256 MACs are learned at the most, and 8,192 in all: more is DROP_MAC_TABLE_FULL.
 * - A registered MAC belongs to one port: to the given one, or to the first that uses it. From any other port it is DROP_SPOOFED_MAC, until
 *   that port closes, or stands still (struct port) and the other has no registered MAC of its own: so a guest that is migrated takes its
 *   MAC along, and a guest that is reset or paused does not lose it to its neighbours. A MAC that is not registered moves when it appears
 *   elsewhere.
 * - Frames to the addresses 01:80:c2:00:00:00 to :0f are not forwarded (IEEE 802.1Q table 8-1): DROP_NOT_FOR_US, as is what would go back.
 * - A frame larger than the port's MTU is DROP_OVERSIZE there: a switch does not fragment.
 * - A port that lacks an offload gets segments and checksums made in software (segment.h).
 * - A frame never goes back to the port it came from.
 *
 * The switch borrows ports; the engine adds and removes them.
 */
#pragma once
#include "base/usec.h"
#include "port/port.h"
#include "wire/addr.h"

struct switch_; /* "switch" is a keyword */

/** switch_new() - an empty switch with room for @ports ports. Return: 0 or -ENOMEM. */
int switch_new(struct switch_ **out, size_t ports);
struct switch_ *switch_free(struct switch_ *s);

/** switch_add() - Return: 0 or -ENOSPC */
int switch_add(struct switch_ *s, struct port *p);

/** switch_remove() - forget a port and all MACs behind it (registrations without a given port stay) */
void switch_remove(struct switch_ *s, struct port *p);

/**
 * switch_register() - let @mac belong to @p alone, or, where @p is NULL, to the first port that uses it. Return: 0, -ENOSPC, -EEXIST
 * (another's), -EINVAL (a group's MAC, or @p is not of this switch).
 */
int switch_register(struct switch_ *s, struct mac mac, struct port *p);
void switch_unregister(struct switch_ *s, struct mac mac);

/**
 * switch_lookup() - the port that @mac is behind, or NULL
 * A guest that was silent for long is still found here: who asks wants to reach it, and only switch_input() has a use for flooding instead.
 */
struct port *switch_lookup(struct switch_ *s, struct mac mac, usec_t now);

/**
 * switch_input() - pass on frames that came in by a port
 * @from:   the port; drops are counted there
 * @frames: up to PORT_BATCH, not changed; runs of frames for one port leave in one port_send()
 * @now:    the clock
 */
void switch_input(struct switch_ *s, struct port *from, const struct frame *frames, size_t count, usec_t now);

/** switch_send() - give frames to one port, segmenting and completing checksums as it needs; for frames whose destination is known */
void switch_send(struct port *to, const struct frame *frames, size_t count);

/** switch_each_mac() - call @each for every live MAC. */
void switch_each_mac(struct switch_ *s, usec_t now, void (*each)(void *owner, struct mac mac, struct port *p), void *owner);
