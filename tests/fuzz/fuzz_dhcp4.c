// SPDX-License-Identifier: MIT
/*
 * The DHCPv4 server behind its parser: no message makes it give one address twice, or one that is not to be given; its replies are whole.
 */
#include "fuzz_leases.h"

#include "service/dhcp4.h"

/* A DHCP message as its reader would find it. Return: its type. */
static uint8_t check_reply(const struct reply *r, const uint8_t *request)
{
	const uint8_t *b = r->out.data;
	size_t at = 240, n = r->out.used;
	uint8_t type = 0;

	MUST(n >= 300 && n <= 1500 - 28 && b[0] == 2 && b[1] == 1 && b[2] == 6);
	MUST(!memcmp(b + 4, request + 4, 4) && !memcmp(b + 28, request + 28, 6) && !memcmp(b + 20, "\0\0\0\0", 4));
	while (at < n && b[at] != 255) {
		MUST(at + 1 < n && at + 2 + b[at + 1] < n && b[at]);
		type = b[at] == 53 ? b[at + 2] : type;
		at += 2 + (size_t)b[at + 1];
	}
	MUST(at < n);
	for (at++; at < n; at++)
		MUST(!b[at]);
	MUST(r->src_port == 67 && r->dst_port == 68 && addr_is4(r->dst) && addr_is4(r->src));
	return type;
}

static void play(struct lease_world *w, struct mac from, uint8_t *message, size_t size)
{
	static const uint8_t cookie[] = { 0x63, 0x82, 0x53, 0x63 };
	struct ip_packet ip = { .version = 4, .src = F4(0, 0, 0, 0), .dst = F4(255, 255, 255, 255) };
	bool changed = false;
	struct iovec iov;
	enum drop verdict;
	uint8_t type;

	/* Most go by the rules that a random message would never pass; every 256th as it is. */
	if (size > 240 && message[34] != 0xa5) {
		memcpy(message, "\1\1\6", 3);
		memcpy(message + 28, &from, sizeof(from));
		memcpy(message + 236, cookie, sizeof(cookie));
		memcpy(&ip.src.b[12], message + 12, 4);
	}
	verdict = dhcp4_answer(&w->plan, w->guests, from, &ip, cursor_of(&iov, message, size), w->wall, w->now, &changed, &w->reply);
	MUST(verdict < DROP_COUNT);
	MUST(verdict == DROP_NONE || (!w->reply.out.used && !changed));
	if (!w->reply.out.used)
		return;
	type = check_reply(&w->reply, message);
	MUST(type == 2 || type == 5 || type == 6);
	if (type == 5 && ip4_get((struct ip4){{ w->out[16], w->out[17], w->out[18], w->out[19] }}))
		MUST(changed && guests_find(w->guests, from)->lease4.state == LEASE_BOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lease_play(data, size, play);
	return 0;
}
