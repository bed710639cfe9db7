// SPDX-License-Identifier: MIT
/*
 * A DHCPv4 client made by hand, byte by byte, and a LAN that it talks to: for the tests of the server. It shares no code with
 * src/wire/dhcp4.c.
 */
#pragma once
#include "unit.h"

#include <stdio.h>

#include "service/dhcp4.h"

#define A4(a, b, c, d) ((addr_t){{ [10] = 0xff, [11] = 0xff, a, b, c, d }})
#define IP(last) ((struct ip4){{ 10, 0, 2, last }})
#define MAC(n) ((struct mac){{ 0x52, 0x54, 0, 0, (uint8_t)((n) >> 8), (uint8_t)(n) }})

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

struct world {
	struct lan_plan plan;
	struct guests *guests;
	int64_t wall;
	usec_t now;
	bool changed;
	uint8_t out[1280];
	struct reply reply;
};

struct ask {
	uint8_t type;
	struct mac mac, frame;      /* chaddr; the frame's source where it differs */
	struct ip4 ciaddr, requested, server, giaddr, src;
	bool broadcast;
	const char *name, *fqdn;    /* options 12 and 81 */
	const char *id;             /* option 61 */
	const char *parameters;     /* option 55 */
	uint16_t max_size;          /* option 57 */
};

struct bytes { uint8_t b[2048]; size_t size; };

static inline void put(struct bytes *p, const void *data, size_t size)
{
	assert_true(p->size + size <= sizeof(p->b));
	memcpy(p->b + p->size, data, size);
	p->size += size;
}

static inline void put_option(struct bytes *p, uint8_t code, const void *data, size_t size)
{
	uint8_t head[2] = { code, (uint8_t)size };

	put(p, head, sizeof(head));
	put(p, data, size);
}

static inline void put_header(struct bytes *p, const struct ask *a)
{
	static const uint8_t cookie[4] = { 0x63, 0x82, 0x53, 0x63 };
	uint8_t h[236] = { 1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef };

	h[10] = a->broadcast ? 0x80 : 0;
	memcpy(h + 12, &a->ciaddr, 4);
	memcpy(h + 24, &a->giaddr, 4);
	memcpy(h + 28, &a->mac, 6);
	put(p, h, sizeof(h));
	put(p, cookie, sizeof(cookie));
}

static inline struct bytes message(const struct ask *a)
{
	static const uint8_t zero[4];
	struct bytes p = { .size = 0 };
	uint8_t size[2] = { (uint8_t)(a->max_size >> 8), (uint8_t)a->max_size }, fqdn[80] = { 0 };

	put_header(&p, a);
	put_option(&p, 53, &a->type, 1);
	if (memcmp(&a->requested, zero, 4))
		put_option(&p, 50, &a->requested, 4);
	if (memcmp(&a->server, zero, 4))
		put_option(&p, 54, &a->server, 4);
	if (a->name)
		put_option(&p, 12, a->name, strlen(a->name));
	if (a->fqdn) {
		memcpy(fqdn + 3, a->fqdn, strlen(a->fqdn));
		put_option(&p, 81, fqdn, 3 + strlen(a->fqdn));
	}
	if (a->id)
		put_option(&p, 61, a->id, strlen(a->id));
	if (a->parameters)
		put_option(&p, 55, a->parameters, strlen(a->parameters));
	if (a->max_size)
		put_option(&p, 57, size, 2);
	put(&p, "\xff", 1);
	return p;
}

/** play() - hand bytes to the server. Return: its verdict; the reply is in @w. */
static inline enum drop play(struct world *w, struct mac from, struct ip4 src, const void *data, size_t size)
{
	struct ip_packet ip = { .src = addr_of4(src), .dst = A4(255, 255, 255, 255), .version = 4 };
	uint8_t *copy = test_malloc(size + !size); /* so that a read past its end is seen */
	struct iovec iov;
	enum drop verdict;

	memcpy(copy, data, size);
	w->changed = false;
	memset(w->out, 0xa5, sizeof(w->out));
	w->reply = (struct reply){ .out = writer_of(w->out, sizeof(w->out)) };
	verdict = dhcp4_answer(&w->plan, w->guests, from, &ip, cursor_of(&iov, copy, size), w->wall, w->now, &w->changed, &w->reply);
	test_free(copy);
	return verdict;
}

static inline enum drop ask(struct world *w, struct ask a)
{
	struct bytes p = message(&a);

	return play(w, mac_is_zero(a.frame) ? a.mac : a.frame, a.src, p.b, p.size);
}

/** option() - an option of the reply; NULL if it is not there */
static inline const uint8_t *option(const struct world *w, uint8_t code, size_t *size)
{
	size_t at = 240, n = w->reply.out.used;

	assert_true(n >= 300);
	while (at < n && w->out[at] != 255) {
		if (!w->out[at]) {
			at++;
			continue;
		}
		assert_true(at + 2 + w->out[at + 1] <= n);
		if (w->out[at] == code) {
			*size = w->out[at + 1];
			return w->out + at + 2;
		}
		at += 2 + (size_t)w->out[at + 1];
	}
	assert_true(at < n); /* there is an end mark */
	return NULL;
}

static inline void assert_option(const struct world *w, uint8_t code, const void *data, size_t size)
{
	size_t got;
	const uint8_t *o = option(w, code, &got);

	if (!o)
		fail_msg("option %u is missing", code);
	assert_int_equal(got, size);
	assert_memory_equal(o, data, size);
}

static inline void assert_no_option(const struct world *w, uint8_t code)
{
	size_t size;

	assert_null(option(w, code, &size));
}

/** said() - the type of the reply; 0 if there is none */
static inline uint8_t said(const struct world *w)
{
	size_t size = 0;
	const uint8_t *o = w->reply.out.used ? option(w, 53, &size) : NULL;

	return o ? o[0] : 0;
}

static inline struct ip4 yiaddr(const struct world *w)
{
	struct ip4 ip;

	memcpy(&ip, w->out + 16, 4);
	return ip;
}

static inline void assert_ip(struct ip4 a, struct ip4 b)
{
	assert_memory_equal(&a, &b, 4);
}

/** lease() - the usual exchange. Return: the address. */
static inline struct ip4 lease(struct world *w, struct mac mac)
{
	struct ip4 offered;

	assert_int_equal(ask(w, (struct ask){ DISCOVER, mac }), DROP_NONE);
	assert_int_equal(said(w), OFFER);
	offered = yiaddr(w);
	assert_int_equal(ask(w, (struct ask){ REQUEST, mac, .requested = offered, .server = IP(2) }), DROP_NONE);
	assert_int_equal(said(w), ACK);
	assert_true(w->changed);
	assert_ip(yiaddr(w), offered);
	return offered;
}

static inline int set_up(void **state)
{
	struct world *w = test_calloc(1, sizeof(*w));

	*w = (struct world){
		.plan = {
			.name = "default", .domain = "hospes", .mac = {{ 0x52, 0x55, 10, 0, 2, 2 }}, .ip4 = true, .net4 = A4(10, 0, 2, 0),
			.bits4 = 24,
			.gateway4 = A4(10, 0, 2, 2), .dns4 = A4(10, 0, 2, 3), .pool4_first = A4(10, 0, 2, 15),
			.pool4_last = A4(10, 0, 2, 254),
			.mtu = 1500, .lease_seconds = 86400,
		},
		.wall = 1700000000, .now = 3600 * USEC_S,
	};
	*state = w;
	return guests_new(&w->guests);
}

static inline int tear_down(void **state)
{
	struct world *w = *state;

	guests_free(w->guests);
	test_free(w);
	return 0;
}

/** pass() - let time go by on both clocks */
static inline void pass(struct world *w, int64_t seconds)
{
	w->wall += seconds;
	w->now += seconds * USEC_S;
}
