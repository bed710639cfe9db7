// SPDX-License-Identifier: MIT
/* A vhost-user front end that is played message by message against a device under test, and a sink that keeps what the device tells. */
#pragma once
#include "unit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "base/fd.h"
#include "port/vhost/device.h"

#define BIT(n)        (UINT64_C(1) << (n))
#define OFFERED       (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_RING_F_EVENT_IDX) | \
		       BIT(VIRTIO_F_RING_PACKED) | BIT(VHOST_F_LOG_ALL) | BIT(VHOST_F_PROTOCOL_FEATURES))
#define FEATURES      (BIT(VIRTIO_F_VERSION_1) | BIT(VHOST_F_PROTOCOL_FEATURES))
#define GUEST         UINT64_C(0x100000)
#define USER          UINT64_C(0x7f1234000000)
#define MEMORY        0x40000
#define NEVER         UINT64_MAX /* front_ack(): no reply came */

struct front {
	struct loop *loop;
	struct vhost_device *device;
	struct vhost_device_sink sink;
	int fd;                        /* the front end's end */
	bool acks;                     /* ask for a reply with each message */
	int memory;                    /* memfd of MEMORY bytes */
	uint8_t *bytes;                /* of it */

	int changes[VHOST_QUEUES], kicks[VHOST_QUEUES], stops[VHOST_QUEUES];
	bool running[VHOST_QUEUES];
	int kick_seen[VHOST_QUEUES];
	uint64_t features;
	int features_told, announced, closed;
	uint8_t mac[6];
	const char *why;
	bool close_on_change;

	size_t fds_before, maps_before;
};

/* --- leaks --- */

_unused_ static size_t open_fds(void)
{
	size_t count = 0;
	DIR *d = opendir("/proc/self/fd");

	assert_non_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

/* Mappings of memfds: of the front end's memory, its log, our areas for chains in flight. */
_unused_ static size_t open_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	size_t count = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		count += !!strstr(line, "memfd:");
	fclose(f);
	return count;
}

/* --- the sink --- */

static void front_queue_changed(void *owner, struct vhost_queue *q)
{
	struct front *f = owner;

	f->changes[q->index]++;
	f->stops[q->index] += f->running[q->index] && !q->ring.started;
	f->running[q->index] = q->ring.started;
	if (f->close_on_change)
		vhost_device_close(f->device, "the data path closed it");
}

static void front_kick_changed(void *owner, struct vhost_queue *q)
{
	struct front *f = owner;
	int *seen = &f->kick_seen[q->index];

	f->kicks[q->index]++;
	/* The one before is told of as gone first, and is open until then. */
	assert_true((q->kick < 0) == (*seen >= 0));
	assert_true(fcntl(q->kick < 0 ? *seen : q->kick, F_GETFD) >= 0);
	*seen = q->kick;
}

static void front_features_changed(void *owner, uint64_t features)
{
	struct front *f = owner;

	f->features = features;
	f->features_told++;
}

static void front_announce(void *owner, const uint8_t *mac)
{
	struct front *f = owner;

	memcpy(f->mac, mac, 6);
	f->announced++;
}

static void front_closed(void *owner, const char *why)
{
	struct front *f = owner;

	f->closed++;
	f->why = why;
	for (unsigned int i = 0; i < VHOST_QUEUES; i++) {
		assert_false(vhost_device_queue(f->device, i)->ring.started);
		assert_int_equal(f->kick_seen[i], -1);
	}
}

/* --- life --- */

static struct front *front_new(const struct vhost_device_params *params)
{
	struct front *f = calloc(1, sizeof(*f));
	int fds[2];

	assert_non_null(f);
	signal(SIGPIPE, SIG_IGN);
	f->fds_before = open_fds();
	f->maps_before = open_maps();
	f->sink = (struct vhost_device_sink){ front_queue_changed, front_kick_changed, front_features_changed, front_announce, front_closed, f };
	for (unsigned int i = 0; i < VHOST_QUEUES; i++)
		f->kick_seen[i] = -1;
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(vhost_device_new(&f->device, f->loop, params, &f->sink, fds[0]), 0);
	f->fd = fds[1];
	f->memory = memfd_create("front", MFD_CLOEXEC);
	assert_int_equal(ftruncate(f->memory, MEMORY), 0);
	f->bytes = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, f->memory, 0);
	assert_ptr_not_equal(f->bytes, MAP_FAILED);
	return f;
}

/* Nothing may be left open or mapped. */
static void front_free(struct front *f)
{
	vhost_device_free(f->device);
	munmap(f->bytes, MEMORY);
	fd_close(f->memory);
	fd_close(f->fd);
	loop_free(f->loop);
	assert_int_equal(open_fds(), f->fds_before);
	assert_int_equal(open_maps(), f->maps_before);
	free(f);
}

/* --- messages --- */

static void front_turn(struct front *f)
{
	assert_int_equal(loop_turn(f->loop, 0), 0);
}

static void front_raw(struct front *f, const void *data, size_t size, const int *fds, size_t count)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(32 * sizeof(int))]; } control = { .header = {
		.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (void *)data, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	/* A device that has closed its end takes no more. */
	if (sendmsg(f->fd, &m, MSG_NOSIGNAL) != (ssize_t)size)
		assert_int_equal(errno, EPIPE);
}

/* Send a message and let the device have its turn. The descriptors stay the caller's. */
static void front_send(struct front *f, uint32_t request, uint32_t flags, const void *payload, size_t size, const int *fds, size_t count)
{
	struct { struct vhost_header head; uint8_t bytes[512]; } m = { .head = { request, flags | VHOST_FLAG_VERSION, (uint32_t)size } };

	if (size)
		memcpy(m.bytes, payload, size);
	front_raw(f, &m, sizeof(m.head) + size, fds, count);
	front_turn(f);
}

/* The next reply, which must be to @request. Return: bytes of its payload; -1: there is none. @fd: NULL, or where its descriptor goes. */
static ssize_t front_reply(struct front *f, uint32_t request, void *payload, size_t room, int *fd)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control;
	struct vhost_header head;
	struct iovec iov = { &head, sizeof(head) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	if (recvmsg(f->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof(head))
		return -1;
	assert_int_equal(head.request, request);
	assert_int_equal(head.flags, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
	assert_in_range(head.size, 0, room);
	if (head.size)
		assert_int_equal(recv(f->fd, payload, head.size, MSG_DONTWAIT), head.size);
	if (fd)
		*fd = -1;
	if (m.msg_controllen) {
		assert_non_null(fd);
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(*fd));
	}
	return (ssize_t)head.size;
}

static void assert_silent(struct front *f)
{
	uint8_t byte;

	assert_true(recv(f->fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

/* Send, with NEED_REPLY if front.acks. Return: what the acknowledgement says, or NEVER; there must be no second one. */
static uint64_t front_ack(struct front *f, uint32_t request, const void *payload, size_t size, const int *fds, size_t count)
{
	uint64_t value = NEVER;

	front_send(f, request, f->acks ? VHOST_FLAG_NEED_REPLY : 0, payload, size, fds, count);
	if (front_reply(f, request, &value, sizeof(value), NULL) < 0)
		return NEVER;
	if (!f->closed)
		assert_silent(f);
	return value;
}

_unused_ static uint64_t front_u64(struct front *f, uint32_t request, uint64_t value)
{
	return front_ack(f, request, &value, sizeof(value), NULL, 0);
}

_unused_ static uint64_t front_state(struct front *f, uint32_t request, uint32_t index, uint32_t value)
{
	return front_ack(f, request, (uint32_t[]){ index, value }, 8, NULL, 0);
}

_unused_ static uint64_t front_ask(struct front *f, uint32_t request)
{
	return front_ack(f, request, NULL, 0, NULL, 0);
}

_unused_ static uint64_t front_fd(struct front *f, uint32_t request, uint64_t index, int fd)
{
	return front_ack(f, request, &index, sizeof(index), &fd, fd >= 0);
}

/* --- usual things to say --- */

/* All features of @features, REPLY_ACK and the rest; every later message asks for a reply. */
_unused_ static void front_negotiate(struct front *f, uint64_t features)
{
	uint64_t protocol;

	front_u64(f, VHOST_SET_FEATURES, features);
	protocol = front_ask(f, VHOST_GET_PROTOCOL_FEATURES);
	front_u64(f, VHOST_SET_PROTOCOL_FEATURES, protocol);
	f->acks = true;
}

_unused_ static uint64_t front_table(struct front *f, const struct vhost_region_message *regions, uint32_t count, const int *fds)
{
	struct vhost_payload p = { .memory.count = count };

	if (count)
		memcpy(p.memory.region, regions, count * sizeof(*regions));
	return front_ack(f, VHOST_SET_MEM_TABLE, &p, 8 + count * sizeof(*regions), fds, count);
}

/* All of front.memory in one region. */
_unused_ static uint64_t front_share(struct front *f)
{
	return front_table(f, &(struct vhost_region_message){ GUEST, MEMORY, USER, 0 }, 1, &f->memory);
}

/* A split ring: descriptors at @user, available 0x1000 behind, used 0x2000 behind. */
_unused_ static uint64_t front_address(struct front *f, uint32_t index, uint64_t user)
{
	struct vhost_payload p = { .address = { index, 0, user, user + 0x2000, user + 0x1000, 0 } };

	return front_ack(f, VHOST_SET_VRING_ADDR, &p, sizeof(p.address), NULL, 0);
}

/* Everything but the kick. */
_unused_ static void front_ring(struct front *f, uint32_t index, uint32_t size, uint64_t user)
{
	assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, index, size), f->acks ? 0 : NEVER);
	assert_int_equal(front_state(f, VHOST_SET_VRING_BASE, index, 0), f->acks ? 0 : NEVER);
	assert_int_equal(front_address(f, index, user), f->acks ? 0 : NEVER);
}

_unused_ static uint64_t front_kick(struct front *f, uint32_t index)
{
	_cleanup_fd_ int fd = eventfd(0, EFD_CLOEXEC);

	return front_fd(f, VHOST_SET_VRING_KICK, index, fd);
}

_unused_ static struct vhost_queue *front_queue(struct front *f, unsigned int index)
{
	return vhost_device_queue(f->device, index);
}

/* GET_VRING_BASE: the queue stops. Return: its base. */
_unused_ static uint32_t front_stop(struct front *f, uint32_t index)
{
	uint32_t state[2];

	front_send(f, VHOST_GET_VRING_BASE, 0, (uint32_t[]){ index, 0 }, 8, NULL, 0);
	assert_int_equal(front_reply(f, VHOST_GET_VRING_BASE, state, sizeof(state), NULL), 8);
	assert_int_equal(state[0], index);
	return state[1];
}
