// SPDX-License-Identifier: MIT
/*
 * One query asked of the host's nameservers, by UDP or by TCP.
 *
 * It is tried at each nameserver in turn, 2 s each, and around again, 10 s in all. An earlier nameserver's late answer still
 * counts. Each is asked from a connected socket of its own, so only it can answer, with a random id and source port (RFC 5452). A
 * nameserver that says SERVFAIL or REFUSED, that refuses the connection or that cannot be reached is left out; when none is left,
 * the last one's answer is the answer.
 *
 * States of an attempt (at one nameserver): UNTRIED -> ASKED -> FAILED. UNTRIED -> FAILED if it cannot be reached at all. The query
 * is over with the first answer that is believed, when all have FAILED, or after 10 s.
 *
 * It is embedded in its owner; every query that was begun is ended by done() or upstream_stop(), whichever comes first.
 */
#pragma once
#include "gateway/nameservers.h"
#include "io/loop.h"
#include "service/dns.h"

struct upstream;

enum attempt_state { ATTEMPT_UNTRIED, ATTEMPT_ASKED, ATTEMPT_FAILED };

struct attempt {
	enum attempt_state state;
	struct nameserver server;
	struct upstream *upstream;
	struct watch watch;             /* of its socket, which it owns */
	/* TCP alone */
	size_t sent;
	uint8_t head[2];                /* the response's length */
	size_t received;                /* bytes of head and response */
	uint8_t *response;              /* made when its length is known */
};

struct upstream {
	bool tcp;
	uint16_t id;                    /* of the guest's query */
	uint16_t asked_id;              /* of ours */
	uint8_t *packet;                /* the query with our id, behind its length as TCP wants it */
	size_t size;                    /* of the query alone */
	struct dns_question question;
	struct attempt attempts[NAMESERVERS_MAX];
	size_t count, next;
	usec_t until;
	struct timer timer;
	/*
	 * The answer, with the guest's id, or NULL if there is none. The sockets are closed; the upstream is its owner's to free,
	 * and until it does, upstream_query() holds. The response is good until this returns.
	 */
	void (*done)(struct upstream *u, const void *response, size_t size);
};

/**
 * upstream_start() - ask
 * @u:       zeroed
 * @servers: copied
 * @query:   that dns_answer() said DNS_FORWARD about; copied
 * Return: 0; done() will be called, not before this returns. Or a negative errno: -EHOSTUNREACH if there is no nameserver that can
 * be asked.
 */
int upstream_start(struct upstream *u, struct loop *loop, const struct nameservers *servers, bool tcp, struct cursor query,
		   void (*done)(struct upstream *u, const void *response, size_t size));

/** upstream_stop() - give up, without done(), and free what it made; harmless after done(), and on one that did not start or is zeroed */
void upstream_stop(struct upstream *u);

/** upstream_query() - a cursor at the query, as the guest sent it; @iov is its storage. Inside done(), or before. */
struct cursor upstream_query(struct upstream *u, struct iovec *iov);

/** upstream_asks() - does it ask this very query? */
bool upstream_asks(const struct upstream *u, struct cursor query);
