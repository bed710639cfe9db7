// SPDX-License-Identifier: MIT
/*
 * Neighbours: answers to "who has this address?" (ARP, RFC 826; neighbour discovery, RFC 4861) for the gateway's own addresses, and
 * router advertisements.
 *
 * An address that a guest asks about and that is not the gateway's is some other guest's to answer.
 */
#pragma once
#include "lan/plan.h"
#include "service/reply.h"
#include "wire/arp.h"
#include "wire/icmp.h"

/**
 * neigh_answer_arp() - answer a request for one of the gateway's addresses (the DNS service's too)
 * Return: true if @reply is to be sent back to the port that @request came from. A probe for the gateway's own address (sender
 * 0.0.0.0, RFC 5227 section 2.1.1) is answered: it would be a conflict.
 */
bool neigh_answer_arp(const struct lan_plan *plan, const struct arp *request, struct arp *reply);

/**
 * neigh_answer_nd() - answer neighbour and router solicitations
 * @plan:  the LAN
 * @from:  the frame's source
 * @ip:    the IPv6 packet
 * @icmp:  cursor at the ICMPv6 header; its checksum has been checked
 * @claim: set to the address the sender shows itself to use (its link-layer option names the MAC that the frame came from, or
 *         duplicate address detection), or to any; for guests_learn(), whatever is returned
 * @reply: filled in; @reply->out has at least 1280 bytes of room. The IP packet must go out with hop limit 255.
 * Return: DROP_NONE; DROP_MALFORMED if it is no valid message (hop limit 255, code 0, options: RFC 4861 sections 6.1 and 7.1);
 * DROP_SPOOFED_IP if it claims an address of the gateway; DROP_SERVICE_REFUSED if it is another's to answer, or a message that only
 * routers send.
 */
enum drop neigh_answer_nd(const struct lan_plan *plan, struct mac from, const struct ip_packet *ip, struct cursor icmp, addr_t *claim,
			  struct reply *reply);

/**
 * neigh_advertise() - an unsolicited router advertisement to all nodes, for when the LAN comes up, changes, or goes (@lifetime 0);
 * MTU, prefix (on-link and autonomous), RDNSS and DNSSL (RFC 8106), flags M and O
 */
void neigh_advertise(const struct lan_plan *plan, uint16_t lifetime_seconds, struct reply *reply);

#define NEIGH_ROUTER_LIFETIME 65535 /* seconds (RFC 8319 section 4): refreshed long before, so that an idle LAN sleeps for hours */
