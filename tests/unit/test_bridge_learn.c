// SPDX-License-Identifier: MIT
/* What frames tell of guests, and the questions and answers of a trial. */
#include "unit.h"

#include "bridge/learn.h"
#include "bridge/trial.h"
#include "wire/arp.h"
#include "wire/dhcp4.h"
#include "wire/dhcp6.h"
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

struct dhcp6_frame {
	struct eth eth; struct ip6_header ip; struct udp_header udp; struct dhcp6_header dhcp; uint8_t options[64];
};

static struct dhcp6_frame dhcp6_frame(uint8_t type)
{
	return (struct dhcp6_frame){
		.eth = { guest_is, router_is, be16(ETHERTYPE_IPV6) },
		.ip = { be32(6u << 28), be16(0), IP_UDP, 64, .src = addr("fe80::9"), .dst = addr("fe80::1") },
		.udp = { be16(547), be16(546), be16(0), be16(0) }, .dhcp = { type, { 1, 2, 3 } },
	};
}

/* The options are put together by hand: an association of @count addresses of a valid time each. */
static size_t put_association(struct dhcp6_frame *f, const char *const *text, const uint8_t *seconds, size_t count)
{
	uint8_t *o = f->options;

	memset(o, 0, sizeof(f->options));
	memcpy(o, (uint8_t[]){ 0, DHCP6_SERVER_ID, 0, 2, 9, 9, 0, DHCP6_IA_NA, 0, (uint8_t)(12 + count * 28) }, 10);
	o += 10 + 12;
	for (size_t i = 0; i < count; i++, o += 28) {
		addr_t a = addr(text[i]);

		memcpy(o, (uint8_t[]){ 0, DHCP6_IA_ADDRESS, 0, 24 }, 4);
		memcpy(o + 4, &a, sizeof(a));
		o[27] = seconds[i];
	}
	return offsetof(struct dhcp6_frame, options) + (size_t)(o - f->options);
}

static void test_dhcp6(_unused_ void **state)
{
	static const char *const one[] = { "fd00::15" }, *const bad[] = { "ff02::1" }, *const mapped[] = { "10.0.0.15" };
	static const uint8_t lives[] = { 60 }, dead[] = { 0 };
	struct dhcp6_frame f = dhcp6_frame(DHCP6_REPLY);
	size_t size = put_association(&f, one, lives, 1);
	struct learned l = learn(learn_to_guest, &f, size);

	assert_int_equal(l.kind, LEARNED_LEASE);
	assert_true(mac_equal(l.mac, guest_is) && addr_equal(l.addr, addr("fd00::15")));
	assert_int_equal(l.seconds, 60);
	assert_int_equal(learn(learn_from_guest, &f, size).kind, LEARNED_NOTHING);
	for (size_t n = sizeof(struct eth); n < size; n++)
		assert_int_equal(learn(learn_to_guest, &f, n).kind, LEARNED_NOTHING);
	for (uint8_t type = 0; type < 14; type++) {
		f.dhcp.type = type;
		assert_int_equal(learn(learn_to_guest, &f, size).kind, type == DHCP6_REPLY ? LEARNED_LEASE : LEARNED_NOTHING);
	}
	f.dhcp.type = DHCP6_REPLY;
	f.udp.src = be16(546);
	assert_int_equal(learn(learn_to_guest, &f, size).kind, LEARNED_NOTHING);
	f.udp.src = be16(547);
	f.eth.to = (struct mac)MAC_BROADCAST; /* whose is it? */
	assert_int_equal(learn(learn_to_guest, &f, size).kind, LEARNED_NOTHING);
	f.eth.to = guest_is;
	assert_int_equal(learn(learn_to_guest, &f, put_association(&f, one, dead, 1)).kind, LEARNED_NOTHING);
	assert_int_equal(learn(learn_to_guest, &f, put_association(&f, bad, lives, 1)).kind, LEARNED_NOTHING);
	assert_int_equal(learn(learn_to_guest, &f, put_association(&f, mapped, lives, 1)).kind, LEARNED_NOTHING);
}

/* Of IPv6, the first who is seen with an address has it, as long as he is attached; a lease comes before that. */
static void test_claims(_unused_ void **state)
{
	struct learned seen = { LEARNED_ADDRESS, guest_is, addr("fd00::7"), 0 }, lease = { LEARNED_LEASE, guest_is, addr("fd00::15"), 600 };
	_cleanup_(guests_freep) struct guests *guests = NULL;
	struct guest *guest, *other;

	assert_int_equal(guests_new(&guests), 0);
	guest = guests_add(guests, guest_is, 1);
	other = guests_add(guests, router_is, 1);
	guest->port_id = 2;
	other->port_id = 3;
	assert_true(learn_apply(guests, guest, &seen, 1000, 1));
	assert_false(learn_apply(guests, guest, &seen, 1000, 2)); /* known: no rule is another for it */
	assert_false(learn_apply(guests, other, &seen, 1000, 3));
	assert_true(guests_by_addr(guests, seen.addr) == guest);
	guest->port_id = 0;
	assert_true(learn_apply(guests, other, &seen, 1000, 4));
	assert_true(guests_by_addr(guests, seen.addr) == other);
	guest->port_id = 2;
	assert_true(learn_apply(guests, guest, &lease, 1000, 5));
	assert_false(learn_apply(guests, guest, &lease, 1300, 6));
	assert_int_equal(guest->lease6.until, 1900);
	assert_int_equal(guest->lease4.state, LEASE_FREE);
	seen.addr = lease.addr;
	assert_false(learn_apply(guests, other, &seen, 1300, 7));
	assert_false(learn_apply(guests, other, &lease, 1300, 8));
	assert_true(guests_by_addr(guests, lease.addr) == guest);
	/* What was another's by sight alone goes to who has leased it. */
	lease.addr = addr("fd00::7");
	assert_true(learn_apply(guests, guest, &lease, 1300, 9));
	assert_true(guests_by_addr(guests, lease.addr) == guest);
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
		cmocka_unit_test(test_arp), cmocka_unit_test(test_dhcp), cmocka_unit_test(test_dhcp6),
		cmocka_unit_test(test_claims), cmocka_unit_test(test_kept), cmocka_unit_test(test_trial_arp),
				cmocka_unit_test(test_trial_nd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
