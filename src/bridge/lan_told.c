// SPDX-License-Identifier: MIT
/* What the rules tell of guests' frames: which MAC is behind a persistent tap, and which addresses guests have. */
#include "bridge/lan_up.h"

#include <string.h>

#include "base/log.h"
#include "bridge/lan_rules.h"
#include "bridge/lan_taps.h"
#include "bridge/learn.h"
#include "wire/eth.h"

/* New IPv6 addresses of one guest are believed no more often than this on the average, since each has the rules made anew. */
#define CLAIM_EACH  (2 * USEC_S)
#define CLAIM_BURST 8

/* --- persistent taps --- */

static const struct guest_config *guest_with(const struct lan_up *l, struct mac mac)
{
	for (size_t i = 0; i < l->config->guest_count; i++) {
		const struct guest *known = guests_by_name(l->guests, l->config->guests[i].name);

		if (known && mac_equal(known->mac, mac))
			return &l->config->guests[i];
	}
	return NULL;
}

/* Why may this MAC not be behind that tap? NULL: it may. Its first frame was not carried, so the bridge has not learned it from here. */
static const char *mac_fault(struct lan_up *l, const struct lan_tap *t, struct mac mac)
{
	const struct guest_config *named = guest_with(l, mac);

	if (mac_is_zero(mac) || mac_is_group(mac))
		return "it is no MAC for a guest";
	list_for_each(n, &l->taps) {
		const struct lan_tap *other = list_entry(n, struct lan_tap, node);

		if (other != t && mac_equal(other->mac, mac))
			return "it is that of a guest behind another tap";
	}
	if (named && *named->tap && strcmp(named->tap, t->link.name))
		return "a [Guest] with another Tap has it";
	return !named && taplink_fdb_has(l->p.route, l->bridge, mac, t->link.index) ? "it is in use on the LAN" : NULL;
}

static void bind_first(struct lan_up *l, struct lan_tap *t, const struct iovec *head)
{
	struct eth eth;
	const char *fault;
	char text[MAC_TEXT_SIZE];

	if (head->iov_len < sizeof(eth))
		return;
	memcpy(&eth, head->iov_base, sizeof(eth));
	fault = mac_fault(l, t, eth.from);
	if (fault)
		log_warning("LAN %s: tap %s carries nothing until it is opened anew: %s behind it cannot be its guest's, for %s", l->plan.name,
			    t->link.name, mac_format(eth.from, text), fault);
	t->refused = fault;
	if (!fault)
		t->mac = eth.from;
	lan_up_changed(l);
}

/* --- addresses --- */

/* The guest that a frame of this tap may speak for. */
static struct guest *guest_behind(struct lan_up *l, const struct lan_tap *t, struct mac mac, usec_t now)
{
	struct guest *guest;

	if (t->refused || mac_is_zero(mac) || !mac_equal(mac, t->mac))
		return NULL;
	guest = t->persistent ? guests_add(l->guests, mac, now) : guests_find(l->guests, mac);
	if (!guest || (t->persistent && guest->port_id && guest->port_id != t->id))
		return NULL; /* it is behind another tap, and does not move on a frame's word */
	if (!guest->port_id)
		lan_up_changed(l);
	guest->port_id = t->id;
	return guest;
}

/* Is it what another guest's MAC makes of itself? */
static bool is_link_local_of_other(struct lan_up *l, const struct lan_tap *t, addr_t addr)
{
	static const addr_t prefix = {{ 0xfe, 0x80 }};

	list_for_each(n, &l->taps) {
		const struct lan_tap *other = list_entry(n, struct lan_tap, node);

		if (other != t && !mac_is_zero(other->mac) && addr_equal(addr, addr_eui64(prefix, other->mac)))
			return true;
	}
	return false;
}

static bool may_claim(struct lan_up *l, const struct lan_tap *t, addr_t addr, usec_t now)
{
	if (lan_reserved(l, addr))
		return false;
	return addr_is4(addr) || (!is_link_local_of_other(l, t, addr) && t->claimed - now < CLAIM_BURST * CLAIM_EACH);
}

static void learn(struct lan_up *l, struct lan_tap *t, const struct learned *learned, usec_t now)
{
	struct guest *guest = guest_behind(l, t, learned->mac, now);

	if (!guest || (learned->kind == LEARNED_ADDRESS && !may_claim(l, t, learned->addr, now)))
		return;
	if (!l->services && learned->kind == LEARNED_LEASE && lease_clash_note(&l->clashes, l->guests, guest, learned->addr))
		return;
	/* What our own services lease they have written down themselves. */
	if ((l->services && learned->kind == LEARNED_LEASE) || !learn_apply(l->guests, guest, learned, usec_wall() / USEC_S, now))
		return;
	if (learned->kind == LEARNED_LEASE) {
		lan_up_leases_changed(l);
		return;
	}
	t->claimed = MAX(t->claimed, now) + CLAIM_EACH;
	lan_up_changed(l);
}

bool lan_up_told(struct lan_up *l, unsigned int in, unsigned int out, const struct iovec iov[static 2], usec_t now)
{
	struct lan_tap *to = lan_tap_by_index(l, out), *from = to ? NULL : lan_tap_by_index(l, in), *t = to ? to : from;
	struct learned learned;

	if (!t)
		return false;
	if (from && t->persistent && !t->refused && mac_is_zero(t->mac))
		bind_first(l, t, &iov[0]);
	if (to)
		dhcp_servers_hear(&l->heard, cursor_of_iov(iov, 2), now);
	learned = to ? learn_to_guest(iov, 2) : learn_from_guest(iov, 2);
	if (learned.kind != LEARNED_NOTHING)
		learn(l, t, &learned, now);
	return true;
}
