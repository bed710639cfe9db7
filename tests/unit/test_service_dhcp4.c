// SPDX-License-Identifier: MIT
/* Exchanges with the DHCPv4 server, as bytes: what RFC 2131 asks of one that is alone on its network. */
#include "dhcp4_message.h"

#include <errno.h>

#define WEB MAC(1)
#define DB  MAC(2)

static void full_exchange(void **state)
{
	static const uint8_t search[] = "\6hospes";
	struct world *w = *state;
	struct guest *g;

	assert_int_equal(ask(w, (struct ask){ DISCOVER, WEB }), DROP_NONE);
	assert_false(w->changed);
	assert_int_equal(said(w), OFFER);
	assert_ip(yiaddr(w), IP(15));
	assert_int_equal(guests_find(w->guests, WEB)->lease4.state, LEASE_OFFERED);

	assert_int_equal(ask(w, (struct ask){ REQUEST, WEB, .requested = IP(15), .server = IP(2), .name = "Web" }), DROP_NONE);
	assert_true(w->changed);
	assert_int_equal(said(w), ACK);
	assert_int_equal(w->out[0], 2);                             /* BOOTREPLY */
	assert_memory_equal(w->out + 4, "\xde\xad\xbe\xef", 4);     /* xid */
	assert_memory_equal(w->out + 20, "\0\0\0\0", 4);            /* next server: none, or iPXE would go there */
	assert_memory_equal(w->out + 28, "\x52\x54\0\0\0\1", 6);
	assert_memory_equal(w->out + 44, (uint8_t[192]){ 0 }, 192); /* neither server name nor boot file */
	assert_option(w, 54, "\12\0\2\2", 4);
	assert_option(w, 51, "\0\1\x51\x80", 4);
	assert_option(w, 58, "\0\0\xa8\xc0", 4);
	assert_option(w, 59, "\0\1\x27\x50", 4);
	assert_option(w, 1, "\xff\xff\xff\0", 4);
	assert_option(w, 3, "\12\0\2\2", 4);
	assert_option(w, 6, "\12\0\2\3", 4);
	assert_option(w, 28, "\12\0\2\xff", 4);
	assert_option(w, 15, "hospes", 6);
	assert_option(w, 12, "web", 3);
	assert_option(w, 26, "\5\xdc", 2);
	assert_option(w, 119, search, sizeof(search));
	assert_no_option(w, 61);

	g = guests_by_name(w->guests, "web");
	assert_non_null(g);
	assert_true(mac_equal(g->mac, WEB));
	assert_int_equal(g->lease4.state, LEASE_BOUND);
	assert_int_equal(g->lease4.until, w->wall + 86400);
	assert_ptr_equal(guests_by_addr(w->guests, A4(10, 0, 2, 15)), g);
}

static void goes_where_the_client_hears_it(void **state)
{
	struct world *w = *state;

	ask(w, (struct ask){ DISCOVER, WEB });
	assert_true(mac_equal(w->reply.to, WEB));
	assert_true(addr_equal(w->reply.dst, A4(10, 0, 2, 15)));
	assert_true(addr_equal(w->reply.src, A4(10, 0, 2, 2)));
	assert_int_equal(w->reply.src_port, 67);
	assert_int_equal(w->reply.dst_port, 68);

	ask(w, (struct ask){ DISCOVER, WEB, .broadcast = true });
	assert_true(mac_equal(w->reply.to, MAC_BROADCAST));
	assert_true(addr_equal(w->reply.dst, A4(255, 255, 255, 255)));
	assert_int_equal(w->out[10], 0x80);

	lease(w, WEB);
	ask(w, (struct ask){ REQUEST, WEB, .ciaddr = IP(15), .src = IP(15), .broadcast = true });
	assert_int_equal(said(w), ACK);
	assert_true(mac_equal(w->reply.to, WEB));
	assert_true(addr_equal(w->reply.dst, A4(10, 0, 2, 15)));

	ask(w, (struct ask){ REQUEST, WEB, .ciaddr = IP(16), .src = IP(16) });
	assert_int_equal(said(w), NAK);
	assert_true(mac_equal(w->reply.to, MAC_BROADCAST));
	assert_true(addr_equal(w->reply.dst, A4(255, 255, 255, 255)));
	assert_ip(yiaddr(w), (struct ip4){ 0 });
	assert_no_option(w, 51);
	assert_no_option(w, 3);
}

static void same_mac_same_address(void **state)
{
	struct world *w = *state;

	assert_ip(lease(w, WEB), IP(15));
	assert_ip(lease(w, DB), IP(16));
	assert_ip(lease(w, WEB), IP(15));
	/* A running lease is not shortened by another DISCOVER. */
	pass(w, 10);
	ask(w, (struct ask){ DISCOVER, WEB });
	assert_int_equal(guests_find(w->guests, WEB)->lease4.state, LEASE_BOUND);
	/* Long gone, and back: others came, but the address was kept as long as there were unused ones. */
	pass(w, 10 * 86400);
	assert_ip(lease(w, MAC(3)), IP(17));
	assert_int_equal(guests_find(w->guests, WEB)->lease4.state, LEASE_EXPIRED);
	assert_ip(lease(w, WEB), IP(15));
}

static void requested_address_is_honoured_where_free(void **state)
{
	static const struct { struct ip4 wanted, given; } rows[] = {
		{ {{ 10, 0, 2, 99 }}, {{ 10, 0, 2, 99 }} },
		{ {{ 10, 0, 2, 99 }}, {{ 10, 0, 2, 15 }} },  /* by now another's */
		{ {{ 10, 0, 2, 2 }}, {{ 10, 0, 2, 16 }} },   /* the gateway's */
		{ {{ 10, 0, 2, 3 }}, {{ 10, 0, 2, 17 }} },   /* DNS's */
		{ {{ 10, 0, 2, 255 }}, {{ 10, 0, 2, 18 }} }, /* the broadcast */
		{ {{ 10, 0, 2, 0 }}, {{ 10, 0, 2, 19 }} },
		{ {{ 192, 168, 1, 7 }}, {{ 10, 0, 2, 20 }} },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(ask(w, (struct ask){ DISCOVER, MAC(i), .requested = rows[i].wanted }), DROP_NONE);
		assert_ip(yiaddr(w), rows[i].given);
	}
}

static void init_reboot(void **state)
{
	struct world *w = *state;

	lease(w, WEB);
	lease(w, DB);
	ask(w, (struct ask){ REQUEST, WEB, .requested = IP(15) });
	assert_int_equal(said(w), ACK);
	assert_ip(yiaddr(w), IP(15));
	/* of another network, another's address, or not its own */
	ask(w, (struct ask){ REQUEST, WEB, .requested = {{ 192, 168, 1, 15 }} });
	assert_int_equal(said(w), NAK);
	ask(w, (struct ask){ REQUEST, WEB, .requested = IP(16) });
	assert_int_equal(said(w), NAK);
	ask(w, (struct ask){ REQUEST, WEB, .requested = IP(77) });
	assert_int_equal(said(w), NAK);
	/* A stranger: silence, but for what cannot be right whoever it is. */
	assert_int_equal(ask(w, (struct ask){ REQUEST, MAC(9), .requested = IP(77) }), DROP_SERVICE_REFUSED);
	assert_int_equal(w->reply.out.used, 0);
	ask(w, (struct ask){ REQUEST, MAC(9), .requested = {{ 172, 16, 0, 1 }} });
	assert_int_equal(said(w), NAK);
	ask(w, (struct ask){ REQUEST, MAC(9), .requested = IP(15) });
	assert_int_equal(said(w), NAK);
	ask(w, (struct ask){ REQUEST, MAC(9), .requested = IP(2) });
	assert_int_equal(said(w), NAK);
	assert_false(w->changed);
	/* An expired lease is known still. */
	pass(w, 86401);
	ask(w, (struct ask){ REQUEST, WEB, .requested = IP(15) });
	assert_int_equal(said(w), ACK);
	assert_true(w->changed);
}

static void renewing(void **state)
{
	struct world *w = *state;

	lease(w, WEB);
	pass(w, 43200);
	ask(w, (struct ask){ REQUEST, WEB, .ciaddr = IP(15), .src = IP(15) });
	assert_int_equal(said(w), ACK);
	assert_memory_equal(w->out + 12, "\12\0\2\17", 4);
	assert_int_equal(guests_find(w->guests, WEB)->lease4.until, w->wall + 86400);
	/* The leases were lost: one that uses a free address goes on; one that uses another's does not. */
	ask(w, (struct ask){ REQUEST, DB, .ciaddr = IP(40), .src = IP(40) });
	assert_int_equal(said(w), ACK);
	assert_ip(yiaddr(w), IP(40));
	ask(w, (struct ask){ REQUEST, MAC(3), .ciaddr = IP(40), .src = IP(40) });
	assert_int_equal(said(w), NAK);
	ask(w, (struct ask){ REQUEST, MAC(3), .ciaddr = {{ 10, 0, 3, 40 }}, .src = {{ 10, 0, 3, 40 }} });
	assert_int_equal(said(w), NAK);
	assert_int_equal(ask(w, (struct ask){ REQUEST, MAC(3) }), DROP_MALFORMED);
}

static void another_server_was_chosen(void **state)
{
	struct world *w = *state;

	ask(w, (struct ask){ DISCOVER, WEB });
	assert_int_equal(ask(w, (struct ask){ REQUEST, WEB, .requested = IP(15), .server = IP(9) }), DROP_NONE);
	assert_int_equal(w->reply.out.used, 0);
	assert_int_equal(guests_find(w->guests, WEB)->lease4.state, LEASE_EXPIRED);
	/* A lease that runs is not touched by that. */
	lease(w, DB);
	ask(w, (struct ask){ REQUEST, DB, .requested = IP(16), .server = IP(9) });
	assert_int_equal(guests_find(w->guests, DB)->lease4.state, LEASE_BOUND);
}

static void two_macs_with_one_client_id(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 1; i <= 2; i++) {
		assert_int_equal(ask(w, (struct ask){ DISCOVER, MAC(i), .id = "\xff-the-clone" }), DROP_NONE);
		assert_option(w, 61, "\xff-the-clone", 11);
		assert_ip(yiaddr(w), IP((uint8_t)(14 + i)));
		ask(w, (struct ask){ REQUEST, MAC(i), .requested = IP((uint8_t)(14 + i)), .server = IP(2), .id = "\xff-the-clone" });
		assert_int_equal(said(w), ACK);
		assert_option(w, 61, "\xff-the-clone", 11);
	}
	assert_int_equal(guests_find(w->guests, MAC(1))->lease4.state, LEASE_BOUND);
	assert_int_equal(guests_find(w->guests, MAC(1))->lease4.client_id_size, 11);
	/* And the other way round: another id does not change a MAC's address. */
	ask(w, (struct ask){ DISCOVER, MAC(1), .id = "\1another" });
	assert_ip(yiaddr(w), IP(15));
}

static void declined_address_rests(void **state)
{
	struct world *w = *state;

	lease(w, WEB);
	assert_int_equal(ask(w, (struct ask){ DECLINE, WEB, .requested = IP(15), .server = IP(2) }), DROP_NONE);
	assert_int_equal(w->reply.out.used, 0);
	assert_true(w->changed);
	assert_ip(lease(w, WEB), IP(16));
	pass(w, 599);
	ask(w, (struct ask){ DISCOVER, DB, .requested = IP(15) });
	assert_ip(yiaddr(w), IP(17));
	pass(w, 2);
	ask(w, (struct ask){ DISCOVER, MAC(3), .requested = IP(15) });
	assert_ip(yiaddr(w), IP(15));
	/* What was not leased to it cannot be declined. */
	assert_int_equal(ask(w, (struct ask){ DECLINE, DB, .requested = IP(16), .server = IP(2) }), DROP_SERVICE_REFUSED);
	assert_int_equal(ask(w, (struct ask){ DECLINE, MAC(77), .requested = IP(16), .server = IP(2) }), DROP_SERVICE_REFUSED);
	assert_false(w->changed);
	assert_int_equal(guests_addr_use(w->guests, A4(10, 0, 2, 16), guests_find(w->guests, WEB), w->now), ADDR_FREE);
}

static void release(void **state)
{
	struct world *w = *state;

	lease(w, WEB);
	assert_int_equal(ask(w, (struct ask){ RELEASE, DB, .ciaddr = IP(15), .server = IP(2) }), DROP_SERVICE_REFUSED);
	assert_int_equal(guests_find(w->guests, WEB)->lease4.state, LEASE_BOUND);
	assert_int_equal(ask(w, (struct ask){ RELEASE, WEB, .ciaddr = IP(15), .server = IP(2) }), DROP_NONE);
	assert_true(w->changed);
	assert_int_equal(w->reply.out.used, 0);
	assert_int_equal(guests_find(w->guests, WEB)->lease4.state, LEASE_EXPIRED);
	assert_ip(lease(w, DB), IP(16)); /* it is kept for its last holder while there are others */
	assert_ip(lease(w, WEB), IP(15));
}

static void inform(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, (struct ask){ INFORM, WEB, .ciaddr = IP(200), .src = IP(200) }), DROP_NONE);
	assert_int_equal(said(w), ACK);
	assert_ip(yiaddr(w), (struct ip4){ 0 });
	assert_true(addr_equal(w->reply.dst, A4(10, 0, 2, 200)));
	assert_no_option(w, 51);
	assert_option(w, 6, "\12\0\2\3", 4);
	assert_null(guests_find(w->guests, WEB));
	assert_int_equal(ask(w, (struct ask){ INFORM, WEB, .ciaddr = {{ 8, 8, 8, 8 }} }), DROP_MARTIAN);
	assert_int_equal(ask(w, (struct ask){ INFORM, WEB }), DROP_MARTIAN);
}

static void exhausted_pool(void **state)
{
	struct world *w = *state;

	w->plan.pool4_last = A4(10, 0, 2, 17);
	for (unsigned int i = 1; i <= 3; i++)
		lease(w, MAC(i)), pass(w, 1);
	assert_int_equal(ask(w, (struct ask){ DISCOVER, MAC(4) }), DROP_POOL_EXHAUSTED);
	assert_int_equal(w->reply.out.used, 0);
	/* The lease that has been over for longest goes first, and its last holder has lost it. */
	ask(w, (struct ask){ RELEASE, MAC(2), .ciaddr = IP(16) });
	pass(w, 86400);
	assert_ip(lease(w, MAC(4)), IP(16));
	assert_ip(lease(w, MAC(5)), IP(15));
	assert_int_equal(guests_find(w->guests, MAC(1))->lease4.state, LEASE_FREE);
	assert_ip(lease(w, MAC(1)), IP(17));
	assert_int_equal(ask(w, (struct ask){ DISCOVER, MAC(3) }), DROP_POOL_EXHAUSTED);
}

static void offers_lapse(void **state)
{
	struct world *w = *state;

	w->plan.pool4_last = A4(10, 0, 2, 15);
	ask(w, (struct ask){ DISCOVER, WEB });
	pass(w, 59);
	assert_int_equal(ask(w, (struct ask){ DISCOVER, DB }), DROP_POOL_EXHAUSTED);
	pass(w, 2);
	assert_ip(lease(w, DB), IP(15));
	ask(w, (struct ask){ REQUEST, WEB, .requested = IP(15), .server = IP(2) });
	assert_int_equal(said(w), NAK);
}

static void pool_may_hold_what_is_never_given(void **state)
{
	struct world *w = *state;

	w->plan.pool4_first = A4(10, 0, 2, 0);
	w->plan.pool4_last = A4(10, 0, 3, 9);
	assert_ip(lease(w, MAC(1)), IP(1));
	assert_ip(lease(w, MAC(2)), IP(4));
	for (unsigned int i = 3; i <= 252; i++)
		lease(w, MAC(i));
	assert_int_equal(ask(w, (struct ask){ DISCOVER, MAC(253) }), DROP_POOL_EXHAUSTED);
	for (unsigned int i = 1; i <= 252; i++) {
		addr_t a = guests_find(w->guests, MAC(i))->lease4.addr;

		assert_true(lan_plan_may_host4(&w->plan, a));
	}
	/* An empty pool, and one of nowhere. */
	w->plan.pool4_first = A4(10, 0, 9, 1);
	w->plan.pool4_last = A4(10, 0, 9, 0);
	assert_int_equal(ask(w, (struct ask){ DISCOVER, MAC(1) }), DROP_POOL_EXHAUSTED);
}

static void fixed_addresses(void **state)
{
	struct world *w = *state;
	struct guest *web = guests_add(w->guests, WEB, w->now);

	assert_int_equal(guests_set_fixed4(w->guests, web, A4(10, 0, 2, 15)), 0);
	assert_ip(lease(w, DB), IP(16));
	ask(w, (struct ask){ DISCOVER, MAC(3), .requested = IP(15) });
	assert_ip(yiaddr(w), IP(17));
	ask(w, (struct ask){ REQUEST, MAC(3), .requested = IP(15), .server = IP(2) });
	assert_int_equal(said(w), NAK);
	ask(w, (struct ask){ REQUEST, WEB, .requested = IP(15) }); /* INIT-REBOOT: the server does know it */
	assert_int_equal(said(w), ACK);
	ask(w, (struct ask){ DISCOVER, WEB, .requested = IP(50) });
	assert_ip(yiaddr(w), IP(15));
	ask(w, (struct ask){ REQUEST, WEB, .requested = IP(50), .server = IP(2) });
	assert_int_equal(said(w), NAK);
	/* Outside the pool is as good; the gateway's is not. */
	assert_int_equal(guests_set_fixed4(w->guests, web, A4(10, 0, 2, 5)), 0);
	ask(w, (struct ask){ REQUEST, WEB, .ciaddr = IP(15) });
	assert_int_equal(said(w), NAK);
	assert_ip(lease(w, WEB), IP(5));
	assert_int_equal(guests_set_fixed4(w->guests, web, A4(10, 0, 2, 2)), 0);
	assert_ip(lease(w, WEB), IP(15));
}

static void fixed_address_that_another_leases_still(void **state)
{
	struct world *w = *state;
	struct guest *web = guests_add(w->guests, WEB, w->now);

	assert_ip(lease(w, DB), IP(15));
	guests_set_fixed4(w->guests, web, A4(10, 0, 2, 15));
	assert_ip(lease(w, WEB), IP(16));
	ask(w, (struct ask){ REQUEST, DB, .ciaddr = IP(15), .src = IP(15) });
	assert_int_equal(said(w), NAK);
	ask(w, (struct ask){ DISCOVER, DB });
	assert_ip(yiaddr(w), IP(17));
	assert_ip(lease(w, WEB), IP(15));
}

static void addresses_in_use_are_not_given(void **state)
{
	struct world *w = *state;
	struct guest *web = guests_add(w->guests, WEB, w->now);

	/* set by hand in the guest */
	assert_true(guests_learn(w->guests, web, A4(10, 0, 2, 15), w->now));
	assert_ip(lease(w, DB), IP(16));
	assert_ip(lease(w, WEB), IP(15)); /* but to itself */
}

/* 1024 clients that never stop: the table stays bounded, and whose time is over makes room. */
static void many_clients(void **state)
{
	struct world *w = *state;

	w->plan.bits4 = 16;
	w->plan.net4 = A4(10, 0, 0, 0);
	w->plan.pool4_last = A4(10, 0, 255, 254);
	for (unsigned int i = 0; i < GUEST_MAX; i++)
		lease(w, MAC(i));
	assert_int_equal(ask(w, (struct ask){ DISCOVER, MAC(5000) }), DROP_MAC_TABLE_FULL);
	pass(w, 86400);
	ask(w, (struct ask){ REQUEST, MAC(1), .ciaddr = IP(16) });
	assert_int_equal(said(w), ACK);
	for (unsigned int i = 0; i < GUEST_MAX - 1; i++)
		lease(w, MAC(5000 + i));
	assert_int_equal(guests_find(w->guests, MAC(1))->lease4.state, LEASE_BOUND);
	assert_int_equal(ask(w, (struct ask){ DISCOVER, MAC(9000) }), DROP_MAC_TABLE_FULL);
}

static void assigned(void **state)
{
	struct world *w = *state;
	struct guest *web = guests_add(w->guests, WEB, w->now), *db = guests_add(w->guests, DB, w->now);

	w->plan.pool4_last = A4(10, 0, 2, 15);
	assert_int_equal(dhcp4_assign(&w->plan, w->guests, web, w->wall, w->now), 0);
	assert_int_equal(web->lease4.state, LEASE_BOUND);
	assert_true(addr_equal(web->lease4.addr, A4(10, 0, 2, 15)));
	assert_int_equal(dhcp4_assign(&w->plan, w->guests, db, w->wall, w->now), -ENOSPC);
	assert_int_equal(dhcp4_assign(&w->plan, w->guests, web, w->wall, w->now), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(full_exchange), T(goes_where_the_client_hears_it), T(same_mac_same_address), T(requested_address_is_honoured_where_free),
		T(init_reboot), T(renewing), T(another_server_was_chosen), T(two_macs_with_one_client_id), T(declined_address_rests),
		T(release), T(inform), T(exhausted_pool), T(offers_lapse), T(pool_may_hold_what_is_never_given), T(fixed_addresses),
		T(fixed_address_that_another_leases_still), T(addresses_in_use_are_not_given), T(many_clients), T(assigned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
