// SPDX-License-Identifier: MIT
/*
 * Which queue pair a flow uses: the one that the guest sent its frames on last, so that a flow stays on the processor that its program runs
 * on (as a multi-queue tap does). A table of hashes; two flows that share a place in it share a pair at times, and nothing breaks.
 */
#pragma once
#include "port/frame.h"

#define STEER_PLACES 256

struct steer { uint8_t pair[STEER_PLACES]; };

/** steer_place() - a frame's place: the same for both directions of a flow */
uint8_t steer_place(const struct frame *f);
