// SPDX-License-Identifier: MIT
/*
 * The DHCPv6 server behind its parser: no message makes it give one address twice, or one that is not to be given; its replies are whole.
 */
#include "fuzz_leases.h"

#include "service/dhcp6.h"

/* Options that end where their field ends, and those inside associations. */
static void check_options(const uint8_t *b, size_t size)
{
	while (size) {
		size_t n, head, code;

		MUST(size >= 4);
		code = (size_t)(b[0] << 8 | b[1]);
		n = (size_t)(b[2] << 8 | b[3]);
		MUST(n <= size - 4);
		head = code == 3 || code == 25 ? 12 : code == 4 ? 4 : code == 5 ? 24 : 0;
		if (head) {
			MUST(n >= head);
			check_options(b + 4 + head, n - head);
		}
		b += 4 + n;
		size -= 4 + n;
	}
}

static void play(struct lease_world *w, struct mac from, uint8_t *message, size_t size)
{
	struct ip_packet ip = { .version = 6, .src = {{ 0xfe, 0x80, [15] = 9 }}, .dst = {{ 0xff, 2, [13] = 1, [15] = 2 }} };
	static const uint8_t server[] = { 0, 2, 0, 10, 0, 3, 0, 1, 0x52, 0x55, 10, 0, 2, 2 };
	bool changed = false;
	struct iovec iov;
	enum drop verdict;

	/* The first option of a message for one server names us, more often than a random one would. */
	if (size >= 4 + sizeof(server) && message[4] == 0 && message[5] == 2)
		memcpy(message + 4, server, sizeof(server));
	if (size >= 4 && message[3] == 0xa5)
		ip.dst = w->plan.gateway6;
	verdict = dhcp6_answer(&w->plan, w->guests, from, &ip, cursor_of(&iov, message, size), w->wall, w->now, &changed, &w->reply);
	MUST(verdict < DROP_COUNT);
	MUST(verdict == DROP_NONE || !w->reply.out.used);
	if (!w->reply.out.used)
		return;
	MUST(w->reply.out.used >= 4 && w->reply.out.used <= 1232 && !memcmp(w->out + 1, message + 1, 3));
	MUST(w->out[0] == 2 || w->out[0] == 7);
	check_options(w->out + 4, w->reply.out.used - 4);
	MUST(w->reply.src_port == 547 && w->reply.dst_port == 546 && addr_equal(w->reply.dst, ip.src));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lease_play(data, size, play);
	return 0;
}
