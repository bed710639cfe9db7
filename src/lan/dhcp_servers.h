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

/**
 * dhcp_servers_hear() - look at a frame
 * @frame: from its Ethernet header on; it may be cut short behind its options
 * Return: true if it was a server's answer, or a guest's question for servers. Cheap for all that is neither.
 */
bool dhcp_servers_hear(struct dhcp_servers *s, struct cursor frame, usec_t now);

/** dhcp_servers_forget() - drop those that are not there any more; before the list is read */
void dhcp_servers_forget(struct dhcp_servers *s, usec_t now);
