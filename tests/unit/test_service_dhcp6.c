// SPDX-License-Identifier: MIT
/* Exchanges with the DHCPv6 server, as bytes made by hand: what RFC 8415 asks of one that is alone on its link. */
#include "unit.h"

#include "service/dhcp6.h"

#define A6(last) ((addr_t){{ 0xfd, 0x11, 0x22, [15] = last }})
#define MAC(n) ((struct mac){{ 0x52, 0x54, 0, 0, (uint8_t)((n) >> 8), (uint8_t)(n) }})
#define WEB MAC(1)
#define DB  MAC(2)

enum { SOLICIT = 1, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE, RECONFIGURE, INFORMATION, RELAY };

static const addr_t all_servers = {{ 0xff, 2, [13] = 1, [15] = 2 }}, client = {{ 0xfe, 0x80, [15] = 9 }};
static const uint8_t our_duid[] = { 0, 3, 0, 1, 0x52, 0x55, 10, 0, 2, 2 };

struct world {
	struct lan_plan plan;
	struct guests *guests;
	int64_t wall;
	usec_t now;
	bool changed;
	addr_t src, dst;
	uint8_t out[1280];
	struct reply reply;
};

struct bytes { uint8_t b[4096]; size_t size; };

static void put(struct bytes *p, const void *data, size_t size)
{
	assert_true(p->size + size <= sizeof(p->b));
	memcpy(p->b + p->size, data, size);
	p->size += size;
}

static void put_option(struct bytes *p, uint8_t code, const void *data, size_t size)
{
	uint8_t head[4] = { 0, code, (uint8_t)(size >> 8), (uint8_t)size };

	put(p, head, sizeof(head));
	put(p, data, size);
}

/* A message with the client's id, and the server's where that belongs. */
static struct bytes message(uint8_t type, const char *client_id)
{
	uint8_t head[4] = { type, 0xab, 0xcd, 0xef };
	struct bytes p = { .size = 0 };

	put(&p, head, sizeof(head));
	if (client_id)
		put_option(&p, 1, client_id, strlen(client_id));
	if (type == REQUEST || type == RENEW || type == RELEASE || type == DECLINE)
		put_option(&p, 2, our_duid, sizeof(our_duid));
	return p;
}

static void put_ia(struct bytes *p, uint8_t kind, uint8_t iaid, const addr_t *addrs, size_t count)
{
	struct bytes ia = { .size = 0 };
	uint8_t head[12] = { 0, 0, 0, iaid }, life[8] = { 0 };

	put(&ia, head, kind == 4 ? 4 : 12);
	for (size_t i = 0; i < count; i++) {
		struct bytes a = { .size = 0 };

		put(&a, &addrs[i], 16);
		put(&a, life, sizeof(life));
		put_option(&ia, 5, a.b, a.size);
	}
	put_option(p, kind, ia.b, ia.size);
}

static enum drop play(struct world *w, struct mac from, const struct bytes *p)
{
	struct ip_packet ip = { .src = w->src, .dst = w->dst, .version = 6 };
	uint8_t *copy = test_malloc(p->size + !p->size);
	struct iovec iov;
	enum drop verdict;

	memcpy(copy, p->b, p->size);
	w->changed = false;
	memset(w->out, 0xa5, sizeof(w->out));
	w->reply = (struct reply){ .out = writer_of(w->out, sizeof(w->out)) };
	verdict = dhcp6_answer(&w->plan, w->guests, from, &ip, cursor_of(&iov, copy, p->size), w->wall, w->now, &w->changed, &w->reply);
	test_free(copy);
	return verdict;
}

/* The @nth option @code among @size bytes; NULL if there is none. */
static const uint8_t *find(const uint8_t *at, size_t size, uint16_t code, unsigned int nth, size_t *found)
{
	while (size) {
		uint16_t here, n;

		assert_true(size >= 4);
		here = (uint16_t)(at[0] << 8 | at[1]);
		n = (uint16_t)(at[2] << 8 | at[3]);
		assert_true(size >= 4u + n);
		if (here == code && !nth--) {
			*found = n;
			return at + 4;
		}
		at += 4 + n;
		size -= 4u + n;
	}
	return NULL;
}

static const uint8_t *option(const struct world *w, uint16_t code, unsigned int nth, size_t *size)
{
	assert_true(w->reply.out.used >= 4);
	return find(w->out + 4, w->reply.out.used - 4, code, nth, size);
}

static void assert_option(const struct world *w, uint16_t code, const void *data, size_t size)
{
	size_t got;
	const uint8_t *o = option(w, code, 0, &got);

	if (!o)
		fail_msg("option %u is missing", code);
	assert_int_equal(got, size);
	assert_memory_equal(o, data, size);
}

static void assert_no_option(const struct world *w, uint16_t code)
{
	size_t size;

	assert_null(option(w, code, 0, &size));
}

/* The status in an IA (@kind, its number in the reply), or in the reply itself (@kind 0); -1 if there is none. */
static int status(const struct world *w, uint16_t kind, unsigned int nth)
{
	size_t size = w->reply.out.used - 4, head = kind == 4 ? 4 : 12, n;
	const uint8_t *at = w->out + 4;

	if (kind) {
		at = option(w, kind, nth, &size);
		assert_non_null(at);
		at += head;
		size -= head;
	}
	at = find(at, size, 13, 0, &n);
	return at ? at[0] << 8 | at[1] : -1;
}

/* The address number @nth in the first IA_NA. Return: false if there is none. */
static bool granted(const struct world *w, unsigned int nth, addr_t *addr, uint32_t *valid)
{
	size_t size, n;
	const uint8_t *ia = option(w, 3, 0, &size), *a = ia ? find(ia + 12, size - 12, 5, nth, &n) : NULL;

	if (!a)
		return false;
	assert_int_equal(n, 24);
	memcpy(addr, a, 16);
	*valid = (uint32_t)a[20] << 24 | (uint32_t)a[21] << 16 | (uint32_t)a[22] << 8 | a[23];
	assert_memory_equal(a + 16, a + 20, 4); /* preferred as long */
	return true;
}

static addr_t bound(struct world *w, struct mac mac, const char *id)
{
	struct bytes p = message(SOLICIT, id);
	uint32_t valid;
	addr_t a, b;

	put_ia(&p, 3, 7, NULL, 0);
	assert_int_equal(play(w, mac, &p), DROP_NONE);
	assert_int_equal(w->out[0], ADVERTISE);
	assert_true(granted(w, 0, &a, &valid));
	p = message(REQUEST, id);
	put_ia(&p, 3, 7, &a, 1);
	assert_int_equal(play(w, mac, &p), DROP_NONE);
	assert_int_equal(w->out[0], REPLY);
	assert_true(w->changed);
	assert_true(granted(w, 0, &b, &valid));
	assert_true(addr_equal(a, b));
	assert_int_equal(valid, 86400);
	return a;
}

static int set_up(void **state)
{
	struct world *w = test_calloc(1, sizeof(*w));

	*w = (struct world){
		.plan = {
			.name = "default", .domain = "hospes", .mac = {{ 0x52, 0x55, 10, 0, 2, 2 }}, .ip6 = true, .net6 = A6(0),
			.bits6 = 64,
			.gateway6 = A6(2), .dns6 = A6(3), .link_local6 = {{ 0xfe, 0x80, [15] = 2 }}, .mtu = 1500, .lease_seconds = 86400,
		},
		.wall = 1700000000, .now = 3600 * USEC_S, .src = client, .dst = all_servers,
	};
	*state = w;
	return guests_new(&w->guests);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	guests_free(w->guests);
	test_free(w);
	return 0;
}

static void full_exchange(void **state)
{
	static const uint8_t fqdn[] = "\0\3Web\7example";
	struct world *w = *state;
	struct bytes p = message(SOLICIT, "duid-of-web");
	addr_t a, b;
	uint32_t valid;
	size_t size;
	const uint8_t *ia;

	put_ia(&p, 3, 7, NULL, 0);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_false(w->changed);
	assert_memory_equal(w->out, "\2\xab\xcd\xef", 4);
	assert_option(w, 1, "duid-of-web", 11);
	assert_option(w, 2, our_duid, sizeof(our_duid));
	assert_option(w, 7, "\xff", 1);
	assert_true(granted(w, 0, &a, &valid));
	assert_true(addr_in_prefix(a, A6(0), 64));
	assert_memory_equal(&a.b[8], "\0\0\0\0\0\1", 6);
	assert_int_equal(guests_find(w->guests, WEB)->lease6.state, LEASE_OFFERED);

	p = message(REQUEST, "duid-of-web");
	put_ia(&p, 3, 7, &a, 1);
	put_option(&p, 39, fqdn, sizeof(fqdn) - 1);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_true(w->changed);
	assert_int_equal(w->out[0], REPLY);
	assert_true(granted(w, 0, &b, &valid));
	assert_true(addr_equal(a, b));
	assert_int_equal(valid, 86400);
	ia = option(w, 3, 0, &size);
	assert_memory_equal(ia, "\0\0\0\7\0\0\xa8\xc0\0\1\x0e\0", 12); /* IAID, T1, T2 */
	assert_option(w, 23, &w->plan.dns6, 16);
	assert_option(w, 24, "\6hospes", 8);
	assert_no_option(w, 7);
	assert_no_option(w, 14);
	assert_true(mac_equal(w->reply.to, WEB));
	assert_true(addr_equal(w->reply.dst, client));
	assert_true(addr_equal(w->reply.src, w->plan.link_local6));
	assert_int_equal(w->reply.src_port, 547);
	assert_int_equal(w->reply.dst_port, 546);
	assert_ptr_equal(guests_by_addr(w->guests, a), guests_by_name(w->guests, "web"));
	assert_int_equal(guests_by_name(w->guests, "web")->lease6.until, w->wall + 86400);
}

static void rapid_commit(void **state)
{
	struct world *w = *state;
	struct bytes p = message(SOLICIT, "duid");
	addr_t a;
	uint32_t valid;

	put_option(&p, 14, "", 0);
	put_ia(&p, 3, 7, NULL, 0);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_int_equal(w->out[0], REPLY);
	assert_option(w, 14, "", 0);
	assert_true(w->changed);
	assert_true(granted(w, 0, &a, &valid));
	assert_int_equal(guests_find(w->guests, WEB)->lease6.state, LEASE_BOUND);
}

static void clones_get_a_lease_each(void **state)
{
	struct world *w = *state;
	addr_t a = bound(w, WEB, "one machine id"), b = bound(w, DB, "one machine id");

	assert_false(addr_equal(a, b));
	/* The same MAC, the same address: with another DUID and another association too (a boot ROM, then a system). */
	b = bound(w, WEB, "another");
	assert_true(addr_equal(a, b));
}

static void the_address_is_the_macs(void **state)
{
	struct world *w = *state, other = *w;
	addr_t a = bound(w, WEB, "duid");

	/* A server that has forgotten everything gives the same one. */
	assert_int_equal(guests_new(&other.guests), 0);
	assert_true(addr_equal(bound(&other, WEB, "duid"), a));
	/* Unless it is taken. */
	guests_remove(other.guests, guests_find(other.guests, WEB));
	guests_learn(other.guests, guests_add(other.guests, DB, other.now), a, other.now);
	assert_false(addr_equal(bound(&other, WEB, "duid"), a));
	guests_free(other.guests);
}

static void renew_and_rebind(void **state)
{
	static const uint8_t types[] = { RENEW, REBIND };
	struct world *w = *state;
	addr_t addrs[2] = { bound(w, WEB, "duid"), A6(77) }, a;
	uint32_t valid;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct bytes p = message(types[i], "duid");

		w->wall += 1000;
		put_ia(&p, 3, 7, addrs, 2);
		assert_int_equal(play(w, WEB, &p), DROP_NONE);
		assert_true(w->changed);
		assert_true(granted(w, 0, &a, &valid));
		assert_true(addr_equal(a, addrs[0]));
		assert_int_equal(valid, 86400);
		assert_true(granted(w, 1, &a, &valid)); /* not ours to give: its life ends */
		assert_true(addr_equal(a, addrs[1]));
		assert_int_equal(valid, 0);
		assert_int_equal(guests_find(w->guests, WEB)->lease6.until, w->wall + 86400);
	}
}

static void confirm(void **state)
{
	static const addr_t elsewhere = {{ 0xfd, 0x99, [15] = 1 }};
	struct world *w = *state;
	addr_t addrs[2] = { bound(w, WEB, "duid"), elsewhere };
	struct bytes p;

	for (size_t n = 0; n <= 2; n++) {
		p = message(CONFIRM, "duid");
		put_ia(&p, 3, 7, addrs, n);
		assert_int_equal(play(w, WEB, &p), n ? DROP_NONE : DROP_SERVICE_REFUSED);
		assert_int_equal(n ? status(w, 0, 0) : -1, n == 2 ? 4 : n == 1 ? 0 : -1);
	}
}

static void release_and_decline(void **state)
{
	struct world *w = *state;
	addr_t a = bound(w, WEB, "duid"), b;
	struct bytes p = message(RELEASE, "duid");

	/* by another guest; of another association */
	put_ia(&p, 3, 7, &a, 1);
	assert_int_equal(play(w, DB, &p), DROP_NONE);
	assert_int_equal(status(w, 3, 0), 3);
	p = message(RELEASE, "duid");
	put_ia(&p, 3, 8, &a, 1);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_int_equal(status(w, 0, 0), 0);
	assert_int_equal(status(w, 3, 0), 3);
	assert_false(w->changed);
	assert_int_equal(guests_find(w->guests, WEB)->lease6.state, LEASE_BOUND);

	p = message(RELEASE, "duid");
	put_ia(&p, 3, 7, &a, 1);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_true(w->changed);
	assert_int_equal(status(w, 0, 0), 0);
	assert_no_option(w, 3);
	assert_int_equal(guests_find(w->guests, WEB)->lease6.state, LEASE_EXPIRED);
	assert_true(addr_equal(bound(w, WEB, "duid"), a));

	p = message(DECLINE, "duid");
	put_ia(&p, 3, 7, &a, 1);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_true(w->changed);
	b = bound(w, WEB, "duid");
	assert_false(addr_equal(a, b));
	assert_int_equal(guests_addr_use(w->guests, a, NULL, w->now), ADDR_TAKEN);
	assert_int_equal(guests_addr_use(w->guests, a, NULL, w->now + GUEST_REST), ADDR_FREE);
}

static void information(void **state)
{
	struct world *w = *state;
	struct bytes p = message(INFORMATION, NULL);

	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_int_equal(w->out[0], REPLY);
	assert_no_option(w, 1);
	assert_option(w, 2, our_duid, sizeof(our_duid));
	assert_option(w, 23, &w->plan.dns6, 16);
	assert_option(w, 24, "\6hospes", 8);
	assert_null(guests_find(w->guests, WEB));
	p = message(INFORMATION, "duid");
	put_option(&p, 6, "\0\27\0\40", 4);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_option(w, 32, "\0\1\x51\x80", 4);
	assert_option(w, 1, "duid", 4);
	assert_no_option(w, 24);
	put_ia(&p, 3, 7, NULL, 0);
	assert_int_equal(play(w, WEB, &p), DROP_MALFORMED);
}

static void one_address_and_no_prefix(void **state)
{
	struct world *w = *state;
	struct bytes p = message(SOLICIT, "duid");
	addr_t a;
	uint32_t valid;

	put_ia(&p, 3, 1, NULL, 0);
	put_ia(&p, 3, 2, NULL, 0);
	put_ia(&p, 4, 3, NULL, 0);
	put_ia(&p, 25, 4, NULL, 0);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_true(granted(w, 0, &a, &valid));
	assert_int_equal(status(w, 3, 0), -1);
	assert_int_equal(status(w, 3, 1), 2);
	assert_int_equal(status(w, 4, 0), 2);
	assert_int_equal(status(w, 25, 0), 6);
}

/* Every address that the server tries for a guest is in use: it says so. */
static void nothing_left(void **state)
{
	struct world *w = *state;
	addr_t a = bound(w, WEB, "duid");
	struct bytes p = message(SOLICIT, "duid");
	unsigned int first = (unsigned int)(a.b[14] << 8 | a.b[15]);

	guests_remove(w->guests, guests_find(w->guests, WEB));
	for (unsigned int i = 0; i < 4096; i++) {
		a.b[14] = (uint8_t)((first + i) >> 8);
		a.b[15] = (uint8_t)(first + i);
		assert_true(guests_learn(w->guests, guests_add(w->guests, MAC(100 + i / GUEST_ADDRS), w->now), a, w->now));
	}
	put_ia(&p, 3, 1, NULL, 0);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_int_equal(status(w, 3, 0), 2);
	assert_int_equal(guests_find(w->guests, WEB)->lease6.state, LEASE_FREE);
}

static void guest_table_full(void **state)
{
	struct world *w = *state;
	struct bytes p = message(SOLICIT, "duid");

	for (unsigned int i = 0; i < GUEST_MAX; i++)
		guests_add(w->guests, MAC(100 + i), w->now)->registered = true;
	put_ia(&p, 3, 1, NULL, 0);
	assert_int_equal(play(w, WEB, &p), DROP_MAC_TABLE_FULL);
	assert_int_equal(w->reply.out.used, 0);
	guests_find(w->guests, MAC(100))->registered = false;
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
}

/* Of several associations, the lease stays with the one that has it. */
static void lease_stays_with_its_association(void **state)
{
	struct world *w = *state;
	addr_t a = bound(w, WEB, "duid"), got;
	struct bytes p = message(RENEW, "duid");
	uint32_t valid;

	put_ia(&p, 3, 1, NULL, 0);
	put_ia(&p, 3, 7, &a, 1);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_int_equal(status(w, 3, 0), 2);
	assert_int_equal(status(w, 3, 1), -1);
	assert_int_equal(guests_find(w->guests, WEB)->lease6.iaid, 7);
	/* A new one alone takes it over. */
	p = message(REBIND, "duid");
	put_ia(&p, 3, 1, &a, 1);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_true(granted(w, 0, &got, &valid));
	assert_true(addr_equal(a, got));
	assert_int_equal(guests_find(w->guests, WEB)->lease6.iaid, 1);
}

static void other_servers_and_unicast(void **state)
{
	struct world *w = *state;
	struct bytes p = { .size = 0 };
	addr_t a = A6(9);

	put(&p, "\3\0\0\1", 4);
	put_option(&p, 1, "duid", 4);
	put_option(&p, 2, "another server", 14);
	put_ia(&p, 3, 7, &a, 1);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_int_equal(w->reply.out.used, 0);
	w->dst = w->plan.gateway6;
	p = message(REQUEST, "duid");
	put_ia(&p, 3, 7, &a, 1);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_int_equal(status(w, 0, 0), 5);
	assert_no_option(w, 3);
	p = message(SOLICIT, "duid");
	assert_int_equal(play(w, WEB, &p), DROP_SERVICE_REFUSED);
	assert_int_equal(w->reply.out.used, 0);
}

static void refuses(void **state)
{
	static const uint8_t strange[] = { 0, ADVERTISE, REPLY, RECONFIGURE, RELAY, 13, 99, 255 };
	struct world *w = *state;
	struct bytes p = message(SOLICIT, "duid"), whole;

	put_ia(&p, 3, 7, &w->plan.net6, 1);
	put_option(&p, 6, "\0\27", 2);
	put_option(&p, 39, "\0\3web", 5);
	whole = p;
	for (p.size = 0; p.size < whole.size; p.size++) {
		enum drop d = play(w, WEB, &p);

		/* Whole options are a message, if the client's id is among them. */
		if (p.size == 12 || p.size == whole.size - 9 || p.size == whole.size - 15)
			assert_int_equal(d, DROP_NONE);
		else
			assert_int_equal(d, DROP_MALFORMED);
	}
	for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
		p = message(strange[i], "duid");
		assert_int_equal(play(w, WEB, &p), DROP_SERVICE_REFUSED);
	}
	p = message(SOLICIT, NULL);
	assert_int_equal(play(w, WEB, &p), DROP_MALFORMED);
	p = message(SOLICIT, "duid");
	put_option(&p, 2, our_duid, sizeof(our_duid));
	assert_int_equal(play(w, WEB, &p), DROP_MALFORMED);
	p = message(SOLICIT, "x");
	assert_int_equal(play(w, WEB, &p), DROP_MALFORMED); /* no DUID is that short */
	p = message(SOLICIT, "duid");
	w->src = ADDR_ANY;
	assert_int_equal(play(w, WEB, &p), DROP_MARTIAN);
	w->src = all_servers;
	assert_int_equal(play(w, WEB, &p), DROP_MARTIAN);
	w->src = client;
	w->plan.ip6 = false;
	assert_int_equal(play(w, WEB, &p), DROP_SERVICE_REFUSED);
}

/* As many associations, addresses and bytes of id as one may send: the reply is whole, or none. */
static void big_messages(void **state)
{
	struct world *w = *state;
	addr_t addrs[20];
	char id[131] = { 0 };
	struct bytes p;

	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++)
		addrs[i] = A6((uint8_t)i);
	memset(id, 'd', 130);
	p = message(REBIND, id);
	for (uint8_t i = 0; i < 10; i++)
		put_ia(&p, 3, i, addrs, ARRAY_SIZE(addrs) / 2);
	memset(w->plan.domain, 'x', 63);
	assert_int_equal(play(w, WEB, &p), DROP_NONE);
	assert_true(w->reply.out.used <= 1232);
	assert_int_equal(status(w, 3, 7), 2);
	p = message(SOLICIT, id);
	p.b[7]++;
	put(&p, "d", 1);
	assert_int_equal(play(w, WEB, &p), DROP_MALFORMED); /* a DUID of 131 bytes */
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(full_exchange), T(rapid_commit), T(clones_get_a_lease_each), T(the_address_is_the_macs), T(renew_and_rebind), T(confirm),
		T(release_and_decline), T(information), T(one_address_and_no_prefix), T(nothing_left), T(lease_stays_with_its_association),
		T(guest_table_full),
		T(other_servers_and_unicast), T(refuses), T(big_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
