// SPDX-License-Identifier: MIT
#include "wire/dns.h"

#include <string.h>

#define POINTER      0xc0
#define JUMPS_MAX    32     /* pointers to pointers are allowed, but nobody needs many */
#define EDNS_DO      0x8000
#define COUNTS       3      /* sections of records */

/* Append what stands at @c up to the root label or a pointer. Return: true if a pointer is to be followed, to @to. */
static bool parse_part(struct cursor *c, struct dns_name *name, size_t *used, uint16_t *to)
{
	while (!cursor_failed(c)) {
		uint8_t size = cursor_u8(c);

		if ((size & POINTER) == POINTER) {
			*to = (uint16_t)((size & ~POINTER) << 8 | cursor_u8(c));
			return true;
		}
		if (size > DNS_LABEL_MAX || *used + 1 + size > DNS_NAME_MAX) {
			cursor_fail(c);
			return false;
		}
		name->labels[(*used)++] = size;
		if (!size)
			return false;
		cursor_copy(c, name->labels + *used, size);
		*used += size;
	}
	return false;
}

struct dns_name dns_name_parse(struct cursor message, struct cursor *c)
{
	struct dns_name name = { 0 };
	struct cursor part = *c;
	size_t used = 0, before = cursor_left(&message) - cursor_left(c), jumps = 0;
	uint16_t to;

	while (parse_part(&part, &name, &used, &to)) {
		if (!jumps++)
			*c = part;
		/* Each part must begin before the one that led to it. */
		if (to >= before || jumps > JUMPS_MAX)
			cursor_fail(&part);
		before = to;
		if (cursor_failed(&part))
			break;
		part = message;
		cursor_skip(&part, to);
	}
	if (!jumps)
		*c = part;
	if (cursor_failed(&part)) {
		cursor_fail(c);
		return (struct dns_name){ .size = 1 };
	}
	name.size = (uint8_t)used;
	return name;
}

void dns_name_skip(struct cursor *c)
{
	uint8_t size;

	do {
		size = cursor_u8(c);
		if ((size & POINTER) == POINTER) {
			cursor_skip(c, 1);
			return;
		}
		if (size > DNS_LABEL_MAX)
			cursor_fail(c);
		cursor_skip(c, size);
	} while (size && !cursor_failed(c));
}

bool dns_name_of_text(const char *text, struct dns_name *out)
{
	struct writer w = writer_of(out->labels, sizeof(out->labels));

	while (*text) {
		size_t size = strcspn(text, ".");

		if (!size || size > DNS_LABEL_MAX)
			return false;
		writer_u8(&w, (uint8_t)size);
		writer_put(&w, text, size);
		text += size + (text[size] == '.');
	}
	writer_u8(&w, 0);
	out->size = (uint8_t)w.used;
	return !writer_failed(&w);
}

size_t dns_name_split(const struct dns_name *name, uint8_t starts[static DNS_LABELS_MAX])
{
	size_t count = 0;

	for (size_t at = 0; name->labels[at]; at += 1u + name->labels[at])
		starts[count++] = (uint8_t)at;
	return count;
}

/* Lengths are below 'A', so they may be folded along with the letters. */
static bool equal_folded(const uint8_t *a, const uint8_t *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint8_t x = a[i] >= 'A' && a[i] <= 'Z' ? a[i] | 0x20 : a[i];
		uint8_t y = b[i] >= 'A' && b[i] <= 'Z' ? b[i] | 0x20 : b[i];

		if (x != y)
			return false;
	}
	return true;
}
_Static_assert(DNS_LABEL_MAX < 'A', "a length is never taken for a letter");

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	return a->size == b->size && equal_folded(a->labels, b->labels, a->size);
}

int dns_name_find_suffix(const struct dns_name *name, const struct dns_name *suffix)
{
	size_t at = 0;

	while ((size_t)name->size - at > suffix->size)
		at += 1u + name->labels[at];
	if ((size_t)name->size - at != suffix->size || !equal_folded(name->labels + at, suffix->labels, suffix->size))
		return -1;
	return (int)at;
}

struct dns_header dns_header_parse(struct cursor *c)
{
	struct dns_header h;

	cursor_copy(c, &h, sizeof(h));
	return h;
}

struct dns_question dns_question_parse(struct cursor message, struct cursor *c)
{
	struct dns_question q;

	q.name = dns_name_parse(message, c);
	q.type = cursor_u16(c);
	q.class = cursor_u16(c);
	return q;
}

/* One record; is it the OPT record? */
static bool parse_record(struct cursor *c, struct dns_edns *e)
{
	struct cursor name = *c;
	uint16_t type, class;
	uint32_t ttl;

	dns_name_skip(c);
	type = cursor_u16(c);
	class = cursor_u16(c);
	ttl = cursor_u32(c);
	cursor_skip(c, cursor_u16(c));
	if (type != DNS_TYPE_OPT)
		return false;
	if (cursor_u8(&name) || e->present)
		cursor_fail(c);
	*e = (struct dns_edns){ .present = true, .version = (uint8_t)(ttl >> 16), .dnssec_ok = ttl & EDNS_DO, .udp_size = class };
	return true;
}

struct dns_edns dns_edns_parse(struct cursor *c, const struct dns_header *h)
{
	uint16_t counts[COUNTS] = { be16_get(h->answers), be16_get(h->authorities), be16_get(h->additionals) };
	struct dns_edns e = { 0 };

	for (int section = 0; section < COUNTS; section++)
		for (unsigned int i = 0; i < counts[section] && !cursor_failed(c); i++)
			if (parse_record(c, &e) && section != COUNTS - 1)
				cursor_fail(c);
	if (cursor_failed(c))
		return (struct dns_edns){ 0 };
	return e;
}

void dns_question_emit(struct writer *w, const struct dns_question *q)
{
	writer_put(w, q->name.labels, q->name.size);
	writer_u16(w, q->type);
	writer_u16(w, q->class);
}

size_t dns_record_emit(struct writer *w, uint16_t owner, uint16_t type, uint16_t class, uint32_t ttl)
{
	writer_u16(w, (uint16_t)(POINTER << 8 | owner));
	writer_u16(w, type);
	writer_u16(w, class);
	writer_u32(w, ttl);
	writer_u16(w, 0);
	return w->used;
}

void dns_record_end(struct writer *w, size_t begun)
{
	if (!writer_failed(w))
		writer_patch_u16(w, begun - 2, (uint16_t)(w->used - begun));
}

void dns_edns_emit(struct writer *w, const struct dns_edns *e, unsigned int rcode)
{
	writer_u8(w, 0);
	writer_u16(w, DNS_TYPE_OPT);
	writer_u16(w, e->udp_size);
	writer_u8(w, (uint8_t)(rcode >> 4));
	writer_u8(w, 0);
	writer_u16(w, e->dnssec_ok ? EDNS_DO : 0);
	writer_u16(w, 0);
}
