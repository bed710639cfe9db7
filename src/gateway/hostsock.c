// SPDX-License-Identifier: MIT
#include "gateway/hostsock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include "base/fd.h"

/* Names and values of an option, for each version. */
static const struct {
	int name4, name6;
	bool is_discovery;  /* the value is a way of path MTU discovery: the first where 0 is asked, the second for 1 */
	int discovery4[2], discovery6[2];
	bool is_udp;        /* of the protocol, and so the same for both versions */
} options[] = {
	[HOSTSOCK_TTL] = { IP_TTL, IPV6_UNICAST_HOPS },
	[HOSTSOCK_TOS] = { IP_TOS, IPV6_TCLASS },
	/* IPv4 without DF is left to routers to fragment. IPv6 has only us, who must heed what the path takes. */
	[HOSTSOCK_FRAGMENT] = { IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, true, { IP_PMTUDISC_DO, IP_PMTUDISC_DONT },
		{ IPV6_PMTUDISC_DO, IPV6_PMTUDISC_WANT } },
	[HOSTSOCK_ERRORS] = { IP_RECVERR, IPV6_RECVERR },
	[HOSTSOCK_LOCAL] = { IP_PKTINFO, IPV6_RECVPKTINFO },
	[HOSTSOCK_RUNS] = { UDP_GRO, UDP_GRO, .is_udp = true },
};

int hostsock_open(addr_t like, int protocol)
{
	_cleanup_fd_ int fd = -1;
	bool v4 = addr_is4(like);
	int on = 1, r;

	if (!v4 && protocol == IPPROTO_ICMP)
		protocol = IPPROTO_ICMPV6;
	fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (fd < 0 || (!v4 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))))
		return -errno;
	r = hostsock_set(fd, like, HOSTSOCK_FRAGMENT, 0);
	return r ? r : fd_steal(&fd);
}

int hostsock_set(int fd, addr_t like, enum hostsock_option option, int value)
{
	bool v4 = addr_is4(like);
	int level = options[option].is_udp ? SOL_UDP : v4 ? IPPROTO_IP : IPPROTO_IPV6;

	if (options[option].is_discovery)
		value = (v4 ? options[option].discovery4 : options[option].discovery6)[!!value];
	if (setsockopt(fd, level, v4 ? options[option].name4 : options[option].name6, &value, sizeof(value)))
		return -errno;
	return 0;
}

bool hostsock_takes_runs(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(int);
	int segment;

	if (fd < 0)
		fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && !getsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, &size);
}

bool hostsock_may_fragment(const struct ip_packet *ip)
{
	/* A whole IPv6 packet with a fragment's number was put together: its sender fragments, and so may we. */
	return !ip->dont_fragment || (ip->version == 6 && ip->fragment_id);
}

void hostsock_follow(int fd, struct sent_as *as, const struct ip_packet *ip)
{
	bool may_fragment = hostsock_may_fragment(ip);
	uint8_t ttl = ip->ttl > 1 ? ip->ttl - 1 : 1;

	if (as->ttl != ttl && !hostsock_set(fd, ip->dst, HOSTSOCK_TTL, ttl))
		as->ttl = ttl;
	if (as->tos != ip->traffic_class && !hostsock_set(fd, ip->dst, HOSTSOCK_TOS, ip->traffic_class))
		as->tos = ip->traffic_class;
	if (as->may_fragment != may_fragment && !hostsock_set(fd, ip->dst, HOSTSOCK_FRAGMENT, may_fragment))
		as->may_fragment = may_fragment;
}

int hostsock_send(int fd, const struct msghdr *m)
{
	int r = 0;

	for (int attempt = 0; attempt < 2; attempt++) {
		r = sendmsg(fd, m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
		if (!r || r == -EAGAIN)
			break;
	}
	return r;
}

unsigned int hostsock_mtu(int fd, addr_t like)
{
	bool v4 = addr_is4(like);
	int mtu = 0;
	socklen_t size = sizeof(mtu);

	if (getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu, &size) || mtu < 0)
		return 0;
	return mtu;
}

bool hostsock_exhausted(int result)
{
	return result == -EMFILE || result == -ENFILE || result == -ENOMEM || result == -ENOBUFS;
}
