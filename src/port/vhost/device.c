// SPDX-License-Identifier: MIT
#include "port/vhost/device.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "port/vhost/device_private.h"

#define MESSAGES_A_TURN 32
#define MTU_MIN         68 /* virtio 1.2 section 5.1.4.1 */
#define CONFIG_MIGRATES 1  /* of SET_CONFIG's flags: what the other end of a migration had, not what the driver writes */

#define PROTOCOL_OFFERED                                                                                                \
	(BIT(VHOST_PROTOCOL_MQ) | BIT(VHOST_PROTOCOL_LOG_SHMFD) | BIT(VHOST_PROTOCOL_RARP) | BIT(VHOST_PROTOCOL_REPLY_ACK) |    \
	 BIT(VHOST_PROTOCOL_NET_MTU) | BIT(VHOST_PROTOCOL_BACKEND_REQ) | BIT(VHOST_PROTOCOL_CONFIG) |                   \
	 BIT(VHOST_PROTOCOL_INFLIGHT_SHMFD) | BIT(VHOST_PROTOCOL_RESET_DEVICE) |                                        \
	 BIT(VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS) | BIT(VHOST_PROTOCOL_STATUS))

/* What may be changed while rings run: it is not about their form. */
#define FEATURES_LOOSE (BIT(VHOST_F_LOG_ALL) | BIT(VHOST_F_PROTOCOL_FEATURES))

/* --- the end --- */

static void device_end(struct vhost_device *d, const char *why)
{
	if (d->closed)
		return;
	d->closed = true;
	watch_remove(&d->watch);
	vhost_queues_detach(d);
	d->sink->closed(d->sink->owner, why);
}

void vhost_device_close(struct vhost_device *d, const char *why)
{
	bool lost = vhost_memory_is_broken(&d->memory);
	uint64_t one = 1;

	if (d->closed)
		return;
	for (const struct vhost_queue *q = d->queues; q < d->queues + VHOST_QUEUES; q++)
		if (q->error >= 0 && (lost || q->ring.broken) && write(q->error, &one, sizeof(one)) < 0)
			log_debug("vhost-user: queue %u: its front end cannot be told of an error", q->index);
	device_end(d, why);
}

/* --- features --- */

static int get_features(struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a)
{
	vhost_answer_u64(m, a, d->offered);
	return 0;
}

static int set_features(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	uint64_t features = m->payload.u64;

	if (features & ~d->offered)
		return -EINVAL;
	/* Whoever goes on with rings of another form begins them anew, and would say so by GET_VRING_BASE if it were QEMU. */
	if ((features ^ d->features) & ~FEATURES_LOOSE)
		vhost_queues_forget(d);
	d->features = features;
	vhost_queues_set_log(d);
	d->sink->features_changed(d->sink->owner, features);
	return 0;
}

static int get_protocol_features(_unused_ struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a)
{
	vhost_answer_u64(m, a, PROTOCOL_OFFERED);
	return 0;
}

static int set_protocol_features(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	if (m->payload.u64 & ~PROTOCOL_OFFERED)
		return -EINVAL;
	d->protocol = m->payload.u64;
	return 0;
}

static int get_queue_num(_unused_ struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a)
{
	vhost_answer_u64(m, a, VHOST_QUEUE_PAIRS);
	return 0;
}

static int get_max_mem_slots(_unused_ struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a)
{
	vhost_answer_u64(m, a, VHOST_MEMORY_SLOTS);
	return 0;
}

/* --- life --- */

static int set_owner(_unused_ struct vhost_device *d, _unused_ struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	return 0;
}

static int reset_owner(struct vhost_device *d, _unused_ struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	vhost_queues_disable(d);
	return 0;
}

/*
 * The virtio device is as new. What the front end says once in a connection stays: memory (QEMU tells only what changes of it), protocol
 * features, its channel.
 */
static int reset_device(struct vhost_device *d, _unused_ struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	vhost_queues_reset(d);
	vhost_inflight_drop(d);
	vhost_log_clear(&d->log);
	d->status = 0;
	d->features = 0;
	d->sink->features_changed(d->sink->owner, 0);
	return 0;
}

static int get_status(struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a)
{
	vhost_answer_u64(m, a, d->status);
	return 0;
}

static int set_status(struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a)
{
	if (m->payload.u64 > UINT8_MAX)
		return -EINVAL;
	d->status = (uint8_t)m->payload.u64;
	return d->status ? 0 : reset_device(d, m, a);
}

static int set_backend_req_fd(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	struct stat st;

	if (fstat(m->fds[0], &st) < 0 || !S_ISSOCK(st.st_mode))
		return -EINVAL;
	fd_close(d->backend);
	d->backend = fd_steal(&m->fds[0]);
	return 0;
}

/* An eventfd to say that the log has changed; nobody reads one, since the log is looked at anyway. */
static int set_log_fd(_unused_ struct vhost_device *d, _unused_ struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	return 0;
}

/* --- network --- */

/* Where the bytes that a message is about lie in the configuration space; what is behind our structure reads as zeroes. */
static bool config_is_valid(const struct vhost_message *m)
{
	uint32_t offset = m->payload.config.offset, size = m->payload.config.size;

	return offset <= VHOST_CONFIG_MAX && size <= VHOST_CONFIG_MAX - offset &&
	       m->head.size == offsetof(struct vhost_payload, config.data) + size;
}

static int get_config(struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a)
{
	uint8_t space[VHOST_CONFIG_MAX] = { 0 };

	if (!config_is_valid(m))
		return -EINVAL;
	memcpy(space, &d->config, sizeof(d->config));
	memcpy(m->payload.config.data, space + m->payload.config.offset, m->payload.config.size);
	*a = (struct vhost_answer){ .given = true, .size = m->head.size, .fd = -1 };
	return 0;
}

/* The MAC is all that a driver may write, and only a legacy one (virtio 1.2 section 5.1.4.1); a migration brings the rest, too. */
static int set_config(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	uint32_t offset = m->payload.config.offset, size = m->payload.config.size;

	if (!config_is_valid(m) || offset + size > sizeof(d->config))
		return -EINVAL;
	if (m->payload.config.flags != CONFIG_MIGRATES &&
	    (d->features & BIT(VIRTIO_F_VERSION_1) || offset + size > sizeof(d->config.mac)))
		return -EPERM;
	memcpy((uint8_t *)&d->config + offset, m->payload.config.data, size);
	return 0;
}

static int net_set_mtu(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	uint64_t most = d->mtu_max ? d->mtu_max : UINT16_MAX;

	if (m->payload.u64 < MTU_MIN || m->payload.u64 > most)
		return -EINVAL;
	d->config.mtu = htole16((uint16_t)m->payload.u64);
	return 0;
}

static int send_rarp(struct vhost_device *d, struct vhost_message *m, _unused_ struct vhost_answer *a)
{
	static const uint8_t nobody[6];
	const uint8_t *mac = m->payload.bytes;

	if (mac[0] & 1 || !memcmp(mac, nobody, sizeof(nobody)))
		return -EINVAL;
	d->sink->announce(d->sink->owner, mac);
	return 0;
}

/* --- which message is whose --- */

/* How a request is answered that was refused. */
enum refusal {
	REFUSE_ACK,                    /* the error's number, if the front end wants one */
	REFUSE_ACK_OR_CLOSE,           /* the front end goes on as if it had been granted, and must not */
	REFUSE_EMPTY,                  /* a reply of no bytes */
	REFUSE_ZEROES,                 /* a reply of zeroes */
	REFUSE_LOG,                    /* the number, and the end */
	REFUSE_CLOSE,                  /* its reply has no way to say so */
};

static const struct request {
	vhost_handler *handle;
	uint16_t least, most;          /* bytes of payload */
	uint8_t fds_least, fds_most;
	enum refusal refusal;
} requests[] = {
	[VHOST_GET_FEATURES] = { get_features, 0, 8, .refusal = REFUSE_CLOSE },
	[VHOST_SET_FEATURES] = { set_features, 8, 8, .refusal = REFUSE_ACK_OR_CLOSE },
	[VHOST_SET_OWNER] = { set_owner, 0, 8 },
	[VHOST_RESET_OWNER] = { reset_owner, 0, 8 },
	[VHOST_SET_MEM_TABLE] = { vhost_set_mem_table, 8, 264, 0, VHOST_MEMORY_REGIONS },
	[VHOST_SET_LOG_BASE] = { vhost_set_log_base, 16, 16, 1, 1, .refusal = REFUSE_LOG },
	[VHOST_SET_LOG_FD] = { set_log_fd, 0, 8, 1, 1 },
	[VHOST_SET_VRING_NUM] = { vhost_set_vring_num, 8, 8 },
	[VHOST_SET_VRING_ADDR] = { vhost_set_vring_addr, 40, 40 },
	[VHOST_SET_VRING_BASE] = { vhost_set_vring_base, 8, 8 },
	[VHOST_GET_VRING_BASE] = { vhost_get_vring_base, 8, 8, .refusal = REFUSE_CLOSE },
	[VHOST_SET_VRING_KICK] = { vhost_set_vring_kick, 8, 8, 0, 1 },
	[VHOST_SET_VRING_CALL] = { vhost_set_vring_call, 8, 8, 0, 1 },
	[VHOST_SET_VRING_ERR] = { vhost_set_vring_err, 8, 8, 0, 1 },
	[VHOST_GET_PROTOCOL_FEATURES] = { get_protocol_features, 0, 8, .refusal = REFUSE_CLOSE },
	[VHOST_SET_PROTOCOL_FEATURES] = { set_protocol_features, 8, 8, .refusal = REFUSE_ACK_OR_CLOSE },
	[VHOST_GET_QUEUE_NUM] = { get_queue_num, 0, 8, .refusal = REFUSE_CLOSE },
	[VHOST_SET_VRING_ENABLE] = { vhost_set_vring_enable, 8, 8 },
	[VHOST_SEND_RARP] = { send_rarp, 8, 12 },
	[VHOST_NET_SET_MTU] = { net_set_mtu, 8, 8 },
	[VHOST_SET_BACKEND_REQ_FD] = { set_backend_req_fd, 0, 8, 1, 1 },
	[VHOST_GET_CONFIG] = { get_config, 12, 268, .refusal = REFUSE_EMPTY },
	[VHOST_SET_CONFIG] = { set_config, 12, 268 },
	/* Twenty bytes as specified; QEMU sends its structure, padding included. */
	[VHOST_GET_INFLIGHT_FD] = { vhost_get_inflight_fd, 20, 24, .refusal = REFUSE_ZEROES },
	[VHOST_SET_INFLIGHT_FD] = { vhost_set_inflight_fd, 20, 24, 1, 1 },
	[VHOST_RESET_DEVICE] = { reset_device, 0, 8 },
	[VHOST_GET_MAX_MEM_SLOTS] = { get_max_mem_slots, 0, 8, .refusal = REFUSE_CLOSE },
	[VHOST_ADD_MEM_REG] = { vhost_add_mem_reg, 40, 40, 1, 1 },
	/* The specification allows for front ends that send a descriptor here, too. */
	[VHOST_REM_MEM_REG] = { vhost_rem_mem_reg, 40, 40, 0, 1 },
	[VHOST_SET_STATUS] = { set_status, 8, 8 },
	[VHOST_GET_STATUS] = { get_status, 0, 8, .refusal = REFUSE_CLOSE },
};

static const struct request *request_of(const struct vhost_message *m)
{
	return m->head.request < ARRAY_SIZE(requests) && requests[m->head.request].handle ? &requests[m->head.request] : NULL;
}

static int device_handle(struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a)
{
	const struct request *r = request_of(m);

	if (!r)
		return -EOPNOTSUPP;
	if (m->head.size < r->least || m->head.size > r->most || m->fd_count < r->fds_least || m->fd_count > r->fds_most)
		return -EINVAL;
	return r->handle(d, m, a);
}

/* --- replies --- */

static bool wants_ack(const struct vhost_device *d, const struct vhost_message *m)
{
	return d->protocol & BIT(VHOST_PROTOCOL_REPLY_ACK) && m->head.flags & VHOST_FLAG_NEED_REPLY;
}

/* Answer a request that was refused. Return: why the device cannot go on, or NULL. */
static const char *refuse(const struct vhost_device *d, struct vhost_message *m, struct vhost_answer *a, int error)
{
	const struct request *r = request_of(m);
	const char *why = NULL;

	switch (r ? r->refusal : REFUSE_ACK) {
	case REFUSE_CLOSE:
		return "its front end asks for what has no answer";
	case REFUSE_EMPTY:
		*a = (struct vhost_answer){ .given = true, .fd = -1 };
		return NULL;
	case REFUSE_ZEROES:
		memset(&m->payload, 0, sizeof(m->payload));
		*a = (struct vhost_answer){ .given = true, .size = m->head.size, .fd = -1 };
		return NULL;
	case REFUSE_LOG:
		/* QEMU does not look at what this reply says, and would copy a guest whose changes nobody notes. */
		if (d->protocol & BIT(VHOST_PROTOCOL_LOG_SHMFD)) {
			vhost_answer_u64(m, a, (uint64_t)-error);
			return "its front end's dirty log cannot be used";
		}
		break;
	case REFUSE_ACK_OR_CLOSE:
		why = wants_ack(d, m) ? NULL : "its front end insists on features that were not offered";
		break;
	case REFUSE_ACK:
		break;
	}
	if (wants_ack(d, m))
		vhost_answer_u64(m, a, (uint64_t)-error);
	return why;
}

/* Handle a message, and answer it. Return: why the device cannot go on, or NULL. */
static const char *device_answer(struct vhost_device *d, struct vhost_message *m)
{
	struct vhost_answer a = { .fd = -1 };
	const char *why = NULL;
	int r = device_handle(d, m, &a);

	if (r < 0) {
		log_debug("vhost-user: a front end's request %u was refused: %s", m->head.request, strerror(-r));
		why = refuse(d, m, &a, r);
	} else if (!a.given && wants_ack(d, m)) {
		vhost_answer_u64(m, &a, 0);
	}
	r = a.given && !d->closed ? vhost_channel_reply(d->channel, &m->head, m->payload.bytes, a.size, a.fd) : 0;
	fd_close(a.fd);
	if (r < 0 && !why)
		why = "its front end does not read what it is told";
	if (!why && vhost_memory_is_broken(&d->memory))
		why = "its memory was taken away";
	return why;
}

/* --- the connection --- */

static const char *why_ended(int error)
{
	switch (error) {
	case -ECONNRESET:
	case -EPIPE:
		return "the guest closed its connection";
	case -EPROTO:
		return "its front end says what is no vhost-user message";
	case -EMFILE:
		return "no descriptors are left for its front end's";
	}
	return "the guest's connection broke";
}

static void device_ready(struct watch *w, _unused_ uint32_t events)
{
	struct vhost_device *d = container_of(w, struct vhost_device, watch);

	for (int i = 0; i < MESSAGES_A_TURN && !d->closed; i++) {
		struct vhost_message m;
		int r = vhost_channel_receive(d->channel, &m);
		const char *why;

		if (r < 0)
			device_end(d, why_ended(r));
		if (r <= 0)
			return;
		why = device_answer(d, &m);
		vhost_message_fini(&m);
		if (why)
			vhost_device_close(d, why);
	}
}

static void device_init_config(struct vhost_device *d, const struct vhost_device_params *params)
{
	static const uint8_t nobody[6];
	bool has_mac = memcmp(params->mac, nobody, sizeof(nobody));

	d->offered = params->features & ~BIT(VIRTIO_NET_F_MAC);
	if (has_mac)
		d->offered |= BIT(VIRTIO_NET_F_MAC);
	d->mtu_max = params->mtu;
	d->config = (struct virtio_net_config){
		.status = htole16(VIRTIO_NET_S_LINK_UP),
		.max_virtqueue_pairs = htole16(VHOST_QUEUE_PAIRS),
		.mtu = htole16(params->mtu),
		.speed = htole32(UINT32_MAX),  /* unknown */
		.duplex = UINT8_MAX,
	};
	memcpy(d->config.mac, params->mac, sizeof(d->config.mac));
}

int vhost_device_new(struct vhost_device **out, struct loop *loop, const struct vhost_device_params *params,
		     const struct vhost_device_sink *sink, int fd)
{
	_cleanup_(freep) struct vhost_device *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->loop = loop;
	d->sink = sink;
	d->backend = -1;
	device_init_config(d, params);
	vhost_queues_init(d);
	r = watch_add(&d->watch, loop, fd, EPOLLIN, device_ready);
	if (r < 0)
		return r;
	r = vhost_channel_new(&d->channel, fd);
	if (r < 0) {
		watch_remove(&d->watch);
		return r;
	}
	*out = steal(&d);
	return 0;
}

struct vhost_device *vhost_device_free(struct vhost_device *d)
{
	if (!d)
		return NULL;
	watch_remove(&d->watch);
	vhost_queues_fini(d);
	vhost_inflight_drop(d);
	vhost_log_clear(&d->log);
	vhost_memory_clear(&d->memory);
	fd_close(d->backend);
	vhost_channel_free(d->channel);
	free(d);
	return NULL;
}

struct vhost_queue *vhost_device_queue(struct vhost_device *d, unsigned int index)
{
	return &d->queues[index];
}

uint64_t vhost_device_features(const struct vhost_device *d)
{
	return d->features;
}

struct vhost_memory *vhost_device_memory(struct vhost_device *d)
{
	return &d->memory;
}
