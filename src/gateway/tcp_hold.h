// SPDX-License-Identifier: MIT
/*
 * Segments that came before their turn: kept until what is missing before them arrives, so that one lost frame costs one frame
 * and not all that were sent behind it.
 *
 * Only a copy for speed: a guest sends again what it was not acknowledged, so anything held may be forgotten at any time (RFC
 * 2018 section 8 allows a receiver that), as it is when the process starts anew. Memory is bounded for all flows together
 * (TCP_HOLD_MAX) and so is the number for each; what does not fit is dropped.
 */
#pragma once
#include "base/cursor.h"
#include "gateway/flow.h"
#include "wire/tcp.h"

#define TCP_HOLD_MAX      (16u * 1024 * 1024)
#define TCP_HOLD_SEGMENTS 1024 /* of one flow: they are found by walking */
#define TCP_HOLD_ENTRY    16   /* bytes for each slot, at most; what is held apart */

struct tcp_hold;

/** tcp_hold_new() - nothing held, for flows of slots 0 to @max - 1. Return: 0 or -ENOMEM. */
int tcp_hold_new(struct tcp_hold **out, uint32_t max);
struct tcp_hold *tcp_hold_free(struct tcp_hold *h);

/**
 * tcp_hold_add() - keep payload
 * @slot: the flow's slot number
 * @seq:  of its first byte, which lies beyond what is expected next
 * @fin:  it ends with a FIN
 * Return: false if there is no room, or what it says is held already.
 */
bool tcp_hold_add(struct tcp_hold *h, uint32_t slot, uint32_t seq, struct cursor payload, bool fin);

/**
 * tcp_hold_next() - what is held and follows on
 * @next: the next byte expected; what lies before it is forgotten
 * @iov:  filled in with bytes that follow each other from @next on; good until the next call for this flow
 * @fin:  set to whether a FIN follows them
 * Return: parts used; 0 if nothing follows on.
 */
size_t tcp_hold_next(struct tcp_hold *h, uint32_t slot, uint32_t next, struct iovec *iov, size_t room, bool *fin);

/**
 * tcp_hold_blocks() - what is held, for the SACK option: the block that came last first (RFC 2018 section 4). Return: blocks, at
 * most TCP_SACK_MAX.
 */
uint8_t tcp_hold_blocks(const struct tcp_hold *h, uint32_t slot, struct tcp_sack blocks[static TCP_SACK_MAX]);

/** tcp_hold_any() - is anything held for this flow? */
bool tcp_hold_any(const struct tcp_hold *h, uint32_t slot);

/** tcp_hold_forget() - all of a flow's */
void tcp_hold_forget(struct tcp_hold *h, uint32_t slot);
