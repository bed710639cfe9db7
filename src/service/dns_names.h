// SPDX-License-Identifier: MIT
/* Which DNS names are the LAN's own, and what they stand for. */
#pragma once
#include "lan/guest.h"
#include "lan/plan.h"
#include "wire/dns.h"

enum dns_own_kind {
	DNS_OWN_FOREIGN,  /* not ours to answer */
	DNS_OWN_MISSING,  /* in our domain or networks, and nobody's */
	DNS_OWN_EMPTY,    /* a part of the way to names of ours: exists, but has no records */
	DNS_OWN_APEX,     /* the domain itself */
	DNS_OWN_HOST,     /* a guest's or the gateway's name: addr4 and addr6 */
	DNS_OWN_REVERSE,  /* an address of a guest or the gateway: host */
};

struct dns_own {
	enum dns_own_kind kind;
	addr_t addr4, addr6;         /* any: it has none */
	char host[GUEST_NAME_SIZE];  /* without the domain */
	uint8_t zone;                /* offset in the name's labels where the zone begins that it belongs to */
};

/** dns_names_find() - look a name up */
struct dns_own dns_names_find(const struct lan_plan *plan, struct guests *guests, const struct dns_name *name);

/** dns_names_join() - "@host.@domain", or "@host" where there is no domain */
void dns_names_join(char into[static DNS_NAME_SIZE], const char *host, const char *domain);
