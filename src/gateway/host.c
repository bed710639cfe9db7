// SPDX-License-Identifier: MIT
#include "gateway/host.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include "base/attr.h"

#define ANSWER_MS 200  /* the kernel answers before sendto(2) returns; a wait is for what should not be */
#define ANSWER_MAX 32768 /* the kernel cuts dumps to what was last read with, and to this */
#define CANDIDATES 32

struct host {
	const struct lan_plan *plan;
	struct mnl_socket *netlink;
	uint32_t seq;
};

/* What the kernel would do with a packet. */
struct route {
	uint8_t type;           /* RTN_UNICAST, RTN_LOCAL ... */
	addr_t source;          /* which of our addresses it would leave from; any: not told */
};

struct candidates {
	addr_t addrs[CANDIDATES];
	size_t count;
};

int host_new(struct host **out, const struct lan_plan *plan)
{
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->plan = plan;
	h->netlink = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!h->netlink || mnl_socket_bind(h->netlink, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = -errno;

		host_free(h);
		return r;
	}
	*out = h;
	return 0;
}

struct host *host_free(struct host *h)
{
	if (h && h->netlink)
		mnl_socket_close(h->netlink);
	free(h);
	return NULL;
}

static int family_of(addr_t a) { return addr_is4(a) ? AF_INET : AF_INET6; }

/* The bytes of an address as netlink has them. */
static const void *raw_of(const addr_t *a) { return addr_is4(*a) ? a->b + 12 : a->b; }
static size_t raw_size(addr_t a) { return addr_is4(a) ? 4 : 16; }

static addr_t addr_of_attr(const struct nlattr *attr)
{
	addr_t a = ADDR_ANY;
	struct ip4 ip;

	switch (mnl_attr_get_payload_len(attr)) {
	case sizeof(ip):
		memcpy(&ip, mnl_attr_get_payload(attr), sizeof(ip));
		return addr_of4(ip);
	case sizeof(a):
		memcpy(&a, mnl_attr_get_payload(attr), sizeof(a));
	}
	return a;
}

static ssize_t receive(struct host *h, void *into, size_t size)
{
	struct pollfd p = { .fd = mnl_socket_get_fd(h->netlink), .events = POLLIN };
	ssize_t n = mnl_socket_recvfrom(h->netlink, into, size);

	if (n < 0 && errno == EAGAIN && poll(&p, 1, ANSWER_MS) > 0)
		n = mnl_socket_recvfrom(h->netlink, into, size);
	return n < 0 ? -errno : n;
}

/* Ask the kernel; @each gets every message of the answer. Return: 0 or negative errno, the kernel's own among them. */
static int ask(struct host *h, struct nlmsghdr *request, mnl_cb_t each, void *data)
{
	char answer[ANSWER_MAX];
	int r;

	request->nlmsg_seq = ++h->seq;
	if (mnl_socket_sendto(h->netlink, request, request->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t n = receive(h, answer, sizeof(answer));

		if (n < 0)
			return n;
		r = mnl_cb_run(answer, n, h->seq, mnl_socket_get_portid(h->netlink), each, data);
		/* EPROTO: an answer to an earlier question, which was waited for in vain. */
	} while (r > MNL_CB_STOP || (r < 0 && errno == EPROTO));
	return r < 0 ? -errno : 0;
}

static int on_route(const struct nlmsghdr *m, void *data)
{
	const struct rtmsg *body = mnl_nlmsg_get_payload(m);
	struct route *route = data;
	const struct nlattr *attr;

	if (m->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(m) < sizeof(*body))
		return MNL_CB_STOP;
	route->type = body->rtm_type;
	mnl_attr_for_each(attr, m, sizeof(*body))
		if (mnl_attr_get_type(attr) == RTA_PREFSRC)
			route->source = addr_of_attr(attr);
	return MNL_CB_STOP;
}

static int route_to(struct host *h, addr_t dst, struct route *out)
{
	char buffer[256] __attribute__((aligned(4)));
	struct nlmsghdr *m = mnl_nlmsg_put_header(buffer);
	struct rtmsg *body = mnl_nlmsg_put_extra_header(m, sizeof(*body));

	m->nlmsg_type = RTM_GETROUTE;
	m->nlmsg_flags = NLM_F_REQUEST;
	body->rtm_family = family_of(dst);
	body->rtm_dst_len = raw_size(dst) * 8;
	mnl_attr_put(m, RTA_DST, raw_size(dst), raw_of(&dst));
	*out = (struct route){ .type = RTN_UNREACHABLE };
	return ask(h, m, on_route, out);
}

static bool is_local(struct host *h, addr_t a)
{
	struct route r;

	return !route_to(h, a, &r) && r.type == RTN_LOCAL;
}

static int on_address(const struct nlmsghdr *m, void *data)
{
	const struct ifaddrmsg *body = mnl_nlmsg_get_payload(m);
	struct candidates *c = data;
	const struct nlattr *attr;
	addr_t addr = ADDR_ANY, local = ADDR_ANY;

	if (m->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(m) < sizeof(*body))
		return MNL_CB_OK;
	if (body->ifa_scope != RT_SCOPE_UNIVERSE || body->ifa_flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED))
		return MNL_CB_OK;
	mnl_attr_for_each(attr, m, sizeof(*body)) {
		if (mnl_attr_get_type(attr) == IFA_ADDRESS)
			addr = addr_of_attr(attr);
		if (mnl_attr_get_type(attr) == IFA_LOCAL) /* on a point-to-point link, IFA_ADDRESS is the peer's */
			local = addr_of_attr(attr);
	}
	if (!addr_is_any(local))
		addr = local;
	if (!addr_is_any(addr) && c->count < CANDIDATES)
		c->addrs[c->count++] = addr;
	return MNL_CB_OK;
}

/* The first global address that the kernel takes for its own at this moment: one of an interface that is down may be none. */
static bool first_global(struct host *h, int family, addr_t *out)
{
	char buffer[256] __attribute__((aligned(4)));
	struct nlmsghdr *m = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *body = mnl_nlmsg_put_extra_header(m, sizeof(*body));
	struct candidates c = { 0 };

	m->nlmsg_type = RTM_GETADDR;
	m->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	body->ifa_family = family;
	if (ask(h, m, on_address, &c))
		return false;
	for (size_t i = 0; i < c.count; i++) {
		*out = c.addrs[i];
		if (!addr_is_loopback(*out) && !lan_plan_is_local(h->plan, *out) && is_local(h, *out))
			return true;
	}
	return false;
}

/* The host's own address as the world sees it, of the version of @like; any: it has none. */
static addr_t own_address(struct host *h, addr_t like)
{
	/* Addresses for documentation (RFC 5737, RFC 3849): no route but a default one leads there. */
	static const addr_t far4 = {{ [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 }}, far6 = {{ 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }};
	struct route r;
	addr_t own;

	if (!route_to(h, addr_is4(like) ? far4 : far6, &r) && r.type == RTN_UNICAST && !addr_is_any(r.source) &&
	    !addr_is_loopback(r.source) && !addr_is_link_local(r.source) && !lan_plan_is_local(h->plan, r.source))
		return r.source;
	return first_global(h, family_of(like), &own) ? own : ADDR_ANY;
}

static addr_t loopback_of(addr_t like)
{
	return addr_is4(like) ? addr_of4((struct ip4){{ 127, 0, 0, 1 }}) : (addr_t){{ [15] = 1 }};
}

static enum drop target_host(struct host *h, addr_t dst, addr_t *to, addr_t *fallback)
{
	switch (h->plan->host_access) {
	case HOST_ACCESS_NONE:
		return DROP_POLICY;
	case HOST_ACCESS_LAN:
		*to = own_address(h, dst);
		return addr_is_any(*to) ? DROP_NO_ROUTE : DROP_NONE;
	case HOST_ACCESS_FULL:
		*to = loopback_of(dst);
		*fallback = own_address(h, dst);
		return DROP_NONE;
	}
	return DROP_POLICY;
}

/* Never somebody beyond a router: groups, "this network" (RFC 1122 section 3.2.1.3), class E with the broadcast address, links. */
static bool is_martian(const struct lan_plan *plan, addr_t a)
{
	static const addr_t this_network = {{ [10] = 0xff, [11] = 0xff }}, class_e = {{ [10] = 0xff, [11] = 0xff, 240 }};

	return addr_is_unspecified(a) || addr_is_multicast(a) || addr_is_loopback(a) || addr_is_link_local(a) ||
		lan_plan_is_local(plan, a) ||
	       addr_in_prefix(a, this_network, 8) || addr_in_prefix(a, class_e, 4);
}

enum drop host_target(struct host *h, addr_t dst, addr_t *to, addr_t *fallback)
{
	struct route r;

	*to = dst;
	*fallback = ADDR_ANY;
	if (lan_plan_is_dns(h->plan, dst))
		return DROP_POLICY; /* its only service is asked elsewhere */
	if (lan_plan_is_gateway(h->plan, dst))
		return target_host(h, dst, to, fallback);
	if (is_martian(h->plan, dst))
		return DROP_MARTIAN;
	if (route_to(h, dst, &r))
		return DROP_NO_ROUTE;
	switch (r.type) {
	case RTN_UNICAST:
		return DROP_NONE;
	case RTN_LOCAL:
		return h->plan->host_access == HOST_ACCESS_NONE ? DROP_POLICY : DROP_NONE;
	case RTN_BROADCAST:
	case RTN_ANYCAST:
	case RTN_MULTICAST:
		return DROP_MARTIAN;
	}
	return DROP_NO_ROUTE;
}

addr_t host_guest_view(struct host *h, addr_t client, addr_t guest)
{
	addr_t gateway = addr_is4(guest) ? h->plan->gateway4 : addr_is_link_local(guest) ? h->plan->link_local6 : h->plan->gateway6;

	if (addr_is4(client) != addr_is4(guest) || is_martian(h->plan, client) || is_local(h, client))
		return gateway;
	return client;
}

socklen_t host_sockaddr(union sockaddr_any *out, addr_t addr, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (addr_is4(addr)) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, addr.b + 12, sizeof(in->sin_addr));
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, addr.b, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

addr_t host_addr_of(const union sockaddr_any *sa, uint16_t *port)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
	addr_t a = ADDR_ANY;
	struct ip4 ip;

	*port = 0;
	switch (sa->sa.sa_family) {
	case AF_INET:
		memcpy(&ip, &in->sin_addr, sizeof(ip));
		*port = ntohs(in->sin_port);
		return addr_of4(ip);
	case AF_INET6:
		memcpy(a.b, &in6->sin6_addr, sizeof(a.b));
		*port = ntohs(in6->sin6_port);
	}
	return a;
}
