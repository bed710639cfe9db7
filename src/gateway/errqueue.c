// SPDX-License-Identifier: MIT
#include "gateway/errqueue.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "base/attr.h"

/* Unreachable codes of ICMP (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1), but for 4, which is TOO_BIG. */
static const enum icmp_error unreachable4[] = {
	[0] = ICMP_ERROR_NET, [1] = ICMP_ERROR_HOST, [2] = ICMP_ERROR_PROTOCOL, [3] = ICMP_ERROR_PORT, [4] = ICMP_ERROR_TOO_BIG,
	[5] = ICMP_ERROR_NET, [6] = ICMP_ERROR_NET, [7] = ICMP_ERROR_HOST, [8] = ICMP_ERROR_HOST, [9] = ICMP_ERROR_PROHIBITED,
	[10] = ICMP_ERROR_PROHIBITED, [11] = ICMP_ERROR_NET, [12] = ICMP_ERROR_HOST, [13] = ICMP_ERROR_PROHIBITED,
	[14] = ICMP_ERROR_PROHIBITED, [15] = ICMP_ERROR_PROHIBITED,
};
/* And of ICMPv6 (RFC 4443 section 3.1). */
static const enum icmp_error unreachable6[] = {
	[0] = ICMP_ERROR_NET, [1] = ICMP_ERROR_PROHIBITED, [2] = ICMP_ERROR_NET, [3] = ICMP_ERROR_HOST, [4] = ICMP_ERROR_PORT,
	[5] = ICMP_ERROR_PROHIBITED, [6] = ICMP_ERROR_PROHIBITED,
};

static bool error_of4(const struct sock_extended_err *ee, enum icmp_error *out)
{
	if (ee->ee_type == ICMP_TIME_EXCEEDED)
		*out = ee->ee_code ? ICMP_ERROR_REASSEMBLY : ICMP_ERROR_TTL;
	else if (ee->ee_type == ICMP_UNREACHABLE && ee->ee_code < ARRAY_SIZE(unreachable4))
		*out = unreachable4[ee->ee_code];
	else
		return false;
	return true;
}

static bool error_of6(const struct sock_extended_err *ee, enum icmp_error *out)
{
	enum { UNKNOWN_NEXT_HEADER = 1 };

	if (ee->ee_type == ICMP6_TIME_EXCEEDED)
		*out = ee->ee_code ? ICMP_ERROR_REASSEMBLY : ICMP_ERROR_TTL;
	else if (ee->ee_type == ICMP6_TOO_BIG)
		*out = ICMP_ERROR_TOO_BIG;
	else if (ee->ee_type == ICMP6_PARAMETER && ee->ee_code == UNKNOWN_NEXT_HEADER)
		*out = ICMP_ERROR_PROTOCOL;
	else if (ee->ee_type == ICMP6_UNREACHABLE && ee->ee_code < ARRAY_SIZE(unreachable6))
		*out = unreachable6[ee->ee_code];
	else
		return false;
	return true;
}

static void read_error(struct errqueue_entry *out, const struct cmsghdr *c)
{
	struct { struct sock_extended_err ee; union sockaddr_any offender; } info = { 0 };
	uint16_t port;

	memcpy(&info, CMSG_DATA(c), MIN(c->cmsg_len - CMSG_LEN(0), sizeof(info)));
	out->mtu = info.ee.ee_info;
	out->offender = host_addr_of(&info.offender, &port);
	if (info.ee.ee_origin == SO_EE_ORIGIN_ICMP)
		out->from_network = error_of4(&info.ee, &out->error);
	else if (info.ee.ee_origin == SO_EE_ORIGIN_ICMP6)
		out->from_network = error_of6(&info.ee, &out->error);
}

bool errqueue_next(int fd, struct errqueue_entry *out)
{
	char control[512] __attribute__((aligned(8)));
	struct iovec iov = { out->data, sizeof(out->data) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
	socklen_t size = sizeof(int);
	int pending;

	if (n < 0) {
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &size);
		return false;
	}
	out->from_network = false;
	out->size = n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
		    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			read_error(out, c);
	return true;
}

void errqueue_report(struct emitter *e, struct host *h, const struct flow *f, uint8_t ttl, const struct errqueue_entry *entry,
		     const void *l4, size_t size, uint32_t mtu, usec_t now)
{
	bool v4 = addr_is4(f->key.guest), udp = f->key.kind == FLOW_UDP;
	struct ip_packet about = {
		.src = f->key.guest, .dst = f->key.peer, .version = v4 ? 4 : 6, .protocol = udp ? IP_UDP : v4 ? IP_ICMP : IP_ICMP6,
		.ttl = ttl, .payload_size = size, .dont_fragment = entry->error == ICMP_ERROR_TOO_BIG,
	};
	struct iovec iov;

	about.header_size = ip_emit(about.header, &about, 0);
	emit_error(e, f->mac, entry->error, &about, cursor_of(&iov, l4, size), entry->mtu ? entry->mtu : mtu,
		   host_guest_view(h, entry->offender, f->key.guest), now);
}

enum drop errqueue_verdict(struct emitter *e, struct mac to, enum drop drop, const struct ip_packet *ip, struct cursor l4, uint32_t mtu,
			   usec_t now)
{
	enum icmp_error error;

	if (drop == DROP_POLICY || drop == DROP_NOT_PERMITTED)
		error = ICMP_ERROR_PROHIBITED;
	else if (drop == DROP_NO_ROUTE)
		error = ICMP_ERROR_NET;
	else if (drop == DROP_TTL)
		error = ICMP_ERROR_TTL;
	else if (drop == DROP_TOO_BIG && mtu)
		error = ICMP_ERROR_TOO_BIG;
	else
		return drop;
	emit_error(e, to, error, ip, l4, mtu, ADDR_ANY, now);
	return drop;
}

enum drop errqueue_drop_of(int result)
{
	switch (-result) {
	case 0:
		return DROP_NONE;
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		return DROP_SOCKET_FULL;
	case EMSGSIZE:
		return DROP_TOO_BIG;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EADDRNOTAVAIL:
		return DROP_NO_ROUTE;
	case EPERM:
	case EACCES:
		return DROP_POLICY;
	}
	return DROP_SOCKET_ERROR;
}
