// SPDX-License-Identifier: MIT
#include "gateway/datagrams.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include "gateway/host.h"

#define SIZE    65536
#define STRIDE  (SIZE + 192) /* not a power of two: small datagrams would all lie in the same lines of the cache */
#define CONTROL 128

struct datagrams {
	struct mmsghdr messages[DATAGRAMS];
	struct iovec iov[DATAGRAMS];
	union sockaddr_any from[DATAGRAMS];
	char control[DATAGRAMS][CONTROL] __attribute__((aligned(8)));
	uint8_t data[DATAGRAMS][STRIDE];
};

int datagrams_new(struct datagrams **out)
{
	struct datagrams *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	for (size_t i = 0; i < DATAGRAMS; i++)
		d->iov[i] = (struct iovec){ d->data[i], SIZE };
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

	for (size_t i = 0; i < DATAGRAMS; i++)
		d->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &d->from[i], .msg_namelen = sizeof(d->from[i]), .msg_iov = &d->iov[i], .msg_iovlen = 1,
			.msg_control = d->control[i], .msg_controllen = sizeof(d->control[i]),
		};
	n = recvmmsg(fd, d->messages, DATAGRAMS, MSG_DONTWAIT, NULL);
	return n < 0 ? 0 : n;
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
