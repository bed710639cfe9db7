// SPDX-License-Identifier: MIT
/*
 * The fault layer: loses, duplicates and reorders frames at a port on purpose, in either direction, so that tests can see what the rest does about
 * it. Pseudo-random from a seed, so that a run can be repeated. It sits in port_send() and port_input(); without one they cost a NULL test.
 */
#pragma once
#include <stdint.h>

struct fault {
	uint32_t lose;       /* of 10,000 frames, on average, each way */
	uint32_t duplicate;
	uint64_t random;     /* the generator's state: the seed at first */
};
