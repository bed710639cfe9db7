// SPDX-License-Identifier: MIT
#include "bridge/nflog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>
#include <sys/socket.h>

#define MESSAGES_A_TURN 64
#define RECEIVE_SIZE    65536
#define SNAP            640     /* bytes of a frame that are wanted: a DHCP message with its options */
#define ETHERNET_SIZE   14

/* --- what comes --- */

static unsigned int index_of(const struct nlattr *a)
{
	uint32_t index = 0;

	if (mnl_attr_get_payload_len(a) == sizeof(index))
		memcpy(&index, mnl_attr_get_payload(a), sizeof(index));
	return ntohl(index);
}

static int got_packet(const struct nlmsghdr *h, void *data)
{
	unsigned int in = 0, out = 0;
	struct iovec iov[2] = { { 0 } };
	struct nflog *n = data;
	const struct nlattr *a;

	if (h->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
		return MNL_CB_OK;
	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg)) {
		switch (mnl_attr_get_type(a)) {
		/* The port itself, where there is one ("physical"), else the link. */
		case NFULA_IFINDEX_INDEV:
			in = in ? in : index_of(a);
			break;
		case NFULA_IFINDEX_PHYSINDEV:
			in = index_of(a);
			break;
		case NFULA_IFINDEX_OUTDEV:
			out = out ? out : index_of(a);
			break;
		case NFULA_IFINDEX_PHYSOUTDEV:
			out = index_of(a);
			break;
		case NFULA_HWHEADER:
			iov[0] = (struct iovec){ mnl_attr_get_payload(a), mnl_attr_get_payload_len(a) };
			break;
		case NFULA_PAYLOAD:
			iov[1] = (struct iovec){ mnl_attr_get_payload(a), mnl_attr_get_payload_len(a) };
			break;
		}
	}
	if (iov[0].iov_len == ETHERNET_SIZE && iov[1].iov_len)
		n->told(n->owner, in, out, iov);
	return MNL_CB_OK;
}

static void nflog_ready(struct watch *w, _unused_ uint32_t events)
{
	struct nflog *n = container_of(w, struct nflog, watch);
	char buffer[RECEIVE_SIZE];

	for (int i = 0; i < MESSAGES_A_TURN && n->socket; i++) {
		ssize_t size = recv(w->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (size < 0 && errno == ENOBUFS)
			continue; /* some were lost, as frames are */
		if (size < 0)
			return;
		mnl_cb_run(buffer, (size_t)size, 0, 0, got_packet, n);
	}
}

/* --- set up --- */

static int configure(struct mnl_socket *s, uint16_t group, uint16_t attribute, const void *data, size_t size)
{
	char buffer[1024] = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	ssize_t n;

	h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = attribute;
	*g = (struct nfgenmsg){ .nfgen_family = NFPROTO_BRIDGE, .version = NFNETLINK_V0, .res_id = htons(group) };
	mnl_attr_put(h, attribute, size, data);
	if (mnl_socket_sendto(s, h, h->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(s, buffer, sizeof(buffer));
	if (n < 0)
		return -errno;
	return mnl_cb_run(buffer, (size_t)n, attribute, mnl_socket_get_portid(s), NULL, NULL) < 0 ? -errno : 0;
}

static int listen_to(struct mnl_socket *s, uint16_t group)
{
	struct nfulnl_msg_config_cmd bind = { .command = NFULNL_CFG_CMD_BIND };
	struct nfulnl_msg_config_mode mode = { .copy_range = htonl(SNAP), .copy_mode = NFULNL_COPY_PACKET };
	uint32_t at_once = htonl(1), no_wait = htonl(0);
	int r = configure(s, group, NFULA_CFG_CMD, &bind, sizeof(bind));

	if (!r)
		r = configure(s, group, NFULA_CFG_MODE, &mode, sizeof(mode));
	if (!r)
		r = configure(s, group, NFULA_CFG_QTHRESH, &at_once, sizeof(at_once));
	return r ? r : configure(s, group, NFULA_CFG_TIMEOUT, &no_wait, sizeof(no_wait));
}

int nflog_init(struct nflog *n, struct loop *loop, uint16_t group)
{
	int r;

	n->watch.fd = -1;
	n->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!n->socket)
		return -errno;
	r = mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : listen_to(n->socket, group);
	if (!r)
		r = watch_add(&n->watch, loop, mnl_socket_get_fd(n->socket), EPOLLIN, nflog_ready);
	if (r < 0)
		nflog_fini(n);
	return r;
}

void nflog_fini(struct nflog *n)
{
	if (!n->socket)
		return;
	watch_remove(&n->watch);
	mnl_socket_close(n->socket);
	n->socket = NULL;
}
