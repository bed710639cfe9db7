// SPDX-License-Identifier: MIT
#include "service/dhcp4.h"

#include <errno.h>
#include <string.h>

#include "wire/dhcp4.h"
#include "wire/dns.h"

#define OFFER_SECONDS 60  /* an offered address is kept this long for its REQUEST */
#define IP_UDP_SIZE   28
#define BROADCAST4    addr_of4(ip4(0xffffffff))

struct dhcp4_request {
	const struct lan_plan *plan;
	struct guests *guests;
	struct guest *guest;    /* NULL where the message needs none and there is none */
	struct mac from;
	addr_t src;             /* of the IP packet */
	struct dhcp4_message m;
	int64_t wall;
	usec_t now;
	bool *changed;
	struct reply *reply;
};

/* --- the reply --- */

struct option_row {
	uint8_t code;
	bool always;            /* else only where asked for */
	size_t (*make)(const struct dhcp4_request *q, uint8_t into[static DHCP4_OPTION_MAX]);
};

static size_t put_ip(uint8_t *into, addr_t a)
{
	struct ip4 ip = addr_get4(a);

	memcpy(into, &ip, sizeof(ip));
	return sizeof(ip);
}

static size_t make_mask(const struct dhcp4_request *q, uint8_t into[static DHCP4_OPTION_MAX])
{
	return put_ip(into, addr_of4(ip4((uint32_t)~(0xffffffffull >> q->plan->bits4))));
}

static size_t make_router(const struct dhcp4_request *q, uint8_t into[static DHCP4_OPTION_MAX])
{
	return q->plan->no_router ? 0 : put_ip(into, q->plan->gateway4);
}

static size_t make_dns(const struct dhcp4_request *q, uint8_t into[static DHCP4_OPTION_MAX])
{
	return put_ip(into, q->plan->dns4);
}

static size_t make_broadcast(const struct dhcp4_request *q, uint8_t into[static DHCP4_OPTION_MAX])
{
	return put_ip(into, lan_plan_broadcast4(q->plan));
}

static size_t make_domain(const struct dhcp4_request *q, uint8_t into[static DHCP4_OPTION_MAX])
{
	size_t n = strlen(q->plan->domain);

	memcpy(into, q->plan->domain, n);
	return n;
}

static size_t make_host_name(const struct dhcp4_request *q, uint8_t into[static DHCP4_OPTION_MAX])
{
	size_t n = q->guest ? strlen(q->guest->name) : 0;

	if (n)
		memcpy(into, q->guest->name, n);
	return n;
}

static size_t make_mtu(const struct dhcp4_request *q, uint8_t into[static DHCP4_OPTION_MAX])
{
	be16_t mtu = be16(q->plan->mtu);

	memcpy(into, &mtu, sizeof(mtu));
	return sizeof(mtu);
}

/* RFC 3397: names as DNS has them */
static size_t make_search(const struct dhcp4_request *q, uint8_t into[static DHCP4_OPTION_MAX])
{
	struct dns_name name;

	if (!dns_name_of_text(q->plan->domain, &name))
		return 0;
	memcpy(into, name.labels, name.size);
	return name.size;
}

/* What a reply tells, the most needed first: what does not fit is left out. */
static const struct option_row option_rows[] = {
	{ DHCP4_MASK, true, make_mask },
	{ DHCP4_ROUTER, true, make_router },
	{ DHCP4_DNS, true, make_dns },
	{ DHCP4_BROADCAST_ADDRESS, true, make_broadcast },
	{ DHCP4_DOMAIN, true, make_domain },
	{ DHCP4_MTU, false, make_mtu },
	{ DHCP4_HOST_NAME, false, make_host_name },
	{ DHCP4_SEARCH, false, make_search },
};

static void emit_u32(struct writer *w, uint8_t code, uint32_t value)
{
	be32_t v = be32(value);

	dhcp4_emit_option(w, code, &v, sizeof(v));
}

static void emit_rows(const struct dhcp4_request *q, struct writer *w)
{
	uint8_t data[DHCP4_OPTION_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++) {
		const struct option_row *row = &option_rows[i];
		size_t size = row->always || dhcp4_asks(&q->m, row->code) ? row->make(q, data) : 0;

		/* Two bytes before it, and the end mark behind. */
		if (size && !writer_failed(w) && w->used + size + 3 <= w->size)
			dhcp4_emit_option(w, row->code, data, size);
	}
}

/* RFC 2131 table 3 */
static void emit_header(const struct dhcp4_request *q, struct writer *w, enum dhcp4_type type, addr_t yiaddr)
{
	const struct dhcp4_header *asked = &q->m.header;
	struct dhcp4_header h = {
		.op = DHCP4_BOOTREPLY, .hardware = asked->hardware, .hardware_size = asked->hardware_size, .xid = asked->xid,
		.flags = asked->flags,
		.chaddr = asked->chaddr, .cookie = be32(DHCP4_COOKIE),
	};
	uint8_t value = (uint8_t)type;
	struct ip4 server = addr_get4(q->plan->gateway4);

	if (type == DHCP4_ACK)
		h.ciaddr = asked->ciaddr;
	if (!addr_is_any(yiaddr))
		h.yiaddr = addr_get4(yiaddr);
	writer_put(w, &h, sizeof(h));
	dhcp4_emit_option(w, DHCP4_TYPE, &value, sizeof(value));
	dhcp4_emit_option(w, DHCP4_SERVER, &server, sizeof(server));
	if (q->m.client_id_size)
		dhcp4_emit_option(w, DHCP4_CLIENT_ID, q->m.client_id, q->m.client_id_size); /* RFC 6842 */
}

/* Where the reply goes: RFC 2131 section 4.1, last paragraphs */
static void address_reply(const struct dhcp4_request *q, enum dhcp4_type type, addr_t yiaddr)
{
	const struct dhcp4_header *asked = &q->m.header;
	bool has_ciaddr = ip4_get(asked->ciaddr);
	struct reply *reply = q->reply;

	reply->src = q->plan->gateway4;
	reply->src_port = DHCP4_SERVER_PORT;
	reply->dst_port = DHCP4_CLIENT_PORT;
	reply->to = q->from;
	if (type != DHCP4_NAK && has_ciaddr)
		reply->dst = addr_of4(asked->ciaddr);
	else if (type != DHCP4_NAK && !(be16_get(asked->flags) & DHCP4_BROADCAST))
		reply->dst = addr_is_any(yiaddr) ? q->src : yiaddr;
	else
		reply->dst = BROADCAST4, reply->to = MAC_BROADCAST;
}

/* The bytes that a reply may have: the client's word, the LAN's MTU, the caller's room. */
static size_t reply_room(const struct dhcp4_request *q)
{
	size_t packet = MIN(MAX((size_t)q->m.max_size, (size_t)DHCP4_PACKET_MIN), (size_t)q->plan->mtu);

	return MIN(packet - IP_UDP_SIZE, q->reply->out.size);
}

static enum drop send_reply(const struct dhcp4_request *q, enum dhcp4_type type, addr_t yiaddr)
{
	struct writer w = writer_of(q->reply->out.data, reply_room(q));

	emit_header(q, &w, type, yiaddr);
	if (!addr_is_any(yiaddr)) {
		emit_u32(&w, DHCP4_LEASE_TIME, q->plan->lease_seconds);
		emit_u32(&w, DHCP4_T1, q->plan->lease_seconds / 2);
		emit_u32(&w, DHCP4_T2, q->plan->lease_seconds / 8 * 7);
	}
	emit_rows(q, &w);
	dhcp4_emit_end(&w);
	if (writer_failed(&w))
		return DROP_OVERSIZE;
	address_reply(q, type, yiaddr);
	q->reply->out.used = w.used;
	return DROP_NONE;
}

static enum drop send_nak(const struct dhcp4_request *q, const char *why)
{
	struct writer w = writer_of(q->reply->out.data, reply_room(q));

	emit_header(q, &w, DHCP4_NAK, ADDR_ANY);
	dhcp4_emit_option(&w, DHCP4_MESSAGE, why, strlen(why));
	dhcp4_emit_end(&w);
	if (writer_failed(&w))
		return DROP_OVERSIZE;
	address_reply(q, DHCP4_NAK, ADDR_ANY);
	q->reply->out.used = w.used;
	return DROP_NONE;
}

/* --- which address --- */

/* Is the guest's promised address its own now? Not while it rests, or while somebody still leases it. */
static bool fixed_in_force(const struct dhcp4_request *q)
{
	addr_t fixed = q->guest->fixed4;

	return !addr_is_any(fixed) && lan_plan_may_host4(q->plan, fixed) &&
	       guests_addr_use(q->guests, fixed, q->guest, q->now) != ADDR_TAKEN;
}

/* May the guest have @addr, if nobody better has it (@worst: the worst use by others that is borne)? */
static bool may_have(const struct dhcp4_request *q, addr_t addr, enum addr_use worst)
{
	if (fixed_in_force(q))
		return addr_equal(addr, q->guest->fixed4);
	return lan_plan_in_pool4(q->plan, addr) && guests_addr_use(q->guests, addr, q->guest, q->now) <= worst;
}

static bool find_unused(const struct dhcp4_request *q, addr_t *out)
{
	uint32_t first = ip4_get(addr_get4(q->plan->pool4_first)), last = ip4_get(addr_get4(q->plan->pool4_last));

	/* As many steps as there are addresses that guests hold, at the most. */
	for (uint64_t v = first; v <= last; v++) {
		*out = addr_of4(ip4((uint32_t)v));
		if (may_have(q, *out, ADDR_FREE))
			return true;
	}
	return false;
}

/* The address whose lease has been over for longest. */
static bool find_longest_expired(const struct dhcp4_request *q, addr_t *out)
{
	const struct guest *best = NULL;

	for (const struct guest *i = guests_next(q->guests, NULL); i; i = guests_next(q->guests, i))
		if (i->lease4.state == LEASE_EXPIRED && (!best || i->lease4.until < best->lease4.until) &&
		    may_have(q, i->lease4.addr, ADDR_EXPIRED))
			best = i;
	if (best)
		*out = best->lease4.addr;
	return best;
}

/* RFC 2131 section 4.3.1: what it has, what it had, what it asks for, what is unused; and at last what another had once. */
static bool choose(const struct dhcp4_request *q, addr_t *out)
{
	const struct lease *lease = &q->guest->lease4;
	addr_t requested = addr_of4(q->m.requested);

	*out = q->guest->fixed4;
	if (fixed_in_force(q))
		return true;
	*out = lease->addr;
	if (lease->state != LEASE_FREE && may_have(q, lease->addr, ADDR_EXPIRED))
		return true;
	*out = requested;
	if (q->m.has_requested && may_have(q, requested, ADDR_FREE))
		return true;
	return find_unused(q, out) || find_longest_expired(q, out);
}

/* --- the messages --- */

static void remember_client(const struct dhcp4_request *q)
{
	struct lease *lease = &q->guest->lease4;

	lease->client_id_size = MIN(q->m.client_id_size, (uint8_t)CLIENT_ID_MAX);
	memcpy(lease->client_id, q->m.client_id, lease->client_id_size);
	/* A name that is none, or another's, is the client's to keep: the lease does not depend on it. */
	if (q->m.name[0])
		guests_set_name(q->guests, q->guest, q->m.name, NAME_FROM_DHCP);
}

static enum drop answer_discover(struct dhcp4_request *q)
{
	struct lease *lease = &q->guest->lease4;
	addr_t addr;

	if (!choose(q, &addr))
		return DROP_POOL_EXHAUSTED;
	/* A lease that runs is not shortened to an offer. */
	if (lease->state != LEASE_BOUND || !addr_equal(lease->addr, addr))
		guests_set_lease(q->guests, q->guest, lease, addr, LEASE_OFFERED, q->wall + OFFER_SECONDS);
	return send_reply(q, DHCP4_OFFER, addr);
}

static enum drop bind(struct dhcp4_request *q, addr_t addr)
{
	guests_set_lease(q->guests, q->guest, &q->guest->lease4, addr, LEASE_BOUND, q->wall + q->plan->lease_seconds);
	remember_client(q);
	*q->changed = true;
	return send_reply(q, DHCP4_ACK, addr);
}

/* The client took another server's offer: ours is free to be given again. */
static enum drop withdraw(struct dhcp4_request *q)
{
	struct lease *lease = &q->guest->lease4;

	if (lease->state == LEASE_OFFERED)
		guests_set_lease(q->guests, q->guest, lease, lease->addr, LEASE_EXPIRED, q->wall);
	return DROP_NONE;
}

/*
 * RFC 2131 section 4.3.2. The client's state shows in the message: SELECTING names a server; INIT-REBOOT has its address in option 50;
 * RENEWING and REBINDING have it in ciaddr.
 */
static enum drop answer_request(struct dhcp4_request *q)
{
	const struct lease *lease = &q->guest->lease4;
	bool has_ciaddr = ip4_get(q->m.header.ciaddr), selecting = q->m.has_server, renewing = !selecting && has_ciaddr;
	addr_t wanted = addr_of4(q->m.has_requested && !renewing ? q->m.requested : q->m.header.ciaddr);

	if (selecting && !addr_equal(addr_of4(q->m.server), q->plan->gateway4))
		return withdraw(q);
	if (!q->m.has_requested && !has_ciaddr)
		return DROP_MALFORMED;
	if (!addr_in_prefix(wanted, q->plan->net4, q->plan->bits4))
		return send_nak(q, "not an address of this network");
	if (fixed_in_force(q))
		return addr_equal(wanted, q->guest->fixed4) ? bind(q, wanted) : send_nak(q, "another address is set for this guest");
	if (!may_have(q, wanted, lease->state == LEASE_FREE ? ADDR_FREE : ADDR_EXPIRED))
		return send_nak(q, "the address is taken, or not to be leased");
	if (lease->state != LEASE_FREE)
		return addr_equal(wanted, lease->addr) ? bind(q, wanted) : send_nak(q, "another address is leased to this guest");
	/*
	 * Nothing is known of it: one that reboots hears nothing; one that uses the address goes on, for we forgot (the leases were lost).
	 */
	return selecting || renewing ? bind(q, wanted) : DROP_SERVICE_REFUSED;
}

static bool names_another_server(const struct dhcp4_request *q)
{
	return q->m.has_server && !addr_equal(addr_of4(q->m.server), q->plan->gateway4);
}

static enum drop answer_decline(struct dhcp4_request *q)
{
	struct lease *lease = q->guest ? &q->guest->lease4 : NULL;

	if (names_another_server(q))
		return DROP_NONE;
	if (!lease || (lease->state != LEASE_BOUND && lease->state != LEASE_OFFERED) || !q->m.has_requested ||
	    !addr_equal(addr_of4(q->m.requested), lease->addr))
		return DROP_SERVICE_REFUSED;
	guests_rest(q->guests, lease->addr, q->now);
	guests_set_lease(q->guests, q->guest, lease, ADDR_ANY, LEASE_FREE, 0);
	*q->changed = true;
	return DROP_NONE;
}

static enum drop answer_release(struct dhcp4_request *q)
{
	struct lease *lease = q->guest ? &q->guest->lease4 : NULL;

	if (names_another_server(q))
		return DROP_NONE;
	if (!lease || lease->state != LEASE_BOUND || !addr_equal(addr_of4(q->m.header.ciaddr), lease->addr))
		return DROP_SERVICE_REFUSED;
	guests_set_lease(q->guests, q->guest, lease, lease->addr, LEASE_EXPIRED, q->wall);
	*q->changed = true;
	return DROP_NONE;
}

/* RFC 2131 section 4.3.5: the client has an address and wants the rest. */
static enum drop answer_inform(struct dhcp4_request *q)
{
	addr_t client = ip4_get(q->m.header.ciaddr) ? addr_of4(q->m.header.ciaddr) : q->src;

	if (!lan_plan_may_host4(q->plan, client))
		return DROP_MARTIAN;
	return send_reply(q, DHCP4_ACK, ADDR_ANY);
}

static const struct {
	bool makes_guest;
	enum drop (*answer)(struct dhcp4_request *q);
} messages[] = {
	[DHCP4_DISCOVER] = { true, answer_discover },
	[DHCP4_REQUEST] = { true, answer_request },
	[DHCP4_DECLINE] = { false, answer_decline },
	[DHCP4_RELEASE] = { false, answer_release },
	[DHCP4_INFORM] = { false, answer_inform },
};

enum drop dhcp4_answer(const struct lan_plan *plan, struct guests *guests, struct mac from, const struct ip_packet *ip,
		       struct cursor payload, int64_t wall, usec_t now, bool *changed, struct reply *reply)
{
	struct dhcp4_request q = {
		.plan = plan, .guests = guests, .from = from, .src = ip->src, .m = dhcp4_parse(&payload), .wall = wall, .now = now,
		.changed = changed, .reply = reply,
	};

	reply->out.used = 0;
	if (cursor_failed(&payload))
		return DROP_MALFORMED;
	if (!mac_equal(q.m.header.chaddr, from))
		return DROP_SPOOFED_MAC;
	if (!plan->ip4 || ip4_get(q.m.header.giaddr) || q.m.type >= ARRAY_SIZE(messages) || !messages[q.m.type].answer)
		return DROP_SERVICE_REFUSED;
	guests_expire(guests, wall);
	q.guest = messages[q.m.type].makes_guest ? guests_add(guests, from, now) : guests_find(guests, from);
	if (!q.guest && messages[q.m.type].makes_guest)
		return DROP_MAC_TABLE_FULL;
	return messages[q.m.type].answer(&q);
}

int dhcp4_assign(const struct lan_plan *plan, struct guests *guests, struct guest *guest, int64_t wall, usec_t now)
{
	struct dhcp4_request q = { .plan = plan, .guests = guests, .guest = guest, .wall = wall, .now = now };
	addr_t addr;

	guests_expire(guests, wall);
	if (!plan->ip4 || !choose(&q, &addr))
		return -ENOSPC;
	guests_set_lease(guests, guest, &guest->lease4, addr, LEASE_BOUND, wall + plan->lease_seconds);
	return 0;
}
