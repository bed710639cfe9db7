// SPDX-License-Identifier: MIT
/*
 * A LAN whose guests talk to a DHCP server in any words and order, and what must hold whatever they say.
 *
 * An input is a row of messages: a byte that says who speaks and how much later, two bytes of length, the message.
 */
#pragma once
#include "fuzz.h"
#include "lan/guest.h"
#include "service/reply.h"

#define F4(a, b, c, d) {{ [10] = 0xff, [11] = 0xff, a, b, c, d }}
#define SPEAKERS 8

struct lease_world {
	struct lan_plan plan;
	struct guests *guests;
	int64_t wall;
	usec_t now;
	uint8_t out[1280];
	struct reply reply;
};

static inline struct mac speaker_mac(unsigned int n)
{
	return (struct mac){{ 0x52, 0x54, 0, 0, 0, (uint8_t)(n % SPEAKERS) }};
}

static inline void lease_world_init(struct lease_world *w)
{
	struct guest *promised;

	w->plan = (struct lan_plan){
		.name = "default", .domain = "hospes", .mac = {{ 0x52, 0x55, 10, 0, 2, 2 }}, .ip4 = true, .ip6 = true,
		.net4 = F4(10, 0, 2, 0), .bits4 = 29,
		.gateway4 = F4(10, 0, 2, 2), .dns4 = F4(10, 0, 2, 3), .pool4_first = F4(10, 0, 2, 0), .pool4_last = F4(10, 0, 2, 7),
		.net6 = {{ 0xfd, 1 }}, .bits6 = 64, .gateway6 = {{ 0xfd, 1, [15] = 2 }}, .dns6 = {{ 0xfd, 1, [15] = 3 }},
		.link_local6 = {{ 0xfe, 0x80, [15] = 2 }}, .mtu = 1500, .lease_seconds = 120,
	};
	w->wall = 1000000;
	w->now = 3600 * USEC_S;
	MUST(guests_new(&w->guests) == 0);
	promised = guests_add(w->guests, speaker_mac(1), w->now);
	MUST(promised && guests_set_fixed4(w->guests, promised, (addr_t)F4(10, 0, 2, 5)) == 0);
}

static inline bool holds(const struct lease *l)
{
	return l->state == LEASE_OFFERED || l->state == LEASE_BOUND;
}

/** check_lease() - is what a guest holds its own, and alive? */
static inline void check_lease(struct lease_world *w, struct guest *guest, const struct lease *l)
{
	MUST((l->state == LEASE_FREE) == addr_is_any(l->addr));
	MUST(l->client_id_size <= CLIENT_ID_MAX);
	if (!holds(l))
		return;
	MUST(l->until > w->wall && l->until <= w->wall + w->plan.lease_seconds);
	MUST(!lan_plan_is_gateway(&w->plan, l->addr) && !lan_plan_is_dns(&w->plan, l->addr) && lan_plan_is_local(&w->plan, l->addr));
	MUST(guests_by_addr(w->guests, l->addr) == guest);
	for (struct guest *i = guests_next(w->guests, NULL); i; i = guests_next(w->guests, i)) {
		if (i == guest)
			continue;
		MUST(!holds(&i->lease4) || !addr_equal(i->lease4.addr, l->addr));
		MUST(!holds(&i->lease6) || !addr_equal(i->lease6.addr, l->addr));
		MUST(!addr_equal(i->fixed4, l->addr));
	}
}

static inline void check_guests(struct lease_world *w)
{
	unsigned int count = 0;

	guests_expire(w->guests, w->wall);
	for (struct guest *i = guests_next(w->guests, NULL); i; i = guests_next(w->guests, i)) {
		check_lease(w, i, &i->lease4);
		check_lease(w, i, &i->lease6);
		MUST(!holds(&i->lease4) || lan_plan_may_host4(&w->plan, i->lease4.addr));
		MUST(!i->name[0] || guests_by_name(w->guests, i->name) == i);
		count++;
	}
	MUST(count <= SPEAKERS);
}

/** lease_play() - hand all messages of an input to @play, with a copy of each in memory of its own size */
static inline void lease_play(const uint8_t *data, size_t size,
			      void (*play)(struct lease_world *w, struct mac from, uint8_t *message, size_t size))
{
	struct lease_world w;

	lease_world_init(&w);
	while (size >= 3) {
		size_t n = MIN((size_t)(data[1] << 8 | data[2]), size - 3);
		struct iovec copy = copy_bytes(data + 3, n);

		w.wall += data[0] >> 3;
		w.now += (data[0] >> 3) * USEC_S;
		w.reply = (struct reply){ .out = writer_of(w.out, sizeof(w.out)) };
		play(&w, speaker_mac(data[0]), copy.iov_base, n);
		MUST(w.reply.out.used <= w.reply.out.size && !w.reply.out.failed);
		check_guests(&w);
		free(copy.iov_base);
		data += 3 + n;
		size -= 3 + n;
	}
	guests_free(w.guests);
}
