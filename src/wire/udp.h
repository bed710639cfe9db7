// SPDX-License-Identifier: MIT
/* UDP datagrams (RFC 768). */
#pragma once
#include "base/be.h"
#include "base/cursor.h"

struct udp_header { be16_t src, dst, size, checksum; };
_Static_assert(sizeof(struct udp_header) == 8, "RFC 768");

/** udp_parse() - read the header; @c then stands at the payload and ends where the datagram ends. Fails on a size that does not fit. */
struct udp_header udp_parse(struct cursor *c);
