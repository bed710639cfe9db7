// SPDX-License-Identifier: MIT
/*
 * DHCPv4 messages (RFC 2131, RFC 2132): what a server reads of a request, and the pieces that it puts a reply together from.
 *
 * Options are read wherever they may lie (RFC 2131 section 4.1: the fields `file` and `sname` too), and the parts of one that was split are
 * joined (RFC 3396).
 */
#pragma once
#include "base/be.h"
#include "base/cursor.h"
#include "base/writer.h"
#include "wire/addr.h"

#define DHCP4_SERVER_PORT 67
#define DHCP4_CLIENT_PORT 68
#define DHCP4_MESSAGE_MIN 300   /* relays and clients of BOOTP expect that much (RFC 1542 section 2.1) */
#define DHCP4_PACKET_MIN  576   /* the IP packet that every client takes (RFC 2131 section 2) */
#define DHCP4_COOKIE      0x63825363
#define DHCP4_BROADCAST   0x8000 /* in flags */
#define DHCP4_OPTION_MAX  255

enum dhcp4_op { DHCP4_BOOTREQUEST = 1, DHCP4_BOOTREPLY = 2 };
enum dhcp4_type {
	DHCP4_BOOTP = 0, /* no such option: not DHCP */
	DHCP4_DISCOVER = 1, DHCP4_OFFER, DHCP4_REQUEST, DHCP4_DECLINE, DHCP4_ACK, DHCP4_NAK, DHCP4_RELEASE, DHCP4_INFORM,
};
enum dhcp4_option {
	DHCP4_PAD = 0, DHCP4_MASK = 1, DHCP4_ROUTER = 3, DHCP4_DNS = 6, DHCP4_HOST_NAME = 12, DHCP4_DOMAIN = 15, DHCP4_MTU = 26,
	DHCP4_BROADCAST_ADDRESS = 28, DHCP4_REQUESTED = 50, DHCP4_LEASE_TIME = 51, DHCP4_OVERLOAD = 52, DHCP4_TYPE = 53, DHCP4_SERVER = 54,
	DHCP4_PARAMETERS = 55, DHCP4_MESSAGE = 56, DHCP4_MAX_SIZE = 57, DHCP4_T1 = 58, DHCP4_T2 = 59, DHCP4_CLIENT_ID = 61, DHCP4_FQDN = 81,
	DHCP4_SEARCH = 119, DHCP4_END = 255,
};

/* As it lies on the wire, before the options. */
struct dhcp4_header {
	uint8_t op, hardware, hardware_size, hops;
	be32_t xid;
	be16_t seconds, flags;
	struct ip4 ciaddr, yiaddr, siaddr, giaddr;
	struct mac chaddr;
	uint8_t chaddr_rest[10];
	uint8_t sname[64], file[128];
	be32_t cookie;
};
_Static_assert(sizeof(struct dhcp4_header) == 240, "RFC 2131 figure 1, and the magic cookie");

struct dhcp4_message {
	struct dhcp4_header header;
	uint8_t type;               /* enum dhcp4_type, or a number that is none */
	bool has_requested, has_server, has_parameters;
	struct ip4 requested, server;
	uint16_t max_size;          /* the IP packet that the client takes; 0: not said */
	uint8_t parameters[32];     /* a bit for each option that it asks for */
	uint8_t client_id[DHCP4_OPTION_MAX];
	uint8_t client_id_size;     /* 0: none */
	char name[64];              /* first label of its host name (option 81, else 12), as sent; "" if none */
};

/**
 * dhcp4_parse() - read a request
 * @c: cursor at the UDP payload
 * Fails on: a message that is cut short, not BOOTREQUEST, not for Ethernet, without the magic cookie, or with an option that runs past its
 * field. An option of a wrong length counts as missing.
 */
struct dhcp4_message dhcp4_parse(struct cursor *c);

/** dhcp4_asks() - does the client want option @code? One that lists nothing wants whatever there is. */
bool dhcp4_asks(const struct dhcp4_message *m, uint8_t code);

/** dhcp4_emit_option() - append an option of at most 255 bytes; a longer one fails */
void dhcp4_emit_option(struct writer *w, uint8_t code, const void *data, size_t size);

/** dhcp4_emit_end() - close the options, and pad the message to DHCP4_MESSAGE_MIN */
void dhcp4_emit_end(struct writer *w);
