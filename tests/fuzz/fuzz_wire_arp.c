// SPDX-License-Identifier: MIT
/* An Ethernet frame with ARP in it. */
#include "fuzz.h"

#include "wire/arp.h"
#include "wire/eth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(input_fini) struct input in = input_of(data, size);
	struct cursor c = input_cursor(&in);
	struct eth e = eth_parse(&c);
	struct arp a = arp_parse(&c);

	MUST(cursor_failed(&c) == (in.size < sizeof(e) + sizeof(a) || be16_get(a.hardware) != 1 || be16_get(a.protocol) != ETHERTYPE_IPV4 ||
				   a.hardware_size != 6 || a.protocol_size != 4));
	read_all(c);
	return 0;
}
