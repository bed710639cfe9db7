// SPDX-License-Identifier: MIT
#include "base/hash.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct hash_key hash_key_random(void)
{
	struct hash_key key;

	/* So few bytes come whole or not at all. No randomness is no state to go on in: a guessed key is worse than none. */
	while (getrandom(&key, sizeof(key), 0) != sizeof(key))
		if (errno != EINTR)
			abort();
	return key;
}

static inline uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static inline void rounds(uint64_t v[4], int count)
{
	while (count--) {
		v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
		v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
	}
}

static inline void absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	rounds(v, 2);
	v[0] ^= word;
}

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t size)
{
	/* "somepseudorandomlygeneratedbytes", as the paper has it */
	uint64_t v[4] = {
		key->k[0] ^ 0x736f6d6570736575, key->k[1] ^ 0x646f72616e646f6d,
		key->k[0] ^ 0x6c7967656e657261, key->k[1] ^ 0x7465646279746573,
	};
	const uint8_t *p = data;
	uint64_t word;
	size_t left;

	for (left = size; left >= sizeof(word); left -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		absorb(v, le64toh(word));
	}
	word = 0;
	if (left)
		memcpy(&word, p, left);
	absorb(v, le64toh(word) | (uint64_t)size << 56);

	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
