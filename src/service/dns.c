// SPDX-License-Identifier: MIT
#include "service/dns.h"

#include "base/attr.h"

#include "service/dns_names.h"

#define SILENT        -1  /* not even an error is to be said */
#define OPCODE_QUERY  0
#define EDNS_VERSION  0
#define NAME_AT       12  /* where the question's name stands: behind the header */

#define SOA_SERIAL    1
#define SOA_REFRESH   3600
#define SOA_RETRY     600
#define SOA_EXPIRE    86400

struct query {
	struct dns_header header;
	bool has_question;
	struct dns_question question;
	struct dns_edns edns;
};

/* Return: DNS_NOERROR, the rcode that says what is wrong with it, or SILENT. @q holds what could be read. */
static int read_query(struct cursor message, struct query *q)
{
	struct cursor c = message;
	uint16_t flags;

	*q = (struct query){ .header = dns_header_parse(&c) };
	flags = be16_get(q->header.flags);
	if (cursor_failed(&c) || flags & DNS_RESPONSE)
		return SILENT;
	if ((flags & DNS_OPCODE) != OPCODE_QUERY)
		return DNS_NOTIMP;
	if (be16_get(q->header.questions) != 1)
		return DNS_FORMERR;
	q->question = dns_question_parse(message, &c);
	if (cursor_failed(&c))
		return DNS_FORMERR;
	q->has_question = true;
	q->edns = dns_edns_parse(&c, &q->header);
	if (cursor_failed(&c) || q->question.type == DNS_TYPE_OPT)
		return DNS_FORMERR;
	return q->edns.present && q->edns.version != EDNS_VERSION ? DNS_BADVERS : DNS_NOERROR;
}

static size_t udp_limit(const struct query *q)
{
	return q->edns.present && q->edns.udp_size > DNS_UDP_MIN ? q->edns.udp_size : DNS_UDP_MIN;
}

struct counts { uint16_t answers, authorities; };

/* The header comes first but is known last: it is written over the room left for it. */
static void put_header(struct writer *w, const struct query *q, uint16_t flags, unsigned int rcode, struct counts counts)
{
	uint16_t kept = be16_get(q->header.flags) & (DNS_OPCODE | DNS_RECURSION_DESIRED | DNS_CHECKING_DISABLED);
	struct dns_header h = {
		.id = q->header.id,
		.flags = be16((uint16_t)(DNS_RESPONSE | DNS_RECURSION_AVAILABLE | kept | flags | (rcode & DNS_RCODE))),
		.questions = be16(q->has_question),
		.answers = be16(counts.answers),
		.authorities = be16(counts.authorities),
		.additionals = be16(q->edns.present),
	};
	struct writer over = writer_of(w->data, w->size);

	writer_put(&over, &h, sizeof(h));
}

static void begin_message(struct writer *w, const struct query *q)
{
	writer_fill(w, 0, sizeof(struct dns_header));
	if (q->has_question)
		dns_question_emit(w, &q->question);
}

static void end_message(struct writer *w, const struct query *q, uint16_t flags, unsigned int rcode, struct counts counts)
{
	struct dns_edns ours = { .present = true, .dnssec_ok = q->edns.dnssec_ok, .udp_size = DNS_UDP_MAX };

	if (q->edns.present)
		dns_edns_emit(w, &ours, rcode);
	put_header(w, q, flags, rcode, counts);
}

/* A message without records. Return: false if there is no room even for that. */
static bool emit_bare(struct writer *out, const struct query *q, uint16_t flags, unsigned int rcode)
{
	out->used = 0;
	out->failed = false;
	begin_message(out, q);
	end_message(out, q, flags, rcode, (struct counts){ 0 });
	return !writer_failed(out);
}

static bool wants(const struct query *q, enum dns_type type)
{
	return q->question.type == type || q->question.type == DNS_TYPE_ANY;
}

static void put_name(struct writer *w, const char *host, const char *domain)
{
	char text[DNS_NAME_SIZE];
	struct dns_name name;

	dns_names_join(text, host, domain);
	if (dns_name_of_text(text, &name))
		writer_put(w, name.labels, name.size);
	else
		writer_u8(w, 0);
}

static void put_soa(struct writer *w, const struct lan_plan *plan, const struct dns_own *own)
{
	size_t begun = dns_record_emit(w, NAME_AT + own->zone, DNS_TYPE_SOA, DNS_CLASS_IN, DNS_TTL);

	put_name(w, "gateway", plan->domain);
	put_name(w, "hostmaster", plan->domain);
	writer_u32(w, SOA_SERIAL);
	writer_u32(w, SOA_REFRESH);
	writer_u32(w, SOA_RETRY);
	writer_u32(w, SOA_EXPIRE);
	writer_u32(w, DNS_TTL); /* how long a "no" is kept (RFC 2308 section 4) */
	dns_record_end(w, begun);
}

static void put_addr(struct writer *w, addr_t a)
{
	struct ip4 ip = addr_get4(a);
	size_t begun = dns_record_emit(w, NAME_AT, addr_is4(a) ? DNS_TYPE_A : DNS_TYPE_AAAA, DNS_CLASS_IN, DNS_TTL);

	if (addr_is4(a))
		writer_put(w, &ip, sizeof(ip));
	else
		writer_put(w, &a, sizeof(a));
	dns_record_end(w, begun);
}

static uint16_t put_answers(struct writer *w, const struct lan_plan *plan, const struct query *q, const struct dns_own *own)
{
	uint16_t count = 0;
	size_t begun;

	if (own->kind == DNS_OWN_HOST && !addr_is_any(own->addr4) && wants(q, DNS_TYPE_A))
		put_addr(w, own->addr4), count++;
	if (own->kind == DNS_OWN_HOST && !addr_is_any(own->addr6) && wants(q, DNS_TYPE_AAAA))
		put_addr(w, own->addr6), count++;
	if (own->kind == DNS_OWN_REVERSE && wants(q, DNS_TYPE_PTR)) {
		begun = dns_record_emit(w, NAME_AT, DNS_TYPE_PTR, DNS_CLASS_IN, DNS_TTL);
		put_name(w, own->host, plan->domain);
		dns_record_end(w, begun);
		count++;
	}
	if (own->kind == DNS_OWN_APEX && wants(q, DNS_TYPE_SOA))
		put_soa(w, plan, own), count++;
	return count;
}

static void emit_own(struct writer *out, const struct lan_plan *plan, const struct query *q, const struct dns_own *own, size_t limit)
{
	struct writer w = writer_of(out->data, limit < out->size ? limit : out->size);
	unsigned int rcode = own->kind == DNS_OWN_MISSING ? DNS_NXDOMAIN : DNS_NOERROR;
	struct counts counts = { 0 };

	begin_message(&w, q);
	counts.answers = put_answers(&w, plan, q, own);
	if (!counts.answers)
		put_soa(&w, plan, own), counts.authorities = 1;
	end_message(&w, q, DNS_AUTHORITATIVE, rcode, counts);
	if (writer_failed(&w))
		emit_bare(&w, q, DNS_AUTHORITATIVE | DNS_TRUNCATED, rcode);
	out->used = w.used;
	out->failed = w.failed;
}

static bool is_transfer(const struct query *q) { return q->question.type == DNS_TYPE_AXFR || q->question.type == DNS_TYPE_IXFR; }

enum dns_verdict dns_answer(const struct lan_plan *plan, struct guests *guests, struct cursor query, bool tcp, struct writer *out)
{
	struct query q;
	struct dns_own own;
	int rcode = read_query(query, &q);

	if (rcode == SILENT)
		return DNS_MALFORMED;
	if (rcode == DNS_NOERROR && cursor_left(&query) > DNS_QUERY_MAX)
		rcode = DNS_FORMERR;
	if (rcode == DNS_NOERROR && is_transfer(&q))
		rcode = DNS_REFUSED;
	if (rcode == DNS_NOERROR) {
		own = dns_names_find(plan, guests, &q.question.name);
		if (own.kind == DNS_OWN_FOREIGN)
			return DNS_FORWARD;
		if (q.question.class != DNS_CLASS_IN && q.question.class != DNS_CLASS_ANY)
			rcode = DNS_REFUSED;
	}
	if (rcode == DNS_NOERROR)
		emit_own(out, plan, &q, &own, tcp ? DNS_MESSAGE_MAX : MIN(udp_limit(&q), (size_t)DNS_UDP_MAX));
	else
		emit_bare(out, &q, 0, (unsigned int)rcode);
	return writer_failed(out) ? DNS_MALFORMED : DNS_ANSWERED;
}

bool dns_fail(struct cursor query, enum dns_rcode rcode, struct writer *out)
{
	struct query q;

	return read_query(query, &q) != SILENT && emit_bare(out, &q, 0, rcode);
}

bool dns_truncated(struct cursor response, struct writer *out)
{
	struct cursor c = response;
	struct dns_header h = dns_header_parse(&c);
	struct dns_question question = { 0 };
	struct dns_edns edns = { 0 };
	bool has_question = be16_get(h.questions) == 1;

	if (has_question)
		question = dns_question_parse(response, &c);
	if (cursor_failed(&c) || be16_get(h.questions) > 1)
		return false;
	edns = dns_edns_parse(&c, &h); /* a resolver that cut the response itself may have cut this off: then there is none */

	h.flags = be16(be16_get(h.flags) | DNS_TRUNCATED);
	h.answers = h.authorities = be16(0);
	h.additionals = be16(edns.present);
	writer_put(out, &h, sizeof(h));
	if (has_question)
		dns_question_emit(out, &question);
	if (edns.present)
		dns_edns_emit(out, &edns, 0);
	return !writer_failed(out);
}

size_t dns_udp_limit(struct cursor query)
{
	struct query q;

	read_query(query, &q);
	return udp_limit(&q);
}

bool dns_read_question(struct cursor query, struct dns_question *out)
{
	struct query q;

	read_query(query, &q);
	*out = q.question;
	return q.has_question;
}

enum dns_judgement dns_judge(struct cursor response, uint16_t id, const struct dns_question *asked)
{
	struct cursor c = response;
	struct dns_header h = dns_header_parse(&c);
	unsigned int rcode = be16_get(h.flags) & DNS_RCODE;
	struct dns_question question;

	if (cursor_failed(&c) || be16_get(h.id) != id || !(be16_get(h.flags) & DNS_RESPONSE) || be16_get(h.flags) & DNS_OPCODE)
		return DNS_NOT_OURS;
	if (be16_get(h.questions) == 1) {
		question = dns_question_parse(response, &c);
		if (cursor_failed(&c) || !dns_name_equal(&question.name, &asked->name) || question.type != asked->type ||
		    question.class != asked->class)
			return DNS_NOT_OURS;
	} else if (be16_get(h.questions) || rcode == DNS_NOERROR) {
		return DNS_NOT_OURS; /* only an error may come without the question */
	}
	return rcode == DNS_SERVFAIL || rcode == DNS_REFUSED ? DNS_ELSEWHERE : DNS_BELIEVED;
}
