// SPDX-License-Identifier: MIT
#include "port/vhost/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/fd.h"

#define FDS_SIZE (VHOST_MESSAGE_FDS * sizeof(int))

struct vhost_channel {
	int fd;
	size_t have;                /* bytes of @next that have come: of its header first, then of its payload */
	struct vhost_message next;
};

union control { struct cmsghdr header; char room[CMSG_SPACE(FDS_SIZE)]; };

static void message_init(struct vhost_message *m)
{
	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < VHOST_MESSAGE_FDS; i++)
		m->fds[i] = -1;
}

void vhost_message_fini(struct vhost_message *m)
{
	for (size_t i = 0; i < VHOST_MESSAGE_FDS; i++)
		m->fds[i] = fd_close(m->fds[i]);
	m->fd_count = 0;
}

/* --- in --- */

/* Where the next byte goes, and how many may be asked for: never more than belongs to this message, nor past its header at once. */
static struct iovec channel_gap(struct vhost_channel *c)
{
	size_t header = sizeof(c->next.head);

	if (c->have < header)
		return (struct iovec){ (uint8_t *)&c->next.head + c->have, header - c->have };
	return (struct iovec){ c->next.payload.bytes + (c->have - header), header + c->next.head.size - c->have };
}

/* The kernel has made them ours, wanted or not. Return: false if there are more than one message may have. */
static bool channel_keep_fds(struct vhost_channel *c, struct msghdr *m)
{
	bool fit = true;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= h->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, (char *)h + at, sizeof(fd));
			if (c->next.fd_count < VHOST_MESSAGE_FDS) {
				c->next.fds[c->next.fd_count++] = fd;
			} else {
				fd_close(fd);
				fit = false;
			}
		}
	}
	return fit;
}

/* Read once. Return: 1 if something came, 0 if there is nothing, or negative errno. */
static int channel_read(struct vhost_channel *c)
{
	struct iovec gap = channel_gap(c);
	union control control;
	struct msghdr m = { .msg_iov = &gap, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	size_t fds = c->next.fd_count;
	ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	bool fit;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	fit = channel_keep_fds(c, &m);
	if (!n)
		return -ECONNRESET;
	/* The kernel leaves out what it has no room for: in the table of this process, too. */
	if (m.msg_flags & MSG_CTRUNC && fit && c->next.fd_count < VHOST_MESSAGE_FDS)
		return -EMFILE;
	if (m.msg_flags & MSG_CTRUNC || !fit)
		return -EPROTO;
	if (c->have >= sizeof(c->next.head) && c->next.fd_count > fds)
		return -EPROTO;
	c->have += (size_t)n;
	return 1;
}

static bool head_is_valid(const struct vhost_header *h)
{
	return (h->flags & VHOST_FLAG_VERSION_MASK) == VHOST_FLAG_VERSION && !(h->flags & VHOST_FLAG_REPLY) && h->size <= VHOST_PAYLOAD_MAX;
}

int vhost_channel_receive(struct vhost_channel *c, struct vhost_message *out)
{
	const struct vhost_header *head = &c->next.head;

	while (c->have < sizeof(*head) || c->have < sizeof(*head) + head->size) {
		int r = channel_read(c);

		if (r <= 0)
			return r;
		if (c->have == sizeof(*head) && !head_is_valid(head))
			return -EPROTO;
	}
	*out = c->next;
	c->have = 0;
	message_init(&c->next);
	return 1;
}

/* --- out --- */

int vhost_channel_reply(struct vhost_channel *c, const struct vhost_header *head, const void *data, size_t size, int fd)
{
	struct vhost_header answer = { head->request, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, (uint32_t)size };
	struct iovec parts[] = { { &answer, sizeof(answer) }, { (void *)data, size } };
	union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control = { .header = {
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };
	ssize_t n;

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	n = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	/* So few bytes go into the socket as one piece, or not at all; what was cut could not be mended. */
	return (size_t)n == sizeof(answer) + size ? 0 : -EAGAIN;
}

/* --- the channel --- */

int vhost_channel_new(struct vhost_channel **out, int fd)
{
	struct vhost_channel *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->fd = fd;
	c->have = 0;
	message_init(&c->next);
	*out = c;
	return 0;
}

struct vhost_channel *vhost_channel_free(struct vhost_channel *c)
{
	if (!c)
		return NULL;
	vhost_message_fini(&c->next);
	fd_close(c->fd);
	free(c);
	return NULL;
}
