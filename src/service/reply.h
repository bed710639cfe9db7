// SPDX-License-Identifier: MIT
/*
 * What a service says back. A service is pure: it gets a request and fills in a reply; the caller puts the headers around it and sends it.
 *
 * A service returns a verdict. DROP_NONE with reply->out.used == 0 means: taken, and nothing to say.
 */
#pragma once
#include "base/drop.h"
#include "base/writer.h"
#include "wire/addr.h"

struct reply {
	struct mac to;               /* the frame's destination: where the request came from, or broadcast */
	addr_t src, dst;             /* of the IP packet */
	uint16_t src_port, dst_port; /* of UDP; 0 for ICMPv6 */
	struct writer out;           /* the UDP payload, or the whole ICMPv6 message with its checksum; the caller provides the room */
};
