// SPDX-License-Identifier: MIT
#include "gateway/tcp_hold.h"

#include <errno.h>

#include "base/attr.h"

struct held {
	struct held *next;      /* by sequence number; they do not overlap */
	uint32_t seq, size;
	bool fin;
	uint8_t data[];
};

struct tcp_hold {
	size_t bytes;           /* of all flows, with their heads */
	uint32_t max;
	struct { struct held *first; uint32_t count, last_seq; } flow[];
};
_Static_assert(sizeof(((struct tcp_hold *)0)->flow[0]) <= TCP_HOLD_ENTRY, "what the gateway counts with");

int tcp_hold_new(struct tcp_hold **out, uint32_t max)
{
	struct tcp_hold *h = calloc(1, sizeof(*h) + max * sizeof(h->flow[0]));

	if (!h)
		return -ENOMEM;
	h->max = max;
	*out = h;
	return 0;
}

struct tcp_hold *tcp_hold_free(struct tcp_hold *h)
{
	for (uint32_t slot = 0; slot < h->max; slot++)
		tcp_hold_forget(h, slot);
	free(h);
	return NULL;
}

static void drop_first(struct tcp_hold *h, uint32_t slot)
{
	struct held *gone = h->flow[slot].first;

	h->flow[slot].first = gone->next;
	h->flow[slot].count--;
	h->bytes -= sizeof(*gone) + gone->size;
	free(gone);
}

void tcp_hold_forget(struct tcp_hold *h, uint32_t slot)
{
	while (h->flow[slot].first)
		drop_first(h, slot);
}

bool tcp_hold_any(const struct tcp_hold *h, uint32_t slot) { return h->flow[slot].first; }

bool tcp_hold_add(struct tcp_hold *h, uint32_t slot, uint32_t seq, struct cursor payload, bool fin)
{
	struct held **link = &h->flow[slot].first, *new;
	uint32_t size;

	/* Behind everything that starts before it; what the one before holds already is cut off. */
	while (*link && seq_le((*link)->seq, seq)) {
		uint32_t end = (*link)->seq + (*link)->size;

		if (seq_lt(seq, end)) {
			cursor_skip(&payload, MIN((size_t)(end - seq), cursor_left(&payload)));
			seq = end;
		}
		link = &(*link)->next;
	}
	/* And only up to where the next one starts. */
	size = (uint32_t)cursor_left(&payload);
	if (*link && seq_lt((*link)->seq, seq + size)) {
		size = (*link)->seq - seq;
		fin = false;
	}
	if ((!size && !fin) || h->flow[slot].count == TCP_HOLD_SEGMENTS || h->bytes + sizeof(*new) + size > TCP_HOLD_MAX)
		return false;
	new = malloc(sizeof(*new) + size);
	if (!new)
		return false;
	*new = (struct held){ .next = *link, .seq = seq, .size = size, .fin = fin };
	cursor_copy(&payload, new->data, size);
	*link = new;
	h->bytes += sizeof(*new) + size;
	h->flow[slot].count++;
	h->flow[slot].last_seq = seq;
	return true;
}

size_t tcp_hold_next(struct tcp_hold *h, uint32_t slot, uint32_t next, struct iovec *iov, size_t room, bool *fin)
{
	struct held *held;
	size_t parts = 0;

	*fin = false;
	while ((held = h->flow[slot].first) && seq_le(held->seq + held->size + held->fin, next))
		drop_first(h, slot);
	for (; held && parts < room && seq_le(held->seq, next); held = held->next) {
		if (seq_lt(next, held->seq + held->size))
			iov[parts++] = (struct iovec){ held->data + (next - held->seq), held->seq + held->size - next };
		next = held->seq + held->size;
		*fin = held->fin;
	}
	return parts;
}

uint8_t tcp_hold_blocks(const struct tcp_hold *h, uint32_t slot, struct tcp_sack blocks[static TCP_SACK_MAX])
{
	uint8_t count = 0, latest = 0;

	for (const struct held *held = h->flow[slot].first; held; held = held->next) {
		bool joined = count && blocks[count - 1].to == held->seq;

		if (!joined && count == TCP_SACK_MAX) {
			if (seq_lt(h->flow[slot].last_seq, held->seq))
				break;
			count--; /* the one that came last is more important than one that was told before */
		}
		if (joined)
			blocks[count - 1].to += held->size;
		else
			blocks[count++] = (struct tcp_sack){ held->seq, held->seq + held->size };
		if (held->seq == h->flow[slot].last_seq)
			latest = (uint8_t)(count - 1);
	}
	if (count) {
		struct tcp_sack first = blocks[latest];

		memmove(blocks + 1, blocks, latest * sizeof(*blocks));
		blocks[0] = first;
	}
	return count;
}
