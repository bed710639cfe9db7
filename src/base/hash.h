// SPDX-License-Identifier: MIT
/*
 * Keyed hashing for tables whose keys a guest chooses: SipHash-2-4 (Aumasson and Bernstein, 2012), so that nobody who does not
 * know the key can make a table degenerate.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct hash_key { uint64_t k[2]; };

/** hash_key_random() - a fresh key from getrandom(2) */
struct hash_key hash_key_random(void);

/** hash_bytes() - SipHash-2-4 of @size bytes */
uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t size);
