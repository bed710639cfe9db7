// SPDX-License-Identifier: MIT
/*
 * DNS for the LAN's own names (RFC 1035, RFC 6891 for EDNS): guests' names forward and reverse. Everything else is the host's resolvers' to answer.
 *
 * Own names: "web" and "web.hospes" (A, AAAA), the gateway's ("gateway", "host"), PTR in the LAN's networks. A name of the LAN's domain that nobody has is NXDOMAIN and not
 * asked abroad, nor is a PTR in the LAN's networks. A name that exists but has no record of the wanted type gets an empty answer with SOA.
 */
#pragma once
#include "base/cursor.h"
#include "lan/guest.h"
#include "service/reply.h"

enum dns_verdict {
	DNS_ANSWERED,    /* @out holds the response */
	DNS_FORWARD,     /* well-formed, and not ours: ask the host's resolvers */
	DNS_MALFORMED,   /* no query; say nothing */
};

/**
 * dns_answer() - answer a query for the LAN's own names
 * @query: cursor at the message
 * @tcp:   the response may be 65,535 bytes; by UDP it is cut to what the query allows (512, or EDNS up to 1232), with TC set
 * @out:   room for the response
 */
enum dns_verdict dns_answer(const struct lan_plan *plan, struct guests *guests, struct cursor query, bool tcp, struct writer *out);

/** dns_fail() - a response without records to a well-formed query: @rcode 2 SERVFAIL (no resolver answered), 4 NOTIMP, 5 REFUSED. Return: false if it was none. */
bool dns_fail(struct cursor query, int rcode, struct writer *out);

/** dns_truncated() - cut a response that came from a resolver to @max bytes: header and question with TC set. For forwarding to UDP clients. */
bool dns_truncated(struct cursor response, struct writer *out);
