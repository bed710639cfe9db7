// SPDX-License-Identifier: MIT
/*
 * A message of neighbour discovery from a guest: an answer has a right checksum and speaks for the gateway alone, and nobody is
 * taken for the gateway.
 */
#include "fuzz.h"

#include "service/neigh.h"
#include "wire/checksum.h"
#include "wire/ndp.h"

static const struct lan_plan plan = {
	.name = "default", .domain = "hospes", .ip6 = true, .mac = {{ 0x52, 0x55, [5] = 2 }}, .net6 = {{ 0xfd }}, .bits6 = 64, .mtu = 1500,
	.gateway6 = {{ 0xfd, [15] = 2 }}, .dns6 = {{ 0xfd, [15] = 3 }}, .link_local6 = {{ 0xfe, 0x80, [15] = 2 }},
};
static const struct mac from = {{ 0x52, 0x54, [5] = 1 }};

/* Addresses that make a difference. */
static addr_t pick(uint8_t which)
{
	static const addr_t addrs[] = {
		{{ 0 }}, {{ 0xfd, [15] = 2 }}, {{ 0xfd, [15] = 15 }}, {{ 0xfe, 0x80, [15] = 15 }}, {{ 0xff, 2, [15] = 1 }},
		{{ 0xff, 2, [11] = 1, [12] = 0xff, [15] = 2 }}, {{ 0xff, 2, [11] = 1, [12] = 0xff, [15] = 3 }},
	};

	return addrs[which % ARRAY_SIZE(addrs)];
}

static bool is_own(addr_t a) { return lan_plan_is_gateway(&plan, a) || lan_plan_is_dns(&plan, a); }

static void check_reply(const struct reply *reply)
{
	sum_t sum = sum_pseudo(0, reply->src, reply->dst, IP_ICMP6, (uint32_t)reply->out.used);

	MUST(!writer_failed(&reply->out) && is_own(reply->src) && !is_own(reply->dst));
	MUST(sum_is_valid(sum_bytes(sum, reply->out.data, reply->out.used)));
	MUST(reply->out.data[0] == ICMP6_NA || reply->out.data[0] == ICMP6_RA);
	MUST(mac_equal(reply->to, from) || mac_is_group(reply->to));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t room[1280];
	struct reply reply = { .out = writer_of(room, sizeof(room)) };
	struct ip_packet ip = { .version = 6, .protocol = IP_ICMP6 };
	enum drop verdict;
	addr_t claim;

	if (size < 3)
		return 0;
	ip.src = pick(data[0]);
	ip.dst = pick(data[1]);
	ip.ttl = data[2] & 1 ? NDP_HOP_LIMIT : data[2];

	_cleanup_(input_fini) struct input in = input_of(data + 3, size - 3);

	ip.payload_size = (uint32_t)in.size;
	verdict = neigh_answer_nd(&plan, from, &ip, input_cursor(&in), &claim, &reply);
	MUST(!is_own(claim) && !addr_is_multicast(claim));
	MUST(verdict == DROP_NONE || !reply.out.used);
	if (reply.out.used)
		check_reply(&reply);
	return 0;
}
