// SPDX-License-Identifier: MIT
#include "unit.h"

#include "service/neigh.h"
#include "wire/checksum.h"
#include "wire/ip.h"
#include "wire/ndp.h"

#define A4(a, b, c, d) ((addr_t){{ [10] = 0xff, [11] = 0xff, a, b, c, d }})
#define A6(last) ((addr_t){{ 0xfd, 0x11, 0x22, [15] = last }})
#define LL6(last) ((addr_t){{ 0xfe, 0x80, [15] = last }})

static const struct mac gateway = {{ 0x52, 0x55, 10, 0, 2, 2 }}, guest = {{ 0x52, 0x54, 0, 1, 2, 3 }}, other = {{ 0x52, 0x54, 0, 9, 9, 9 }};
static const addr_t all_nodes = {{ 0xff, 2, [15] = 1 }}, all_routers = {{ 0xff, 2, [15] = 2 }};

static const struct lan_plan plan = {
	.name = "default", .domain = "hospes", .ip4 = true, .ip6 = true, .mac = {{ 0x52, 0x55, 10, 0, 2, 2 }},
	.net4 = A4(10, 0, 2, 0), .bits4 = 24, .gateway4 = A4(10, 0, 2, 2), .dns4 = A4(10, 0, 2, 3),
	.net6 = A6(0), .bits6 = 64, .gateway6 = A6(2), .dns6 = A6(3), .link_local6 = LL6(2), .mtu = 1400,
};

static struct arp arp_request(struct ip4 sender, struct ip4 target)
{
	return (struct arp){
		.hardware = be16(1), .protocol = be16(0x0800), .hardware_size = 6, .protocol_size = 4, .op = be16(ARP_REQUEST),
		.sender_mac = guest, .sender_ip = sender, .target_ip = target,
	};
}

static void arp(void **state)
{
	static const struct ip4 ours[] = { {{ 10, 0, 2, 2 }}, {{ 10, 0, 2, 3 }} }, me = {{ 10, 0, 2, 15 }};
	struct lan_plan only6 = plan;
	struct arp q, a;

	(void)state;
	only6.ip4 = false;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		q = arp_request(me, ours[i]);
		assert_true(neigh_answer_arp(&plan, &q, &a));
		assert_int_equal(be16_get(a.op), ARP_REPLY);
		assert_true(mac_equal(a.sender_mac, gateway) && mac_equal(a.target_mac, guest));
		assert_memory_equal(&a.sender_ip, &ours[i], 4);
		assert_memory_equal(&a.target_ip, &me, 4);
		assert_false(neigh_answer_arp(&only6, &q, &a));
		q = arp_request((struct ip4){ 0 }, ours[i]); /* a probe: a conflict */
		assert_true(neigh_answer_arp(&plan, &q, &a));
		q.op = be16(ARP_REPLY);
		assert_false(neigh_answer_arp(&plan, &q, &a));
	}
	q = arp_request(me, (struct ip4){{ 10, 0, 2, 16 }});
	assert_false(neigh_answer_arp(&plan, &q, &a));
}

struct message { size_t size; uint8_t b[512]; };

static struct message solicit(uint8_t type, addr_t target, const struct mac *link)
{
	struct message m = { 0 };
	struct writer w = writer_of(m.b, sizeof(m.b));

	writer_u8(&w, type);
	writer_fill(&w, 0, 7);
	if (type != ICMP6_RS)
		writer_put(&w, &target, sizeof(target));
	if (link) {
		writer_u8(&w, type == ICMP6_NA ? NDP_TARGET_LINK : NDP_SOURCE_LINK);
		writer_u8(&w, 1);
		writer_put(&w, link, sizeof(*link));
	}
	m.size = w.used;
	return m;
}

struct result { enum drop verdict; addr_t claim; struct reply reply; uint8_t out[1280]; };

static void say(struct result *r, const struct message *m, addr_t src, addr_t dst, uint8_t ttl)
{
	struct ip_packet ip = { .src = src, .dst = dst, .version = 6, .protocol = IP_ICMP6, .ttl = ttl, .payload_size = (uint32_t)m->size };
	struct iovec iov;

	*r = (struct result){ .claim = A6(77) };
	r->reply.out = writer_of(r->out, sizeof(r->out));
	r->verdict = neigh_answer_nd(&plan, guest, &ip, cursor_of(&iov, m->b, m->size), &r->claim, &r->reply);
	if (r->reply.out.used) {
		sum_t sum = sum_pseudo(0, r->reply.src, r->reply.dst, IP_ICMP6, (uint32_t)r->reply.out.used);

		assert_false(writer_failed(&r->reply.out));
		assert_int_equal(r->verdict, DROP_NONE);
		assert_true(sum_is_valid(sum_bytes(sum, r->out, r->reply.out.used)));
	}
}

static void assert_advertisement(const struct result *r, addr_t target, uint8_t flags)
{
	assert_int_equal(r->verdict, DROP_NONE);
	assert_int_equal(r->reply.out.used, 32);
	assert_int_equal(r->out[0], ICMP6_NA);
	assert_int_equal(r->out[1], 0);
	assert_int_equal(r->out[4], flags);
	assert_memory_equal(r->out + 8, &target, 16);
	assert_int_equal(r->out[24], NDP_TARGET_LINK);
	assert_int_equal(r->out[25], 1);
	assert_memory_equal(r->out + 26, &gateway, 6);
}

static void neighbour_solicitations(void **state)
{
	static const addr_t ours[] = { A6(2), A6(3), LL6(2) };
	struct message m;
	struct result r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		m = solicit(ICMP6_NS, ours[i], &guest);
		say(&r, &m, A6(15), addr_solicited_node(ours[i]), 255);
		assert_advertisement(&r, ours[i], NDP_ROUTER | NDP_SOLICITED | NDP_OVERRIDE);
		assert_true(addr_equal(r.reply.src, ours[i]) && addr_equal(r.reply.dst, A6(15)) && mac_equal(r.reply.to, guest));
		assert_true(addr_equal(r.claim, A6(15)));

		m = solicit(ICMP6_NS, ours[i], NULL); /* a unicast check of reachability; nothing is learned from it */
		say(&r, &m, LL6(15), ours[i], 255);
		assert_advertisement(&r, ours[i], NDP_ROUTER | NDP_SOLICITED | NDP_OVERRIDE);
		assert_true(addr_is_any(r.claim));

		say(&r, &m, ADDR_ANY, addr_solicited_node(ours[i]), 255); /* duplicate address detection */
		assert_advertisement(&r, ours[i], NDP_ROUTER | NDP_OVERRIDE);
		assert_true(addr_equal(r.reply.dst, all_nodes) && mac_equal(r.reply.to, (struct mac){{ 0x33, 0x33, 0, 0, 0, 1 }}));
		assert_true(addr_is_any(r.claim));
	}
}

static void of_other_guests(void **state)
{
	struct message m = solicit(ICMP6_NS, A6(16), &guest);
	struct result r;

	(void)state;
	say(&r, &m, A6(15), addr_solicited_node(A6(16)), 255);
	assert_int_equal(r.verdict, DROP_SERVICE_REFUSED);
	assert_true(addr_equal(r.claim, A6(15)));
	assert_int_equal(r.reply.out.used, 0);
	m = solicit(ICMP6_NS, A6(16), NULL);
	say(&r, &m, ADDR_ANY, addr_solicited_node(A6(16)), 255);
	assert_int_equal(r.verdict, DROP_SERVICE_REFUSED);
	assert_true(addr_equal(r.claim, A6(16)));
}

static void claims(void **state)
{
	struct message m = solicit(ICMP6_NS, A6(2), &other);
	struct result r;

	(void)state;
	say(&r, &m, A6(15), A6(2), 255); /* another's MAC: not believed */
	assert_true(addr_is_any(r.claim));
	m = solicit(ICMP6_NS, A6(2), &guest);
	say(&r, &m, (addr_t){{ 0x20, 1, [15] = 1 }}, A6(2), 255); /* of no network of ours */
	assert_true(addr_is_any(r.claim));
	m = solicit(ICMP6_NA, LL6(15), &guest);
	say(&r, &m, LL6(15), all_nodes, 255);
	assert_int_equal(r.verdict, DROP_NONE);
	assert_int_equal(r.reply.out.used, 0);
	assert_true(addr_equal(r.claim, LL6(15)));
	say(&r, &m, A6(2), all_nodes, 255); /* from our address */
	assert_int_equal(r.verdict, DROP_SPOOFED_IP);
	m = solicit(ICMP6_NA, A6(3), &guest); /* for our address */
	say(&r, &m, LL6(15), all_nodes, 255);
	assert_int_equal(r.verdict, DROP_SPOOFED_IP);
	assert_true(addr_is_any(r.claim));
}

static void invalid(void **state)
{
	struct message ns = solicit(ICMP6_NS, A6(2), &guest), m;
	addr_t node = addr_solicited_node(A6(2));
	struct result r;

	(void)state;
	say(&r, &ns, A6(15), node, 254); /* has crossed a router */
	assert_int_equal(r.verdict, DROP_MALFORMED);
	m = ns;
	m.b[1] = 1;
	say(&r, &m, A6(15), node, 255);
	assert_int_equal(r.verdict, DROP_MALFORMED);
	say(&r, &ns, ADDR_ANY, node, 255); /* a probe with a source link-layer address */
	assert_int_equal(r.verdict, DROP_MALFORMED);
	m = solicit(ICMP6_NS, A6(2), NULL);
	say(&r, &m, ADDR_ANY, A6(2), 255); /* a probe to another address */
	assert_int_equal(r.verdict, DROP_MALFORMED);
	m = solicit(ICMP6_NS, node, &guest); /* for a group */
	say(&r, &m, A6(15), node, 255);
	assert_int_equal(r.verdict, DROP_MALFORMED);
	m = ns;
	m.b[25] = 0; /* an option of no length */
	say(&r, &m, A6(15), node, 255);
	assert_int_equal(r.verdict, DROP_MALFORMED);
	for (size_t size = 0; size < ns.size; size++) {
		m = ns;
		m.size = size;
		say(&r, &m, A6(15), node, 255);
		assert_int_equal(r.verdict, size == 0 ? DROP_SERVICE_REFUSED : size == 24 ? DROP_NONE : DROP_MALFORMED);
	}
	m = solicit(ICMP6_RS, ADDR_ANY, &guest);
	say(&r, &m, ADDR_ANY, all_routers, 255);
	assert_int_equal(r.verdict, DROP_MALFORMED);
	m = solicit(ICMP6_RS, ADDR_ANY, NULL);
	m.b[0] = ICMP6_RA;
	say(&r, &m, LL6(15), all_nodes, 255);
	assert_int_equal(r.verdict, DROP_SERVICE_REFUSED);
	assert_int_equal(r.reply.out.used, 0);
}

static void unknown_options(void **state)
{
	struct message m = solicit(ICMP6_NS, A6(2), NULL);
	struct result r;

	(void)state;
	memcpy(m.b + m.size, "\x0e\1nonce!\1\1", 10);
	memcpy(m.b + m.size + 10, &guest, 6);
	m.size += 16;
	say(&r, &m, A6(15), A6(2), 255);
	assert_advertisement(&r, A6(2), NDP_ROUTER | NDP_SOLICITED | NDP_OVERRIDE);
	assert_true(addr_equal(r.claim, A6(15)));
}

/* What stands where in an advertisement of this plan. */
static void assert_router(const struct reply *reply, uint16_t lifetime)
{
	const uint8_t *b = reply->out.data;

	assert_int_equal(reply->out.used, 16 + 8 + 8 + 32 + 24 + 16);
	assert_int_equal(b[0], ICMP6_RA);
	assert_int_equal(b[4], 64);
	assert_int_equal(b[5], 0xc0);
	assert_int_equal(b[6] << 8 | b[7], lifetime);
	assert_memory_equal(b + 16, "\1\1", 2);
	assert_memory_equal(b + 18, &gateway, 6);
	assert_memory_equal(b + 24, "\5\1\0\0\0\0\x05\x78", 8);
	assert_memory_equal(b + 32, "\3\4\x40\xc0", 4);
	assert_memory_equal(b + 48, &plan.net6, 16);
	assert_memory_equal(b + 64, "\x19\3\0\0", 4);
	assert_memory_equal(b + 72, &plan.dns6, 16);
	assert_memory_equal(b + 88, "\x1f\2\0\0", 4);
	assert_memory_equal(b + 96, "\6hospes\0", 8);
	assert_true(addr_equal(reply->src, plan.link_local6));
}

static void router_solicitations(void **state)
{
	struct message m = solicit(ICMP6_RS, ADDR_ANY, &guest);
	struct result r;

	(void)state;
	say(&r, &m, LL6(15), all_routers, 255);
	assert_router(&r.reply, NEIGH_ROUTER_LIFETIME);
	assert_true(addr_equal(r.reply.dst, LL6(15)) && mac_equal(r.reply.to, guest));
	assert_true(addr_equal(r.claim, LL6(15)));
	m = solicit(ICMP6_RS, ADDR_ANY, NULL);
	say(&r, &m, ADDR_ANY, all_routers, 255);
	assert_router(&r.reply, NEIGH_ROUTER_LIFETIME);
	assert_true(addr_equal(r.reply.dst, all_nodes) && mac_equal(r.reply.to, (struct mac){{ 0x33, 0x33, 0, 0, 0, 1 }}));
}

static void unsolicited(void **state)
{
	struct lan_plan only4 = plan;
	uint8_t out[1280];
	struct reply reply = { .out = writer_of(out, sizeof(out)) };

	(void)state;
	only4.ip6 = false;
	neigh_advertise(&only4, 0, &reply);
	assert_int_equal(reply.out.used, 0);
	neigh_advertise(&plan, 0, &reply);
	assert_router(&reply, 0);
	assert_true(addr_equal(reply.dst, all_nodes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arp), cmocka_unit_test(neighbour_solicitations), cmocka_unit_test(of_other_guests),
		cmocka_unit_test(claims),
		cmocka_unit_test(invalid), cmocka_unit_test(unknown_options), cmocka_unit_test(router_solicitations),
		cmocka_unit_test(unsolicited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
