// SPDX-License-Identifier: MIT
#include "cli/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#define MESSAGE_SIZE 8192

struct netlink {
	struct mnl_socket *socket;
	uint32_t sequence;
	char message[MESSAGE_SIZE];
};

int netlink_new(struct netlink **out)
{
	struct netlink *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	n->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!n->socket || mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		r = -errno;
		netlink_free(n);
		return r;
	}
	*out = n;
	return 0;
}

struct netlink *netlink_free(struct netlink *n)
{
	if (n->socket)
		mnl_socket_close(n->socket);
	free(n);
	return NULL;
}

static struct nlmsghdr *begin(struct netlink *n, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(n->message);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	h->nlmsg_seq = ++n->sequence;
	return h;
}

/* Send, and wait for the kernel's word. */
static int talk(struct netlink *n, const struct nlmsghdr *h)
{
	ssize_t size;

	if (mnl_socket_sendto(n->socket, h, h->nlmsg_len) < 0)
		return -errno;
	size = mnl_socket_recvfrom(n->socket, n->message, sizeof(n->message));
	if (size < 0 || mnl_cb_run(n->message, (size_t)size, n->sequence, mnl_socket_get_portid(n->socket), NULL, NULL) < 0)
		return -errno;
	return 0;
}

static uint8_t family(addr_t a)
{
	return addr_is4(a) ? AF_INET : AF_INET6;
}

static void put_address(struct nlmsghdr *h, uint16_t type, addr_t a)
{
	struct ip4 four = addr_get4(a);

	mnl_attr_put(h, type, addr_is4(a) ? sizeof(four) : sizeof(a), addr_is4(a) ? (const void *)&four : (const void *)&a);
}

int netlink_set_link(struct netlink *n, unsigned int index, const struct mac *mac, uint32_t mtu)
{
	struct nlmsghdr *h = begin(n, RTM_NEWLINK, 0);
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(h, sizeof(*link));

	link->ifi_index = (int)index;
	link->ifi_flags = IFF_UP;
	link->ifi_change = IFF_UP;
	if (mac)
		mnl_attr_put(h, IFLA_ADDRESS, sizeof(*mac), mac);
	if (mtu)
		mnl_attr_put_u32(h, IFLA_MTU, mtu);
	return talk(n, h);
}

int netlink_add_address(struct netlink *n, unsigned int index, addr_t addr, unsigned int bits)
{
	struct nlmsghdr *h = begin(n, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof(*a));

	a->ifa_family = family(addr);
	a->ifa_prefixlen = (uint8_t)bits;
	a->ifa_flags = IFA_F_NODAD;
	a->ifa_index = index;
	put_address(h, IFA_LOCAL, addr);
	put_address(h, IFA_ADDRESS, addr);
	return talk(n, h);
}

int netlink_add_default_route(struct netlink *n, unsigned int index, addr_t gateway)
{
	struct nlmsghdr *h = begin(n, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(h, sizeof(*route));

	route->rtm_family = family(gateway);
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_protocol = RTPROT_STATIC;
	route->rtm_scope = RT_SCOPE_UNIVERSE;
	route->rtm_type = RTN_UNICAST;
	put_address(h, RTA_GATEWAY, gateway);
	mnl_attr_put_u32(h, RTA_OIF, index);
	return talk(n, h);
}
