// SPDX-License-Identifier: MIT
/* What a guest's ICMP error quotes: the packet of a flow that the gateway sent it. */
#pragma once
#include "base/cursor.h"
#include "gateway/flow.h"

struct quoted {
	struct flow_key key;   /* of the flow: the quoted packet went from its peer to its guest */
	uint32_t sequence;     /* TCP alone: the segment's sequence number */
};

/**
 * quoted_read() - read a quoted packet, which is often cut short, so that ip_parse() would not have it
 * @c:  cursor behind the header of the error
 * @v4: an ICMP error, not an ICMPv6 one
 * Extension headers are not looked behind: the gateway sends none but for fragments.
 * Return: false if it is neither UDP nor TCP, or too little of it is there.
 */
bool quoted_read(struct cursor c, bool v4, struct quoted *out);
