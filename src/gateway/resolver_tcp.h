// SPDX-License-Identifier: MIT
/*
 * The DNS service's side of guests' TCP connections (RFC 1035 section 4.2.2, RFC 7766): several queries a connection, answers as they come.
 *
 * Bounded: 64 connections, of which the one that was quiet longest gives way to a new one; eight queries a connection that are not
 * yet answered and taken, before no more are read. A connection that is quiet for 30 s is closed.
 */
#pragma once
#include "gateway/nameservers.h"
#include "io/loop.h"
#include "lan/guest.h"

struct resolver_tcp;

/**
 * resolver_tcp_new() - all arguments are borrowed; @servers is refreshed from @resolv_conf when a query is asked abroad. Return: 0
 * or -ENOMEM.
 */
int resolver_tcp_new(struct resolver_tcp **out, struct loop *loop, const struct lan_plan *plan, struct guests *guests,
		     struct nameservers *servers, const char *resolv_conf);
/** resolver_tcp_free() - closes all connections */
struct resolver_tcp *resolver_tcp_free(struct resolver_tcp *r);

/** resolver_tcp_accept() - begin a connection. Return: the guest's end of a socketpair (non-blocking, the caller's), or negative errno. */
int resolver_tcp_accept(struct resolver_tcp *r);
