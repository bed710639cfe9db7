// SPDX-License-Identifier: MIT
#include "unit.h"

#include <stdio.h>

#include "dns_message.h"
#include "service/dns.h"

#define A4(a, b, c, d) ((addr_t){{ [10] = 0xff, [11] = 0xff, a, b, c, d }})
#define A6(last) ((addr_t){{ 0xfd, 0x11, 0x22, [15] = last }})

static const struct lan_plan plan = {
	.name = "default", .domain = "hospes", .ip4 = true, .ip6 = true,
	.net4 = A4(10, 0, 2, 0), .bits4 = 24, .gateway4 = A4(10, 0, 2, 2), .dns4 = A4(10, 0, 2, 3),
	.net6 = A6(0), .bits6 = 64, .gateway6 = A6(2), .dns6 = A6(3), .link_local6 = {{ 0xfe, 0x80, [15] = 2 }},
	.mtu = 1500,
};

static int setup(void **state)
{
	struct guests *g;
	struct guest *web, *six, *bare;

	if (guests_new(&g) < 0)
		return -1;
	web = guests_add(g, (struct mac){{ 0x52, 0x54, 0, 0, 0, 1 }}, 1);
	six = guests_add(g, (struct mac){{ 0x52, 0x54, 0, 0, 0, 2 }}, 1);
	bare = guests_add(g, (struct mac){{ 0x52, 0x54, 0, 0, 0, 3 }}, 1);
	if (guests_set_name(g, web, "web", NAME_REGISTERED) || guests_set_name(g, six, "six", NAME_REGISTERED) ||
	    guests_set_name(g, bare, "bare", NAME_REGISTERED))
		return -1;
	guests_set_lease(g, web, &web->lease4, A4(10, 0, 2, 15), LEASE_BOUND, 1000);
	guests_set_lease(g, web, &web->lease6, A6(15), LEASE_BOUND, 1000);
	guests_set_lease(g, six, &six->lease6, A6(16), LEASE_BOUND, 1000);
	guests_learn(g, bare, (addr_t){{ 0xfe, 0x80, [15] = 9 }}, 2);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	guests_free(*state);
	return 0;
}

struct parsed {
	enum dns_verdict verdict;
	struct bytes raw;
	uint16_t id, flags, counts[4];
	struct dns_question question;
	struct { struct dns_name owner; uint16_t type; uint32_t ttl; size_t size, at; } records[4];
	size_t records_count;
	bool edns;
};

static struct parsed parse(struct bytes raw, enum dns_verdict verdict)
{
	struct parsed p = { .verdict = verdict, .raw = raw };
	struct iovec iov;
	struct cursor message = cursor_at(&iov, &raw), c = message;

	if (verdict != DNS_ANSWERED)
		return p;
	p.id = cursor_u16(&c);
	p.flags = cursor_u16(&c);
	for (int i = 0; i < 4; i++)
		p.counts[i] = cursor_u16(&c);
	if (p.counts[0])
		p.question = dns_question_parse(message, &c);
	for (int i = 0; i < p.counts[1] + p.counts[2] + p.counts[3]; i++) {
		struct dns_name owner = dns_name_parse(message, &c);
		uint16_t type = cursor_u16(&c), size;
		uint32_t ttl;

		cursor_u16(&c);
		ttl = cursor_u32(&c);
		size = cursor_u16(&c);
		if (type == DNS_TYPE_OPT) {
			p.edns = true;
		} else {
			p.records[p.records_count].owner = owner;
			p.records[p.records_count].type = type;
			p.records[p.records_count].ttl = ttl;
			p.records[p.records_count].size = size;
			p.records[p.records_count++].at = raw.size - cursor_left(&c);
		}
		cursor_skip(&c, size);
	}
	assert_false(cursor_failed(&c));
	assert_int_equal(cursor_left(&c), 0);
	return p;
}

static struct parsed ask_raw(struct guests *g, struct bytes q, bool tcp, size_t room)
{
	struct bytes out = { 0 };
	struct writer w = writer_of(out.b, room);
	struct iovec iov;
	enum dns_verdict v = dns_answer(&plan, g, cursor_at(&iov, &q), tcp, &w);

	out.size = w.used;
	return parse(out, v);
}

static struct parsed ask(struct guests *g, const char *name, uint16_t type) { return ask_raw(g, query(name, type, 0), false, 1232); }

static unsigned int rcode(const struct parsed *p) { return p->flags & DNS_RCODE; }

static void assert_address(const struct parsed *p, size_t record, uint16_t type, addr_t a)
{
	assert_true(record < p->records_count);
	assert_int_equal(p->records[record].type, type);
	assert_int_equal(p->records[record].ttl, 10);
	assert_true(dns_name_equal(&p->records[record].owner, &p->question.name));
	assert_int_equal(p->records[record].size, addr_is4(a) ? 4 : 16);
	assert_memory_equal(p->raw.b + p->records[record].at, addr_is4(a) ? a.b + 12 : a.b, p->records[record].size);
}

static void assert_soa(const struct parsed *p, unsigned int code, const char *zone)
{
	struct dns_name name;

	assert_int_equal(p->verdict, DNS_ANSWERED);
	assert_int_equal(rcode(p), code);
	assert_int_equal(p->counts[1], 0);
	assert_int_equal(p->counts[2], 1);
	assert_int_equal(p->records[0].type, DNS_TYPE_SOA);
	assert_true(dns_name_of_text(zone, &name));
	assert_true(dns_name_equal(&name, &p->records[0].owner));
}

static void names_of_guests(void **state)
{
	static const char *const names[] = { "web", "web.hospes", "WEB.Hospes.", "wEb" };
	struct parsed p;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		p = ask(*state, names[i], DNS_TYPE_A);
		assert_int_equal(p.verdict, DNS_ANSWERED);
		assert_int_equal(p.id, 0x1234);
		assert_int_equal(p.flags, DNS_RESPONSE | DNS_AUTHORITATIVE | DNS_RECURSION_DESIRED | DNS_RECURSION_AVAILABLE);
		assert_int_equal(p.counts[1], 1);
		assert_int_equal(p.counts[2], 0);
		assert_address(&p, 0, DNS_TYPE_A, A4(10, 0, 2, 15));
		p = ask(*state, names[i], DNS_TYPE_AAAA);
		assert_int_equal(p.counts[1], 1);
		assert_address(&p, 0, DNS_TYPE_AAAA, A6(15));
		p = ask(*state, names[i], DNS_TYPE_ANY);
		assert_int_equal(p.counts[1], 2);
		assert_address(&p, 0, DNS_TYPE_A, A4(10, 0, 2, 15));
		assert_address(&p, 1, DNS_TYPE_AAAA, A6(15));
	}
}

/* 0x20 bits: the question comes back byte for byte. */
static void case_is_kept(void **state)
{
	struct bytes q = query("wEB.hOSpes", DNS_TYPE_A, 0);
	struct parsed p = ask_raw(*state, q, false, 1232);

	assert_memory_equal(p.raw.b + 12, q.b + 12, q.size - 12);
}

static void names_of_the_gateway(void **state)
{
	static const struct { const char *name; addr_t a4, a6; } cases[] = {
		{ "gateway", A4(10, 0, 2, 2), A6(2) }, { "host.hospes", A4(10, 0, 2, 2), A6(2) }, { "dns.hospes", A4(10, 0, 2, 3), A6(3) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed p = ask(*state, cases[i].name, DNS_TYPE_ANY);

		assert_int_equal(p.counts[1], 2);
		assert_address(&p, 0, DNS_TYPE_A, cases[i].a4);
		assert_address(&p, 1, DNS_TYPE_AAAA, cases[i].a6);
	}
}

static void nothing_of_that_type(void **state)
{
	struct parsed p = ask(*state, "web.hospes", 15); /* MX */

	assert_soa(&p, DNS_NOERROR, "hospes");
	p = ask(*state, "web.hospes", 65399); /* nobody knows it */
	assert_soa(&p, DNS_NOERROR, "hospes");
	p = ask(*state, "six.hospes", DNS_TYPE_A);
	assert_soa(&p, DNS_NOERROR, "hospes");
	p = ask(*state, "six", DNS_TYPE_A);
	assert_soa(&p, DNS_NOERROR, "six");
	p = ask(*state, "bare.hospes", DNS_TYPE_AAAA); /* only a link-local address */
	assert_soa(&p, DNS_NOERROR, "hospes");
	p = ask(*state, "hospes", DNS_TYPE_A);
	assert_soa(&p, DNS_NOERROR, "hospes");
	p = ask(*state, "hospes", DNS_TYPE_SOA);
	assert_int_equal(p.counts[1], 1);
	assert_int_equal(p.records[0].type, DNS_TYPE_SOA);
}

static void names_of_nobody(void **state)
{
	static const char *const names[] = { "nobody.hospes", "a.web.hospes", "-.hospes", "_tcp.hospes" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct parsed p = ask(*state, names[i], DNS_TYPE_A);

		assert_soa(&p, DNS_NXDOMAIN, "hospes");
	}
}

static void names_from_abroad(void **state)
{
	static const char *const names[] = {
		"", "nobody", "example.org", "xhospes", "web.hospes.org", "1.1.168.192.in-addr.arpa", "10.in-addr.arpa", "in-addr.arpa", 
		"0.10.in-addr.arpa",
		"ip6.arpa", "8.b.d.0.1.0.0.2.ip6.arpa", "300.2.0.10.in-addr.arpa.example.org", "0.010.in-addr.arpa", "x.0.10.in-addr.arpa",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(ask(*state, names[i], DNS_TYPE_ANY).verdict, DNS_FORWARD);
}

static void assert_ptr(const struct parsed *p, const char *target)
{
	struct iovec iov;
	struct cursor message = cursor_at(&iov, &p->raw), c = message;
	struct dns_name wanted, name;

	assert_int_equal(p->verdict, DNS_ANSWERED);
	assert_int_equal(rcode(p), DNS_NOERROR);
	assert_int_equal(p->counts[1], 1);
	assert_int_equal(p->records[0].type, DNS_TYPE_PTR);
	cursor_skip(&c, p->records[0].at);
	name = dns_name_parse(message, &c);
	assert_true(dns_name_of_text(target, &wanted));
	assert_true(dns_name_equal(&wanted, &name));
}

static void name6(char *into, addr_t a)
{
	for (int i = 15; i >= 0; i--)
		into += sprintf(into, "%x.%X.", a.b[i] & 15, a.b[i] >> 4);
	sprintf(into, "ip6.arpa");
}

static void reverse(void **state)
{
	char six[128];
	struct parsed p = ask(*state, "15.2.0.10.in-addr.arpa", DNS_TYPE_PTR);

	assert_ptr(&p, "web.hospes");
	p = ask(*state, "2.2.0.10.IN-ADDR.arpa", DNS_TYPE_PTR);
	assert_ptr(&p, "gateway.hospes");
	p = ask(*state, "3.2.0.10.in-addr.arpa", DNS_TYPE_ANY);
	assert_ptr(&p, "dns.hospes");
	name6(six, A6(16));
	p = ask(*state, six, DNS_TYPE_PTR);
	assert_ptr(&p, "six.hospes");
	p = ask(*state, "15.2.0.10.in-addr.arpa", DNS_TYPE_A);
	assert_soa(&p, DNS_NOERROR, "2.0.10.in-addr.arpa");
	p = ask(*state, "2.0.10.in-addr.arpa", DNS_TYPE_PTR);
	assert_soa(&p, DNS_NOERROR, "2.0.10.in-addr.arpa");
	p = ask(*state, "77.2.0.10.in-addr.arpa", DNS_TYPE_PTR);
	assert_soa(&p, DNS_NXDOMAIN, "2.0.10.in-addr.arpa");
	p = ask(*state, "x.2.0.10.in-addr.arpa", DNS_TYPE_PTR);
	assert_soa(&p, DNS_NXDOMAIN, "2.0.10.in-addr.arpa");
	p = ask(*state, "256.2.0.10.in-addr.arpa", DNS_TYPE_PTR);
	assert_soa(&p, DNS_NXDOMAIN, "2.0.10.in-addr.arpa");
	p = ask(*state, "1.15.2.0.10.in-addr.arpa", DNS_TYPE_PTR);
	assert_soa(&p, DNS_NXDOMAIN, "2.0.10.in-addr.arpa");
	name6(six, A6(99));
	p = ask(*state, six, DNS_TYPE_PTR);
	assert_soa(&p, DNS_NXDOMAIN, "0.0.0.0.0.0.0.0.0.0.2.2.1.1.d.f.ip6.arpa");
}

static void networks_that_end_inside_a_label(void **state)
{
	struct lan_plan small = plan;
	struct bytes q = query("200.2.0.10.in-addr.arpa", DNS_TYPE_PTR, 0), out;
	struct writer w = writer_of(out.b, sizeof(out.b));
	struct iovec iov;

	small.bits4 = 26;
	assert_int_equal(dns_answer(&small, *state, cursor_at(&iov, &q), false, &w), DNS_FORWARD);
	q = query("2.0.10.in-addr.arpa", DNS_TYPE_PTR, 0);
	assert_int_equal(dns_answer(&small, *state, cursor_at(&iov, &q), false, &w), DNS_FORWARD);
	q = query("15.2.0.10.in-addr.arpa", DNS_TYPE_PTR, 0);
	assert_int_equal(dns_answer(&small, *state, cursor_at(&iov, &q), false, &w), DNS_ANSWERED);
}

static void edns(void **state)
{
	struct parsed p = ask_raw(*state, query("web", DNS_TYPE_A, 4096), false, 1232);
	struct bytes q = query("web", DNS_TYPE_A, 4096);
	struct iovec iov;

	assert_true(p.edns);
	assert_address(&p, 0, DNS_TYPE_A, A4(10, 0, 2, 15));
	/* Its last eleven bytes: root, OPT, our size, DO. */
	assert_memory_equal(p.raw.b + p.raw.size - 11, "\0\0\x29\x04\xd0\0\0\x80\0\0\0", 11);
	assert_int_equal(dns_udp_limit(cursor_at(&iov, &q)), 4096);

	q.b[q.size - 5] = 1; /* a version that does not exist: BADVERS is 16 */
	p = ask_raw(*state, q, false, 1232);
	assert_int_equal(p.verdict, DNS_ANSWERED);
	assert_int_equal(rcode(&p), 0);
	assert_int_equal(p.raw.b[p.raw.size - 6], 1);
	assert_int_equal(p.counts[1], 0);

	q = query("web", DNS_TYPE_A, 100);
	assert_int_equal(dns_udp_limit(cursor_at(&iov, &q)), 512);
	q = query("web", DNS_TYPE_A, 0);
	assert_int_equal(dns_udp_limit(cursor_at(&iov, &q)), 512);
	assert_false(ask(*state, "web", DNS_TYPE_A).edns);

	q = query("web", DNS_TYPE_A, 4096);
	memcpy(q.b + q.size, q.b + q.size - 11, 11); /* two of them */
	q.size += 11;
	q.b[11] = 2;
	p = ask_raw(*state, q, false, 1232);
	assert_int_equal(rcode(&p), DNS_FORMERR);
}

static void refused_queries(void **state)
{
	struct bytes q = query("example.org", DNS_TYPE_A, 0);
	struct parsed p;

	q.b[5] = 2;
	p = ask_raw(*state, q, false, 1232);
	assert_int_equal(p.verdict, DNS_ANSWERED);
	assert_int_equal(rcode(&p), DNS_FORMERR);
	q.b[5] = 0;
	p = ask_raw(*state, q, false, 1232);
	assert_int_equal(rcode(&p), DNS_FORMERR);
	assert_int_equal(p.counts[0], 0);

	q = query("example.org", DNS_TYPE_A, 0);
	q.b[2] |= 5 << 3; /* UPDATE */
	p = ask_raw(*state, q, false, 1232);
	assert_int_equal(rcode(&p), DNS_NOTIMP);
	assert_int_equal(p.flags & DNS_OPCODE, 5 << 11);

	p = ask(*state, "hospes", DNS_TYPE_AXFR);
	assert_int_equal(rcode(&p), DNS_REFUSED);
	p = ask(*state, "example.org", DNS_TYPE_IXFR);
	assert_int_equal(rcode(&p), DNS_REFUSED);
	p = ask(*state, "web", DNS_TYPE_OPT);
	assert_int_equal(rcode(&p), DNS_FORMERR);

	q = query("web.hospes", 16, 0);
	q.b[q.size - 1] = 3; /* CHAOS */
	p = ask_raw(*state, q, false, 1232);
	assert_int_equal(rcode(&p), DNS_REFUSED);

	q = query("web", DNS_TYPE_A, 0);
	q.b[2] |= 0x80;
	assert_int_equal(ask_raw(*state, q, false, 1232).verdict, DNS_MALFORMED);
	q.size = 11;
	assert_int_equal(ask_raw(*state, q, false, 1232).verdict, DNS_MALFORMED);

	q = query("example.org", DNS_TYPE_A, 0);
	q.size = DNS_QUERY_MAX + 1;
	p = ask_raw(*state, q, true, 1232);
	assert_int_equal(rcode(&p), DNS_FORMERR);
}

/* Every cut of a good query gets silence or FORMERR, and never more. */
static void cut_queries(void **state)
{
	struct bytes q = query("web.hospes", DNS_TYPE_A, 1232);

	for (size_t size = 0; size < q.size; size++) {
		struct bytes cut = { .size = size };
		struct parsed p;

		memcpy(cut.b, q.b, size);
		p = ask_raw(*state, cut, false, 1232);
		assert_int_equal(p.verdict, size < 12 ? DNS_MALFORMED : DNS_ANSWERED);
		if (size >= 12)
			assert_int_equal(rcode(&p), DNS_FORMERR);
	}
}

static void truncated(void **state)
{
	struct parsed p = ask_raw(*state, query("web.hospes", DNS_TYPE_ANY, 0), false, 40);

	assert_int_equal(p.verdict, DNS_ANSWERED);
	assert_true(p.flags & DNS_TRUNCATED);
	assert_int_equal(p.counts[0], 1);
	assert_int_equal(p.counts[1], 0);
}

static void failures(void **state)
{
	struct bytes q = query("Example.org", DNS_TYPE_A, 1232), out = { 0 };
	struct writer w = writer_of(out.b, sizeof(out.b));
	struct iovec iov;
	struct parsed p;

	(void)state;
	assert_true(dns_fail(cursor_at(&iov, &q), DNS_SERVFAIL, &w));
	out.size = w.used;
	p = parse(out, DNS_ANSWERED);
	assert_int_equal(p.id, 0x1234);
	assert_int_equal(rcode(&p), DNS_SERVFAIL);
	assert_true(p.edns);
	assert_memory_equal(out.b + 12, q.b + 12, q.size - 12 - 11);
	q.b[2] |= 0x80;
	assert_false(dns_fail(cursor_at(&iov, &q), DNS_SERVFAIL, &w));
}

static void cut_responses(void **state)
{
	struct bytes r = response(query("example.org", DNS_TYPE_A, 0), 0, 100), out = { 0 };
	struct writer w = writer_of(out.b, 512);
	struct iovec iov;
	struct parsed p;

	(void)state;
	assert_true(dns_truncated(cursor_at(&iov, &r), &w));
	out.size = w.used;
	p = parse(out, DNS_ANSWERED);
	assert_true(p.flags & DNS_TRUNCATED);
	assert_true(p.flags & DNS_RESPONSE);
	assert_int_equal(p.id, 0x1234);
	assert_int_equal(p.counts[0], 1);
	assert_int_equal(p.counts[1], 0);
	r.size = 14;
	w = writer_of(out.b, 512);
	assert_false(dns_truncated(cursor_at(&iov, &r), &w));
}

static enum dns_judgement judge(struct bytes r, uint16_t id)
{
	struct bytes q = query("Example.org", DNS_TYPE_A, 0);
	struct dns_question asked;
	struct iovec iov, query_iov;

	assert_true(dns_read_question(cursor_at(&query_iov, &q), &asked));
	return dns_judge(cursor_at(&iov, &r), id, &asked);
}

static void judged_responses(void **state)
{
	struct bytes q = query("example.ORG", DNS_TYPE_A, 0), r = response(q, 0, 1);

	(void)state;
	assert_int_equal(judge(r, 0x1234), DNS_BELIEVED);
	assert_int_equal(judge(r, 0x1235), DNS_NOT_OURS);
	assert_int_equal(judge(q, 0x1234), DNS_NOT_OURS); /* no response */
	assert_int_equal(judge(response(q, DNS_NXDOMAIN, 0), 0x1234), DNS_BELIEVED);
	assert_int_equal(judge(response(q, DNS_TRUNCATED, 0), 0x1234), DNS_BELIEVED);
	assert_int_equal(judge(response(q, DNS_SERVFAIL, 0), 0x1234), DNS_ELSEWHERE);
	assert_int_equal(judge(response(q, DNS_REFUSED, 0), 0x1234), DNS_ELSEWHERE);
	assert_int_equal(judge(response(query("example.com", DNS_TYPE_A, 0), 0, 1), 0x1234), DNS_NOT_OURS);
	assert_int_equal(judge(response(query("example.org", DNS_TYPE_AAAA, 0), 0, 1), 0x1234), DNS_NOT_OURS);
	r.size = 20;
	assert_int_equal(judge(r, 0x1234), DNS_NOT_OURS);
	r = response(q, DNS_FORMERR, 0); /* some servers say only this much */
	r.b[5] = 0;
	r.size = 12;
	assert_int_equal(judge(r, 0x1234), DNS_BELIEVED);
	r.b[3] = 0;
	assert_int_equal(judge(r, 0x1234), DNS_NOT_OURS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_guests), cmocka_unit_test(case_is_kept), cmocka_unit_test(names_of_the_gateway),
		cmocka_unit_test(nothing_of_that_type), cmocka_unit_test(names_of_nobody), cmocka_unit_test(names_from_abroad),
		cmocka_unit_test(reverse), cmocka_unit_test(networks_that_end_inside_a_label), cmocka_unit_test(edns),
		cmocka_unit_test(refused_queries), cmocka_unit_test(cut_queries), cmocka_unit_test(truncated), cmocka_unit_test(failures),
		cmocka_unit_test(cut_responses), cmocka_unit_test(judged_responses),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
