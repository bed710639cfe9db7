// SPDX-License-Identifier: MIT
/*
 * Big-endian integers as types of their own.
 *
 * A field of a packet is a be16_t or be32_t: one byte aligned, so that a header is a plain struct without
 * "packed", and a struct, so that comparing it with a number does not compile.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct { uint8_t b[2]; } be16_t;
typedef struct { uint8_t b[4]; } be32_t;

static inline uint16_t be16_get(be16_t v) { return (uint16_t)(v.b[0] << 8 | v.b[1]); }
static inline be16_t be16(uint16_t v) { return (be16_t){{ (uint8_t)(v >> 8), (uint8_t)v }}; }
static inline bool be16_equal(be16_t a, be16_t b) { return be16_get(a) == be16_get(b); }

static inline uint32_t be32_get(be32_t v)
{
	return (uint32_t)v.b[0] << 24 | (uint32_t)v.b[1] << 16 | (uint32_t)v.b[2] << 8 | v.b[3];
}
static inline be32_t be32(uint32_t v)
{
	return (be32_t){{ (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v }};
}
