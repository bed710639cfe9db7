// SPDX-License-Identifier: MIT
/*
 * The LAN's DNS service towards the guests and the host's resolvers: queries that service/dns.h does not answer go to the
 * nameservers of resolv.conf, as they are at that moment (the file is read again when its inode, size or time changed).
 *
 * UDP: each query gets a connected socket of its own at each nameserver (a random source port and a new random id: RFC 5452) and is
 * tried at each nameserver in turn, 2 s each, 10 s in all, then SERVFAIL; a nameserver that says SERVFAIL or REFUSED, or refuses
 * the connection, is left out (upstream.h). With no nameserver: SERVFAIL at once. At most 512 at once, 256 of one guest; a further
 * one gets SERVFAIL. A retransmission by the guest of a query that is under way is not asked twice. A response that is longer than
 * the guest takes is cut, with TC.
 * TCP: a flow to the service's address is a socketpair whose other end is served here (RFC 7766: several queries a connection,
 * answers in any order, 30 s idle; resolver_tcp.h). Its queries go abroad by TCP.
 */
#pragma once
#include "base/cursor.h"
#include "gateway/emit.h"
#include "io/loop.h"
#include "lan/guest.h"

struct resolver;

int resolver_new(struct resolver **out, struct loop *loop, struct emitter *emitter, const struct lan_plan *plan,
		 struct guests *guests, const char *resolv_conf);
struct resolver *resolver_free(struct resolver *r);

/** resolver_query() - a guest's UDP query to the service's address. The reply is sent now or later. Return: verdict. */
enum drop resolver_query(struct resolver *r, struct mac from, addr_t src, uint16_t src_port, addr_t dst, struct cursor message, usec_t now);

/**
 * resolver_accept() - a TCP connection of a guest's: Return: the guest's end of a socketpair (non-blocking, the caller's), or
 * negative errno
 */
int resolver_accept(struct resolver *r);
