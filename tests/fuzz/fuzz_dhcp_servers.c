// SPDX-License-Identifier: MIT
/* Frames that may be answers of a DHCP server: the first byte of each is its size, the second its time. */
#include "fuzz.h"

#include "lan/dhcp_servers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dhcp_servers s = { 0 };
	usec_t now = USEC_S;

	while (size > 2) {
		size_t take = data[0] * 4u < size - 2 ? data[0] * 4u : size - 2;
		struct iovec iov;

		now += data[1] * USEC_S;
		dhcp_servers_hear(&s, cursor_of(&iov, data + 2, take), now);
		dhcp_servers_forget(&s, now);
		MUST(s.count <= DHCP_SERVERS_MAX);
		data += take + 2;
		size -= take + 2;
	}
	return 0;
}
