// SPDX-License-Identifier: MIT
/*
 * Who answers DHCP on a LAN, as far as its answers pass by (RFC 2131).
 *
 * Nothing is asked: guests ask when they start (DHCPDISCOVER), and all servers offer. Whoever says nothing to such a question is not there
 * any more. A renewal is answered by one server alone, and says nothing of the others.
 */
#pragma once
#include "base/cursor.h"
#include "base/usec.h"
#include "wire/addr.h"

#define DHCP_SERVERS_MAX 8    /* what comes beyond is not kept: two are too many already */

struct dhcp_server {
	addr_t addr;
	struct mac mac;       /* its, or that of the relay that it came through */
	usec_t seen;
	usec_t asked;         /* when the first question came that it has not answered; 0: none */
};

struct dhcp_servers {
	struct dhcp_server list[DHCP_SERVERS_MAX];
	size_t count;
};

#define DHCP_SERVERS_HEAD 38 /* bytes: Ethernet, IPv4 without options, UDP's ports */

/** dhcp_servers_care() - might the frame with that head be one to hear? For most it says no by a look at a byte or two. */
static inline bool dhcp_servers_care(const uint8_t head[static DHCP_SERVERS_HEAD])
{
	enum { TYPE = 12, VERSION = 14, PROTOCOL = 23, PORTS = 34, PLAIN = 0x45, UDP = 17, BOOTPS = 67, BOOTPC = 68 };

	if (head[PROTOCOL] != UDP || head[TYPE] != 0x08 || head[TYPE + 1])
		return false;
	return head[VERSION] != PLAIN || (!head[PORTS] && (head[PORTS + 1] == BOOTPS || head[PORTS + 1] == BOOTPC));
}

/**
 * dhcp_servers_hear() - look at a frame
 * @frame: from its Ethernet header on; it may be cut short behind its options
 * Return: true if it was a server's answer, or a guest's question for servers. Cheap for all that is neither.
 */
bool dhcp_servers_hear(struct dhcp_servers *s, struct cursor frame, usec_t now);

/** dhcp_servers_forget() - drop those that are not there any more; before the list is read */
void dhcp_servers_forget(struct dhcp_servers *s, usec_t now);
