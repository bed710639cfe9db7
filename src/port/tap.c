// SPDX-License-Identifier: MIT
#include "port/tap.h"

#include <errno.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "port/virtio.h"

/* UDP segmentation offload came with Linux 6.2, newer than the headers that we build with. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define FRAME_PARTS 1023 /* UIO_MAXIOV, less the offload header's */

struct tap {
	struct port port;
	struct loop *loop;
	int fd;
	struct watch watch;
};

static void tap_close(struct tap *t, const char *why)
{
	watch_remove(&t->watch);
	port_close(&t->port, why);
}

/* EBADFD: the interface was deleted, or went with its network namespace. */
static bool tap_has_gone(int error)
{
	return error == EBADFD || error == ENODEV;
}

/*
 * Read one frame to @into, which has room for FRAME_MAX + 1 bytes.
 * Return: true with @frame filled in, or with its size 0 if it was dropped; false when there is none.
 */
static bool tap_read(struct tap *t, uint8_t *into, struct iovec *iov, struct frame *frame)
{
	struct virtio_net_hdr_v1 h;
	struct iovec parts[] = { { &h, sizeof(h) }, { into, FRAME_MAX + 1 } };
	ssize_t n = readv(t->fd, parts, ARRAY_SIZE(parts));
	enum drop verdict;

	if (n < 0) {
		if (tap_has_gone(errno))
			tap_close(t, "its interface was deleted");
		else if (errno != EAGAIN && errno != EINTR)
			tap_close(t, "reading from the tap failed");
		return false;
	}
	*frame = (struct frame){ .size = n < (ssize_t)sizeof(h) ? 0 : (uint32_t)(n - (ssize_t)sizeof(h)), .iov = iov, .parts = 1 };
	*iov = (struct iovec){ .iov_base = into, .iov_len = frame->size };
	verdict = frame->size ? virtio_header_parse(&h, frame->size, &frame->offload) : DROP_SHORT;
	if (frame->size > FRAME_MAX)
		verdict = DROP_OVERSIZE;
	if (verdict != DROP_NONE) {
		port_drop(&t->port, verdict, 1);
		frame->size = 0;
	}
	return true;
}

/* One batch a turn. Frames are packed one behind the other, so that short ones touch little memory. */
static void tap_read_batch(struct tap *t, uint8_t *buffer)
{
	struct frame frames[PORT_BATCH];
	struct iovec iov[PORT_BATCH];
	size_t count = 0, used = 0;

	for (int i = 0; i < PORT_BATCH && tap_read(t, buffer + used, &iov[count], &frames[count]); i++) {
		if (!frames[count].size)
			continue;
		used += (frames[count].size + 63) & ~(size_t)63;
		count++;
	}
	port_input(&t->port, frames, count);
}
_Static_assert(PORT_BATCH * ((FRAME_MAX + 1 + 63) & ~63) <= LOOP_BUFFER_SIZE, "a batch of the longest frames fits");

static void tap_ready(struct watch *w, _unused_ uint32_t events)
{
	struct tap *t = container_of(w, struct tap, watch);
	uint8_t *buffer = loop_take_buffer(t->loop);

	if (!buffer)
		return;
	port_rates(&t->port, loop_now(t->loop));
	tap_read_batch(t, buffer);
	loop_give_buffer(t->loop);
}

/* Return: false if the device takes no more now. */
static bool tap_write(struct tap *t, const struct frame *f)
{
	struct virtio_net_hdr_v1 h;
	struct iovec iov[1 + FRAME_PARTS];

	if (f->parts > FRAME_PARTS) {
		port_drop(&t->port, DROP_OVERSIZE, 1);
		return true;
	}
	virtio_header_emit(f, &h);
	iov[0] = (struct iovec){ .iov_base = &h, .iov_len = sizeof(h) };
	memcpy(&iov[1], f->iov, f->parts * sizeof(*f->iov));
	if (writev(t->fd, iov, (int)f->parts + 1) >= 0)
		return true;
	if (errno == EAGAIN || errno == EINTR || errno == ENOMEM || errno == ENOBUFS)
		return false;
	if (tap_has_gone(errno)) {
		tap_close(t, "its interface was deleted");
		return false;
	}
	/* EIO: the interface is not up; otherwise the kernel did not like the frame's headers. */
	port_drop(&t->port, errno == EIO ? DROP_PORT_DOWN : DROP_MALFORMED, 1);
	return true;
}

static size_t tap_send(struct port *p, const struct frame *frames, size_t count)
{
	struct tap *t = container_of(p, struct tap, port);
	size_t taken = 0;

	while (taken < count && tap_write(t, &frames[taken]))
		taken++;
	return taken;
}

static struct port *tap_free(struct port *p)
{
	struct tap *t = container_of(p, struct tap, port);

	watch_remove(&t->watch);
	fd_close(t->fd);
	free(t);
	return NULL;
}

static const struct port_ops tap_ops = {
	.kind = "tap",
	.send = tap_send,
	.free = tap_free, /* no room(): the device hands a frame to its network stack within the write */
};

/* Tell the kernel which offloads we take. Return: enum port_takes, since it takes the same; or negative errno. */
static int tap_set_offloads(int fd)
{
	unsigned int basic = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	int takes = PORT_TAKES_OPEN_CHECKSUM | PORT_TAKES_TCP4_SEGMENTS | PORT_TAKES_TCP6_SEGMENTS;

	if (!ioctl(fd, TUNSETOFFLOAD, basic | TUN_F_USO4 | TUN_F_USO6))
		return takes | PORT_TAKES_UDP_SEGMENTS;
	return ioctl(fd, TUNSETOFFLOAD, basic) < 0 ? -errno : takes;
}

/* Make sure that the descriptor is what tap.h says. Return: as tap_set_offloads(). */
static int tap_set_up(int fd)
{
	struct ifreq ifr = { 0 };
	int header = sizeof(struct virtio_net_hdr_v1);
	int r;

	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return errno == EBADF ? -EBADF : -EINVAL;
	if ((ifr.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) != (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
		return -EINVAL;
	r = fd_set_nonblock(fd);
	if (r < 0)
		return r;
	return ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ? -errno : tap_set_offloads(fd);
}

int tap_port_new(struct port **out, struct loop *loop, const struct port_sink *sink, int fd)
{
	_cleanup_(freep) struct tap *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	r = tap_set_up(fd);
	if (r < 0)
		return r;
	t->port = (struct port){ .ops = &tap_ops, .sink = sink, .mtu = PORT_MTU, .takes = (uint8_t)r };
	t->loop = loop;
	r = watch_add(&t->watch, loop, fd, EPOLLIN, tap_ready);
	if (r < 0)
		return r;
	t->fd = fd;
	port_rates(&t->port, loop_now(loop));
	*out = &steal(&t)->port;
	return 0;
}
