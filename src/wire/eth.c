// SPDX-License-Identifier: MIT
#include "wire/eth.h"

struct eth eth_parse(struct cursor *c)
{
	struct eth e;

	cursor_copy(c, &e, sizeof(e));
	return e;
}
