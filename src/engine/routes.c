// SPDX-License-Identifier: MIT
#include "engine/routes.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <time.h>

#include "base/attr.h"

#define ROUTES_MAX 65536 /* a full table of the internet is no reason to be slow: what is beyond is not looked at */

struct route_list {
	struct net4 *nets;
	size_t count, room;
};

static int take_route(const struct nlmsghdr *header, void *data)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(header);
	struct route_list *list = data;
	struct nlattr *attribute;

	if (header->nlmsg_type != RTM_NEWROUTE || route->rtm_family != AF_INET || !route->rtm_dst_len || route->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, header, sizeof(*route)) {
		struct ip4 ip;

		if (mnl_attr_get_type(attribute) != RTA_DST || mnl_attr_get_payload_len(attribute) != sizeof(ip))
			continue;
		if (list->count == list->room) {
			size_t room = list->room ? list->room * 2 : 32;
			struct net4 *more = room <= ROUTES_MAX ? realloc(list->nets, room * sizeof(*more)) : NULL;

			if (!more)
				return MNL_CB_OK;
			list->nets = more;
			list->room = room;
		}
		memcpy(&ip, mnl_attr_get_payload(attribute), sizeof(ip));
		list->nets[list->count++] = (struct net4){ .net = addr_of4(ip), .bits = route->rtm_dst_len };
	}
	return MNL_CB_OK;
}

static int dump(struct mnl_socket *socket, struct route_list *list)
{
	char room[32768];
	struct nlmsghdr *header = mnl_nlmsg_put_header(room);
	unsigned int sequence = (unsigned int)time(NULL);
	struct rtmsg *route;
	ssize_t n;
	int r = MNL_CB_OK;

	header->nlmsg_type = RTM_GETROUTE;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = sequence;
	route = mnl_nlmsg_put_extra_header(header, sizeof(*route));
	route->rtm_family = AF_INET;
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		return -errno;
	while (r == MNL_CB_OK) {
		n = mnl_socket_recvfrom(socket, room, sizeof(room));
		if (n < 0)
			return -errno;
		r = mnl_cb_run(room, (size_t)n, sequence, mnl_socket_get_portid(socket), take_route, list);
	}
	return r < 0 ? -errno : 0;
}

int routes_list(struct net4 **out, size_t *count)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct route_list list = { 0 };
	int r;

	if (!socket)
		return -errno;
	r = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : dump(socket, &list);
	mnl_socket_close(socket);
	if (r < 0) {
		free(list.nets);
		return r;
	}
	*out = list.nets;
	*count = list.count;
	return 0;
}
