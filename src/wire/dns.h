// SPDX-License-Identifier: MIT
/*
 * DNS messages (RFC 1035, EDNS of RFC 6891): names, questions and records; parse and emit.
 *
 * A name is kept as it lies on the wire without compression: labels behind their lengths, the empty root label last. Its case is
 * kept (RFC 4343), so that a question can be echoed as it came, and ignored in comparisons.
 */
#pragma once
#include "base/be.h"
#include "base/cursor.h"
#include "base/writer.h"

#define DNS_PORT        53
#define DNS_NAME_MAX    255 /* bytes on the wire (RFC 1035 section 2.3.4) */
#define DNS_LABELS_MAX  127
#define DNS_LABEL_MAX   63
#define DNS_UDP_MIN     512   /* what every client takes by UDP */
#define DNS_UDP_MAX     1232  /* what we take and give by UDP: it fits the smallest IPv6 packet */
#define DNS_MESSAGE_MAX 65535

enum dns_flag {
	DNS_RESPONSE = 0x8000, DNS_OPCODE = 0x7800, DNS_AUTHORITATIVE = 0x0400, DNS_TRUNCATED = 0x0200, DNS_RECURSION_DESIRED = 0x0100,
	DNS_RECURSION_AVAILABLE = 0x0080, DNS_CHECKING_DISABLED = 0x0010, DNS_RCODE = 0x000f,
};
enum dns_rcode {
	DNS_NOERROR = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4, DNS_REFUSED = 5,
	DNS_BADVERS = 16, /* needs EDNS to be said */
};
enum dns_type {
	DNS_TYPE_A = 1, DNS_TYPE_SOA = 6, DNS_TYPE_PTR = 12, DNS_TYPE_AAAA = 28, DNS_TYPE_OPT = 41, DNS_TYPE_IXFR = 251,
	DNS_TYPE_AXFR = 252, DNS_TYPE_ANY = 255,
};
enum dns_class { DNS_CLASS_IN = 1, DNS_CLASS_ANY = 255 };

/* As it lies on the wire. */
struct dns_header { be16_t id, flags, questions, answers, authorities, additionals; };
_Static_assert(sizeof(struct dns_header) == 12, "RFC 1035 section 4.1.1");

struct dns_name {
	uint8_t size;                  /* bytes used, the root label included; 1 is the root */
	uint8_t labels[DNS_NAME_MAX];
};
struct dns_question {
	struct dns_name name;
	uint16_t type, class;
};
struct dns_edns {
	bool present;
	uint8_t version;
	bool dnssec_ok;                /* the DO bit (RFC 3225) */
	uint16_t udp_size;
};

/**
 * dns_name_parse() - read a name, following compression pointers (RFC 1035 section 4.1.4)
 * @message: cursor at the message's first byte
 * @c:       cursor at the name, in the same message; afterwards it stands behind it. Fails on a name of more than 255 bytes, an unknown
 *           label type, and a pointer that does not point before the part of the name that it ends: so there are no loops.
 */
struct dns_name dns_name_parse(struct cursor message, struct cursor *c);

/** dns_name_skip() - go on behind a name without following pointers */
void dns_name_skip(struct cursor *c);

/**
 * dns_name_of_text() - from "web.hospes", with or without the last dot. Return: false if a label or the name is too long, or a
 * label is empty.
 */
bool dns_name_of_text(const char *text, struct dns_name *out);

/**
 * dns_name_split() - where the labels begin
 * @starts: filled in: offsets into @name->labels, the root label's not
 * Return: how many labels; 0 for the root.
 */
size_t dns_name_split(const struct dns_name *name, uint8_t starts[static DNS_LABELS_MAX]);

/** dns_name_equal() - the same but for case */
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);

/** dns_name_find_suffix() - is @name equal to @suffix or below it? Return: the offset in @name->labels where the suffix begins, or -1. */
int dns_name_find_suffix(const struct dns_name *name, const struct dns_name *suffix);

/** dns_header_parse() - read the header; fails on a message shorter than it */
struct dns_header dns_header_parse(struct cursor *c);

/** dns_question_parse() - read a question; arguments as in dns_name_parse() */
struct dns_question dns_question_parse(struct cursor message, struct cursor *c);

/**
 * dns_edns_parse() - look through the records for EDNS
 * @c: cursor behind the questions. Fails on damaged records, and on an OPT record that is not the only one, not in the additional
 *     section or not of the root (RFC 6891 section 6.1.1).
 * @h: the message's header, for its counts
 */
struct dns_edns dns_edns_parse(struct cursor *c, const struct dns_header *h);

/** dns_question_emit() - write a question as it is */
void dns_question_emit(struct writer *w, const struct dns_question *q);

/**
 * dns_record_emit() - begin a record
 * @owner: offset in the message of its name, which is written as a pointer to there
 * Return: for dns_record_end(), when its data has been written.
 */
size_t dns_record_emit(struct writer *w, uint16_t owner, uint16_t type, uint16_t class, uint32_t ttl);
void dns_record_end(struct writer *w, size_t begun);

/** dns_edns_emit() - write an OPT record; @rcode: of the response, its upper bits go here */
void dns_edns_emit(struct writer *w, const struct dns_edns *e, unsigned int rcode);
