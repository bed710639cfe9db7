// SPDX-License-Identifier: MIT
#include "gateway/resolver.h"

#include <errno.h>
#include <stdlib.h>

#include "gateway/resolver_tcp.h"
#include "gateway/upstream.h"
#include "service/dns.h"

#define QUERIES_MAX       512
#define QUERIES_GUEST_MAX 256 /* one guest cannot keep the others from asking */

struct resolver {
	struct loop *loop;
	struct emitter *emitter;
	const struct lan_plan *plan;
	struct guests *guests;
	char *resolv_conf;
	struct nameservers servers;
	struct resolver_tcp *tcp;
	struct list queries;       /* under way, by UDP */
	size_t count;
};

/* Who asked, and at which address. */
struct asker {
	struct mac mac;
	addr_t src, dst;
	uint16_t port;
};

struct udp_query {
	struct list node;
	struct resolver *resolver;
	struct asker asker;
	size_t limit;              /* the longest response it takes */
	struct upstream upstream;
};

int resolver_new(struct resolver **out, struct loop *loop, struct emitter *emitter, const struct lan_plan *plan, struct guests *guests,
		 const char *resolv_conf)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct resolver){ .loop = loop, .emitter = emitter, .plan = plan, .guests = guests, .resolv_conf = strdup(resolv_conf) };
	list_init(&r->queries);
	if (!r->resolv_conf || resolver_tcp_new(&r->tcp, loop, plan, guests, &r->servers, r->resolv_conf) < 0) {
		resolver_free(r);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

static void query_free(struct udp_query *q)
{
	list_remove(&q->node);
	upstream_stop(&q->upstream);
	q->resolver->count--;
	free(q);
}

struct resolver *resolver_free(struct resolver *r)
{
	if (!r)
		return NULL;
	list_for_each(n, &r->queries)
		query_free(list_entry(n, struct udp_query, node));
	resolver_tcp_free(r->tcp);
	free(r->resolv_conf);
	free(r);
	return NULL;
}

static void reply(struct resolver *r, const struct asker *to, const void *response, size_t size)
{
	struct iovec payload = { .iov_base = (void *)response, .iov_len = size };

	emit_udp(r->emitter, to->mac, to->dst, DNS_PORT, to->src, to->port, &payload, 1, 0, loop_now(r->loop));
}

static void reply_servfail(struct resolver *r, const struct asker *to, struct cursor query)
{
	uint8_t answer[DNS_UDP_MIN];
	struct writer out = writer_of(answer, sizeof(answer));

	if (dns_fail(query, DNS_SERVFAIL, &out))
		reply(r, to, out.data, out.used);
}

static void answered(struct upstream *u, const void *response, size_t size)
{
	struct udp_query *q = container_of(u, struct udp_query, upstream);
	uint8_t cut[DNS_UDP_MIN];
	struct writer out = writer_of(cut, sizeof(cut));
	struct iovec iov;

	if (response && size <= q->limit)
		reply(q->resolver, &q->asker, response, size);
	else if (response && dns_truncated(cursor_of(&iov, response, size), &out))
		reply(q->resolver, &q->asker, out.data, out.used);
	else
		reply_servfail(q->resolver, &q->asker, upstream_query(u, &iov));
	query_free(q);
}

static bool same_asker(const struct asker *a, const struct asker *b)
{
	return mac_equal(a->mac, b->mac) && addr_equal(a->src, b->src) && addr_equal(a->dst, b->dst) && a->port == b->port;
}

/* Is it under way already? @of_guest: how many of that guest are. */
static bool is_asked(const struct resolver *r, const struct asker *from, struct cursor message, size_t *of_guest)
{
	*of_guest = 0;
	list_for_each(n, &r->queries) {
		const struct udp_query *q = list_entry(n, struct udp_query, node);

		if (same_asker(&q->asker, from) && upstream_asks(&q->upstream, message))
			return true;
		*of_guest += mac_equal(q->asker.mac, from->mac);
	}
	return false;
}

/* Return: 0 or negative errno. */
static int ask(struct resolver *r, const struct asker *from, struct cursor message)
{
	struct udp_query *q = calloc(1, sizeof(*q));
	int result;

	if (!q)
		return -ENOMEM;
	q->resolver = r;
	q->asker = *from;
	q->limit = dns_udp_limit(message);
	list_append(&r->queries, &q->node);
	r->count++;
	nameservers_refresh(&r->servers, r->resolv_conf);
	result = upstream_start(&q->upstream, r->loop, &r->servers, false, message, answered);
	if (result < 0)
		query_free(q);
	return result;
}

enum drop resolver_query(struct resolver *r, struct mac from, addr_t src, uint16_t src_port, addr_t dst,
			 struct cursor message, _unused_ usec_t now)
{
	struct asker asker = { .mac = from, .src = src, .dst = dst, .port = src_port };
	uint8_t answer[DNS_UDP_MAX];
	struct writer out = writer_of(answer, sizeof(answer));
	size_t of_guest;

	switch (dns_answer(r->plan, r->guests, message, false, &out)) {
	case DNS_MALFORMED:
		return DROP_MALFORMED;
	case DNS_ANSWERED:
		reply(r, &asker, out.data, out.used);
		return DROP_NONE;
	case DNS_FORWARD:
		break;
	}
	if (is_asked(r, &asker, message, &of_guest))
		return DROP_NONE;
	if (r->count >= QUERIES_MAX || of_guest >= QUERIES_GUEST_MAX || ask(r, &asker, message) < 0)
		reply_servfail(r, &asker, message);
	return DROP_NONE;
}

int resolver_accept(struct resolver *r) { return resolver_tcp_accept(r->tcp); }
