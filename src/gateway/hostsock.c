// SPDX-License-Identifier: MIT
#include "gateway/hostsock.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "base/fd.h"

/* Names and values of an option, for each version. */
static const struct {
	int name4, name6;
	bool is_discovery;  /* the value is a way of path MTU discovery: the first where 0 is asked, the second for 1 */
	int discovery4[2], discovery6[2];
} options[] = {
	[HOSTSOCK_TTL] = { IP_TTL, IPV6_UNICAST_HOPS },
	[HOSTSOCK_TOS] = { IP_TOS, IPV6_TCLASS },
	/* IPv4 without DF is left to routers to fragment. IPv6 has only us, who must heed what the path takes. */
	[HOSTSOCK_FRAGMENT] = { IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, true, { IP_PMTUDISC_DO, IP_PMTUDISC_DONT }, { IPV6_PMTUDISC_DO, IPV6_PMTUDISC_WANT } },
	[HOSTSOCK_ERRORS] = { IP_RECVERR, IPV6_RECVERR },
	[HOSTSOCK_LOCAL] = { IP_PKTINFO, IPV6_RECVPKTINFO },
};

int hostsock_open(addr_t like, int protocol)
{
	_cleanup_fd_ int fd = -1;
	int on = 1;

	if (addr_is4(like)) {
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
		return fd < 0 ? -errno : fd_steal(&fd);
	}
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol == IPPROTO_ICMP ? IPPROTO_ICMPV6 : protocol);
	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)))
		return -errno;
	return fd_steal(&fd);
}

int hostsock_set(int fd, addr_t like, enum hostsock_option option, int value)
{
	bool v4 = addr_is4(like);

	if (options[option].is_discovery)
		value = (v4 ? options[option].discovery4 : options[option].discovery6)[!!value];
	if (setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? options[option].name4 : options[option].name6, &value, sizeof(value)))
		return -errno;
	return 0;
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
