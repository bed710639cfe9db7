// SPDX-License-Identifier: MIT
#include "service/dhcp6.h"

#include <string.h>

#include "base/hash.h"
#include "wire/dhcp6.h"
#include "wire/dns.h"

#define OFFER_SECONDS  60    /* an advertised address is kept this long for its Request */
#define REFRESH_MIN    600   /* RFC 8415 section 21.23 */
#define PAYLOAD_MAX    1232  /* fits every IPv6 link without fragments */
#define CANDIDATES_MAX 4096  /* addresses tried for one guest */
#define DUID_SIZE      10

struct dhcp6_request {
	const struct lan_plan *plan;
	struct guests *guests;
	struct guest *guest;        /* NULL where the message needs none and there is none */
	struct dhcp6_message m;
	int lease_ia;               /* the association that the guest's lease stands for, or -1: a guest has one address */
	int64_t wall;
	usec_t now;
	bool *changed;
	struct writer w;
};

/* DUID-LL of the gateway (RFC 8415 section 11.4) */
static void server_duid(const struct lan_plan *plan, uint8_t into[static DUID_SIZE])
{
	static const uint8_t head[] = { 0, 3, 0, 1 };

	memcpy(into, head, sizeof(head));
	memcpy(into + sizeof(head), &plan->mac, sizeof(plan->mac));
}

static bool is_ours(const struct dhcp6_request *q)
{
	uint8_t duid[DUID_SIZE];

	server_duid(q->plan, duid);
	return q->m.server_id_size == DUID_SIZE && !memcmp(q->m.server_id, duid, DUID_SIZE);
}

/* --- which address --- */

static bool may_have(const struct dhcp6_request *q, addr_t addr, enum addr_use worst)
{
	return addr_in_prefix(addr, q->plan->net6, q->plan->bits6) && !lan_plan_is_gateway(q->plan, addr) &&
	       !lan_plan_is_dns(q->plan, addr) &&
	       !addr_equal(addr, q->plan->net6) && guests_addr_use(q->guests, addr, q->guest, q->now) <= worst;
}

/* What the guest has or had; else PREFIX::1:0 and 16 bits hashed from its MAC, or the next that is free. */
static bool choose(const struct dhcp6_request *q, addr_t *out)
{
	static const struct hash_key fixed = {{ 0x686f737065732d35, 0x646863702d763621 }};
	uint64_t number = hash_bytes(&fixed, &q->guest->mac, sizeof(q->guest->mac));
	const struct lease *lease = &q->guest->lease6;

	*out = lease->addr;
	if (lease->state != LEASE_FREE && may_have(q, lease->addr, ADDR_EXPIRED))
		return true;
	for (unsigned int i = 0; i < CANDIDATES_MAX; i++, number++) {
		*out = q->plan->net6;
		out->b[13] = 1;
		out->b[14] = (uint8_t)(number >> 8);
		out->b[15] = (uint8_t)number;
		if (may_have(q, *out, ADDR_FREE))
			return true;
	}
	return false;
}

/* One address a guest: it goes to the association it was leased to, else to the first. Return: its place in the message, or -1. */
static int find_lease_ia(const struct dhcp6_request *q)
{
	const struct lease *lease = q->guest ? &q->guest->lease6 : NULL;
	int first = -1;

	for (int i = 0; i < q->m.ia_count; i++) {
		if (q->m.ias[i].kind != DHCP6_IA_NA)
			continue;
		if (lease && lease->state != LEASE_FREE && lease->iaid == q->m.ias[i].iaid)
			return i;
		if (first < 0)
			first = i;
	}
	return first;
}

/* --- the reply's parts --- */

static void begin_reply(struct dhcp6_request *q, enum dhcp6_type type)
{
	struct dhcp6_header h = q->m.header;
	uint8_t duid[DUID_SIZE];

	h.type = (uint8_t)type;
	writer_put(&q->w, &h, sizeof(h));
	server_duid(q->plan, duid);
	if (q->m.client_id_size)
		dhcp6_emit_option(&q->w, DHCP6_CLIENT_ID, q->m.client_id, q->m.client_id_size);
	dhcp6_emit_option(&q->w, DHCP6_SERVER_ID, duid, sizeof(duid));
}

/* DNS server and domain, where the client wants them or says nothing (RFC 3646) */
static void emit_configuration(struct dhcp6_request *q)
{
	struct dns_name name;

	if (q->m.wants_dns || !q->m.has_options_wanted)
		dhcp6_emit_option(&q->w, DHCP6_DNS, &q->plan->dns6, sizeof(q->plan->dns6));
	if ((q->m.wants_domains || !q->m.has_options_wanted) && dns_name_of_text(q->plan->domain, &name))
		dhcp6_emit_option(&q->w, DHCP6_DOMAINS, name.labels, name.size);
}

static size_t begin_ia(struct dhcp6_request *q, const struct dhcp6_ia *ia, uint32_t lifetime)
{
	size_t begun = dhcp6_begin_option(&q->w, ia->kind);

	writer_u32(&q->w, ia->iaid);
	if (ia->kind != DHCP6_IA_TA) {
		writer_u32(&q->w, lifetime / 2);
		writer_u32(&q->w, lifetime / 5 * 4);
	}
	return begun;
}

static void emit_refusal(struct dhcp6_request *q, const struct dhcp6_ia *ia, enum dhcp6_status status, const char *text)
{
	size_t begun = begin_ia(q, ia, 0);

	dhcp6_emit_status(&q->w, status, text);
	dhcp6_end_option(&q->w, begun);
}

/* The guest's own association: @addr, and, where the client holds others (@holds), their end. */
static void emit_granted(struct dhcp6_request *q, const struct dhcp6_ia *ia, addr_t addr, bool holds)
{
	size_t begun = begin_ia(q, ia, q->plan->lease_seconds);

	dhcp6_emit_address(&q->w, addr, q->plan->lease_seconds, q->plan->lease_seconds);
	for (unsigned int i = 0; holds && i < ia->addr_count; i++)
		if (!addr_equal(ia->addrs[i], addr))
			dhcp6_emit_address(&q->w, ia->addrs[i], 0, 0);
	dhcp6_end_option(&q->w, begun);
}

/* All associations: one gets @addr (NULL: none is left), the others hear that there is nothing for them. */
static void emit_ias(struct dhcp6_request *q, const addr_t *addr, bool holds)
{
	for (int i = 0; i < q->m.ia_count; i++) {
		const struct dhcp6_ia *ia = &q->m.ias[i];

		if (i == q->lease_ia && addr)
			emit_granted(q, ia, *addr, holds);
		else if (ia->kind == DHCP6_IA_PD)
			emit_refusal(q, ia, DHCP6_NO_PREFIXES, "no prefixes are delegated");
		else
			emit_refusal(q, ia, DHCP6_NO_ADDRESSES, i == q->lease_ia ? "no address is left" : "one address a guest");
	}
}

/* --- the messages --- */

/* Hold @addr for the guest; @state is OFFERED or BOUND. */
static void hold(struct dhcp6_request *q, addr_t addr, enum lease_state state)
{
	struct lease *lease = &q->guest->lease6;

	if (state == LEASE_OFFERED && lease->state == LEASE_BOUND && addr_equal(lease->addr, addr))
		return; /* a lease that runs is not shortened to an offer */
	guests_set_lease(q->guests, q->guest, lease, addr, state,
			 q->wall + (state == LEASE_BOUND ? q->plan->lease_seconds : OFFER_SECONDS));
	lease->iaid = q->m.ias[q->lease_ia].iaid;
	lease->client_id_size = MIN(q->m.client_id_size, (uint8_t)CLIENT_ID_MAX);
	memcpy(lease->client_id, q->m.client_id, lease->client_id_size);
	if (state == LEASE_OFFERED)
		return;
	*q->changed = true;
	if (q->m.name[0])
		guests_set_name(q->guests, q->guest, q->m.name, NAME_FROM_DHCP);
}

/* The reply to a message that wants addresses. @state: what becomes of the one that is given; @holds: the client has addresses already. */
static enum drop grant(struct dhcp6_request *q, enum dhcp6_type type, enum lease_state state, bool holds)
{
	addr_t addr;
	bool given = q->lease_ia >= 0 && choose(q, &addr);

	begin_reply(q, type);
	if (given)
		hold(q, addr, state);
	emit_ias(q, given ? &addr : NULL, holds);
	emit_configuration(q);
	return DROP_NONE;
}

static enum drop answer_solicit(struct dhcp6_request *q)
{
	static const uint8_t sole_server = 255; /* so that clients do not wait for others (RFC 8415 section 18.2.1) */

	if (q->m.rapid_commit) {
		grant(q, DHCP6_REPLY, LEASE_BOUND, false);
		dhcp6_emit_option(&q->w, DHCP6_RAPID_COMMIT, "", 0);
		return DROP_NONE;
	}
	grant(q, DHCP6_ADVERTISE, LEASE_OFFERED, false);
	dhcp6_emit_option(&q->w, DHCP6_PREFERENCE, &sole_server, sizeof(sole_server));
	return DROP_NONE;
}

static enum drop answer_request(struct dhcp6_request *q)
{
	return grant(q, DHCP6_REPLY, LEASE_BOUND, false);
}

/* Renew and Rebind: a binding that was lost is made again (RFC 8415 sections 18.3.4 and 18.3.5). */
static enum drop answer_renew(struct dhcp6_request *q)
{
	return grant(q, DHCP6_REPLY, LEASE_BOUND, true);
}

/* RFC 8415 section 18.3.3: do these addresses belong to this link? */
static enum drop answer_confirm(struct dhcp6_request *q)
{
	unsigned int here = 0, elsewhere = 0;

	for (int i = 0; i < q->m.ia_count; i++) {
		for (unsigned int j = 0; j < q->m.ias[i].addr_count; j++) {
			if (addr_in_prefix(q->m.ias[i].addrs[j], q->plan->net6, q->plan->bits6))
				here++;
			else
				elsewhere++;
		}
	}
	if (!here && !elsewhere)
		return DROP_SERVICE_REFUSED;
	begin_reply(q, DHCP6_REPLY);
	if (elsewhere)
		dhcp6_emit_status(&q->w, DHCP6_NOT_ON_LINK, "not all of these are addresses of this network");
	else
		dhcp6_emit_status(&q->w, DHCP6_SUCCESS, "all are addresses of this network");
	return DROP_NONE;
}

/* Does the message give the guest's lease back? */
static bool gives_back(const struct dhcp6_request *q, const struct dhcp6_ia *ia)
{
	const struct lease *lease = q->guest ? &q->guest->lease6 : NULL;

	if (!lease || ia->kind != DHCP6_IA_NA || ia->iaid != lease->iaid || (lease->state != LEASE_BOUND && lease->state != LEASE_OFFERED))
		return false;
	for (unsigned int i = 0; i < ia->addr_count; i++)
		if (addr_equal(ia->addrs[i], lease->addr))
			return true;
	return false;
}

/* Release and Decline (RFC 8415 sections 18.3.7 and 18.3.8) */
static enum drop answer_return(struct dhcp6_request *q)
{
	struct lease *lease = q->guest ? &q->guest->lease6 : NULL;
	bool declined = q->m.header.type == DHCP6_DECLINE;

	begin_reply(q, DHCP6_REPLY);
	dhcp6_emit_status(&q->w, DHCP6_SUCCESS, declined ? "declined" : "released");
	for (int i = 0; i < q->m.ia_count; i++) {
		if (!gives_back(q, &q->m.ias[i])) {
			emit_refusal(q, &q->m.ias[i], DHCP6_NO_BINDING, "no such binding");
			continue;
		}
		if (declined)
			guests_rest(q->guests, lease->addr, q->now);
		guests_set_lease(q->guests, q->guest, lease, declined ? ADDR_ANY : lease->addr, declined ? LEASE_FREE : LEASE_EXPIRED,
				 q->wall);
		*q->changed = true;
	}
	return DROP_NONE;
}

static enum drop answer_information(struct dhcp6_request *q)
{
	be32_t refresh = be32(MAX(q->plan->lease_seconds, (uint32_t)REFRESH_MIN));

	/* RFC 8415 section 16.12 */
	if (q->m.ia_count)
		return DROP_MALFORMED;
	begin_reply(q, DHCP6_REPLY);
	emit_configuration(q);
	if (q->m.wants_refresh_time)
		dhcp6_emit_option(&q->w, DHCP6_REFRESH_TIME, &refresh, sizeof(refresh));
	return DROP_NONE;
}

enum server_id { SERVER_ID_ABSENT, SERVER_ID_OURS, SERVER_ID_MAYBE };

/* What RFC 8415 section 16 demands of each message. */
static const struct {
	enum drop (*answer)(struct dhcp6_request *q);
	enum server_id server_id;
	bool client_id;     /* must be there */
	bool makes_guest;
} messages[] = {
	[DHCP6_SOLICIT] = { answer_solicit, SERVER_ID_ABSENT, true, true },
	[DHCP6_REQUEST] = { answer_request, SERVER_ID_OURS, true, true },
	[DHCP6_CONFIRM] = { answer_confirm, SERVER_ID_ABSENT, true, false },
	[DHCP6_RENEW] = { answer_renew, SERVER_ID_OURS, true, true },
	[DHCP6_REBIND] = { answer_renew, SERVER_ID_ABSENT, true, true },
	[DHCP6_RELEASE] = { answer_return, SERVER_ID_OURS, true, false },
	[DHCP6_DECLINE] = { answer_return, SERVER_ID_OURS, true, false },
	[DHCP6_INFORMATION_REQUEST] = { answer_information, SERVER_ID_MAYBE, false, false },
};

/*
 * A client that was not told to may not send to our own address: it is told so where the message is for one server (RFC 8415 sections 16
 * and 18.4).
 */
static enum drop answer_unicast(struct dhcp6_request *q)
{
	if (messages[q->m.header.type].server_id != SERVER_ID_OURS)
		return DROP_SERVICE_REFUSED;
	begin_reply(q, DHCP6_REPLY);
	dhcp6_emit_status(&q->w, DHCP6_USE_MULTICAST, "send to ff02::1:2");
	return DROP_NONE;
}

/* Return: DROP_NONE, with nothing written where the message is another server's. */
static enum drop dispatch(struct dhcp6_request *q, struct mac from, addr_t dst)
{
	uint8_t type = q->m.header.type;

	if (!q->plan->ip6 || type >= ARRAY_SIZE(messages) || !messages[type].answer)
		return DROP_SERVICE_REFUSED;
	if ((messages[type].client_id && !q->m.client_id_size) || (messages[type].server_id == SERVER_ID_ABSENT && q->m.server_id_size) ||
	    (messages[type].server_id == SERVER_ID_OURS && !q->m.server_id_size))
		return DROP_MALFORMED;
	if (q->m.server_id_size && !is_ours(q))
		return DROP_NONE;
	if (!addr_is_multicast(dst))
		return answer_unicast(q);
	guests_expire(q->guests, q->wall);
	q->guest = messages[type].makes_guest ? guests_add(q->guests, from, q->now) : guests_find(q->guests, from);
	if (!q->guest && messages[type].makes_guest)
		return DROP_MAC_TABLE_FULL;
	q->lease_ia = find_lease_ia(q);
	return messages[type].answer(q);
}

enum drop dhcp6_answer(const struct lan_plan *plan, struct guests *guests, struct mac from, const struct ip_packet *ip,
		       struct cursor payload, int64_t wall, usec_t now, bool *changed, struct reply *reply)
{
	struct dhcp6_request q = {
		.plan = plan, .guests = guests, .m = dhcp6_parse(&payload), .wall = wall, .now = now, .changed = changed,
		.w = writer_of(reply->out.data, MIN(reply->out.size, (size_t)PAYLOAD_MAX)),
	};
	enum drop verdict;

	reply->out.used = 0;
	if (cursor_failed(&payload))
		return DROP_MALFORMED;
	if (addr_is_unspecified(ip->src) || addr_is_multicast(ip->src))
		return DROP_MARTIAN;
	verdict = dispatch(&q, from, ip->dst);
	if (verdict)
		return verdict;
	if (writer_failed(&q.w))
		return DROP_OVERSIZE;
	reply->to = from;
	reply->src = plan->link_local6;
	reply->dst = ip->src;
	reply->src_port = DHCP6_SERVER_PORT;
	reply->dst_port = DHCP6_CLIENT_PORT;
	reply->out.used = q.w.used;
	return DROP_NONE;
}
