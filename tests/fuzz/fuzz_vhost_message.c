// SPDX-License-Identifier: MIT
/*
 * A vhost-user device whose front end is hostile: right messages changed at some bytes, bytes at random, descriptors of all kinds, memory
 * that is written to and cut short meanwhile, and a data path that uses the rings as far as they run. Whatever it was: nothing crashes,
 * and when the device is freed no descriptor is open and nothing mapped that was not before.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include "base/fd.h"
#include "port/vhost/device.h"

#define BIT(n)   (UINT64_C(1) << (n))
#define OFFERED  (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
		  BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER) | BIT(VHOST_F_LOG_ALL) | BIT(VHOST_F_PROTOCOL_FEATURES))
#define MEMORY   0x10000
#define GUEST    UINT64_C(0x10000)
#define USER     UINT64_C(0x7f0000000000)
#define PROTOCOL 0x1b23f
#define FDS_SEEN 256

struct play {
	struct loop *loop;
	struct vhost_device *device;
	int fd;                        /* the front end's end */
	int memory, inflight;
	int event, pipes[2];
	int kicks[VHOST_QUEUES];
	bool closed;
	struct cursor c;               /* what is played */
};

/* --- what the device tells --- */

static void heard_queue(void *owner, struct vhost_queue *q)
{
	struct play *p = owner;

	MUST(q == vhost_device_queue(p->device, q->index));
	MUST(!p->closed && (!q->ring.started || q->kick >= 0 || q->polled));
}

static void heard_kick(void *owner, struct vhost_queue *q)
{
	struct play *p = owner;
	int *last = &p->kicks[q->index];

	MUST((q->kick < 0) == (*last >= 0));
	MUST(fcntl(q->kick < 0 ? *last : q->kick, F_GETFL) >= 0);
	*last = q->kick;
}

static void heard_features(_unused_ void *owner, uint64_t features)
{
	MUST(!(features & ~OFFERED));
}

static void heard_announce(_unused_ void *owner, const uint8_t *mac)
{
	MUST(!(mac[0] & 1));
}

static void heard_close(void *owner, _unused_ const char *why)
{
	struct play *p = owner;

	MUST(!p->closed);
	p->closed = true;
	for (unsigned int i = 0; i < VHOST_QUEUES; i++)
		MUST(!vhost_device_queue(p->device, i)->ring.started && p->kicks[i] < 0);
}

/* --- what the front end says --- */

static void play_send(struct play *p, const void *data, size_t size, const int *fds, size_t count)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(16 * sizeof(int))]; } control = { .header = {
		.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (void *)data, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	if (size && sendmsg(p->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		MUST(errno == EPIPE || errno == EAGAIN);
	MUST(loop_turn(p->loop, 0) == 0);
}

/* Throw replies away, but for the area of chains in flight, which goes back with SET_INFLIGHT_FD. */
static void play_listen(struct play *p)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control;
	uint8_t bytes[512];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	while (recvmsg(p->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) > 0) {
		if (m.msg_controllen) {
			fd_close(p->inflight);
			memcpy(&p->inflight, CMSG_DATA(&control.header), sizeof(int));
		}
		m.msg_controllen = sizeof(control);
	}
}

struct speech {
	struct vhost_header head;
	struct vhost_payload payload;
} __attribute__((packed));

static struct vhost_payload address_of(uint32_t queue)
{
	uint64_t ring = USER + queue % 4 * 0x3000;

	return (struct vhost_payload){ .address = { queue, queue & 1, ring, ring + 0x2000, ring + 0x1000, GUEST + 0x2000 } };
}

/* What an honest front end would say. Return: bytes of payload; @fd: the descriptor that goes with it, as often as @count says. */
static uint32_t honest(const struct play *p, uint32_t request, uint32_t queue, struct vhost_payload *out, int *fd, size_t *count)
{
	*count = 0;
	*fd = p->memory;
	*out = (struct vhost_payload){ .u64 = 0 };
	switch (request) {
	case VHOST_SET_FEATURES: out->u64 = BIT(VIRTIO_F_VERSION_1) | BIT(VHOST_F_PROTOCOL_FEATURES) | BIT(VHOST_F_LOG_ALL); return 8;
	case VHOST_SET_PROTOCOL_FEATURES: out->u64 = PROTOCOL; return 8;
	case VHOST_SET_MEM_TABLE:
		out->memory.count = (uint32_t)(*count = 2);
		out->memory.region[0] = (struct vhost_region_message){ GUEST, MEMORY / 2, USER, 0 };
		out->memory.region[1] = (struct vhost_region_message){ GUEST + MEMORY / 2, MEMORY / 2, USER + MEMORY / 2, MEMORY / 2 };
		return 8 + 2 * 32;
	case VHOST_ADD_MEM_REG:
		*count = 1;
		/* fall through */
	case VHOST_REM_MEM_REG: out->slot.region = (struct vhost_region_message){ queue * 0x100000, MEMORY, USER, 0 }; return 40;
	case VHOST_SET_LOG_BASE: *count = 1; out->log.size = 0x1000; return 16;
	case VHOST_SET_VRING_NUM: out->state.index = queue, out->state.value = 64; return 8;
	case VHOST_SET_VRING_BASE:
	case VHOST_GET_VRING_BASE: out->state.index = queue; return 8;
	case VHOST_SET_VRING_ENABLE: out->state.index = queue, out->state.value = 1; return 8;
	case VHOST_SET_VRING_ADDR: *out = address_of(queue); return 40;
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
	case VHOST_SET_VRING_ERR:
		*count = 1, *fd = queue & 1 ? p->pipes[request != VHOST_SET_VRING_KICK] : p->event;
		out->u64 = queue;
		return 8;
	case VHOST_SET_LOG_FD: *count = 1, *fd = p->event; return 0;
	case VHOST_SET_BACKEND_REQ_FD: *count = 1, *fd = p->fd; return 0;
	case VHOST_NET_SET_MTU: out->u64 = 1500; return 8;
	case VHOST_SEND_RARP: out->u64 = 0x020000000052; return 8;
	case VHOST_SET_STATUS: out->u64 = queue; return 8;
	case VHOST_GET_CONFIG:
	case VHOST_SET_CONFIG: out->config.size = queue, out->config.flags = queue & 1; return 12 + queue;
	case VHOST_SET_INFLIGHT_FD:
		*count = 1, *fd = p->inflight >= 0 ? p->inflight : p->memory;
		out->inflight.mmap_size = 2 * inflight_size(64, false);
		/* fall through */
	case VHOST_GET_INFLIGHT_FD: out->inflight.queue_count = 2, out->inflight.queue_size = 64; return 20;
	}
	return 0;
}

/* One message: request, how its header is, by how many bytes its size is wrong, and bytes of the payload that are other than they should. */
static void play_message(struct play *p, uint32_t queue)
{
	struct speech s = { .head.request = cursor_u8(&p->c) };
	uint8_t how = cursor_u8(&p->c);
	int8_t wrong = (int8_t)cursor_u8(&p->c);
	struct vhost_payload payload;
	size_t count, size;
	int fds[16], fd;

	s.head.size = honest(p, s.head.request, queue, &payload, &fd, &count) + (how & 0x10 ? (uint32_t)wrong : 0);
	s.head.flags = VHOST_FLAG_VERSION | (how & 1 ? VHOST_FLAG_NEED_REPLY : 0);
	if (how & 0x20)
		s.head.flags = cursor_u8(&p->c);
	if (how & 0x40)
		count = (count + cursor_u8(&p->c)) % ARRAY_SIZE(fds);
	for (size_t i = 0; i < count; i++)
		fds[i] = fd;
	if (how & 0x80 && count)
		fds[0] = p->event;
	for (int i = 0; i < (how >> 1 & 7); i++) {
		size_t at = cursor_u8(&p->c);

		payload.bytes[at % 64] = cursor_u8(&p->c);
	}
	s.payload = payload;
	size = MIN((size_t)s.head.size, sizeof(s.payload));
	play_send(p, &s, sizeof(s.head) + size, fds, count);
}

static void play_raw(struct play *p, size_t count)
{
	int fds[] = { p->memory, p->event, p->pipes[0], p->pipes[1], p->fd, p->memory, p->event, p->memory, p->memory, p->event, p->memory };
	uint8_t bytes[256];
	size_t size = cursor_u8(&p->c);

	size = MIN(size, cursor_left(&p->c));
	cursor_copy(&p->c, bytes, size);
	play_send(p, bytes, size, fds, MIN(count, ARRAY_SIZE(fds)));
}

/* --- what the data path does with it --- */

static void play_rings(struct play *p, bool close)
{
	for (unsigned int i = 0; i < VHOST_QUEUES && !p->closed; i++) {
		struct virtqueue *r = &vhost_device_queue(p->device, i)->ring;
		struct virtqueue_chain chain;
		struct iovec iov[64];

		for (int n = 0; n < 4 && r->started && virtqueue_take(r, !(i % 2), iov, ARRAY_SIZE(iov), &chain) > 0; n++) {
			if (!(i % 2) && chain.parts)
				vhost_log_mark_host(r->log, r->memory, iov->iov_base, iov->iov_len);
			virtqueue_use(r, &chain, 0);
		}
		if (r->started && i % 4 < 2 && virtqueue_publish(r))
			vhost_queue_call(vhost_device_queue(p->device, i));
		if (r->started && r->broken && close)
			vhost_device_close(p->device, "broken");
	}
}

static void play_memory(struct play *p, bool cut)
{
	static const off_t sizes[] = { 0, 4096, MEMORY / 2, MEMORY };
	uint16_t at = cursor_u16(&p->c);
	uint8_t bytes[16];

	cursor_copy(&p->c, bytes, sizeof(bytes));
	if (cut)
		MUST(ftruncate(p->memory, sizes[at % ARRAY_SIZE(sizes)]) == 0);
	else if (!cursor_failed(&p->c))
		MUST(pwrite(p->memory, bytes, sizeof(bytes), at & ~15) == sizeof(bytes));
}

/* --- all of it --- */

static size_t fds_open(void)
{
	size_t count = 0;

	for (int fd = 0; fd < FDS_SEEN; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static size_t maps_open(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	size_t count = 0;

	MUST(f);
	while (fgets(line, sizeof(line), f))
		count += !!strstr(line, "/memfd:");
	fclose(f);
	return count;
}

static void play_new(struct play *p, const struct vhost_device_sink *sink)
{
	const struct vhost_device_params params = { .features = OFFERED, .mtu = 1500 };
	int fds[2];

	MUST(loop_new(&p->loop) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	MUST(vhost_device_new(&p->device, p->loop, &params, sink, fds[0]) == 0);
	p->fd = fds[1];
	p->inflight = -1;
	p->memory = memfd_create("fuzz", MFD_CLOEXEC);
	p->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(p->memory >= 0 && p->event >= 0 && pipe2(p->pipes, O_CLOEXEC | O_NONBLOCK) == 0 && ftruncate(p->memory, MEMORY) == 0);
	for (unsigned int i = 0; i < VHOST_QUEUES; i++)
		p->kicks[i] = -1;
}

static void play_free(struct play *p)
{
	vhost_device_free(p->device);
	fd_close(p->fd);
	fd_close(p->memory);
	fd_close(p->inflight);
	fd_close(p->event);
	fd_close(p->pipes[0]);
	fd_close(p->pipes[1]);
	loop_free(p->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned int runs;
	struct play p = { .closed = false };
	const struct vhost_device_sink sink = { heard_queue, heard_kick, heard_features, heard_announce, heard_close, &p };
	size_t fds = fds_open();
	struct iovec iov;

	signal(SIGPIPE, SIG_IGN);
	p.c = cursor_of(&iov, data, MIN(size, (size_t)4096));
	play_new(&p, &sink);
	while (cursor_left(&p.c) && !p.closed) {
		uint8_t what = cursor_u8(&p.c);

		switch (what & 3) {
		case 0: play_message(&p, what >> 2); break;
		case 1: play_raw(&p, what >> 2); break;
		case 2: play_rings(&p, what & 4); break;
		case 3: play_memory(&p, what >> 2 == 63); break;
		}
		play_listen(&p);
	}
	play_free(&p);
	MUST(fds_open() == fds);
	if (runs++ % 64 == 0)
		MUST(maps_open() == 0);
	return 0;
}
