// SPDX-License-Identifier: MIT
/*
 * A DNS message: whatever it was, what is said back parses, echoes its id and keeps to its size; and read as a response, it is
 * judged and cut.
 */
#include "fuzz.h"

#include "service/dns.h"

#define A4(a, b, c, d) {{ [10] = 0xff, [11] = 0xff, a, b, c, d }}

static const struct lan_plan plan = {
	.name = "default", .domain = "hospes", .ip4 = true, .ip6 = true, .net4 = A4(10, 0, 2, 0), .bits4 = 24, .gateway4 = A4(10, 0, 2, 2),
	.dns4 = A4(10, 0, 2, 3), .net6 = {{ 0xfd }}, .bits6 = 64, .gateway6 = {{ 0xfd, [15] = 2 }}, .dns6 = {{ 0xfd, [15] = 3 }},
};

static struct guests *make_guests(void)
{
	struct guests *g;
	struct guest *web;

	MUST(guests_new(&g) == 0);
	web = guests_add(g, (struct mac){{ 0x52, 0x54, [5] = 1 }}, 1);
	MUST(web && guests_set_name(g, web, "web", NAME_REGISTERED) == 0);
	guests_set_lease(g, web, &web->lease4, (addr_t)A4(10, 0, 2, 15), LEASE_BOUND, 1000);
	guests_set_lease(g, web, &web->lease6, (addr_t){{ 0xfd, [15] = 15 }}, LEASE_BOUND, 1000);
	return g;
}

/* A whole message that answers @query: our own parsers find nothing wrong with it. */
static void check_response(struct cursor query, const struct writer *out, size_t limit)
{
	struct iovec iov;
	struct cursor message = cursor_of(&iov, out->data, out->used), c = message;
	struct dns_header h = dns_header_parse(&c);

	MUST(!writer_failed(out) && out->used <= limit);
	MUST(be16_get(h.id) == cursor_u16(&query) && be16_get(h.flags) & DNS_RESPONSE && be16_get(h.questions) <= 1);
	if (be16_get(h.questions))
		dns_question_parse(message, &c);
	dns_edns_parse(&c, &h);
	MUST(!cursor_failed(&c) && !cursor_left(&c));
}

static void check_query(struct guests *guests, struct cursor query, bool tcp, size_t room)
{
	_cleanup_(freep) uint8_t *into = malloc(room);
	struct writer out = writer_of(into, room);
	struct dns_question question;

	MUST(into);
	switch (dns_answer(&plan, guests, query, tcp, &out)) {
	case DNS_ANSWERED:
		check_response(query, &out, room);
		break;
	case DNS_FORWARD:
		MUST(dns_read_question(query, &question));
		MUST(cursor_left(&query) <= DNS_QUERY_MAX);
		MUST(dns_udp_limit(query) >= DNS_UDP_MIN);
		out = writer_of(into, room);
		MUST(dns_fail(query, DNS_SERVFAIL, &out));
		check_response(query, &out, room);
		break;
	case DNS_MALFORMED:
		break;
	}
}

static void check_as_response(struct cursor response)
{
	uint8_t into[DNS_UDP_MIN];
	struct writer out = writer_of(into, sizeof(into));
	struct cursor c = response;
	uint16_t id = cursor_u16(&c);
	struct dns_question question;

	/* Judged by its own question, it may be believed; by another id never. */
	cursor_skip(&c, sizeof(struct dns_header) - sizeof(id));
	question = dns_question_parse(response, &c);
	dns_judge(response, id, &question);
	MUST(dns_judge(response, id ^ 1, &question) == DNS_NOT_OURS);
	if (dns_truncated(response, &out))
		MUST(out.used <= sizeof(into) && into[2] & DNS_TRUNCATED >> 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guests *guests;
	_cleanup_(input_fini) struct input in = input_of(data, size);

	if (!guests)
		guests = make_guests();
	check_query(guests, input_cursor(&in), false, DNS_UDP_MIN);
	check_query(guests, input_cursor(&in), true, DNS_UDP_MAX);
	check_as_response(input_cursor(&in));
	return 0;
}
