// SPDX-License-Identifier: MIT
#include "wire/dhcp4.h"

#include <string.h>

#include "base/attr.h"

#define HARDWARE_ETHERNET 1
#define OVERLOAD_FILE     1
#define OVERLOAD_SNAME    2
#define FQDN_HEADER       3    /* flags and two unused result codes (RFC 4702 section 2) */
#define FQDN_ENCODED      0x04 /* the name is in DNS wire format */

/* The options that are looked at: each is gathered whole before it is judged. */
enum piece_index {
	PIECE_HOST_NAME, PIECE_REQUESTED, PIECE_OVERLOAD, PIECE_TYPE, PIECE_SERVER, PIECE_PARAMETERS, PIECE_MAX_SIZE, PIECE_CLIENT_ID,
	PIECE_FQDN, PIECES,
};

static const uint8_t piece_codes[PIECES] = {
	[PIECE_HOST_NAME] = DHCP4_HOST_NAME, [PIECE_REQUESTED] = DHCP4_REQUESTED, [PIECE_OVERLOAD] = DHCP4_OVERLOAD,
	[PIECE_TYPE] = DHCP4_TYPE,
	[PIECE_SERVER] = DHCP4_SERVER, [PIECE_PARAMETERS] = DHCP4_PARAMETERS, [PIECE_MAX_SIZE] = DHCP4_MAX_SIZE,
	[PIECE_CLIENT_ID] = DHCP4_CLIENT_ID, [PIECE_FQDN] = DHCP4_FQDN,
};

struct piece {
	uint8_t size;
	uint8_t data[DHCP4_OPTION_MAX];
};

static struct piece *find_piece(struct piece *pieces, uint8_t code)
{
	for (size_t i = 0; i < PIECES; i++)
		if (piece_codes[i] == code)
			return &pieces[i];
	return NULL;
}

/* Read options to the end mark, or to the end of the field where there is none. */
static void gather(struct cursor *c, struct piece *pieces)
{
	while (cursor_left(c)) {
		uint8_t code = cursor_u8(c), size;
		struct piece *p;

		if (code == DHCP4_END)
			return;
		if (code == DHCP4_PAD)
			continue;
		size = cursor_u8(c);
		p = find_piece(pieces, code);
		if (!p) {
			cursor_skip(c, size);
			continue;
		}
		if (p->size + size > DHCP4_OPTION_MAX) {
			cursor_fail(c);
			return;
		}
		cursor_copy(c, p->data + p->size, size);
		p->size = (uint8_t)(p->size + size);
	}
}

/* Options in one of the header's fields. */
static void gather_field(struct cursor *c, struct piece *pieces, const uint8_t *field, size_t size)
{
	struct iovec iov;
	struct cursor inner = cursor_of(&iov, field, size);

	gather(&inner, pieces);
	if (cursor_failed(&inner))
		cursor_fail(c);
}

static bool read_address(const struct piece *p, struct ip4 *out)
{
	if (p->size != sizeof(*out))
		return false;
	memcpy(out, p->data, sizeof(*out));
	return true;
}

/* The first label of @size bytes of text. */
static void read_label(char into[static 64], const uint8_t *text, size_t size)
{
	size_t n = 0;

	while (n < size && text[n] && text[n] != '.')
		n++;
	if (n >= 64)
		n = 0;
	memcpy(into, text, n);
	into[n] = 0;
}

static void read_name(struct dhcp4_message *m, const struct piece *fqdn, const struct piece *host)
{
	const uint8_t *label = fqdn->data + FQDN_HEADER;
	size_t left = fqdn->size > FQDN_HEADER ? fqdn->size - FQDN_HEADER : 0;

	if (left && fqdn->data[0] & FQDN_ENCODED)
		read_label(m->name, label + 1, MIN((size_t)label[0], left - 1));
	else if (left)
		read_label(m->name, label, left);
	if (!m->name[0])
		read_label(m->name, host->data, host->size);
}

static void judge(struct dhcp4_message *m, const struct piece *pieces)
{
	const struct piece *parameters = &pieces[PIECE_PARAMETERS], *max_size = &pieces[PIECE_MAX_SIZE], *id = &pieces[PIECE_CLIENT_ID];

	if (pieces[PIECE_TYPE].size == 1)
		m->type = pieces[PIECE_TYPE].data[0];
	m->has_requested = read_address(&pieces[PIECE_REQUESTED], &m->requested);
	m->has_server = read_address(&pieces[PIECE_SERVER], &m->server);
	if (max_size->size == 2)
		m->max_size = (uint16_t)(max_size->data[0] << 8 | max_size->data[1]);
	m->has_parameters = parameters->size;
	for (size_t i = 0; i < parameters->size; i++)
		m->parameters[parameters->data[i] / 8] |= (uint8_t)(1 << parameters->data[i] % 8);
	if (id->size >= 2) /* RFC 2132 section 9.14 */
		memcpy(m->client_id, id->data, m->client_id_size = id->size);
	read_name(m, &pieces[PIECE_FQDN], &pieces[PIECE_HOST_NAME]);
}

struct dhcp4_message dhcp4_parse(struct cursor *c)
{
	struct piece pieces[PIECES] = { 0 };
	struct dhcp4_message m = { 0 };
	struct dhcp4_header *h = &m.header;
	uint8_t overload;

	cursor_copy(c, h, sizeof(*h));
	if (h->op != DHCP4_BOOTREQUEST || h->hardware != HARDWARE_ETHERNET || h->hardware_size != sizeof(struct mac) ||
	    be32_get(h->cookie) != DHCP4_COOKIE)
		cursor_fail(c);
	gather(c, pieces);
	overload = pieces[PIECE_OVERLOAD].size == 1 ? pieces[PIECE_OVERLOAD].data[0] : 0;
	if (overload & OVERLOAD_FILE)
		gather_field(c, pieces, h->file, sizeof(h->file));
	if (overload & OVERLOAD_SNAME)
		gather_field(c, pieces, h->sname, sizeof(h->sname));
	judge(&m, pieces);
	return m;
}

bool dhcp4_asks(const struct dhcp4_message *m, uint8_t code)
{
	return !m->has_parameters || m->parameters[code / 8] & 1 << code % 8;
}

void dhcp4_emit_option(struct writer *w, uint8_t code, const void *data, size_t size)
{
	if (size > DHCP4_OPTION_MAX) {
		w->failed = true;
		return;
	}
	writer_u8(w, code);
	writer_u8(w, (uint8_t)size);
	writer_put(w, data, size);
}

void dhcp4_emit_end(struct writer *w)
{
	writer_u8(w, DHCP4_END);
	if (!writer_failed(w) && w->used < DHCP4_MESSAGE_MIN)
		writer_fill(w, DHCP4_PAD, DHCP4_MESSAGE_MIN - w->used);
}
