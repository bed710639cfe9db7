// SPDX-License-Identifier: MIT
/* The addresses of guests: what they lease, what they were promised, and what they were seen with. */
#include <errno.h>

#include "lan/guest.h"
#include "lan/guest_table.h"

static uint16_t *addr_bucket(struct guests *g, addr_t addr)
{
	return &g->by_addr[hash_bytes(&g->key, &addr, sizeof(addr)) % ADDR_BUCKETS];
}

static addr_t *node_place(struct guest *guest, unsigned int node)
{
	switch (node) {
	case NODE_LEASE4:
		return &guest->lease4.addr;
	case NODE_LEASE6:
		return &guest->lease6.addr;
	case NODE_FIXED4:
		return &guest->fixed4;
	}
	return &guest->addrs[node - NODE_LEARNED].addr;
}

static void link_addr(struct guests *g, struct guest *guest, unsigned int node, addr_t addr)
{
	uint16_t n = (uint16_t)(guests_index(g, guest) * NODES + node), *bucket = addr_bucket(g, addr);

	*node_place(guest, node) = addr;
	g->next_addr[n] = *bucket;
	*bucket = n;
}

void guests_unlink_addr(struct guests *g, struct guest *guest, unsigned int node)
{
	uint16_t n = (uint16_t)(guests_index(g, guest) * NODES + node), *at;
	addr_t *place = node_place(guest, node);

	if (addr_is_any(*place))
		return;
	at = addr_bucket(g, *place);
	while (*at != n)
		at = &g->next_addr[*at];
	*at = g->next_addr[n];
	*place = ADDR_ANY;
}

void guests_unlink_addr_all(struct guests *g, struct guest *guest)
{
	for (unsigned int node = 0; node < NODES; node++)
		guests_unlink_addr(g, guest, node);
}

/* The next place that holds @addr, from node number *@at on, which goes on to the one after it. Return: NULL at the end. */
static struct guest *next_holder(struct guests *g, addr_t addr, uint16_t *at, unsigned int *node)
{
	while (*at != NOWHERE) {
		struct guest *guest = &g->slots[*at / NODES];

		*node = *at % NODES;
		*at = g->next_addr[*at];
		if (addr_equal(*node_place(guest, *node), addr))
			return guest;
	}
	return NULL;
}

static struct lease *node_lease(struct guest *guest, unsigned int node)
{
	return node == NODE_LEASE4 ? &guest->lease4 : node == NODE_LEASE6 ? &guest->lease6 : NULL;
}

/* How good is a claim to an address? Higher is better; of two that are learned the later wins. 0: none. */
static usec_t claim_rank(struct guest *guest, unsigned int node)
{
	const struct lease *lease = node_lease(guest, node);

	if (lease)
		return lease->state == LEASE_BOUND ? USEC_NEVER : lease->state == LEASE_OFFERED ? 1 : 0;
	if (node == NODE_FIXED4)
		return USEC_NEVER - 1;
	return MAX(guest->addrs[node - NODE_LEARNED].seen, (usec_t)0) + 2;
}

struct guest *guests_by_addr(struct guests *g, addr_t addr)
{
	struct guest *best = NULL, *holder;
	uint16_t at = *addr_bucket(g, addr);
	unsigned int node;
	usec_t best_rank = 0;

	while (!addr_is_any(addr) && (holder = next_holder(g, addr, &at, &node))) {
		usec_t rank = claim_rank(holder, node);

		if (rank > best_rank)
			best = holder, best_rank = rank;
	}
	return best;
}

static bool is_resting(const struct guests *g, addr_t addr, usec_t now)
{
	for (size_t i = 0; i < GUEST_RESTING; i++)
		if (addr_equal(g->resting[i].addr, addr) && now < g->resting[i].until)
			return true;
	return false;
}

/* What another guest's place makes of its address. */
static enum addr_use use_by(struct guest *holder, unsigned int node, usec_t now)
{
	const struct lease *lease = node_lease(holder, node);

	if (lease)
		return lease->state == LEASE_FREE ? ADDR_FREE : lease->state == LEASE_EXPIRED ? ADDR_EXPIRED : ADDR_TAKEN;
	if (node == NODE_FIXED4)
		return ADDR_TAKEN;
	return now - holder->addrs[node - NODE_LEARNED].seen < GUEST_REST ? ADDR_TAKEN : ADDR_FREE;
}

enum addr_use guests_addr_use(struct guests *g, addr_t addr, const struct guest *asker, usec_t now)
{
	enum addr_use use = is_resting(g, addr, now) ? ADDR_TAKEN : ADDR_FREE;
	uint16_t at = *addr_bucket(g, addr);
	struct guest *holder;
	unsigned int node;

	while (use != ADDR_TAKEN && (holder = next_holder(g, addr, &at, &node)))
		if (holder != asker)
			use = MAX(use, use_by(holder, node, now));
	return use;
}

void guests_rest(struct guests *g, addr_t addr, usec_t now)
{
	g->resting[g->resting_next++ % GUEST_RESTING] = (struct resting){ addr, now + GUEST_REST };
}

/* Has another guest a right to @addr? */
static bool leased_by_other(struct guests *g, const struct guest *guest, addr_t addr)
{
	uint16_t at = *addr_bucket(g, addr);
	struct guest *holder;
	unsigned int node;

	while ((holder = next_holder(g, addr, &at, &node)))
		if (holder != guest && node < NODE_LEARNED && use_by(holder, node, 0) == ADDR_TAKEN)
			return true;
	return false;
}

bool guests_learn(struct guests *g, struct guest *guest, addr_t addr, usec_t now)
{
	unsigned int oldest = 0;

	if (addr_is_unspecified(addr) || addr_is_any(addr) || addr_is_multicast(addr))
		return false;
	if (guest->lease4.state == LEASE_BOUND && addr_equal(guest->lease4.addr, addr))
		return true;
	if (guest->lease6.state == LEASE_BOUND && addr_equal(guest->lease6.addr, addr))
		return true;
	/* What is in the list has no other holder by right: guests_set_lease() sees to that. */
	for (unsigned int i = 0; i < GUEST_ADDRS; i++) {
		if (addr_equal(guest->addrs[i].addr, addr)) {
			guest->addrs[i].seen = now;
			return true;
		}
		if (addr_is_any(guest->addrs[i].addr) ? !addr_is_any(guest->addrs[oldest].addr) :
		    !addr_is_any(guest->addrs[oldest].addr) && guest->addrs[i].seen < guest->addrs[oldest].seen)
			oldest = i;
	}
	if (leased_by_other(g, guest, addr))
		return false;
	guests_unlink_addr(g, guest, NODE_LEARNED + oldest);
	link_addr(g, guest, NODE_LEARNED + oldest, addr);
	guest->addrs[oldest].seen = now;
	return true;
}

/* @guest has @addr by right now: what others once leased or were seen with is forgotten. */
static void forget_others(struct guests *g, const struct guest *guest, addr_t addr)
{
	uint16_t at = *addr_bucket(g, addr);
	struct guest *holder;
	unsigned int node;

	while ((holder = next_holder(g, addr, &at, &node))) {
		struct lease *lease = node_lease(holder, node);

		if (holder == guest || node == NODE_FIXED4 || (lease && lease->state != LEASE_EXPIRED))
			continue;
		guests_unlink_addr(g, holder, node);
		if (lease)
			*lease = (struct lease){ 0 };
	}
}

int guests_set_fixed4(struct guests *g, struct guest *guest, addr_t addr)
{
	uint16_t at = *addr_bucket(g, addr);
	struct guest *holder;
	unsigned int node;

	while (!addr_is_any(addr) && (holder = next_holder(g, addr, &at, &node)))
		if (holder != guest && node == NODE_FIXED4)
			return -EEXIST;
	guests_unlink_addr(g, guest, NODE_FIXED4);
	if (!addr_is_any(addr)) {
		forget_others(g, guest, addr);
		link_addr(g, guest, NODE_FIXED4, addr);
	}
	return 0;
}

void guests_set_lease(struct guests *g, struct guest *guest, struct lease *lease, addr_t addr, enum lease_state state, int64_t until)
{
	unsigned int node = lease == &guest->lease4 ? NODE_LEASE4 : NODE_LEASE6;

	guests_unlink_addr(g, guest, node);
	if (state == LEASE_FREE) {
		*lease = (struct lease){ 0 };
		return;
	}
	if (state != LEASE_EXPIRED) {
		forget_others(g, guest, addr);
		g->expires = MIN(g->expires, until);
	}
	link_addr(g, guest, node, addr);
	lease->state = state;
	lease->until = until;
}

static void expire_lease(struct lease *lease, int64_t wall, int64_t *next)
{
	if (lease->state != LEASE_OFFERED && lease->state != LEASE_BOUND)
		return;
	if (lease->until <= wall)
		lease->state = LEASE_EXPIRED;
	else
		*next = MIN(*next, lease->until);
}

void guests_expire(struct guests *g, int64_t wall)
{
	int64_t next = INT64_MAX;

	if (wall < g->expires)
		return;
	for (struct guest *i = guests_next(g, NULL); i; i = guests_next(g, i)) {
		expire_lease(&i->lease4, wall, &next);
		expire_lease(&i->lease6, wall, &next);
	}
	g->expires = next;
}

/* Whether @a is the better way to reach a guest than @b, both learned. */
static bool better_learned(addr_t a, usec_t a_seen, addr_t b, usec_t b_seen)
{
	if (addr_is_link_local(a) != addr_is_link_local(b))
		return addr_is_link_local(b);
	return a_seen > b_seen;
}

bool guest_address(const struct guest *guest, int version, addr_t *out)
{
	const struct lease *lease = version == 4 ? &guest->lease4 : &guest->lease6;
	int best = -1;

	if (lease->state == LEASE_BOUND) {
		*out = lease->addr;
		return true;
	}
	for (int i = 0; i < GUEST_ADDRS; i++) {
		if (addr_is_any(guest->addrs[i].addr) || addr_is4(guest->addrs[i].addr) != (version == 4))
			continue;
		if (best < 0 || better_learned(guest->addrs[i].addr, guest->addrs[i].seen, guest->addrs[best].addr,
					       guest->addrs[best].seen))
			best = i;
	}
	if (best >= 0)
		*out = guest->addrs[best].addr;
	return best >= 0;
}
