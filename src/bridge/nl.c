// SPDX-License-Identifier: MIT
#include "bridge/nl.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bridge/values.h"

#define ANSWER_SIZE 32768
#define ANSWER_SECONDS 10

/* Answers wait in the socket until the whole batch was taken. The kernel counts so much for one, its own bookkeeping with it. */
#define ANSWERS_ROOM   (1 << 20)
#define ANSWER_COST    1280

struct nl {
	struct mnl_socket *socket;
	uint32_t sequence;       /* of the batch's first message */
	char *batch; size_t room, used, count, most;
	char answer[ANSWER_SIZE];
};

/* Beyond what users may have takes CAP_NET_ADMIN; without it the batches are smaller. Return: bytes. */
static size_t answers_room(int fd)
{
	int bytes = ANSWERS_ROOM;
	socklen_t size = sizeof(bytes);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size) < 0 ? 0 : (size_t)bytes;
}

int nl_new(struct nl **out, int bus)
{
	_cleanup_(nl_freep) struct nl *n = calloc(1, sizeof(*n));
	struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	int on = 1;

	if (!n)
		return -ENOMEM;
	n->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!n->socket || mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* An error's answer need not bring the request back. */
	if (setsockopt(mnl_socket_get_fd(n->socket), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) < 0 ||
	    setsockopt(mnl_socket_get_fd(n->socket), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	n->most = answers_room(mnl_socket_get_fd(n->socket)) / ANSWER_COST;
	n->sequence = (uint32_t)time(NULL);
	*out = steal(&n);
	return 0;
}

struct nl *nl_free(struct nl *n)
{
	if (n->socket)
		mnl_socket_close(n->socket);
	free(n->batch);
	free(n);
	return NULL;
}

int nl_dump(struct nl *n, uint16_t type, const void *header, size_t header_size, mnl_cb_t take, void *owner)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(n->answer);
	uint32_t sequence = ++n->sequence;
	int r = MNL_CB_OK;

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = sequence;
	memcpy(mnl_nlmsg_put_extra_header(h, header_size), header, header_size);
	if (mnl_socket_sendto(n->socket, h, h->nlmsg_len) < 0)
		return -errno;
	while (r == MNL_CB_OK) {
		ssize_t size = mnl_socket_recvfrom(n->socket, n->answer, sizeof(n->answer));

		if (size < 0)
			return -errno;
		r = mnl_cb_run(n->answer, (size_t)size, sequence, mnl_socket_get_portid(n->socket), take, owner);
	}
	return r < 0 ? -errno : 0;
}

struct nlmsghdr *nl_begin(struct nl *n, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h;

	if (n->room - n->used < VALUE_MESSAGE_SIZE) {
		char *bigger = realloc(n->batch, n->room + 4 * VALUE_MESSAGE_SIZE);

		if (!bigger)
			return NULL;
		n->batch = bigger;
		n->room += 4 * VALUE_MESSAGE_SIZE;
	}
	h = mnl_nlmsg_put_header(n->batch + n->used);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	return h;
}

void nl_end(struct nl *n, const struct nlmsghdr *h)
{
	((struct nlmsghdr *)h)->nlmsg_seq = n->sequence + 1 + (uint32_t)n->count++;
	n->used += MNL_ALIGN(h->nlmsg_len);
}

size_t nl_count(const struct nl *n)
{
	return n->count;
}

bool nl_is_full(const struct nl *n)
{
	return n->count && n->count + 2 > n->most;
}

/* Take the answers that came in one piece. Return: how many belong to the batch. */
static size_t take_answers(const struct nl *n, size_t size, int *errors)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)n->answer;
	int left = (int)size;
	size_t taken = 0;

	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		uint32_t which = h->nlmsg_seq - n->sequence - 1;

		if (h->nlmsg_type != NLMSG_ERROR || which >= n->count || mnl_nlmsg_get_payload_len(h) < sizeof(struct nlmsgerr))
			continue;
		errors[which] = ((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
		taken++;
	}
	return taken;
}

int nl_send(struct nl *n, int *errors)
{
	size_t answered = 0;
	int r = 0;

	for (size_t i = 0; i < n->count; i++)
		errors[i] = -EIO;
	if (n->count && mnl_socket_sendto(n->socket, n->batch, n->used) < 0)
		r = -errno;
	while (!r && answered < n->count) {
		ssize_t size = mnl_socket_recvfrom(n->socket, n->answer, sizeof(n->answer));

		if (size < 0 && errno != EINTR)
			r = -errno;
		else if (size > 0)
			answered += take_answers(n, (size_t)size, errors);
	}
	n->sequence += (uint32_t)n->count;
	n->used = n->count = 0;
	return r;
}
