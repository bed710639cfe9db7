// SPDX-License-Identifier: MIT
/*
 * DNS for the LAN's own names (RFC 1035, RFC 6891 for EDNS): guests' names forward and reverse. Everything else is the host's
 * resolvers' to answer.
 *
 * Own names: "web" and "web.hospes" (A, AAAA), the gateway's ("gateway", "host"), the service's ("dns"), PTR in the LAN's networks.
 * A name of the LAN's domain that nobody has is NXDOMAIN and not asked abroad, nor is a PTR in the LAN's networks. A name that
 * exists but has no record of the wanted type gets an empty answer with SOA. A single label that is no guest's is asked abroad.
 *
 * What the host's resolvers are asked is the gateway's business (gateway/resolver.h), but what messages mean is told here, for both.
 */
#pragma once
#include "base/cursor.h"
#include "lan/guest.h"
#include "service/reply.h"
#include "wire/dns.h"

#define DNS_TTL       10    /* seconds: guests come and go */
#define DNS_QUERY_MAX 4096  /* a longer query is refused: nobody asks so much */

enum dns_verdict {
	DNS_ANSWERED,    /* @out holds the response */
	DNS_FORWARD,     /* well-formed, and not ours: ask the host's resolvers */
	DNS_MALFORMED,   /* no query; say nothing */
};

/**
 * dns_answer() - answer a query for the LAN's own names, or one that is refused: FORMERR (damaged, not exactly one question),
 * NOTIMP (another opcode), BADVERS (another EDNS), REFUSED (a zone transfer, another class for an own name)
 * @query: cursor at the message
 * @tcp:   the response may be 65,535 bytes; by UDP it is cut to what the query allows (512, or EDNS up to 1232), with TC set
 * @out:   empty; room for the response, at least 512 bytes
 */
enum dns_verdict dns_answer(const struct lan_plan *plan, struct guests *guests, struct cursor query, bool tcp, struct writer *out);

/**
 * dns_fail() - a response without records to a query: @rcode 2 SERVFAIL (no resolver answered), 4 NOTIMP, 5 REFUSED. Its question
 * is echoed if it has a good one. Return: false if it is no query.
 */
bool dns_fail(struct cursor query, enum dns_rcode rcode, struct writer *out);

/**
 * dns_truncated() - cut a response that came from a resolver to its header, question and EDNS, with TC set: for UDP clients that
 * take no more. Return: false if it is damaged.
 */
bool dns_truncated(struct cursor response, struct writer *out);

/** dns_udp_limit() - the longest response that a query's sender takes by UDP: what its EDNS says, at least 512 */
size_t dns_udp_limit(struct cursor query);

/** dns_read_question() - the question of a query that dns_answer() said DNS_FORWARD about. Return: false if there is none. */
bool dns_read_question(struct cursor query, struct dns_question *out);

enum dns_judgement {
	DNS_BELIEVED,    /* the answer */
	DNS_ELSEWHERE,   /* an answer, SERVFAIL or REFUSED: another resolver may know better */
	DNS_NOT_OURS,    /* no response to what was asked: forged, late or damaged */
};

/** dns_judge() - is @response one to the query with @id and this question (RFC 5452 section 9.1)? */
enum dns_judgement dns_judge(struct cursor response, uint16_t id, const struct dns_question *asked);
