// SPDX-License-Identifier: MIT
/*
 * A bench for the resolver: on a real loop, with nameservers on loopback that the test plays. emit_udp() is played too, so that what
 * guests get is seen here.
 */
#pragma once
#include "unit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "dns_message.h"
#include "gateway/resolver.h"
#include "service/dns.h"

#define SERVERS  2
#define PATIENCE (5 * USEC_S)

static const struct mac guest_mac = {{ 0x52, 0x54, 0, 0, 0, 1 }};
static const addr_t guest = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 15 }}, service = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 3 }};
static const struct lan_plan plan = {
	.name = "default", .domain = "hospes", .ip4 = true, .net4 = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 0 }}, .bits4 = 24,
	.gateway4 = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 2 }}, .dns4 = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 3 }},
};

struct server { int udp, tcp; uint16_t port; };

struct bench {
	struct loop *loop;
	struct guests *guests;
	struct resolver *resolver;
	char conf[64];
	struct server servers[SERVERS];
	size_t replies;        /* that guests got */
	struct bytes reply;    /* the last */
	uint16_t reply_port;
	struct mac reply_to;
};

/*
 * The emitter that the resolver was given is the bench. A header that is included once in each test program: this takes the real
 * one's place.
 */
void emit_udp(struct emitter *e, struct mac to, addr_t src, uint16_t src_port, addr_t dst, uint16_t dst_port,
	      const struct iovec *payload, size_t parts, _unused_ uint32_t segment, _unused_ usec_t now)
{
	struct bench *b = (struct bench *)e;

	assert_true(addr_equal(src, service) && addr_equal(dst, guest));
	assert_int_equal(src_port, 53);
	assert_int_equal(parts, 1);
	assert_in_range(payload->iov_len, 12, sizeof(b->reply.b));
	b->replies++;
	b->reply.size = payload->iov_len;
	memcpy(b->reply.b, payload->iov_base, payload->iov_len);
	b->reply_port = dst_port;
	b->reply_to = to;
}

static inline struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static inline int bound_socket(int type, uint16_t port)
{
	struct sockaddr_in sa = loopback(port);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return fd_close(fd);
	return fd;
}

static inline void server_start(struct server *s)
{
	struct sockaddr_in sa;
	socklen_t size = sizeof(sa);

	for (s->tcp = -1; s->tcp < 0;) {
		s->udp = bound_socket(SOCK_DGRAM, 0);
		assert_int_equal(getsockname(s->udp, (struct sockaddr *)&sa, &size), 0);
		s->port = ntohs(sa.sin_port);
		s->tcp = bound_socket(SOCK_STREAM, s->port);
		if (s->tcp < 0)
			fd_close(s->udp);
	}
	assert_int_equal(listen(s->tcp, 64), 0);
}

static inline void server_stop(struct server *s)
{
	s->udp = fd_close(s->udp);
	s->tcp = fd_close(s->tcp);
}

static inline void write_conf(struct bench *b, const char *text)
{
	FILE *f;

	unlink(b->conf);
	f = fopen(b->conf, "we");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static inline void use_servers(struct bench *b, size_t count)
{
	char text[256] = "# a comment\nsearch example.org\nnameserver nonsense\n";

	for (size_t i = 0; i < count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "nameserver [127.0.0.1]:%u\n", b->servers[i].port);
	write_conf(b, text);
}

static inline int setup(void **state)
{
	struct bench *b = test_calloc(1, sizeof(*b));
	struct guest *web;
	int fd;

	strcpy(b->conf, "/tmp/hospes-resolv.XXXXXX");
	fd = mkstemp(b->conf);
	assert_true(fd >= 0);
	fd_close(fd);
	for (size_t i = 0; i < SERVERS; i++)
		server_start(&b->servers[i]);
	use_servers(b, SERVERS);
	assert_int_equal(loop_new(&b->loop), 0);
	assert_int_equal(guests_new(&b->guests), 0);
	web = guests_add(b->guests, guest_mac, 1);
	assert_int_equal(guests_set_name(b->guests, web, "web", NAME_REGISTERED), 0);
	guests_set_lease(b->guests, web, &web->lease4, guest, LEASE_BOUND, 1000);
	assert_int_equal(resolver_new(&b->resolver, b->loop, (struct emitter *)b, &plan, b->guests, b->conf), 0);
	loop_turn(b->loop, 0);
	*state = b;
	return 0;
}

static inline int teardown(void **state)
{
	struct bench *b = *state;

	resolver_free(b->resolver);
	guests_free(b->guests);
	loop_free(b->loop);
	for (size_t i = 0; i < SERVERS; i++)
		server_stop(&b->servers[i]);
	unlink(b->conf);
	test_free(b);
	return 0;
}

/* Turn the loop until @condition; it must come true in time. */
#define UNTIL(b, condition)                                              \
	do {                                                             \
		usec_t _end = usec_now() + PATIENCE;                     \
		while (!(condition)) {                                   \
			assert_true(usec_now() < _end);                  \
			assert_true(loop_turn((b)->loop, USEC_MS) >= 0); \
		}                                                        \
	} while (0)

static inline void idle(struct bench *b, usec_t time)
{
	for (usec_t end = usec_now() + time; usec_now() < end;)
		assert_true(loop_turn(b->loop, USEC_MS) >= 0);
}

static inline struct bytes query_id(const char *name, uint16_t id)
{
	struct bytes q = query(name, DNS_TYPE_A, 0);

	q.b[0] = (uint8_t)(id >> 8);
	q.b[1] = (uint8_t)id;
	return q;
}
