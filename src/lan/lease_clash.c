// SPDX-License-Identifier: MIT
#include "lan/lease_clash.h"

static const struct lease *lease_for(const struct guest *g, addr_t addr)
{
	return addr_is4(addr) ? &g->lease4 : &g->lease6;
}

static bool holds(const struct guest *g, addr_t addr)
{
	return g && g->port_id && lease_for(g, addr)->state == LEASE_BOUND && addr_equal(lease_for(g, addr)->addr, addr);
}

bool lease_clash_note(struct lease_clashes *c, struct guests *guests, const struct guest *guest, addr_t addr)
{
	const struct guest *holder = guests_by_addr(guests, addr);

	if (holder == guest || !holds(holder, addr))
		return false;
	for (size_t i = 0; i < c->count; i++)
		if (mac_equal(c->list[i].second, guest->mac) && addr_equal(c->list[i].addr, addr))
			return true;
	if (c->count == LEASE_CLASHES_MAX)
		lease_clash_settle(c, guests);
	if (c->count < LEASE_CLASHES_MAX)
		c->list[c->count++] = (struct lease_clash){ addr, holder->mac, guest->mac };
	return true;
}

static bool is_over(const struct lease_clash *clash, struct guests *guests)
{
	const struct guest *second = guests_find(guests, clash->second);

	return !holds(guests_find(guests, clash->holder), clash->addr) || !second || !second->port_id ||
		lease_for(second, clash->addr)->state == LEASE_BOUND;
}

void lease_clash_settle(struct lease_clashes *c, struct guests *guests)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->count; i++)
		if (!is_over(&c->list[i], guests))
			c->list[kept++] = c->list[i];
	c->count = kept;
}
