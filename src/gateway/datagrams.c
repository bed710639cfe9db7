// SPDX-License-Identifier: MIT
#include "gateway/datagrams.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include "gateway/host.h"

#define SIZE    65536
#define STRIDE  (SIZE + 192) /* not a power of two: small datagrams would all lie in the same lines of the cache */
#define CONTROL 128
#define RUN_MAX 65507        /* the longest payload of IPv4, which a run to a guest must fit too */

struct datagrams {
	struct mmsghdr messages[DATAGRAMS];
	struct iovec iov[DATAGRAMS];
	union sockaddr_any from[DATAGRAMS];
	char control[DATAGRAMS][CONTROL] __attribute__((aligned(8)));
	size_t used;            /* messages that the last call has filled in */
	uint8_t data[DATAGRAMS][STRIDE];
};

int datagrams_new(struct datagrams **out)
{
	struct datagrams *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	for (size_t i = 0; i < DATAGRAMS; i++)
		d->iov[i] = (struct iovec){ d->data[i], SIZE };
	d->used = DATAGRAMS;
	*out = d;
	return 0;
}

struct datagrams *datagrams_free(struct datagrams *d)
{
	free(d);
	return NULL;
}

size_t datagrams_receive(struct datagrams *d, int fd)
{
	int n;

	for (size_t i = 0; i < d->used; i++)
		d->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &d->from[i], .msg_namelen = sizeof(d->from[i]), .msg_iov = &d->iov[i], .msg_iovlen = 1,
			.msg_control = d->control[i], .msg_controllen = sizeof(d->control[i]),
		};
	n = recvmmsg(fd, d->messages, DATAGRAMS, MSG_DONTWAIT, NULL);
	d->used = n < 0 ? 0 : n;
	return d->used;
}

static addr_t local_of(struct msghdr *m)
{
	struct in_pktinfo info4;
	struct in6_pktinfo info6;
	struct ip4 ip;
	addr_t a = ADDR_ANY;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info4, CMSG_DATA(c), sizeof(info4));
			memcpy(&ip, &info4.ipi_spec_dst, sizeof(ip)); /* ours even where it came to a broadcast address */
			return addr_of4(ip);
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info6, CMSG_DATA(c), sizeof(info6));
			memcpy(&a, &info6.ipi6_addr, sizeof(a));
			return a;
		}
	}
	return a;
}

struct datagram datagrams_get(struct datagrams *d, size_t index)
{
	struct msghdr *m = &d->messages[index].msg_hdr;
	struct datagram out = { .local = local_of(m), .payload = { d->data[index], d->messages[index].msg_len } };

	if (m->msg_namelen)
		out.from = host_addr_of(&d->from[index], &out.from_port);
	return out;
}

/* Bytes of each datagram of a message that the kernel has put together from several; all of it where it is one. */
static uint32_t segment_of(struct msghdr *m, uint32_t size)
{
	int segment = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	return segment > 0 && (uint32_t)segment < size ? (uint32_t)segment : size;
}

static bool is_same_sender(const struct datagrams *d, size_t a, size_t b)
{
	socklen_t size = d->messages[a].msg_hdr.msg_namelen;

	return size == d->messages[b].msg_hdr.msg_namelen && !memcmp(&d->from[a], &d->from[b], size);
}

size_t datagrams_run(struct datagrams *d, size_t index, size_t count, struct datagram_run *run)
{
	struct datagram first = datagrams_get(d, index);
	uint32_t size = first.payload.iov_len, segment = segment_of(&d->messages[index].msg_hdr, size);
	size_t i = index + 1;

	*run = (struct datagram_run){
		.from = first.from, .from_port = first.from_port, .local = first.local, .parts = 1, .iov[0] = first.payload,
	};
	for (; i < count && segment && size % segment == 0 && is_same_sender(d, index, i); i++) {
		uint32_t next = d->messages[i].msg_len, next_segment = segment_of(&d->messages[i].msg_hdr, next);

		/* Its first datagram must be as long as ours; or it is a shorter one, and the last. */
		if (!next || next_segment > segment || (next_segment < segment && next_segment != next) || size + next > RUN_MAX ||
		    !addr_equal(first.local, local_of(&d->messages[i].msg_hdr)))
			break;
		run->iov[run->parts++] = (struct iovec){ d->data[i], next };
		size += next;
	}
	run->segment = size > segment ? segment : 0;
	return i;
}
