// SPDX-License-Identifier: MIT
#include "gateway/kept.h"

#include <errno.h>
#include <stdlib.h>
#include "base/hash.h"

#define BUCKETS 4096

struct kept {
	struct kept *next;
	addr_t guest;
	uint16_t port, host_port;
	uint32_t flows;
};

struct kept_ports {
	struct hash_key key;
	struct kept *buckets[BUCKETS];
};

int kept_new(struct kept_ports **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->key = hash_key_random();
	return 0;
}

struct kept_ports *kept_free(struct kept_ports *k)
{
	for (size_t i = 0; k && i < BUCKETS; i++)
		while (k->buckets[i]) {
			struct kept *gone = k->buckets[i];

			k->buckets[i] = gone->next;
			free(gone);
		}
	free(k);
	return NULL;
}

static struct kept **place_of(struct kept_ports *k, addr_t guest, uint16_t port)
{
	struct { addr_t guest; uint16_t port; } bytes = { guest, port };
	struct kept **at = &k->buckets[hash_bytes(&k->key, &bytes, sizeof(bytes)) & (BUCKETS - 1)];

	while (*at && !((*at)->port == port && addr_equal((*at)->guest, guest)))
		at = &(*at)->next;
	return at;
}

uint16_t kept_find(struct kept_ports *k, addr_t guest, uint16_t port)
{
	const struct kept *found = *place_of(k, guest, port);

	return found ? found->host_port : 0;
}

bool kept_take(struct kept_ports *k, addr_t guest, uint16_t port, uint16_t host_port)
{
	struct kept **at = place_of(k, guest, port);

	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (!*at)
			return false;
		**at = (struct kept){ .guest = guest, .port = port, .host_port = host_port };
	}
	if ((*at)->host_port != host_port)
		return false;
	(*at)->flows++;
	return true;
}

void kept_release(struct kept_ports *k, addr_t guest, uint16_t port)
{
	struct kept **at = place_of(k, guest, port), *gone = *at;

	if (!gone || --gone->flows)
		return;
	*at = gone->next;
	free(gone);
}
