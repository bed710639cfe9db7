// SPDX-License-Identifier: MIT
/* Time: microseconds of CLOCK_MONOTONIC. It is read once a turn of the loop and passed along as "now". */
#pragma once
#include <stdint.h>

typedef int64_t usec_t;

#define USEC_MS    ((usec_t)1000)
#define USEC_S     ((usec_t)1000000)
#define USEC_NEVER INT64_MAX

/** usec_now() - the monotonic clock */
usec_t usec_now(void);

/** usec_wall() - the wall clock (CLOCK_REALTIME), microseconds since 1970: only for what is written to disk */
usec_t usec_wall(void);
