// SPDX-License-Identifier: MIT
#include "port/vhost/vhost.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "port/vhost/control.h"
#include "port/vhost/vhost_private.h"

/* Newer than the headers that we build with (virtio 1.2 section 5.1.3). */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO   56
#endif

#define BIT(n)   (UINT64_C(1) << (n))
#define DRAINING 16 /* reads of a kick that is no eventfd */
#define UNKICKED (1 * USEC_MS)
#define LATE     100 /* microseconds: a call for what the guest sent */

static const uint64_t features_offered =
	BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
	BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |
	BIT(VIRTIO_NET_F_HOST_USO) | BIT(VIRTIO_NET_F_GUEST_USO4) | BIT(VIRTIO_NET_F_GUEST_USO6) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |
	BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_MQ) |
	BIT(VIRTIO_F_IN_ORDER) | BIT(VIRTIO_F_RING_PACKED) | BIT(VHOST_F_LOG_ALL) | BIT(VHOST_F_PROTOCOL_FEATURES);

/* What the driver takes, by what it accepted. */
static const struct { uint64_t feature; uint8_t takes; } takes[] = {
	{ BIT(VIRTIO_NET_F_GUEST_CSUM), PORT_TAKES_OPEN_CHECKSUM },
	{ BIT(VIRTIO_NET_F_GUEST_TSO4), PORT_TAKES_TCP4_SEGMENTS },
	{ BIT(VIRTIO_NET_F_GUEST_TSO6), PORT_TAKES_TCP6_SEGMENTS },
	{ BIT(VIRTIO_NET_F_GUEST_USO4), PORT_TAKES_UDP4_SEGMENTS },
	{ BIT(VIRTIO_NET_F_GUEST_USO6), PORT_TAKES_UDP6_SEGMENTS },
};

static bool is_transmit(const struct lane *l) { return l->queue->index % 2; }
static bool is_control(const struct lane *l) { return l->v->control && l->queue->index == l->v->control; }

void vhost_broken(struct vhost_port *v)
{
	vhost_device_close(v->device, "its rings make no sense");
}

void vhost_check_memory(struct vhost_port *v)
{
	if (vhost_memory_is_broken(vhost_device_memory(v->device)))
		vhost_device_close(v->device, "its memory was taken away");
}

/* --- kicks --- */

/* Kicks are watched by edges, so that an eventfd need not be read. What is no eventfd fills up, and does. */
static void drain(int fd)
{
	uint8_t bytes[512];
	struct stat st;

	if (fstat(fd, &st) < 0 || !(st.st_mode & S_IFMT))
		return; /* an eventfd is of no type at all */
	for (int i = 0; i < DRAINING && read(fd, bytes, sizeof(bytes)) == sizeof(bytes); i++)
		;
}

/* The control queue: few commands ever, answered at once. */
static void obey(struct lane *l)
{
	struct virtqueue *ring = &l->queue->ring;

	if (!lane_is_running(l))
		return;
	if (!control_run(ring, VHOST_QUEUE_PAIRS)) {
		vhost_broken(l->v);
		return;
	}
	if (virtqueue_publish(ring))
		vhost_queue_call(l->queue);
	if (virtqueue_listen(ring))
		timer_set(&l->v->unkicked, loop_now(l->v->loop) + UNKICKED); /* nobody honest says so much at once */
}

static void kicked(struct watch *w, _unused_ uint32_t events)
{
	struct lane *l = container_of(w, struct lane, kick);

	if (is_transmit(l)) {
		transmit_run(l->v, l);
	} else if (is_control(l)) {
		obey(l);
	} else if (lane_is_running(l)) {
		virtqueue_silence(&l->queue->ring);
		port_drained(&l->v->port);
	}
}

static void kicked_and_drain(struct watch *w, uint32_t events)
{
	drain(w->fd);
	kicked(w, events);
}

static void kick_changed(void *owner, struct vhost_queue *q)
{
	struct vhost_port *v = owner;
	struct lane *l = &v->lanes[q->index];
	struct stat st;

	watch_remove(&l->kick);
	if (q->kick < 0)
		return;
	if (fstat(q->kick, &st) < 0 ||
	    watch_add(&l->kick, v->loop, q->kick, EPOLLIN | EPOLLET, st.st_mode & S_IFMT ? kicked_and_drain : kicked) < 0)
		vhost_device_close(v->device, "a kick descriptor cannot be watched");
}

/* --- the turn --- */

static bool look(struct poller *p)
{
	struct vhost_port *v = container_of(p, struct vhost_port, poller);
	bool found = false;

	for (unsigned int i = 1; i < 2u * v->pairs; i += 2) {
		struct lane *l = &v->lanes[i];

		if (!lane_is_served(l))
			continue;
		if (virtqueue_has_more(&l->queue->ring)) {
			transmit_run(v, l);
			found = true;
		} else if (l->queue->ring.broken) {
			vhost_broken(v);
		}
	}
	return found;
}

static bool rest(struct poller *p)
{
	struct vhost_port *v = container_of(p, struct vhost_port, poller);
	bool more = false;

	for (unsigned int i = 1; i < 2u * v->pairs; i += 2) {
		struct lane *l = &v->lanes[i];

		if (!lane_is_served(l))
			continue;
		more |= virtqueue_listen(&l->queue->ring);
		if (l->queue->polled)
			timer_set(&v->unkicked, loop_now(v->loop) + UNKICKED);
	}
	vhost_check_memory(v);
	return more;
}

static void look_without_kick(struct timer *t)
{
	struct vhost_port *v = container_of(t, struct vhost_port, unkicked);

	poller_set(&v->poller);
	port_drained(&v->port);
	if (v->control)
		obey(&v->lanes[v->control]);
}

/*
 * What a driver received it is called for at once. What it sent is not so urgent, and when it is called for a frame, or sends the next
 * one, it mostly looks for that too and moves its event on: so it is asked again a little later, and mostly wants no call any more. Not
 * where much is waiting: then the driver may be waiting as well.
 */
static bool may_be_late(const struct lane *l)
{
	const struct virtqueue *r = &l->queue->ring;

	return is_transmit(l) && r->event_idx && r->unasked < r->size / 4;
}

static void publish_all(struct vhost_port *v, bool now)
{
	bool late = false;

	for (unsigned int i = 0; i < 2u * v->pairs && !v->port.down; i++) {
		struct vhost_queue *q = v->lanes[i].queue;
		bool call;

		if (!q->ring.started)
			continue;
		virtqueue_show(&q->ring);
		call = virtqueue_wants_call(&q->ring);
		if (call && !now && may_be_late(&v->lanes[i])) {
			late = true;
			continue;
		}
		virtqueue_forget_call(&q->ring);
		if (call)
			vhost_queue_call(q);
	}
	if (!late)
		timer_set(&v->late, USEC_NEVER);
	else if (v->late.deadline == USEC_NEVER)
		timer_set(&v->late, loop_now(v->loop) + LATE);
}

static void publish(struct deferred *d)
{
	struct vhost_port *v = container_of(d, struct vhost_port, publish);

	publish_all(v, false);
	vhost_check_memory(v);
}

static void publish_late(struct timer *t)
{
	struct vhost_port *v = container_of(t, struct vhost_port, late);

	publish_all(v, true);
	vhost_check_memory(v);
}

/* --- what the device tells --- */

static void queue_changed(void *owner, struct vhost_queue *q)
{
	struct vhost_port *v = owner;
	struct lane *l = &v->lanes[q->index];

	v->pairs = 1;
	v->port.still = true;
	for (unsigned int i = 0; i < VHOST_QUEUES; i++) {
		if (!is_control(&v->lanes[i]) && lane_is_served(&v->lanes[i]))
			v->pairs = (uint16_t)(i / 2 + 1);
		v->port.still &= !v->lanes[i].queue->ring.started;
	}
	if (is_control(l)) {
		obey(l);
	} else if (is_transmit(l) && lane_is_served(l)) {
		/* What the guest put in before we looked was kicked for before we listened. */
		poller_set(&v->poller);
	} else if (lane_is_running(l)) {
		virtqueue_silence(&q->ring);
		port_drained(&v->port);
	}
}

static void features_changed(void *owner, uint64_t features)
{
	struct vhost_port *v = owner;

	v->port.takes = 0;
	for (size_t i = 0; i < ARRAY_SIZE(takes); i++)
		if (features & takes[i].feature)
			v->port.takes |= takes[i].takes;
	/* Virtio 1.2 section 5.1.2: behind all pairs that there could be, or behind the first. */
	v->control = !(features & BIT(VIRTIO_NET_F_CTRL_VQ)) ? 0 : features & BIT(VIRTIO_NET_F_MQ) ? 2 * VHOST_QUEUE_PAIRS : 2;
	v->mergeable = features & BIT(VIRTIO_NET_F_MRG_RXBUF);
	v->header_size = features & (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF)) ? sizeof(struct virtio_net_hdr_v1) :
											    sizeof(struct virtio_net_hdr);
	v->chain_size = 0;
}

/* The guest has come here by migration: a frame of its own tells the switch (RFC 903's form, as QEMU sends it). */
static void announce(void *owner, const uint8_t *mac)
{
	struct vhost_port *v = owner;
	uint8_t rarp[60] = { [12] = 0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3 };
	struct iovec iov = { rarp, sizeof(rarp) };
	struct frame f = { .iov = &iov, .parts = 1, .size = sizeof(rarp) };

	memset(rarp, 0xff, 6);
	memcpy(rarp + 6, mac, 6);
	memcpy(rarp + 22, mac, 6);
	memcpy(rarp + 32, mac, 6);
	port_input(&v->port, &f, 1);
}

static void closed(void *owner, const char *why)
{
	struct vhost_port *v = owner;

	port_close(&v->port, why);
}

/* --- the port --- */

static struct port *vhost_free(struct port *p)
{
	struct vhost_port *v = container_of(p, struct vhost_port, port);

	/* The gateway's last words, where a LAN goes down. */
	publish_all(v, true);
	for (unsigned int i = 0; i < VHOST_QUEUES; i++)
		watch_remove(&v->lanes[i].kick);
	poller_remove(&v->poller);
	timer_set(&v->unkicked, USEC_NEVER);
	timer_set(&v->late, USEC_NEVER);
	deferred_remove(&v->publish);
	vhost_device_free(v->device);
	free(v);
	return NULL;
}

static const struct port_ops vhost_ops = {
	.kind = "vhost",
	.send = receive_send,
	.room = receive_room,
	.reserve = receive_reserve,
	.commit = receive_commit,
	.free = vhost_free,
};

static const struct vhost_device_sink device_sink = {
	.queue_changed = queue_changed,
	.kick_changed = kick_changed,
	.features_changed = features_changed,
	.announce = announce,
	.closed = closed,
};

int vhost_port_new(struct port **out, struct loop *loop, const struct port_sink *sink, int fd, uint16_t mtu)
{
	struct vhost_device_params params = { .features = features_offered, .mtu = mtu };
	_cleanup_(freep) struct vhost_port *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->port = (struct port){ .ops = &vhost_ops, .sink = sink, .mtu = PORT_MTU };
	v->loop = loop;
	v->pairs = 1;
	v->header_size = sizeof(struct virtio_net_hdr_v1);
	v->device_sink = device_sink;
	v->device_sink.owner = v;
	poller_init(&v->poller, loop, look, rest);
	timer_init(&v->unkicked, loop, look_without_kick);
	timer_init(&v->late, loop, publish_late);
	deferred_init(&v->publish, loop, publish);
	r = vhost_device_new(&v->device, loop, &params, &v->device_sink, fd);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < VHOST_QUEUES; i++)
		v->lanes[i] = (struct lane){ .v = v, .queue = vhost_device_queue(v->device, i), .kick.fd = -1 };
	port_rates(&v->port, loop_now(loop));
	*out = &steal(&v)->port;
	return 0;
}
