// SPDX-License-Identifier: MIT
#include "wire/arp.h"

#include "wire/eth.h"

#define HARDWARE_ETHERNET 1

struct arp arp_parse(struct cursor *c)
{
	struct arp a;

	cursor_copy(c, &a, sizeof(a));
	if (be16_get(a.hardware) != HARDWARE_ETHERNET || be16_get(a.protocol) != ETHERTYPE_IPV4 ||
	    a.hardware_size != sizeof(struct mac) || a.protocol_size != sizeof(struct ip4))
		cursor_fail(c);
	return a;
}
