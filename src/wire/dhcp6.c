// SPDX-License-Identifier: MIT
#include "wire/dhcp6.h"

#include <string.h>

#include "base/attr.h"

/* Take the option's header off. Return: a cursor that ends where the option ends; @c stands behind it. */
static struct cursor next_option(struct cursor *c, uint16_t *code)
{
	uint16_t size;
	struct cursor body;

	*code = cursor_u16(c);
	size = cursor_u16(c);
	body = *c;
	cursor_limit(&body, size);
	cursor_skip(c, size);
	return body;
}

static uint8_t read_duid(struct cursor *body, uint8_t into[static DHCP6_DUID_MAX])
{
	size_t size = cursor_left(body);

	if (size < 3 || size > DHCP6_DUID_MAX) {
		cursor_fail(body);
		return 0;
	}
	cursor_copy(body, into, size);
	return (uint8_t)size;
}

static void read_ia_address(struct cursor *body, struct dhcp6_ia *ia)
{
	addr_t addr;

	cursor_copy(body, &addr, sizeof(addr));
	cursor_skip(body, 8); /* the lifetimes it would like */
	if (!cursor_failed(body) && ia->addr_count < DHCP6_ADDRS_MAX)
		ia->addrs[ia->addr_count++] = addr;
}

/* Read one, into @scratch where there is no room for more. */
static void read_ia(struct cursor *body, uint16_t kind, struct dhcp6_message *m)
{
	struct dhcp6_ia scratch, *ia = m->ia_count < DHCP6_IAS_MAX ? &m->ias[m->ia_count++] : &scratch;
	uint16_t code;

	*ia = (struct dhcp6_ia){ .kind = kind };
	ia->iaid = cursor_u32(body);
	if (kind != DHCP6_IA_TA)
		cursor_skip(body, 8); /* T1 and T2 */
	while (cursor_left(body)) {
		struct cursor inner = next_option(body, &code);

		if (code == DHCP6_IA_ADDRESS)
			read_ia_address(&inner, ia);
		if (cursor_failed(&inner))
			cursor_fail(body);
	}
}

static void read_wanted(struct cursor *body, struct dhcp6_message *m)
{
	m->has_options_wanted = true;
	while (cursor_left(body)) {
		uint16_t code = cursor_u16(body);

		m->wants_dns |= code == DHCP6_DNS;
		m->wants_domains |= code == DHCP6_DOMAINS;
		m->wants_refresh_time |= code == DHCP6_REFRESH_TIME;
	}
}

static void read_name(struct cursor *body, struct dhcp6_message *m)
{
	uint8_t size;

	cursor_u8(body); /* flags */
	size = cursor_left(body) ? cursor_u8(body) : 0;
	if (size < sizeof(m->name))
		cursor_copy(body, m->name, size);
	m->name[size < sizeof(m->name) ? size : 0] = 0;
}

static void read_option(struct cursor *body, uint16_t code, struct dhcp6_message *m)
{
	switch (code) {
	case DHCP6_CLIENT_ID:
		m->client_id_size = read_duid(body, m->client_id);
		break;
	case DHCP6_SERVER_ID:
		m->server_id_size = read_duid(body, m->server_id);
		break;
	case DHCP6_IA_NA:
	case DHCP6_IA_TA:
	case DHCP6_IA_PD:
		read_ia(body, code, m);
		break;
	case DHCP6_ORO:
		read_wanted(body, m);
		break;
	case DHCP6_RAPID_COMMIT:
		m->rapid_commit = true;
		break;
	case DHCP6_FQDN:
		read_name(body, m);
		break;
	}
}

struct dhcp6_message dhcp6_parse(struct cursor *c)
{
	struct dhcp6_message m = { 0 };
	uint16_t code;

	cursor_copy(c, &m.header, sizeof(m.header));
	/* A relay's header is another: nothing of it is wanted. */
	if (m.header.type == DHCP6_RELAY_FORWARD || m.header.type == DHCP6_RELAY_REPLY)
		return m;
	while (cursor_left(c)) {
		struct cursor body = next_option(c, &code);

		read_option(&body, code, &m);
		if (cursor_failed(&body))
			cursor_fail(c);
	}
	return m;
}

size_t dhcp6_begin_option(struct writer *w, uint16_t code)
{
	writer_u16(w, code);
	writer_u16(w, 0);
	return w->used;
}

void dhcp6_end_option(struct writer *w, size_t begun)
{
	if (!writer_failed(w))
		writer_patch_u16(w, begun - 2, (uint16_t)(w->used - begun));
}

void dhcp6_emit_option(struct writer *w, uint16_t code, const void *data, size_t size)
{
	size_t begun = dhcp6_begin_option(w, code);

	writer_put(w, data, size);
	dhcp6_end_option(w, begun);
}

void dhcp6_emit_status(struct writer *w, enum dhcp6_status status, const char *text)
{
	size_t begun = dhcp6_begin_option(w, DHCP6_STATUS);

	writer_u16(w, (uint16_t)status);
	writer_put(w, text, strlen(text));
	dhcp6_end_option(w, begun);
}

void dhcp6_emit_address(struct writer *w, addr_t addr, uint32_t preferred, uint32_t valid)
{
	size_t begun = dhcp6_begin_option(w, DHCP6_IA_ADDRESS);

	writer_put(w, &addr, sizeof(addr));
	writer_u32(w, preferred);
	writer_u32(w, valid);
	dhcp6_end_option(w, begun);
}
