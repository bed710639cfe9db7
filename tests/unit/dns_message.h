// SPDX-License-Identifier: MIT
/* DNS messages for tests. */
#pragma once
#include "unit.h"
#include "wire/dns.h"

struct bytes { size_t size; uint8_t b[5000]; };

/** query() - as a client would send it; @edns: what it takes by UDP, 0: it does not say */
static inline struct bytes query(const char *name, uint16_t type, uint16_t edns)
{
	struct bytes q = { 0 };
	struct writer w = writer_of(q.b, sizeof(q.b));
	struct dns_question question = { .type = type, .class = DNS_CLASS_IN };
	struct dns_edns e = { .present = true, .udp_size = edns, .dnssec_ok = true };

	assert_true(dns_name_of_text(name, &question.name));
	writer_u16(&w, 0x1234);
	writer_u16(&w, DNS_RECURSION_DESIRED);
	writer_u16(&w, 1);
	writer_u32(&w, 0);
	writer_u16(&w, edns ? 1 : 0);
	dns_question_emit(&w, &question);
	if (edns)
		dns_edns_emit(&w, &e, 0);
	assert_false(writer_failed(&w));
	q.size = w.used;
	return q;
}

/** cursor_at() - a cursor over @b; @iov is its storage */
static inline struct cursor cursor_at(struct iovec *iov, const struct bytes *b) { return cursor_of(iov, b->b, b->size); }

/** response() - as a resolver would give it: the query, with @answers records of 1.2.3.4; only to one without EDNS */
static inline struct bytes response(struct bytes q, uint16_t flags, size_t answers)
{
	struct bytes r = q;

	r.b[2] = (uint8_t)((DNS_RESPONSE | flags) >> 8);
	r.b[3] = (uint8_t)flags;
	r.b[7] = (uint8_t)answers;
	for (size_t i = 0; i < answers; i++) {
		memcpy(r.b + r.size, "\xc0\x0c\0\1\0\1\0\0\0\5\0\4\1\2\3\4", 16);
		r.size += 16;
	}
	return r;
}
