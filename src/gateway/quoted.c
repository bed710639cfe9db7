// SPDX-License-Identifier: MIT
#include "gateway/quoted.h"

#include "base/attr.h"
#include "wire/ip.h"

bool quoted_read(struct cursor c, bool v4, struct quoted *out)
{
	struct ip4_header h4;
	struct ip6_header h6;
	uint8_t protocol;

	*out = (struct quoted){ 0 };
	if (v4) {
		cursor_copy(&c, &h4, sizeof(h4));
		cursor_skip(&c, MAX((h4.version_ihl & 15) * 4, (int)sizeof(h4)) - sizeof(h4));
		out->key.peer = addr_of4(h4.src), out->key.guest = addr_of4(h4.dst), protocol = h4.protocol;
	} else {
		cursor_copy(&c, &h6, sizeof(h6));
		out->key.peer = h6.src, out->key.guest = h6.dst, protocol = h6.next;
	}
	out->key.peer_port = cursor_u16(&c);
	out->key.guest_port = cursor_u16(&c);
	out->key.kind = protocol == IP_TCP ? FLOW_TCP : FLOW_UDP;
	if (protocol == IP_TCP)
		out->sequence = cursor_u32(&c);
	return !cursor_failed(&c) && (protocol == IP_TCP || protocol == IP_UDP);
}
