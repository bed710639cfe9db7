// SPDX-License-Identifier: MIT
#include "port/vhost/control.h"

#include <linux/virtio_net.h>

#include "base/attr.h"
#include "base/cursor.h"

#define COMMANDS_A_TURN 16
#define PARTS           16

static uint16_t read_le16(struct cursor *c)
{
	uint8_t low = cursor_u8(c);

	return (uint16_t)(low | cursor_u8(c) << 8);
}

static uint8_t answer(struct cursor c, uint16_t pairs)
{
	uint8_t class = cursor_u8(&c), command = cursor_u8(&c);
	uint16_t wanted;

	if (class != VIRTIO_NET_CTRL_MQ || command != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
		return VIRTIO_NET_ERR;
	/* Whatever the driver uses is served: there is nothing to switch. */
	wanted = read_le16(&c);
	return !cursor_failed(&c) && wanted >= VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN && wanted <= pairs ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
}

bool control_run(struct virtqueue *ring, uint16_t pairs)
{
	int taken = 0;

	for (int i = 0; i < COMMANDS_A_TURN; i++) {
		struct iovec iov[PARTS], *ack;
		struct virtqueue_chain chain;

		taken = virtqueue_take_request(ring, iov, PARTS, &chain);
		if (taken <= 0)
			break;
		ack = iov + chain.readable;
		if (chain.readable < chain.parts) {
			*(volatile uint8_t *)ack->iov_base = answer(cursor_of_iov(iov, chain.readable), pairs);
			vhost_log_mark_host(ring->log, ring->memory, ack->iov_base, 1);
		}
		virtqueue_use(ring, &chain, chain.readable < chain.parts);
	}
	return taken >= 0;
}
