// SPDX-License-Identifier: MIT
#include "base/usec.h"

#include <time.h>

static usec_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (usec_t)t.tv_sec * USEC_S + t.tv_nsec / 1000;
}

usec_t usec_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

usec_t usec_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}
