// SPDX-License-Identifier: MIT
/*
 * What the files of the vhost-user port share: vhost.c (the port and its device), transmit.c (from the guest), receive.c (to it); beside
 * them are steer.c (which queue pair) and control.c (the control queue). Nobody else includes this.
 */
#pragma once
#include <linux/virtio_net.h>
#include "port/vhost/device.h"
#include "port/vhost/steer.h"
#include "port/vhost/vhost.h"

#define LANDING_CHAINS 128 /* that one frame may be spread over: 64 KiB in buffers of half a kilobyte */

/* Where a frame for the guest goes: chains that were taken for it and not used yet. */
struct landing {
	struct virtqueue *ring;
	size_t count, parts;
	size_t followed;                               /* parts, and empty descriptors: at most VIRTQUEUE_PARTS_MAX */
	uint32_t size;                                 /* bytes of all parts, the offload header's included */
	bool full;                                     /* the ring's next chain is longer than what is left of that */
	struct virtqueue_chain chains[LANDING_CHAINS];
	struct virtqueue_mark after[LANDING_CHAINS];   /* where to rewind to, if no more than this chain is needed */
	struct virtqueue_mark before;
	struct iovec iov[VIRTQUEUE_PARTS_MAX];
};

/* A queue of the device's, and what wakes us for it. */
struct lane {
	struct vhost_port *v;
	struct vhost_queue *queue;
	struct watch kick;
};

struct vhost_port {
	struct port port;
	struct loop *loop;
	struct vhost_device *device;
	struct vhost_device_sink device_sink;
	struct lane lanes[VHOST_QUEUES];
	struct poller poller;          /* of the transmit lanes */
	struct timer unkicked;         /* looks at queues whose front end does not kick */
	struct deferred publish;       /* at the turn's end */
	struct timer late;             /* for calls that were put off */
	uint16_t pairs;                /* queue pairs that run, counted up to the last */
	uint16_t control;              /* the control queue's number; 0: there is none */
	uint8_t header_size;           /* of the offload header, as negotiated (virtio 1.2 section 5.1.6.1) */
	bool mergeable;
	uint32_t chain_size;           /* of the receive chain seen last: to estimate room with */
	struct steer steer;
	struct landing landing;        /* between reserve and commit; and while a frame is written */
};

/** lane_is_running() - may its ring be touched? */
static inline bool lane_is_running(const struct lane *l)
{
	return l->queue->ring.started && l->queue->enabled && !l->queue->ring.broken;
}

/** lane_is_served() - may a transmit ring be touched, to pass its frames on or to throw them away? */
static inline bool lane_is_served(const struct lane *l)
{
	return l->queue->ring.started && (l->queue->enabled || l->queue->discards) && !l->queue->ring.broken;
}

/** vhost_publish_later() - let the driver see what was used, at the turn's end */
static inline void vhost_publish_later(struct vhost_port *v) { deferred_add_last(&v->publish); }
/** vhost_broken() - a ring made no sense: the port closes */
void vhost_broken(struct vhost_port *v);
/**
 * vhost_check_memory() - close the port if memory was taken away
 *
 * What is there now reads as zeroes, which in a packed ring is "nothing to do".
 */
void vhost_check_memory(struct vhost_port *v);

/* transmit.c */
/** transmit_run() - take one batch from the guest and pass it on */
void transmit_run(struct vhost_port *v, struct lane *l);

/* receive.c: as in port.h's struct port_ops */
size_t receive_send(struct port *p, const struct frame *frames, size_t count);
size_t receive_room(struct port *p);
size_t receive_reserve(struct port *p, const struct frame *head, size_t least, size_t most, struct iovec *iov, size_t room, size_t *got);
void receive_commit(struct port *p, const struct frame *f);
