// SPDX-License-Identifier: MIT
/*
 * vhost-user messages (QEMU's docs/interop/vhost-user.rst): their form, and a channel that carries them.
 *
 * A message is a header of twelve bytes, a payload of as many bytes as the header says, and up to eight descriptors that come with the
 * header (SCM_RIGHTS). All in host order. A channel never waits: what has come in part is kept until the rest comes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VHOST_MESSAGE_FDS     8
#define VHOST_MEMORY_REGIONS  8      /* in one SET_MEM_TABLE */
#define VHOST_CONFIG_MAX      256
#define VHOST_PAYLOAD_MAX     ((size_t)280) /* the longest payload: a memory table, or a configuration space */

enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_RESET_OWNER = 4,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_LOG_BASE = 6,
	VHOST_SET_LOG_FD = 7,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_SEND_RARP = 19,
	VHOST_NET_SET_MTU = 20,
	VHOST_SET_BACKEND_REQ_FD = 21,
	VHOST_GET_CONFIG = 24,
	VHOST_SET_CONFIG = 25,
	VHOST_GET_INFLIGHT_FD = 31,
	VHOST_SET_INFLIGHT_FD = 32,
	VHOST_RESET_DEVICE = 34,
	VHOST_GET_MAX_MEM_SLOTS = 36,
	VHOST_ADD_MEM_REG = 37,
	VHOST_REM_MEM_REG = 38,
	VHOST_SET_STATUS = 39,
	VHOST_GET_STATUS = 40,
};

/* Bits of struct vhost_header.flags */
#define VHOST_FLAG_VERSION    0x1
#define VHOST_FLAG_VERSION_MASK 0x3
#define VHOST_FLAG_REPLY      0x4
#define VHOST_FLAG_NEED_REPLY 0x8

/* Bits of a u64 that names a queue (SET_VRING_KICK, _CALL, _ERR) */
#define VHOST_QUEUE_MASK      0xff
#define VHOST_QUEUE_NO_FD     0x100

struct vhost_header {
	uint32_t request, flags, size;
};

struct vhost_region_message {
	uint64_t guest_address, size, user_address, mmap_offset;
};

struct vhost_payload {
	union {
		uint64_t u64;
		struct { uint32_t index, value; } state;
		struct { uint32_t index, flags; uint64_t descriptors, used, available, log; } address;
		struct { uint32_t count, padding; struct vhost_region_message region[VHOST_MEMORY_REGIONS]; } memory;
		struct { uint64_t padding; struct vhost_region_message region; } slot;
		struct { uint64_t size, offset; } log;
		struct { uint64_t mmap_size, mmap_offset; uint16_t queue_count, queue_size; } __attribute__((packed)) inflight;
		struct { uint32_t offset, size, flags; uint8_t data[VHOST_CONFIG_MAX]; } config;
		uint8_t bytes[VHOST_PAYLOAD_MAX];
	};
};

struct vhost_message {
	struct vhost_header head;
	struct vhost_payload payload;     /* zeroes behind head.size bytes */
	int fds[VHOST_MESSAGE_FDS];       /* -1 behind fd_count; whoever wants one takes it with fd_steal() */
	size_t fd_count;
};

struct vhost_channel;

/** vhost_channel_new() - @fd: a connected, non-blocking unix stream socket; owned when this succeeds. Return: 0 or -ENOMEM. */
int vhost_channel_new(struct vhost_channel **out, int fd);
struct vhost_channel *vhost_channel_free(struct vhost_channel *c);

/**
 * vhost_channel_receive() - the next message
 * @out: filled in where there is one; its descriptors are the caller's: vhost_message_fini()
 *
 * Return: 1; 0 if the rest has not come yet; -ECONNRESET if the other side has gone; -EPROTO if what came is no message (wrong version, a
 * payload too long, a reply, descriptors behind its header, more descriptors than VHOST_MESSAGE_FDS); -EMFILE if this process has no
 * room for them; or another negative errno. After an error the channel is of no use but to be freed.
 */
int vhost_channel_receive(struct vhost_channel *c, struct vhost_message *out);

/**
 * vhost_channel_reply() - answer a message
 * @head: of the message that is answered
 * @data, @size: the payload
 * @fd:   a descriptor to go with it, or -1; stays the caller's
 * Return: 0, -EAGAIN if the other side does not read (a front end waits for its reply, so that one does not happen to honest ones), or
 * another negative errno.
 */
int vhost_channel_reply(struct vhost_channel *c, const struct vhost_header *head, const void *data, size_t size, int fd);

/** vhost_message_fini() - close the descriptors that nobody took */
void vhost_message_fini(struct vhost_message *m);
