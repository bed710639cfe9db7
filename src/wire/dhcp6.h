// SPDX-License-Identifier: MIT
/*
 * DHCPv6 messages (RFC 8415): what a server reads of a client's message, and the pieces that it puts a reply together from.
 */
#pragma once
#include "base/be.h"
#include "base/cursor.h"
#include "base/writer.h"
#include "wire/addr.h"

#define DHCP6_SERVER_PORT 547
#define DHCP6_CLIENT_PORT 546
#define DHCP6_DUID_MAX    130 /* bytes, its type included (RFC 8415 section 11.1) */
#define DHCP6_IAS_MAX     8   /* identity associations read of one message */
#define DHCP6_ADDRS_MAX   4   /* addresses read of one of them */

enum dhcp6_type {
	DHCP6_SOLICIT = 1, DHCP6_ADVERTISE, DHCP6_REQUEST, DHCP6_CONFIRM, DHCP6_RENEW, DHCP6_REBIND, DHCP6_REPLY, DHCP6_RELEASE,
	DHCP6_DECLINE,
	DHCP6_RECONFIGURE, DHCP6_INFORMATION_REQUEST, DHCP6_RELAY_FORWARD, DHCP6_RELAY_REPLY,
};
enum dhcp6_option {
	DHCP6_CLIENT_ID = 1, DHCP6_SERVER_ID = 2, DHCP6_IA_NA = 3, DHCP6_IA_TA = 4, DHCP6_IA_ADDRESS = 5, DHCP6_ORO = 6,
	DHCP6_PREFERENCE = 7,
	DHCP6_STATUS = 13, DHCP6_RAPID_COMMIT = 14, DHCP6_DNS = 23, DHCP6_DOMAINS = 24, DHCP6_IA_PD = 25, DHCP6_REFRESH_TIME = 32,
	DHCP6_FQDN = 39,
};
enum dhcp6_status {
	DHCP6_SUCCESS = 0, DHCP6_UNSPECIFIED = 1, DHCP6_NO_ADDRESSES = 2, DHCP6_NO_BINDING = 3, DHCP6_NOT_ON_LINK = 4,
	DHCP6_USE_MULTICAST = 5,
	DHCP6_NO_PREFIXES = 6,
};

/* A message as it lies on the wire, before the options. */
struct dhcp6_header { uint8_t type, xid[3]; };
_Static_assert(sizeof(struct dhcp6_header) == 4, "RFC 8415 section 8");

/* An identity association: what a client wants an address (or prefix) for. */
struct dhcp6_ia {
	uint16_t kind;               /* DHCP6_IA_NA, DHCP6_IA_TA or DHCP6_IA_PD */
	uint32_t iaid;
	uint8_t addr_count;
	addr_t addrs[DHCP6_ADDRS_MAX]; /* of IA_NA; those beyond are not read */
};

struct dhcp6_message {
	struct dhcp6_header header;
	uint8_t client_id[DHCP6_DUID_MAX], server_id[DHCP6_DUID_MAX];
	uint8_t client_id_size, server_id_size; /* 0: none */
	bool rapid_commit, has_options_wanted;
	bool wants_dns, wants_domains, wants_refresh_time;
	uint8_t ia_count;
	struct dhcp6_ia ias[DHCP6_IAS_MAX];     /* those beyond are not read */
	char name[64];                          /* first label of its name (RFC 4704), as sent; "" if none */
};

/**
 * dhcp6_parse() - read a client's message; fails on one that is cut short, and on options that run past their field or have an impossible
 * size
 */
struct dhcp6_message dhcp6_parse(struct cursor *c);

/** dhcp6_emit_option() - append an option */
void dhcp6_emit_option(struct writer *w, uint16_t code, const void *data, size_t size);
/** dhcp6_begin_option() - begin an option whose size is not known yet; Return: for dhcp6_end_option() */
size_t dhcp6_begin_option(struct writer *w, uint16_t code);
void dhcp6_end_option(struct writer *w, size_t begun);
/** dhcp6_emit_status() - append a status; @text: for a person */
void dhcp6_emit_status(struct writer *w, enum dhcp6_status status, const char *text);
/** dhcp6_emit_address() - append an address of an IA; lifetimes in seconds */
void dhcp6_emit_address(struct writer *w, addr_t addr, uint32_t preferred, uint32_t valid);
