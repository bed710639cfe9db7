// SPDX-License-Identifier: MIT
/* The control queue, with a driver played by hand on a split ring. */
#include "unit.h"
#include <stdlib.h>
#include <linux/virtio_net.h>
#include "port/vhost/control.h"

#define SIZE  16
#define GUEST 0x10000
#define PAIRS 8
#define NONE  0xee   /* what stands in the place of the answer before */

struct driver {
	struct vring_desc desc[SIZE];
	struct { uint16_t flags, idx, ring[SIZE], event; } avail;
	struct { uint16_t flags, idx; struct vring_used_elem ring[SIZE]; uint16_t event; } used __attribute__((aligned(4)));
	uint8_t command[8], ack;
};

struct world { struct driver *driver; struct vhost_memory memory; struct vhost_log log; struct virtqueue ring; };

static uint64_t address_of(const struct world *w, const void *at)
{
	return GUEST + (uint64_t)((const uint8_t *)at - (const uint8_t *)w->driver);
}

static void world_init(struct world *w)
{
	struct driver *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	*w = (struct world){ .driver = d, .memory.count = 1 };
	w->memory.regions[0] = (struct vhost_region){ .guest = GUEST, .size = sizeof(*d), .host = (uint8_t *)d };
	w->ring = (struct virtqueue){ .size = SIZE, .memory = &w->memory, .log = &w->log, .descriptors = d->desc, .avail = (void *)&d->avail,
		.used = (void *)&d->used };
	virtqueue_start(&w->ring, 0);
}

/* Send a command as Linux does: header, data, and a byte for the answer. Return: the answer. */
static int command(struct world *w, uint8_t class, uint8_t what, uint16_t value, size_t size)
{
	struct driver *d = w->driver;

	d->command[0] = class, d->command[1] = what;
	d->command[2] = (uint8_t)value, d->command[3] = (uint8_t)(value >> 8);
	d->ack = NONE;
	d->desc[0] = (struct vring_desc){ address_of(w, d->command), 2, VRING_DESC_F_NEXT, 1 };
	d->desc[1] = (struct vring_desc){ address_of(w, d->command + 2), (uint32_t)size, VRING_DESC_F_NEXT, 2 };
	d->desc[2] = (struct vring_desc){ address_of(w, &d->ack), 1, VRING_DESC_F_WRITE, 0 };
	d->avail.ring[d->avail.idx % SIZE] = 0;
	d->avail.idx++;
	assert_true(control_run(&w->ring, PAIRS));
	assert_true(virtqueue_publish(&w->ring));
	assert_int_equal(d->used.idx, d->avail.idx);
	assert_int_equal(d->used.ring[(d->used.idx - 1) % SIZE].len, 1);
	return d->ack;
}

static void pairs_are_set(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	assert_int_equal(command(&w, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 2), VIRTIO_NET_OK);
	assert_int_equal(command(&w, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, PAIRS, 2), VIRTIO_NET_OK);
	assert_int_equal(command(&w, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, PAIRS + 1, 2), VIRTIO_NET_ERR);
	assert_int_equal(command(&w, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 0, 2), VIRTIO_NET_ERR);
	assert_int_equal(command(&w, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 1), VIRTIO_NET_ERR);
	free(w.driver);
}

static void the_rest_is_refused(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	assert_int_equal(command(&w, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1, 1), VIRTIO_NET_ERR);
	assert_int_equal(command(&w, VIRTIO_NET_CTRL_MQ, 9, 1, 2), VIRTIO_NET_ERR);
	assert_int_equal(command(&w, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 0), VIRTIO_NET_ERR);
	free(w.driver);
}

static void nowhere_to_answer(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	w.driver->desc[0] = (struct vring_desc){ GUEST, 2, 0, 0 };
	w.driver->avail.idx = 1;
	assert_true(control_run(&w.ring, PAIRS));
	virtqueue_publish(&w.ring);
	assert_int_equal(w.driver->used.ring[0].len, 0);
	/* What is to be read may not stand behind what is to be written. */
	w.driver->desc[0] = (struct vring_desc){ GUEST, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1 };
	w.driver->desc[1] = (struct vring_desc){ GUEST, 2, 0, 0 };
	w.driver->avail.idx = 2;
	assert_false(control_run(&w.ring, PAIRS));
	assert_true(w.ring.broken);
	free(w.driver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_set),
		cmocka_unit_test(the_rest_is_refused),
		cmocka_unit_test(nowhere_to_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
