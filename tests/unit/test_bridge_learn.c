// SPDX-License-Identifier: MIT
/* What frames tell of guests, and the questions and answers of a trial. */
#include "unit.h"

#include "bridge/learn.h"
#include "bridge/trial.h"
#include "wire/arp.h"
#include "wire/dhcp4.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/udp.h"

static const struct mac guest_is = {{ 0x52, 0x54, 0, 0, 0, 1 }}, router_is = {{ 0x02, 0, 0, 0, 0, 9 }};

static addr_t addr(const char *text)
{
	addr_t a;

	assert_true(addr_parse(text, &a));
	return a;
}

static struct learned learn(struct learned (*from)(const struct iovec *, size_t), const void *frame, size_t size)
{
	/* As NFLOG has it: the header apart. */
	struct iovec iov[2] = { { (void *)frame, sizeof(struct eth) }, { (char *)(uintptr_t)frame + sizeof(struct eth),
			size - sizeof(struct eth) } };

	return from(iov, 2);
}

struct arp_frame { struct eth eth; struct arp arp; };

static struct arp_frame arp_frame(struct mac inside, const char *ip)
{
	return (struct arp_frame){ { MAC_BROADCAST, guest_is, be16(ETHERTYPE_ARP) },
		{ be16(1), be16(ETHERTYPE_IPV4), 6, 4, be16(ARP_REQUEST), inside, addr_get4(addr(ip)), {{ 0 }}, {{ 10, 0, 0, 1 }} } };
}

static void test_arp(_unused_ void **state)
{
	struct arp_frame f = arp_frame(guest_is, "10.0.0.15");
	struct learned l = learn(learn_from_guest, &f, sizeof(f));

	assert_int_equal(l.kind, LEARNED_ADDRESS);
	assert_true(mac_equal(l.mac, guest_is) && addr_equal(l.addr, addr("10.0.0.15")));
	f = arp_frame(router_is, "10.0.0.15"); /* it speaks of another */
	assert_int_equal(learn(learn_from_guest, &f, sizeof(f)).kind, LEARNED_NOTHING);
	f = arp_frame(guest_is, "0.0.0.0");    /* it asks before it has an address */
	assert_int_equal(learn(learn_from_guest, &f, sizeof(f)).kind, LEARNED_NOTHING);
	f = arp_frame(guest_is, "10.0.0.15");
	for (size_t size = sizeof(struct eth); size < sizeof(f); size++)
		assert_int_equal(learn(learn_from_guest, &f, size).kind, LEARNED_NOTHING);
}

struct dhcp_frame {
	struct eth eth; struct ip4_header ip; struct udp_header udp; struct dhcp4_header dhcp; uint8_t options[16];
};

static struct dhcp_frame dhcp_frame(uint8_t type)
{
	struct dhcp_frame f = {
		{ guest_is, router_is, be16(ETHERTYPE_IPV4) },
		{ .version_ihl = 0x45, .total_size = be16(sizeof(f) - sizeof(struct eth)), .ttl = 64, .protocol = IP_UDP },
		{ be16(67), be16(68), be16(0), be16(0) },
		{ .op = DHCP4_BOOTREPLY, .hardware = 1, .hardware_size = 6, .yiaddr = {{ 192, 168, 1, 100 }}, .chaddr = guest_is,
				.cookie = be32(DHCP4_COOKIE) },
		{ DHCP4_PAD, DHCP4_TYPE, 1, type, DHCP4_LEASE_TIME, 4, 0, 0, 14, 16, DHCP4_END },
	};

	return f;
}

static void test_dhcp(_unused_ void **state)
{
	struct dhcp_frame f = dhcp_frame(DHCP4_ACK);
	struct learned l = learn(learn_to_guest, &f, sizeof(f));

	assert_int_equal(l.kind, LEARNED_LEASE);
	assert_true(mac_equal(l.mac, guest_is) && addr_equal(l.addr, addr("192.168.1.100")));
	assert_int_equal(l.seconds, 3600);
	/* The same from a guest would be forged. */
	assert_int_equal(learn(learn_from_guest, &f, sizeof(f)).kind, LEARNED_NOTHING);
	for (uint8_t type = 0; type < 9; type++) {
		f = dhcp_frame(type);
		assert_int_equal(learn(learn_to_guest, &f, sizeof(f)).kind, type == DHCP4_ACK ? LEARNED_LEASE : LEARNED_NOTHING);
	}
	f = dhcp_frame(DHCP4_ACK);
	f.udp.src = be16(68);
	assert_int_equal(learn(learn_to_guest, &f, sizeof(f)).kind, LEARNED_NOTHING);
	f = dhcp_frame(DHCP4_ACK);
	f.ip.fragment = be16(0x2000);
	assert_int_equal(learn(learn_to_guest, &f, sizeof(f)).kind, LEARNED_NOTHING);
	f = dhcp_frame(DHCP4_ACK);
	f.dhcp.op = DHCP4_BOOTREQUEST;
	assert_int_equal(learn(learn_to_guest, &f, sizeof(f)).kind, LEARNED_NOTHING);
	f = dhcp_frame(DHCP4_ACK);
	for (size_t size = sizeof(struct eth); size < offsetof(struct dhcp_frame, options) + 10; size++)
		assert_int_equal(learn(learn_to_guest, &f, size).kind, LEARNED_NOTHING);
}

static void test_kept(_unused_ void **state)
{
	struct learned seen = { LEARNED_ADDRESS, guest_is, addr("10.0.0.7"), 0 }, lease = { LEARNED_LEASE, guest_is, addr("10.0.0.15"), 600 };
	_cleanup_(guests_freep) struct guests *guests = NULL;
	struct guest *guest, *other;
	addr_t best;

	assert_int_equal(guests_new(&guests), 0);
	guest = guests_add(guests, guest_is, 1);
	other = guests_add(guests, router_is, 1);
	assert_false(learn_apply(guests, guest, &seen, 1000, 1));
	assert_true(guest_address(guest, 4, &best) && addr_equal(best, seen.addr));
	assert_true(learn_apply(guests, guest, &lease, 1000, 2));
	assert_false(learn_apply(guests, guest, &lease, 1300, 3)); /* renewed: no rule is another for it */
	assert_int_equal(guest->lease4.until, 1900);
	assert_true(guest_address(guest, 4, &best) && addr_equal(best, lease.addr));
	/* Another guest does not get it by an answer that passes its tap. */
	assert_false(learn_apply(guests, other, &lease, 1300, 4));
	assert_true(guests_by_addr(guests, lease.addr) == guest);
	guests_expire(guests, 1900);
	assert_true(learn_apply(guests, other, &lease, 1900, 5));
	assert_true(guests_by_addr(guests, lease.addr) == other);
}

static void test_trial_arp(_unused_ void **state)
{
	struct trial_way way = { .mac = guest_is, .from = addr("192.168.1.2"), .gateway = addr("192.168.1.1") };
	uint8_t question[96];
	size_t size = trial_question(&way, question);
	struct arp_frame answer = arp_frame(router_is, "192.168.1.1");

	assert_int_equal(size, ETH_MIN);
	assert_false(trial_is_answer(&way, question, size)); /* our own question is none */
	assert_false(trial_is_answer(&way, &answer, sizeof(answer)));
	answer.arp.op = be16(ARP_REPLY);
	assert_true(trial_is_answer(&way, &answer, sizeof(answer)));
	for (size_t cut = 0; cut < sizeof(answer); cut++)
		assert_false(trial_is_answer(&way, &answer, cut));
	answer.arp.sender_ip.b[3] = 9;
	assert_false(trial_is_answer(&way, &answer, sizeof(answer)));
}

static void test_trial_nd(_unused_ void **state)
{
	struct trial_way way = { .mac = guest_is, .from = addr("fe80::2"), .gateway = addr("fe80::1") };
	uint8_t frame[96];
	size_t size = trial_question(&way, frame);
	struct iovec iov = { frame, size };
	struct learned l = learn_from_guest(&iov, 1);

	/* It is a solicitation as it should be: its sender is learned from it. */
	assert_int_equal(l.kind, LEARNED_ADDRESS);
	assert_true(addr_equal(l.addr, way.from));
	assert_false(trial_is_answer(&way, frame, size));
	frame[sizeof(struct eth) + 40] = ICMP6_NA;
	frame[sizeof(struct eth) + 40 + 24] = 2;
	assert_true(trial_is_answer(&way, frame, size));
	frame[sizeof(struct eth) + 7] = 64; /* it has crossed a router */
	assert_false(trial_is_answer(&way, frame, size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arp), cmocka_unit_test(test_dhcp), cmocka_unit_test(test_kept), cmocka_unit_test(test_trial_arp),
				cmocka_unit_test(test_trial_nd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
