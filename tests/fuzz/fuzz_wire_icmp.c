// SPDX-License-Identifier: MIT
/* An IP packet that an ICMP error is written about: whatever it was, the error is well formed and its quote parses. */
#include "fuzz.h"

#include "wire/checksum.h"
#include "wire/icmp.h"

static const addr_t router4 = {{ [10] = 0xff, [11] = 0xff, 10, 0, 2, 2 }}, router6 = {{ 0xfd, [15] = 2 }};

/* A packet with any payload, made from the first bytes of the input. */
static struct ip_packet about(const uint8_t head[8], size_t size)
{
	bool v4 = head[0] & 1;
	struct ip_packet p = {
		.version = v4 ? 4 : 6, .protocol = head[1], .ttl = head[2], .payload_size = (uint32_t)size, .dont_fragment = head[3] & 1,
		.src = v4 ? addr_of4(ip4(0x0a000200U | head[4])) : (addr_t){{ 0xfd, [15] = head[4] }},
		.dst = v4 ? (addr_t){{ [10] = 0xff, [11] = 0xff, head[5], head[6], 0, 1 }} : (addr_t){{ head[5], head[6], [15] = 1 }},
	};

	if (!v4 && addr_is4(p.dst))
		p.dst.b[0] = 0x20;
	p.header_size = (uint16_t)ip_emit(p.header, &p, 7);
	return p;
}

static void check_error(const struct ip_packet *p, struct cursor rest, enum icmp_error error)
{
	_cleanup_(freep) uint8_t *out = malloc(ICMP_ERROR_MAX);
	bool v4 = p->version == 4;
	struct icmp_header h;
	struct ip_packet quoted;
	struct iovec iov;
	struct cursor c;
	size_t size;

	MUST(out);
	size = icmp_emit_error(out, error, p, rest, 1400, v4 ? router4 : router6);
	c = cursor_of(&iov, out, size);
	h = icmp_parse(&c);
	MUST(size <= (v4 ? 8 + 548 : ICMP_ERROR_MAX) && size == 8 + MIN(p->header_size + p->payload_size, v4 ? 548U : ICMP_ERROR_MAX - 8U));
	MUST(sum_is_valid(sum_bytes(v4 ? 0 : sum_pseudo(0, router6, p->src, IP_ICMP6, (uint32_t)size), out, size)));
	MUST(v4 ? h.type == 3 || h.type == 11 : h.type >= 1 && h.type <= 4);
	if (cursor_left(&c) < p->header_size + p->payload_size)
		return; /* the quote is cut */
	quoted = ip_parse(&c);
	MUST(addr_equal(quoted.src, p->src) && addr_equal(quoted.dst, p->dst));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t head[8];

	if (size < sizeof(head))
		return 0;
	memcpy(head, data, sizeof(head));
	data += sizeof(head);
	size -= sizeof(head);

	_cleanup_(input_fini) struct input in = input_of(data, size);
	struct ip_packet p = about(head, MIN(in.size, (size_t)60000));
	struct cursor rest = input_cursor(&in), c = rest;

	icmp_may_answer(&p, rest);
	icmp_parse(&c);
	cursor_limit(&rest, p.payload_size);
	check_error(&p, rest, (enum icmp_error)(head[7] % (ICMP_ERROR_REASSEMBLY + 1)));
	return 0;
}
