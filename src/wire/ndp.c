// SPDX-License-Identifier: MIT
#include "wire/ndp.h"

#include "wire/dns.h"
#include "wire/icmp.h"

#define OPTION_UNIT 8 /* an option's length field counts these */

static void parse_link(struct cursor *c, uint8_t units, struct ndp_message *m)
{
	if (units != 1) {
		cursor_fail(c);
		return;
	}
	cursor_copy(c, &m->link, sizeof(m->link));
	m->has_link = true;
}

static void parse_options(struct cursor *c, struct ndp_message *m)
{
	uint8_t wanted = m->type == ICMP6_NA ? NDP_TARGET_LINK : NDP_SOURCE_LINK;

	while (cursor_left(c)) {
		uint8_t type = cursor_u8(c);
		uint8_t units = cursor_u8(c);

		if (!units)
			cursor_fail(c);
		else if (type == wanted)
			parse_link(c, units, m);
		else
			cursor_skip(c, units * OPTION_UNIT - 2);
	}
}

struct ndp_message ndp_parse(struct cursor *c)
{
	struct ndp_message m = { .type = cursor_u8(c), .code = cursor_u8(c) };

	cursor_skip(c, 2);
	m.flags = cursor_u8(c);
	cursor_skip(c, 3);
	if (m.type == ICMP6_NS || m.type == ICMP6_NA)
		cursor_copy(c, &m.target, sizeof(m.target));
	else if (m.type != ICMP6_RS)
		cursor_fail(c);
	parse_options(c, &m);
	return m;
}

static void emit_link(struct writer *w, enum ndp_option option, struct mac link)
{
	writer_u8(w, option);
	writer_u8(w, 1);
	writer_put(w, &link, sizeof(link));
}

void ndp_emit_neighbour(struct writer *w, addr_t target, uint8_t flags, struct mac link)
{
	writer_u8(w, ICMP6_NA);
	writer_fill(w, 0, 3);
	writer_u8(w, flags);
	writer_fill(w, 0, 3);
	writer_put(w, &target, sizeof(target));
	emit_link(w, NDP_TARGET_LINK, link);
}

static void emit_prefix(struct writer *w, const struct ndp_router *r)
{
	writer_u8(w, NDP_PREFIX);
	writer_u8(w, 4);
	writer_u8(w, r->prefix_bits);
	writer_u8(w, r->prefix_flags);
	writer_u32(w, r->prefix_valid);
	writer_u32(w, r->prefix_preferred);
	writer_u32(w, 0);
	writer_put(w, &r->prefix, sizeof(r->prefix));
}

static void emit_dns(struct writer *w, const struct ndp_router *r)
{
	struct dns_name domain;

	if (!addr_is_any(r->dns)) {
		writer_u8(w, NDP_RDNSS);
		writer_u8(w, 3);
		writer_u16(w, 0);
		writer_u32(w, r->dns_lifetime);
		writer_put(w, &r->dns, sizeof(r->dns));
	}
	if (*r->domain && dns_name_of_text(r->domain, &domain)) {
		size_t units = (8 + domain.size + OPTION_UNIT - 1) / OPTION_UNIT;

		writer_u8(w, NDP_DNSSL);
		writer_u8(w, (uint8_t)units);
		writer_u16(w, 0);
		writer_u32(w, r->dns_lifetime);
		writer_put(w, domain.labels, domain.size);
		writer_fill(w, 0, units * OPTION_UNIT - 8 - domain.size);
	}
}

void ndp_emit_router(struct writer *w, const struct ndp_router *r)
{
	writer_u8(w, ICMP6_RA);
	writer_fill(w, 0, 3);
	writer_u8(w, r->hop_limit);
	writer_u8(w, r->flags);
	writer_u16(w, r->lifetime);
	writer_u32(w, 0); /* reachable time: the guest's own default */
	writer_u32(w, 0); /* retransmission timer: likewise */
	emit_link(w, NDP_SOURCE_LINK, r->link);
	writer_u8(w, NDP_MTU);
	writer_u8(w, 1);
	writer_u16(w, 0);
	writer_u32(w, r->mtu);
	emit_prefix(w, r);
	emit_dns(w, r);
}
