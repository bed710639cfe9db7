// SPDX-License-Identifier: MIT
/* Who is heard to answer DHCP, and for how long; one lease for two guests. */
#include "unit.h"

#include "lan/dhcp_servers.h"
#include "lan/lease_clash.h"
#include "wire/dhcp4.h"
#include "wire/eth.h"
#include "wire/ip.h"
#include "wire/udp.h"

struct frame { struct eth eth; struct ip4_header ip; struct udp_header udp; struct dhcp4_header dhcp; uint8_t options[10]; };

static struct frame message(uint8_t type, uint8_t server)
{
	bool asks = type == DHCP4_DISCOVER || type == DHCP4_REQUEST;
	uint16_t from = asks ? DHCP4_CLIENT_PORT : DHCP4_SERVER_PORT, to = asks ? DHCP4_SERVER_PORT : DHCP4_CLIENT_PORT;

	return (struct frame){
		.eth = { MAC_BROADCAST, {{ 2, 0, 0, 0, 0, server }}, be16(ETHERTYPE_IPV4) },
		.ip = { .version_ihl = 0x45, .protocol = IP_UDP, .src = {{ 10, 0, 0, server }} },
		.udp = { .src = be16(from), .dst = be16(to) },
		.dhcp = { .op = asks ? DHCP4_BOOTREQUEST : DHCP4_BOOTREPLY, .hardware = 1, .hardware_size = 6, .cookie = be32(DHCP4_COOKIE) },
		.options = { DHCP4_TYPE, 1, type, DHCP4_SERVER, 4, 10, 0, 0, server, DHCP4_END },
	};
}

static bool hear_size(struct dhcp_servers *s, const struct frame *f, size_t size, usec_t now)
{
	struct iovec iov;

	return dhcp_servers_hear(s, cursor_of(&iov, f, size), now);
}

static bool hear(struct dhcp_servers *s, uint8_t type, uint8_t server, int second)
{
	struct frame f = message(type, server);

	return hear_size(s, &f, sizeof(f), second * USEC_S);
}

static void test_answers(_unused_ void **state)
{
	struct dhcp_servers s = { 0 };

	assert_true(hear(&s, DHCP4_OFFER, 1, 100));
	assert_true(hear(&s, DHCP4_OFFER, 2, 101));
	assert_true(hear(&s, DHCP4_ACK, 1, 102));
	assert_true(hear(&s, DHCP4_NAK, 3, 103));
	assert_false(hear(&s, DHCP4_REQUEST, 4, 103));
	assert_false(hear(&s, DHCP4_INFORM, 4, 103));
	assert_int_equal(s.count, 3);
	assert_true(addr_equal(s.list[1].addr, addr_of4((struct ip4){{ 10, 0, 0, 2 }})));
	assert_int_equal(s.list[1].mac.b[5], 2);
	for (uint8_t i = 10; i < 30; i++)
		hear(&s, DHCP4_ACK, i, 104);
	assert_int_equal(s.count, DHCP_SERVERS_MAX);
}

static size_t left(struct dhcp_servers *s, int second)
{
	dhcp_servers_forget(s, second * USEC_S);
	return s->count;
}

static void test_questions(_unused_ void **state)
{
	struct dhcp_servers s = { 0 };

	hear(&s, DHCP4_DISCOVER, 9, 100);
	hear(&s, DHCP4_OFFER, 1, 100);
	hear(&s, DHCP4_OFFER, 2, 103);
	/* A renewal says nothing of the other. */
	hear(&s, DHCP4_ACK, 1, 200);
	assert_int_equal(left(&s, 220), 2);
	/* To the next question its answer may be late, but not for ever, however often it is asked meanwhile. */
	for (int second = 300; second < 310; second += 3) {
		hear(&s, DHCP4_DISCOVER, 9, second);
		hear(&s, DHCP4_OFFER, 1, second);
		assert_int_equal(left(&s, second), 2);
	}
	assert_int_equal(left(&s, 310), 1);
	assert_int_equal(s.list[0].mac.b[5], 1);
	/* A question just after an answer is another one. */
	hear(&s, DHCP4_DISCOVER, 9, 312);
	assert_int_equal(left(&s, 321), 1);
	assert_int_equal(left(&s, 322), 0);
	hear(&s, DHCP4_ACK, 1, 330);
	assert_int_equal(left(&s, 3929), 1);
	assert_int_equal(left(&s, 3930), 0);
}

/* On a bridge with an uplink only what servers say is heard. */
static void test_offers_alone(_unused_ void **state)
{
	struct dhcp_servers s = { 0 };

	hear(&s, DHCP4_OFFER, 1, 100);
	hear(&s, DHCP4_OFFER, 2, 103);
	assert_int_equal(left(&s, 200), 2);
	hear(&s, DHCP4_OFFER, 1, 200);
	hear(&s, DHCP4_OFFER, 2, 203);
	assert_int_equal(left(&s, 250), 2);
	hear(&s, DHCP4_OFFER, 2, 300);
	assert_int_equal(left(&s, 309), 2);
	assert_int_equal(left(&s, 310), 1);
	assert_int_equal(s.list[0].mac.b[5], 2);
}

static void test_short(_unused_ void **state)
{
	struct frame f = message(DHCP4_OFFER, 1);
	struct dhcp_servers s = { 0 };

	for (size_t size = 0; size < sizeof(f) - sizeof(f.options) + 3; size++)
		assert_false(hear_size(&s, &f, size, USEC_S));
	assert_int_equal(s.count, 0);
	/* Cut behind its type, it is the sender that counts. */
	assert_true(hear_size(&s, &f, sizeof(f) - sizeof(f.options) + 3, USEC_S));
	assert_int_equal(s.count, 1);
	f.ip.fragment = be16(0x2000);
	assert_false(hear_size(&s, &f, sizeof(f), USEC_S));
}

static struct guest *leased(struct guests *g, uint8_t number, addr_t addr)
{
	struct guest *guest = guests_add(g, (struct mac){{ 2, 0, 0, 0, 1, number }}, USEC_S);

	guest->port_id = number;
	if (!addr_is_any(addr))
		guests_set_lease(g, guest, &guest->lease4, addr, LEASE_BOUND, INT64_MAX);
	return guest;
}

static void test_clashes(_unused_ void **state)
{
	addr_t addr = addr_of4((struct ip4){{ 10, 0, 0, 15 }}), other = addr_of4((struct ip4){{ 10, 0, 0, 16 }});
	_cleanup_(guests_freep) struct guests *g = NULL;
	struct lease_clashes c = { 0 };
	struct guest *first, *second;

	assert_int_equal(guests_new(&g), 0);
	first = leased(g, 1, addr);
	second = leased(g, 2, ADDR_ANY);
	assert_false(lease_clash_note(&c, g, first, addr));
	assert_false(lease_clash_note(&c, g, second, other));
	assert_true(lease_clash_note(&c, g, second, addr));
	assert_true(lease_clash_note(&c, g, second, addr));
	lease_clash_settle(&c, g);
	assert_int_equal(c.count, 1);
	guests_set_lease(g, second, &second->lease4, other, LEASE_BOUND, INT64_MAX);
	lease_clash_settle(&c, g);
	assert_int_equal(c.count, 0);
	/* Who has left holds nothing that anybody could want. */
	first->port_id = 0;
	assert_false(lease_clash_note(&c, g, second, addr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers), cmocka_unit_test(test_questions), cmocka_unit_test(test_offers_alone),
		cmocka_unit_test(test_short), cmocka_unit_test(test_clashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
