// SPDX-License-Identifier: MIT
/* A target with every fault that the runner has to notice, each behind inputs of its own. */
#include "fuzz.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const volatile uint8_t *p = data;
	void *volatile leaked;
	uint8_t beyond;

	if (size != 5 || data[0] != 'F')
		return 0;
	switch (data[1]) {
	case 'A':
		abort();
	case 'R':
		beyond = p[size];
		return beyond & 0;
	case 'L':
		leaked = malloc(100);
		leaked = NULL;
		return leaked != NULL;
	case 'S':
		for (;;)
			usleep(1000);
	}
	return 0;
}
