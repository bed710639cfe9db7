// SPDX-License-Identifier: MIT
#include "lan/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lan/guest_table.h"

int guests_new(struct guests **out)
{
	struct guests *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->key = hash_key_random();
	memset(g->by_mac, 0xff, sizeof(g->by_mac));
	memset(g->by_name, 0xff, sizeof(g->by_name));
	memset(g->by_addr, 0xff, sizeof(g->by_addr));
	g->free = NOWHERE;
	g->expires = INT64_MAX;
	*out = g;
	return 0;
}

struct guests *guests_free(struct guests *g)
{
	free(g);
	return NULL;
}

static uint16_t *mac_bucket(struct guests *g, struct mac mac)
{
	return &g->by_mac[hash_bytes(&g->key, &mac, sizeof(mac)) % GUEST_BUCKETS];
}

/* @name in lower case */
static uint16_t *name_bucket(struct guests *g, const char *name)
{
	return &g->by_name[hash_bytes(&g->key, name, strlen(name)) % GUEST_BUCKETS];
}

static void chain_remove(uint16_t *head, uint16_t *next, uint16_t index)
{
	while (*head != index)
		head = &next[*head];
	*head = next[index];
}

struct guest *guests_find(struct guests *g, struct mac mac)
{
	for (uint16_t i = *mac_bucket(g, mac); i != NOWHERE; i = g->next_mac[i])
		if (mac_equal(g->slots[i].mac, mac))
			return &g->slots[i];
	return NULL;
}

/* Capitals become small. Return: false if @name is no valid name. */
static bool name_fold(const char *name, char into[static GUEST_NAME_SIZE])
{
	size_t i;

	if (!guest_name_valid(name))
		return false;
	for (i = 0; name[i]; i++)
		into[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	into[i] = 0;
	return true;
}

struct guest *guests_by_name(struct guests *g, const char *name)
{
	char folded[GUEST_NAME_SIZE];

	if (!name_fold(name, folded))
		return NULL;
	for (uint16_t i = *name_bucket(g, folded); i != NOWHERE; i = g->next_name[i])
		if (!strcmp(g->slots[i].name, folded))
			return &g->slots[i];
	return NULL;
}

/* May it make room for another? */
static bool may_leave(const struct guest *guest)
{
	return !guest->registered && !guest->port_id && addr_is_any(guest->fixed4) &&
	       guest->lease4.state != LEASE_OFFERED && guest->lease4.state != LEASE_BOUND &&
	       guest->lease6.state != LEASE_OFFERED && guest->lease6.state != LEASE_BOUND;
}

static struct guest *oldest_leaver(struct guests *g)
{
	struct guest *oldest = NULL;

	for (struct guest *i = g->slots; i < g->slots + GUEST_MAX; i++)
		if (may_leave(i) && (!oldest || i->seen < oldest->seen))
			oldest = i;
	return oldest;
}

/* Return: the number of a slot that is free now, or NOWHERE. */
static uint16_t take_slot(struct guests *g)
{
	struct guest *leaver;
	uint16_t i;

	if (g->free == NOWHERE && g->used_below < GUEST_MAX)
		return g->used_below++;
	if (g->free == NOWHERE) {
		leaver = oldest_leaver(g);
		if (!leaver)
			return NOWHERE;
		guests_remove(g, leaver);
	}
	i = g->free;
	g->free = g->next_mac[i];
	return i;
}

struct guest *guests_add(struct guests *g, struct mac mac, usec_t now)
{
	struct guest *guest = guests_find(g, mac);
	uint16_t i, *bucket;

	if (guest || mac_is_group(mac) || mac_is_zero(mac))
		return guest;
	i = take_slot(g);
	if (i == NOWHERE)
		return NULL;
	g->slots[i] = (struct guest){ .mac = mac, .seen = now, .used = true };
	bucket = mac_bucket(g, mac);
	g->next_mac[i] = *bucket;
	*bucket = i;
	return &g->slots[i];
}

static void drop_name(struct guests *g, struct guest *guest)
{
	if (guest->name[0])
		chain_remove(name_bucket(g, guest->name), g->next_name, guests_index(g, guest));
	guest->name[0] = 0;
	guest->name_origin = NAME_NONE;
}

void guests_remove(struct guests *g, struct guest *guest)
{
	uint16_t i = guests_index(g, guest);

	drop_name(g, guest);
	guests_unlink_addr_all(g, guest);
	chain_remove(mac_bucket(g, guest->mac), g->next_mac, i);
	*guest = (struct guest){ 0 };
	g->next_mac[i] = g->free;
	g->free = i;
}

struct guest *guests_next(struct guests *g, const struct guest *after)
{
	for (uint16_t i = after ? guests_index(g, after) + 1 : 0; i < g->used_below; i++)
		if (g->slots[i].used)
			return &g->slots[i];
	return NULL;
}

int guests_set_name(struct guests *g, struct guest *guest, const char *name, enum name_origin origin)
{
	char folded[GUEST_NAME_SIZE];
	struct guest *other;
	uint16_t *bucket;

	if (origin == NAME_NONE) {
		drop_name(g, guest);
		return 0;
	}
	if (!name_fold(name, folded) || guest_name_reserved(folded))
		return -EINVAL;
	if (guest->name_origin > origin)
		return 0;
	other = guests_by_name(g, folded);
	if (other && other != guest && other->name_origin >= origin)
		return -EEXIST;
	if (other)
		drop_name(g, other);
	drop_name(g, guest);
	strcpy(guest->name, folded);
	guest->name_origin = origin;
	bucket = name_bucket(g, folded);
	g->next_name[guests_index(g, guest)] = *bucket;
	*bucket = guests_index(g, guest);
	return 0;
}
