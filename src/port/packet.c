// SPDX-License-Identifier: MIT
#include "port/packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "port/virtio.h"
#include "wire/eth.h"

#define FRAMES_A_TURN 64
#define FRAME_PARTS   1023        /* UIO_MAXIOV, less the offload header's */
#define LOOPBACK      1           /* the index of lo in every network namespace */
#define PARKED        0x88b5      /* an EtherType for experiments (IEEE 802), which nobody sends on loopback */

struct packet {
	struct port port;
	struct loop *loop;
	struct watch watch;
	int fd;
};

/* --- the socket --- */

int packet_socket(void)
{
	_cleanup_fd_ int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0)
		return -errno;
	/* Kernels before 4.20 have no such option; the filters pass only what guests send, so it is for speed alone. */
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 && errno != ENOPROTOOPT)
		return -errno;
	return fd_steal(&fd);
}

static void drain(int fd)
{
	char byte;

	while (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) >= 0 || errno == ENETDOWN || errno == EINTR)
		;
}

int packet_socket_bind(int fd, unsigned int link, uint16_t ethertype)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ethertype), .sll_ifindex = (int)link };

	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}

void packet_socket_park(int fd)
{
	packet_socket_bind(fd, LOOPBACK, PARKED);
	setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int));
	drain(fd);
}

/*
 * What passes: UDP to 53, 67 and 547 and TCP to 53 (first fragments and whole packets; a fragment of these has no use), router
 * solicitations.
 * Offsets are from the Ethernet header; IPv6 extension headers do not occur in what clients of these services send.
 */
static const struct sock_filter wanted[] = {
	/* 0*/ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
	/* 1*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x86dd, 10, 0),
	/* 2*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0800, 0, 19),
	/* 3*/ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20),
	/* 4*/ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 17, 0),
	/* 5*/ BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14),
	/* 6*/ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
	/* 7*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 1, 0),
	/* 8*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 0, 13),
	/* 9*/ BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),
	/*10*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 53, 10, 0),
	/*11*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 67, 9, 10),
	/*12*/ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),
	/*13*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 4, 0),
	/*14*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 3, 0),
	/*15*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 58, 0, 6),
	/*16*/ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 54),
	/*17*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 133, 3, 4),
	/*18*/ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 56),
	/*19*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 53, 1, 0),
	/*20*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 547, 0, 1),
	/*21*/ BPF_STMT(BPF_RET | BPF_K, 0x40000),
	/*22*/ BPF_STMT(BPF_RET | BPF_K, 0),
};

static int attach_filter(int fd)
{
	struct sock_fprog program = { .len = ARRAY_SIZE(wanted), .filter = (struct sock_filter *)wanted };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno : 0;
}

/* --- the port --- */

/* Return: false when there is nothing more. */
static bool packet_read(struct packet *p, uint8_t *into)
{
	struct virtio_net_hdr_v1 h = { 0 };
	struct iovec parts[] = { { &h, sizeof(struct virtio_net_hdr) }, { into, FRAME_MAX + 1 } }, iov;
	ssize_t n = readv(p->fd, parts, ARRAY_SIZE(parts));
	struct frame frame;
	enum drop verdict;

	if (n < 0)
		return errno == EINTR || errno == ENETDOWN; /* the bridge may be down for a moment, and the socket stays good */
	n -= (ssize_t)sizeof(struct virtio_net_hdr);
	frame = (struct frame){ .size = n < 0 ? 0 : (uint32_t)n, .iov = &iov, .parts = 1 };
	iov = (struct iovec){ into, frame.size };
	verdict = frame.size > FRAME_MAX ? DROP_OVERSIZE : frame.size ? virtio_header_parse(&h, frame.size, &frame.offload) : DROP_SHORT;
	if (verdict == DROP_NONE)
		port_input(&p->port, &frame, 1);
	else
		port_drop(&p->port, verdict, 1);
	return true;
}

static void packet_ready(struct watch *w, _unused_ uint32_t events)
{
	struct packet *p = container_of(w, struct packet, watch);
	uint8_t *buffer = loop_take_buffer(p->loop);

	if (!buffer)
		return;
	port_rates(&p->port, loop_now(p->loop));
	for (int i = 0; i < FRAMES_A_TURN && packet_read(p, buffer); i++)
		;
	loop_give_buffer(p->loop);
}

static bool packet_write(struct packet *p, const struct frame *f)
{
	struct virtio_net_hdr_v1 h;
	struct iovec iov[1 + FRAME_PARTS];

	if (f->parts > FRAME_PARTS) {
		port_drop(&p->port, DROP_OVERSIZE, 1);
		return true;
	}
	virtio_header_emit(f, &h);
	/* A packet socket knows no "data valid". */
	h.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	iov[0] = (struct iovec){ &h, sizeof(struct virtio_net_hdr) };
	memcpy(iov + 1, f->iov, f->parts * sizeof(*iov));
	if (writev(p->fd, iov, (int)f->parts + 1) >= 0)
		return true;
	if (errno == EAGAIN || errno == ENOBUFS)
		return false;
	port_drop(&p->port, errno == ENETDOWN || errno == ENXIO ? DROP_PORT_DOWN : DROP_MALFORMED, 1);
	return true;
}

static size_t packet_send(struct port *port, const struct frame *frames, size_t count)
{
	struct packet *p = container_of(port, struct packet, port);
	size_t taken = 0;

	while (taken < count && packet_write(p, &frames[taken]))
		taken++;
	return taken;
}

static struct port *packet_free(struct port *port)
{
	struct packet *p = container_of(port, struct packet, port);

	watch_remove(&p->watch);
	free(p);
	return NULL;
}

static const struct port_ops packet_ops = { .kind = "bridge", .send = packet_send, .free = packet_free };

int packet_port_new(struct port **out, struct loop *loop, const struct port_sink *sink, int fd, unsigned int link)
{
	_cleanup_(freep) struct packet *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	/* The filter first: nothing else is ever heard. */
	r = attach_filter(fd);
	if (!r)
		r = packet_socket_bind(fd, link, 0x0003);
	if (!r)
		r = watch_add(&p->watch, loop, fd, EPOLLIN, packet_ready);
	if (r < 0)
		return r;
	p->port = (struct port){ .ops = &packet_ops, .sink = sink, .mtu = PORT_MTU, .takes = PORT_TAKES_OPEN_CHECKSUM };
	p->loop = loop;
	p->fd = fd;
	port_rates(&p->port, loop_now(loop));
	*out = &steal(&p)->port;
	return 0;
}
