// SPDX-License-Identifier: MIT
#include "bridge/taplink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/fd.h"

#define MESSAGE_SIZE 32768
#define REQUEST_SIZE 1024
#define GROUPS       (RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE)

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP (1 << 16) /* of <linux/if.h>, which does not go with <net/if.h> */
#endif

/* --- the device --- */

int taplink_make(const char name[static IFNAMSIZ], bool vnet)
{
	_cleanup_fd_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL | (vnet ? IFF_VNET_HDR : 0)) };

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	/* With an owner, no other user can attach to it by name. */
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETOWNER, 0) < 0)
		return -errno;
	return fd_steal(&fd);
}

/* --- netlink --- */

int taplink_socket(struct mnl_socket **out)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = -errno;

		if (s)
			mnl_socket_close(s);
		return r;
	}
	*out = s;
	return 0;
}

/* Send a message and hear its answers: an acknowledgement, or one or many messages for @each. */
static int talk(struct mnl_socket *s, struct nlmsghdr *h, mnl_cb_t each, void *data)
{
	char buffer[MESSAGE_SIZE];
	uint32_t sequence = h->nlmsg_seq = (uint32_t)usec_now();
	int r;

	if (mnl_socket_sendto(s, h, h->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t n = mnl_socket_recvfrom(s, buffer, sizeof(buffer));

		if (n < 0)
			return -errno;
		r = mnl_cb_run(buffer, (size_t)n, sequence, mnl_socket_get_portid(s), each, data);
		if (r < 0 && errno == ESRCH) /* an answer to something older */
			r = MNL_CB_OK;
	} while (r == MNL_CB_OK);
	return r < 0 ? -errno : 0;
}

static struct nlmsghdr *begin(char *buffer, uint16_t type, uint16_t flags, uint8_t family, unsigned int index)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *i;

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	i = mnl_nlmsg_put_extra_header(h, sizeof(*i));
	i->ifi_family = family;
	i->ifi_index = (int)index;
	return h;
}

/* --- reading --- */

static void read_stats(const struct nlattr *a, struct taplink *out)
{
	struct rtnl_link_stats64 stats = { 0 };

	memcpy(&stats, mnl_attr_get_payload(a), MIN((size_t)mnl_attr_get_payload_len(a), sizeof(stats)));
	/* What the host receives from the tap is what the guest sent. */
	out->frames_from_guest = stats.rx_packets;
	out->bytes_from_guest = stats.rx_bytes;
	out->frames_to_guest = stats.tx_packets;
	out->bytes_to_guest = stats.tx_bytes;
}

static void read_tun(const struct nlattr *data, struct taplink *out)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data)
		if (mnl_attr_get_type(a) == IFLA_TUN_PERSIST && mnl_attr_get_payload_len(a) >= 1)
			out->persistent = mnl_attr_get_u8(a);
}

static void read_kind(const struct nlattr *info, struct taplink *out)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, info) {
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			out->tap = !strcmp(mnl_attr_get_str(a), "tun");
		else if (mnl_attr_get_type(a) == IFLA_INFO_DATA && out->tap)
			read_tun(a, out);
	}
}

static void copy_text(char *into, size_t size, const struct nlattr *a)
{
	strncpy(into, mnl_attr_get_str(a), size - 1);
	into[size - 1] = 0;
}

static void read_link(const struct nlmsghdr *h, struct taplink *out)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;

	*out = (struct taplink){ .index = (unsigned int)i->ifi_index, .up = i->ifi_flags & IFF_UP, .carrier = i->ifi_flags & IFF_LOWER_UP };
	mnl_attr_for_each(a, h, sizeof(*i)) {
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			copy_text(out->name, sizeof(out->name), a);
			break;
		case IFLA_IFALIAS:
			copy_text(out->alias, sizeof(out->alias), a);
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(a) == sizeof(out->mac))
				memcpy(&out->mac, mnl_attr_get_payload(a), sizeof(out->mac));
			break;
		case IFLA_MTU:
			out->mtu = mnl_attr_get_u32(a);
			break;
		case IFLA_MASTER:
			out->master = mnl_attr_get_u32(a);
			break;
		case IFLA_CARRIER_DOWN_COUNT:
			out->lost_carrier = mnl_attr_get_u32(a);
			break;
		case IFLA_STATS64:
			read_stats(a, out);
			break;
		case IFLA_LINKINFO:
			read_kind(a, out);
			break;
		}
	}
}

static int got_link(const struct nlmsghdr *h, void *data)
{
	if (h->nlmsg_type == RTM_NEWLINK)
		read_link(h, data);
	return MNL_CB_OK;
}

int taplink_get(struct mnl_socket *s, const char *name, struct taplink *out)
{
	char buffer[REQUEST_SIZE] = { 0 };
	struct nlmsghdr *h = begin(buffer, RTM_GETLINK, NLM_F_ACK, AF_UNSPEC, 0);

	/* The name may be the one in *out. */
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	*out = (struct taplink){ 0 };
	return talk(s, h, got_link, out);
}

/* --- changing --- */

static int change(struct mnl_socket *s, struct nlmsghdr *h)
{
	return talk(s, h, NULL, NULL);
}

static void put_no_ipv6_address(struct nlmsghdr *h)
{
	struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC), *inet6 = mnl_attr_nest_start(h, AF_INET6);

	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, inet6);
	mnl_attr_nest_end(h, spec);
}

static int set_port(struct mnl_socket *s, unsigned int index, uint16_t attribute, bool value)
{
	char buffer[REQUEST_SIZE] = { 0 };
	struct nlmsghdr *h = begin(buffer, RTM_SETLINK, NLM_F_ACK, AF_BRIDGE, index);
	struct nlattr *port = mnl_attr_nest_start(h, IFLA_PROTINFO | NLA_F_NESTED);

	mnl_attr_put_u8(h, attribute, value);
	mnl_attr_nest_end(h, port);
	return change(s, h);
}

int taplink_isolate(struct mnl_socket *s, unsigned int index, bool isolated)
{
	return set_port(s, index, IFLA_BRPORT_ISOLATED, isolated);
}

int taplink_configure(struct mnl_socket *s, unsigned int index, const struct taplink_config *config)
{
	char buffer[REQUEST_SIZE] = { 0 };
	struct nlmsghdr *h = begin(buffer, RTM_NEWLINK, NLM_F_ACK, AF_UNSPEC, index);
	int r;

	mnl_attr_put_u32(h, IFLA_MTU, config->mtu);
	mnl_attr_put_strz(h, IFLA_IFALIAS, config->alias);
	put_no_ipv6_address(h);
	r = change(s, h);
	if (r < 0)
		return r;
	memset(buffer, 0, sizeof(buffer));
	h = begin(buffer, RTM_NEWLINK, NLM_F_ACK, AF_UNSPEC, index);
	mnl_attr_put_u32(h, IFLA_MASTER, config->bridge);
	r = change(s, h);
	if (!r && config->guard)
		r = set_port(s, index, IFLA_BRPORT_GUARD, true);
	return r || !config->isolated ? r : taplink_isolate(s, index, true);
}

int taplink_set_up(struct mnl_socket *s, unsigned int index)
{
	char buffer[REQUEST_SIZE] = { 0 };
	struct nlmsghdr *h = begin(buffer, RTM_NEWLINK, NLM_F_ACK, AF_UNSPEC, index);
	struct ifinfomsg *i = mnl_nlmsg_get_payload(h);

	i->ifi_flags = i->ifi_change = IFF_UP;
	return change(s, h);
}

int taplink_delete(struct mnl_socket *s, unsigned int index)
{
	char buffer[REQUEST_SIZE] = { 0 };
	int r = change(s, begin(buffer, RTM_DELLINK, NLM_F_ACK, AF_UNSPEC, index));

	return r == -ENODEV ? 0 : r;
}

/* --- who is behind which port --- */

struct fdb_question {
	unsigned int bridge, except;
	struct mac mac;
	bool found;
};

static int got_fdb(const struct nlmsghdr *h, void *data)
{
	const struct ndmsg *n = mnl_nlmsg_get_payload(h);
	struct fdb_question *q = data;
	const struct nlattr *a;
	unsigned int master = 0;
	bool same = false;

	if (h->nlmsg_type != RTM_NEWNEIGH)
		return MNL_CB_OK;
	mnl_attr_for_each(a, h, sizeof(*n)) {
		if (mnl_attr_get_type(a) == NDA_MASTER)
			master = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == NDA_LLADDR && mnl_attr_get_payload_len(a) == sizeof(q->mac))
			same = !memcmp(mnl_attr_get_payload(a), &q->mac, sizeof(q->mac));
	}
	if (same && (master == q->bridge || (unsigned int)n->ndm_ifindex == q->bridge) && (unsigned int)n->ndm_ifindex != q->except)
		q->found = true;
	return MNL_CB_OK;
}

bool taplink_fdb_has(struct mnl_socket *s, unsigned int bridge, struct mac mac, unsigned int except)
{
	struct fdb_question q = { .bridge = bridge, .except = except, .mac = mac };
	char buffer[REQUEST_SIZE] = { 0 };
	/* The kernel wants a struct ifinfomsg here; with a bridge's index in IFLA_MASTER it tells that bridge's alone. */
	struct nlmsghdr *h = begin(buffer, RTM_GETNEIGH, NLM_F_DUMP, AF_BRIDGE, 0);

	mnl_attr_put_u32(h, IFLA_MASTER, bridge);
	return talk(s, h, got_fdb, &q) == 0 && q.found;
}

/* --- as it happens --- */

/* The link that a route leads out by; 0: none, or several. */
static unsigned int route_link(const struct nlmsghdr *h)
{
	unsigned int index = 0;
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct rtmsg))
		if (mnl_attr_get_type(a) == RTA_OIF)
			index = mnl_attr_get_u32(a);
	return index;
}

static int got_change(const struct nlmsghdr *h, void *data)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct ifaddrmsg *address = mnl_nlmsg_get_payload(h);
	struct taplink_monitor *m = data;
	struct taplink link;

	switch (h->nlmsg_type) {
	case RTM_NEWADDR: case RTM_DELADDR:
		m->addressed(m->owner, address->ifa_index);
		return MNL_CB_OK;
	case RTM_NEWROUTE: case RTM_DELROUTE:
		m->addressed(m->owner, route_link(h));
		return MNL_CB_OK;
	}
	if (i->ifi_family != AF_UNSPEC)
		return MNL_CB_OK; /* of a bridge's port: a port that leaves its bridge is no link that goes */
	if (h->nlmsg_type == RTM_NEWLINK) {
		read_link(h, &link);
		m->changed(m->owner, &link);
	} else if (h->nlmsg_type == RTM_DELLINK) {
		m->gone(m->owner, (unsigned int)i->ifi_index);
	}
	return MNL_CB_OK;
}

static void monitor_ready(struct watch *w, _unused_ uint32_t events)
{
	struct taplink_monitor *m = container_of(w, struct taplink_monitor, watch);
	char buffer[MESSAGE_SIZE];

	for (int i = 0; i < 64; i++) {
		ssize_t n = recv(w->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (n < 0 && errno == ENOBUFS) {
			m->lost(m->owner);
			continue;
		}
		if (n < 0)
			return;
		mnl_cb_run(buffer, (size_t)n, 0, 0, got_change, m);
	}
}

int taplink_monitor_init(struct taplink_monitor *m, struct loop *loop)
{
	int r;

	m->watch.fd = -1;
	m->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!m->socket)
		return -errno;
	r = mnl_socket_bind(m->socket, GROUPS, MNL_SOCKET_AUTOPID) < 0 ? -errno :
		watch_add(&m->watch, loop, mnl_socket_get_fd(m->socket), EPOLLIN, monitor_ready);
	if (r < 0)
		taplink_monitor_fini(m);
	return r;
}

void taplink_monitor_fini(struct taplink_monitor *m)
{
	if (!m->socket)
		return;
	watch_remove(&m->watch);
	mnl_socket_close(m->socket);
	m->socket = NULL;
}
