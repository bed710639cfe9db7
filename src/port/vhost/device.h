// SPDX-License-Identifier: MIT
/*
 * A vhost-user device as its front end sets it up: features, memory, queues. The messages and their rules are here (device.c,
 * device_memory.c, device_queue.c); what is done with the frames is vhost.c's.
 *
 * A queue runs ("started") from its kick descriptor (or a kick descriptor of none, which means that it is polled) until GET_VRING_BASE,
 * as long as it has a size and addresses that lie in memory, in whatever order these came; it is "enabled" as SET_VRING_ENABLE said last,
 * and from the start where protocol features were not negotiated. A change of memory stops it for a moment only: what it used is
 * published, the ring's places are looked up again, and it goes on where it stood, unless they have gone.
 *
 * Everything that a front end says is checked before it is believed. What makes no sense changes nothing, and gets the error's number as
 * its reply where the front end asked for one (REPLY_ACK). The device closes where the stream itself cannot be trusted any more, where a
 * request was refused whose own reply has no way to say so, and where the front end would otherwise go on with features or a dirty log
 * that are not there.
 */
#pragma once
#include <linux/virtio_net.h>
#include "io/loop.h"
#include "port/vhost/message.h"
#include "port/vhost/virtqueue.h"

#define VHOST_QUEUE_PAIRS 8            /* GET_QUEUE_NUM */
/* Even ones go to the guest (receive), odd ones come from it (transmit): virtio 1.2 section 5.1.2. */
#define VHOST_QUEUES      (2 * VHOST_QUEUE_PAIRS + 1) /* the last is the control queue where there are several pairs */

enum vhost_protocol_feature {
	VHOST_PROTOCOL_MQ = 0,
	VHOST_PROTOCOL_LOG_SHMFD = 1,
	VHOST_PROTOCOL_RARP = 2,
	VHOST_PROTOCOL_REPLY_ACK = 3,
	VHOST_PROTOCOL_NET_MTU = 4,
	VHOST_PROTOCOL_BACKEND_REQ = 5,
	VHOST_PROTOCOL_CONFIG = 9,
	VHOST_PROTOCOL_BACKEND_SEND_FD = 10,
	VHOST_PROTOCOL_INFLIGHT_SHMFD = 12,
	VHOST_PROTOCOL_RESET_DEVICE = 13,
	VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS = 15,
	VHOST_PROTOCOL_STATUS = 16,
};

/* Feature bits that are not virtio's own. */
#define VHOST_F_LOG_ALL           26
#define VHOST_F_PROTOCOL_FEATURES 30

struct vhost_queue {
	struct virtqueue ring;
	uint16_t index;
	bool enabled;
	bool discards;                  /* it was disabled while it ran: what it sends is thrown away (vhost-user.rst, "Ring states") */
	bool has_address, has_base;
	uint32_t base;                  /* SET_VRING_BASE, or where it stopped; where a ring begins until then */
	uint64_t descriptors, used, available; /* user addresses */
	uint64_t log_address;
	bool log_used;
	int kick, call, error;          /* descriptors, or -1 */
	bool polled;                    /* the front end will not kick: VHOST_QUEUE_NO_FD */
};

struct vhost_device;

/* Whom the device tells. A call may close the device (vhost_device_close()), and must not free it. */
struct vhost_device_sink {
	/* A queue was started or stopped, enabled or disabled, or got other descriptors. It is stopped while its memory goes away. */
	void (*queue_changed)(void *owner, struct vhost_queue *q);
	/* vhost_queue.kick is another descriptor, or -1: called before the old one is closed. */
	void (*kick_changed)(void *owner, struct vhost_queue *q);
	void (*features_changed)(void *owner, uint64_t features);
	/* VHOST_USER_SEND_RARP: the guest has come here by migration; the LAN should learn where it is now. @mac: six bytes */
	void (*announce)(void *owner, const uint8_t *mac);
	/* Once, @why a constant string. Queues are stopped and kicks taken away before; memory stays until the device is freed. */
	void (*closed)(void *owner, const char *why);
	void *owner;
};

/* What a guest is told about its network. */
struct vhost_device_params {
	uint64_t features;              /* virtio and vhost features to offer */
	uint16_t mtu;                   /* VIRTIO_NET_F_MTU, virtio_net_config.mtu */
	uint8_t mac[6];                 /* virtio_net_config.mac: for front ends that have none of their own; zeroes: not offered */
};

/**
 * vhost_device_new() - serve the front end at the other end of @fd
 * @sink: borrowed
 * @fd:   a connected, non-blocking unix stream socket; owned when this succeeds
 * Return: 0 or negative errno.
 */
int vhost_device_new(struct vhost_device **out, struct loop *loop, const struct vhost_device_params *params,
		     const struct vhost_device_sink *sink, int fd);
/** vhost_device_free() - close and unmap everything; tells the sink nothing: no watch may be on a kick any more */
struct vhost_device *vhost_device_free(struct vhost_device *d);

/** vhost_device_queue() - by number, below VHOST_QUEUES; there whether it runs or not */
struct vhost_queue *vhost_device_queue(struct vhost_device *d, unsigned int index);
/** vhost_device_features() - as negotiated; 0 before */
uint64_t vhost_device_features(const struct vhost_device *d);
/** vhost_device_memory() - the guest's */
struct vhost_memory *vhost_device_memory(struct vhost_device *d);
/** vhost_device_close() - the data path found the guest's rings or memory broken: raise the queue's error descriptor, tell the sink */
void vhost_device_close(struct vhost_device *d, const char *why);
/** vhost_queue_call() - interrupt the driver; nothing where the front end polls */
void vhost_queue_call(const struct vhost_queue *q);
