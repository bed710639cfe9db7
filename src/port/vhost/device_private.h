// SPDX-License-Identifier: MIT
/*
 * What the files of the vhost-user device share: device.c (the connection, which message is whose, features), device_memory.c (memory,
 * dirty log, chains in flight), device_queue.c (queues). Nobody else includes this.
 */
#pragma once
#include <linux/virtio_config.h>
#include "port/vhost/device.h"

#define BIT(n) (UINT64_C(1) << (n))

struct vhost_device {
	struct loop *loop;
	struct watch watch;
	struct vhost_channel *channel;
	const struct vhost_device_sink *sink;
	uint64_t offered, features, protocol;
	uint16_t mtu_max;               /* 0: none */
	uint8_t status;                 /* virtio 1.2 section 2.1 */
	bool closed;
	int backend;                    /* a channel to the front end: SET_BACKEND_REQ_FD; kept, and nothing to say yet */
	struct virtio_net_config config;
	struct vhost_memory memory;
	struct vhost_log log, no_log;   /* the rings' one is never missing, only empty */
	struct vhost_mapping inflight;
	uint64_t inflight_size;         /* bytes from inflight.data on */
	uint16_t inflight_queues, inflight_queue_size;
	struct vhost_queue queues[VHOST_QUEUES];
};

/* The reply that a request has of its own; its bytes are in the message's payload. */
struct vhost_answer {
	bool given;
	size_t size;
	int fd;                         /* goes with it; owned; -1: none */
};

/*
 * A message's handler. It takes the descriptors that it keeps with fd_steal(); number of descriptors and size of the payload are as the
 * table in device.c allows. Return: 0, or negative errno after which all is as before.
 */
typedef int vhost_handler(struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a);

static inline void vhost_answer_u64(struct vhost_message *m, struct vhost_answer *a, uint64_t value)
{
	m->payload.u64 = value;
	*a = (struct vhost_answer){ .given = true, .size = sizeof(value), .fd = -1 };
}

/* --- device_queue.c --- */

void vhost_queues_init(struct vhost_device *d);
/** vhost_queues_fini() - close their descriptors */
void vhost_queues_fini(struct vhost_device *d);
/** vhost_queues_pause() - stop those that run; vhost_queues_update() starts again what can run */
void vhost_queues_pause(struct vhost_device *d);
void vhost_queues_update(struct vhost_device *d);
/** vhost_queues_detach() - stop them, and let them wait for another kick descriptor */
void vhost_queues_detach(struct vhost_device *d);
/** vhost_queues_forget() - stop those that run: they begin anew, and are told everything again */
void vhost_queues_forget(struct vhost_device *d);
/** vhost_queues_disable() - as SET_VRING_ENABLE would */
void vhost_queues_disable(struct vhost_device *d);
/** vhost_queues_reset() - as new, but for the descriptors that the front end says only once: call and error */
void vhost_queues_reset(struct vhost_device *d);
/** vhost_queues_set_log() - features, dirty log or its addresses have changed */
void vhost_queues_set_log(struct vhost_device *d);

vhost_handler vhost_set_vring_num, vhost_set_vring_addr, vhost_set_vring_base, vhost_get_vring_base;
vhost_handler vhost_set_vring_kick, vhost_set_vring_call, vhost_set_vring_err, vhost_set_vring_enable;

/* --- device_memory.c --- */

/** vhost_inflight_drop() - track chains in flight no more; no queue runs */
void vhost_inflight_drop(struct vhost_device *d);
/** vhost_inflight_of() - the part of the area that is a queue's */
struct inflight_queue vhost_inflight_of(const struct vhost_device *d, const struct vhost_queue *q);

vhost_handler vhost_set_mem_table, vhost_add_mem_reg, vhost_rem_mem_reg;
vhost_handler vhost_set_log_base, vhost_get_inflight_fd, vhost_set_inflight_fd;
