// SPDX-License-Identifier: MIT
/* A vhost-user device and its front end, message by message: features, replies, memory, configuration, status, a front end that dies. */
#include "vhost_front.h"

#include <endian.h>
#include <sys/wait.h>
#include "io/sandbox.h"

static const struct vhost_device_params params = { .features = OFFERED, .mtu = 9000 };

static int setup(void **state)
{
	*state = front_new(&params);
	return 0;
}

static int setup_ready(void **state)
{
	struct front *f = front_new(&params);

	front_negotiate(f, FEATURES);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	front_free(*state);
	return 0;
}

/* A ring that runs, on memory of one region. */
static void run(struct front *f, uint32_t index)
{
	assert_int_equal(front_share(f), 0);
	front_ring(f, index, 256, USER);
	assert_int_equal(front_kick(f, index), 0);
	assert_true(front_queue(f, index)->ring.started);
}

/* --- features and replies --- */

static void features_are_offered_and_accepted(void **state)
{
	struct front *f = *state;

	assert_int_equal(front_ask(f, VHOST_GET_FEATURES), OFFERED);
	assert_int_equal(front_ask(f, VHOST_GET_PROTOCOL_FEATURES), 0x1b23f);
	assert_int_equal(front_ask(f, VHOST_GET_QUEUE_NUM), VHOST_QUEUE_PAIRS);
	assert_int_equal(front_ask(f, VHOST_GET_MAX_MEM_SLOTS), VHOST_MEMORY_SLOTS);
	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, FEATURES), NEVER);
	assert_int_equal(f->features, FEATURES);
	assert_int_equal(vhost_device_features(f->device), FEATURES);
	assert_int_equal(f->features_told, 1);
	assert_int_equal(front_ask(f, VHOST_SET_OWNER), NEVER);
}

static void a_mac_is_offered_where_there_is_one(void **state)
{
	const struct vhost_device_params with = { .features = OFFERED, .mac = { 2, 0, 0, 0, 0, 1 } };
	const struct vhost_device_params without = { .features = OFFERED | BIT(VIRTIO_NET_F_MAC) };
	struct front *f = front_new(&with);

	(void)state;
	assert_int_equal(front_ask(f, VHOST_GET_FEATURES), OFFERED | BIT(VIRTIO_NET_F_MAC));
	front_free(f);
	f = front_new(&without);
	assert_int_equal(front_ask(f, VHOST_GET_FEATURES), OFFERED);
	front_free(f);
}

static void replies_come_once_and_where_asked_for(void **state)
{
	struct front *f = *state;

	f->acks = true; /* not negotiated yet: nothing is to come */
	assert_int_equal(front_ask(f, VHOST_SET_OWNER), NEVER);
	assert_int_equal(front_u64(f, VHOST_SET_PROTOCOL_FEATURES, BIT(VHOST_PROTOCOL_REPLY_ACK)), 0);
	assert_int_equal(front_ask(f, VHOST_SET_OWNER), 0);
	assert_int_equal(front_ask(f, VHOST_GET_FEATURES), OFFERED);
	assert_int_equal(front_state(f, VHOST_GET_VRING_BASE, 3, 0), 3); /* the state, whose first half is the index */
	assert_int_equal(front_ask(f, 999), EOPNOTSUPP);
	assert_int_equal(front_ask(f, 0), EOPNOTSUPP);
	assert_int_equal(front_ask(f, UINT32_MAX), EOPNOTSUPP);
	assert_int_equal(front_ask(f, 22 /* IOTLB_MSG */), EOPNOTSUPP);
	f->acks = false;
	assert_int_equal(front_ask(f, VHOST_SET_OWNER), NEVER);
	assert_int_equal(front_ask(f, 999), NEVER);
	assert_int_equal(f->closed, 0);
}

static void wrong_sizes_and_descriptors_are_refused(void **state)
{
	/* Requests that can be refused by number, the size that is right, and how many descriptors. */
	static const struct { uint32_t request; size_t least, most, fds; } rules[] = {
		{ VHOST_SET_FEATURES, 8, 8, 0 }, { VHOST_SET_PROTOCOL_FEATURES, 8, 8, 0 }, { VHOST_SET_MEM_TABLE, 8, 264, 8 },
		{ VHOST_SET_VRING_NUM, 8, 8, 0 }, { VHOST_SET_VRING_ADDR, 40, 40, 0 }, { VHOST_SET_VRING_BASE, 8, 8, 0 },
		{ VHOST_SET_VRING_KICK, 8, 8, 1 }, { VHOST_SET_VRING_CALL, 8, 8, 1 }, { VHOST_SET_VRING_ERR, 8, 8, 1 },
		{ VHOST_SET_VRING_ENABLE, 8, 8, 0 }, { VHOST_SEND_RARP, 8, 12, 0 }, { VHOST_NET_SET_MTU, 8, 8, 0 },
		{ VHOST_SET_BACKEND_REQ_FD, 0, 8, 1 }, { VHOST_SET_CONFIG, 12, 268, 0 }, { VHOST_SET_INFLIGHT_FD, 20, 24, 1 },
		{ VHOST_ADD_MEM_REG, 40, 40, 1 }, { VHOST_REM_MEM_REG, 40, 40, 1 }, { VHOST_SET_STATUS, 8, 8, 0 }, { VHOST_SET_LOG_FD, 0, 8, 1 },
	};
	struct front *f = *state;
	int fds[] = { f->memory, f->memory, f->memory, f->memory, f->memory, f->memory, f->memory, f->memory };
	size_t open = open_fds();
	uint8_t zeroes[VHOST_PAYLOAD_MAX] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		if (rules[i].least)
			assert_int_equal(front_ack(f, rules[i].request, zeroes, rules[i].least - 1, fds, rules[i].fds), EINVAL);
		assert_int_equal(front_ack(f, rules[i].request, zeroes, rules[i].most + 1, fds, rules[i].fds), EINVAL);
		if (rules[i].fds < VHOST_MESSAGE_FDS)
			assert_int_equal(front_ack(f, rules[i].request, zeroes, rules[i].least, fds, rules[i].fds + 1), EINVAL);
	}
	assert_int_equal(open_fds(), open);
	assert_int_equal(f->closed, 0);
	assert_int_equal(vhost_device_features(f->device), FEATURES);
}

static void what_was_not_offered_is_refused(void **state)
{
	struct front *f = *state;

	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, FEATURES | BIT(60)), EINVAL);
	assert_int_equal(front_u64(f, VHOST_SET_PROTOCOL_FEATURES, BIT(VHOST_PROTOCOL_REPLY_ACK) | BIT(14)), EINVAL);
	assert_int_equal(vhost_device_features(f->device), FEATURES);
	assert_int_equal(f->closed, 0);
	f->acks = false;
	front_u64(f, VHOST_SET_FEATURES, BIT(60));
	assert_int_equal(f->closed, 1);
}

static void questions_that_cannot_be_refused(void **state)
{
	static const uint32_t requests[] = {
		VHOST_GET_FEATURES, VHOST_GET_PROTOCOL_FEATURES, VHOST_GET_QUEUE_NUM, VHOST_GET_MAX_MEM_SLOTS, VHOST_GET_STATUS,
		VHOST_GET_VRING_BASE,
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		uint32_t payload[4] = { VHOST_QUEUES };
		struct front *f = front_new(&params);

		front_negotiate(f, FEATURES);
		front_send(f, requests[i], VHOST_FLAG_NEED_REPLY, payload, requests[i] == VHOST_GET_VRING_BASE ? 8 : 12, NULL, 0);
		assert_int_equal(f->closed, 1);
		assert_int_equal(front_reply(f, requests[i], payload, sizeof(payload), NULL), -1);
		front_free(f);
	}
	(void)state;
}

/* --- memory --- */

static void a_table_with_room_to_spare(void **state)
{
	struct front *f = *state;
	struct vhost_payload p = { .memory = { .count = 1, .region = { { GUEST, MEMORY - 0x3000, USER, 0x3000 }, { 1, 1, 1, 1 } } } };
	uint32_t size = 1;

	assert_int_equal(front_ack(f, VHOST_SET_MEM_TABLE, &p, 8 + 2 * sizeof(p.memory.region[0]), &f->memory, 1), 0);
	f->bytes[0x3010] = 0x5a;
	assert_int_equal(*vhost_memory_at(vhost_device_memory(f->device), GUEST + 0x10, &size), 0x5a);
	assert_ptr_equal(vhost_memory_at_user(vhost_device_memory(f->device), USER + 0x10, 1),
			 vhost_memory_at(vhost_device_memory(f->device), GUEST + 0x10, &size));
	assert_int_equal(vhost_device_memory(f->device)->count, 1);
}

static void wrong_tables_change_nothing(void **state)
{
	struct front *f = *state;
	const struct vhost_region_message good[] = { { 0, 0x1000, 0, 0 }, { 0x1000, 0x1000, 0x1000, 0x1000 } };
	const struct vhost_region_message over[] = { { 0, 0x1000, 0, 0 }, { 0xfff, 0x1000, 0x1000, 0x1000 } };
	const struct vhost_region_message long_[] = { { 0, 0x1000, 0, 0 }, { 0x1000, MEMORY, 0x1000, 0x1000 } };
	struct vhost_payload p = { .memory.count = 2 };
	int fds[] = { f->memory, f->memory };
	size_t maps;

	run(f, 0);
	maps = open_maps();
	assert_int_equal(front_table(f, over, 2, fds), EINVAL);
	assert_int_equal(front_table(f, long_, 2, fds), EINVAL);
	memcpy(p.memory.region, good, sizeof(good));
	assert_int_equal(front_ack(f, VHOST_SET_MEM_TABLE, &p, 8 + 2 * 32, fds, 1), EINVAL);
	assert_int_equal(front_ack(f, VHOST_SET_MEM_TABLE, &p, 8 + 1 * 32, fds, 2), EINVAL);
	p.memory.count = 9;
	assert_int_equal(front_ack(f, VHOST_SET_MEM_TABLE, &p, 264, fds, 2), EINVAL);
	p.memory.count = UINT32_MAX;
	assert_int_equal(front_ack(f, VHOST_SET_MEM_TABLE, &p, 264, fds, 2), EINVAL);
	assert_int_equal(open_maps(), maps);
	assert_true(front_queue(f, 0)->ring.started);
	assert_int_equal(f->stops[0], 0);
}

static void memory_changes_under_a_ring(void **state)
{
	const struct vhost_region_message elsewhere = { 0, 0x8000, USER - 0x4000, 0x8000 };
	struct front *f = *state;
	struct virtqueue *r = &front_queue(f, 0)->ring;

	run(f, 0);
	((struct vring_used *)(f->bytes + 0x2000))->idx = 5;
	assert_int_equal(front_state(f, VHOST_SET_VRING_BASE, 0, 5), 0);
	/* The same addresses are other bytes now. */
	assert_int_equal(front_table(f, &elsewhere, 1, &f->memory), 0);
	assert_true(r->started);
	assert_int_equal(r->next_take, 5);
	((struct vring_avail *)(f->bytes + 0xd000))->idx = 77;
	assert_int_equal(r->avail->idx, 77);
	/* Gone, and back again: it goes on where it stood. */
	assert_int_equal(front_table(f, NULL, 0, NULL), 0);
	assert_false(r->started);
	assert_int_equal(front_share(f), 0);
	assert_true(r->started);
	assert_int_equal(r->next_take, 5);
	assert_int_equal(f->running[0], true);
	assert_int_equal(front_stop(f, 0), 5);
}

static void slots_are_added_and_removed(void **state)
{
	struct front *f = *state;
	struct vhost_payload ring = { .slot.region = { GUEST, 0x4000, USER, 0 } }, more = { .slot.region = { 0, 0x4000, 0x1000, 0x4000 } };
	struct vhost_payload part = { .slot.region = { GUEST, 0x2000, USER, 0 } };
	size_t open = open_fds();

	front_ring(f, 0, 256, USER);
	assert_int_equal(front_kick(f, 0), 0);
	assert_false(front_queue(f, 0)->ring.started);
	assert_int_equal(front_ack(f, VHOST_ADD_MEM_REG, &more, 40, &f->memory, 1), 0);
	assert_false(front_queue(f, 0)->ring.started);
	assert_int_equal(front_ack(f, VHOST_ADD_MEM_REG, &ring, 40, &f->memory, 1), 0);
	assert_true(front_queue(f, 0)->ring.started);
	assert_int_equal(front_ack(f, VHOST_ADD_MEM_REG, &ring, 40, &f->memory, 1), 0); /* again, as QEMU does for each pair of queues */
	assert_int_equal(vhost_device_memory(f->device)->count, 2);
	assert_int_equal(front_ack(f, VHOST_ADD_MEM_REG, &part, 40, &f->memory, 1), EINVAL);
	assert_int_equal(front_ack(f, VHOST_REM_MEM_REG, &part, 40, NULL, 0), EINVAL);
	assert_int_equal(front_ack(f, VHOST_ADD_MEM_REG, &ring, 40, NULL, 0), EINVAL);
	assert_int_equal(front_ack(f, VHOST_REM_MEM_REG, &more, 40, NULL, 0), 0);
	assert_true(front_queue(f, 0)->ring.started);
	assert_int_equal(front_ack(f, VHOST_REM_MEM_REG, &more, 40, NULL, 0), 0);
	assert_true(front_queue(f, 0)->ring.started);
	assert_int_equal(front_ack(f, VHOST_REM_MEM_REG, &ring, 40, &f->memory, 1), 0);
	assert_false(front_queue(f, 0)->ring.started);
	assert_int_equal(vhost_device_memory(f->device)->count, 0);
	assert_int_equal(open_fds(), open + 1); /* the kick */
}

static void memory_is_cut_short(void **state)
{
	struct front *f = *state;
	_cleanup_fd_ int error = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t value = 0;

	run(f, 0);
	assert_int_equal(front_fd(f, VHOST_SET_VRING_ERR, 0, error), 0);
	assert_int_equal(ftruncate(f->memory, 0), 0);
	(void)front_queue(f, 0)->ring.avail->idx;
	assert_int_equal(f->closed, 0);
	front_ask(f, VHOST_GET_FEATURES);
	assert_int_equal(f->closed, 1);
	assert_string_equal(f->why, "its memory was taken away");
	assert_int_equal(read(error, &value, sizeof(value)), sizeof(value));
	assert_int_equal(ftruncate(f->memory, MEMORY), 0);
}

/* --- life --- */

static void reset_owner_disables(void **state)
{
	struct front *f = *state;

	run(f, 1);
	assert_int_equal(front_state(f, VHOST_SET_VRING_ENABLE, 1, 1), 0);
	assert_true(front_queue(f, 1)->enabled);
	assert_int_equal(front_ask(f, VHOST_RESET_OWNER), 0);
	assert_false(front_queue(f, 1)->enabled);
	assert_true(front_queue(f, 1)->ring.started);
	assert_int_equal(vhost_device_memory(f->device)->count, 1);
}

static void assert_as_new(struct front *f)
{
	const struct vhost_queue *q = front_queue(f, 0);

	assert_false(q->ring.started || q->enabled || q->has_address || q->polled);
	assert_int_equal(q->kick, -1);
	assert_int_equal(q->ring.size, 0);
	assert_true(q->call >= 0);
	assert_int_equal(vhost_device_features(f->device), 0);
	assert_int_equal(f->features, 0);
	assert_int_equal(front_ask(f, VHOST_GET_STATUS), 0);
	/* QEMU says these once a connection, and of memory only what changes. */
	assert_int_equal(vhost_device_memory(f->device)->count, 1);
	assert_int_equal(front_ask(f, VHOST_SET_OWNER), 0);
}

static void reset_device_and_status(void **state)
{
	struct front *f = *state;
	_cleanup_fd_ int call = eventfd(0, EFD_CLOEXEC);

	for (int way = 0; way < 2; way++) {
		assert_int_equal(front_u64(f, VHOST_SET_STATUS, 1 | 2 | VIRTIO_CONFIG_S_FEATURES_OK), 0);
		assert_int_equal(front_ask(f, VHOST_GET_STATUS), 11);
		assert_int_equal(front_fd(f, VHOST_SET_VRING_CALL, 0, call), 0);
		run(f, 0);
		assert_int_equal(front_state(f, VHOST_SET_VRING_ENABLE, 0, 1), 0);
		assert_int_equal(front_u64(f, VHOST_SET_STATUS, 15), 0);
		assert_int_equal(front_u64(f, VHOST_SET_STATUS, 0x100), EINVAL);
		assert_int_equal(front_ask(f, VHOST_GET_STATUS), 15);
		assert_int_equal(way ? front_ask(f, VHOST_RESET_DEVICE) : front_u64(f, VHOST_SET_STATUS, 0), 0);
		assert_as_new(f);
		assert_int_equal(front_u64(f, VHOST_SET_FEATURES, FEATURES), 0);
	}
}

static void a_channel_back_is_kept(void **state)
{
	struct front *f = *state;
	struct pollfd hangup = { .events = POLLIN };
	int fds[2];

	assert_int_equal(front_ask(f, VHOST_SET_BACKEND_REQ_FD), EINVAL);
	assert_int_equal(front_ack(f, VHOST_SET_BACKEND_REQ_FD, NULL, 0, &f->memory, 1), EINVAL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(front_ack(f, VHOST_SET_BACKEND_REQ_FD, NULL, 0, &fds[1], 1), 0);
	fd_close(fds[1]);
	hangup.fd = fds[0];
	assert_int_equal(poll(&hangup, 1, 0), 0);
	f->device = vhost_device_free(f->device);
	assert_int_equal(poll(&hangup, 1, 0), 1);
	fd_close(fds[0]);
}

/* --- network --- */

static ssize_t config(struct front *f, uint32_t offset, uint32_t size, uint32_t sent, struct vhost_payload *out)
{
	struct vhost_payload p = { .config = { offset, size, 0 } };

	front_send(f, VHOST_GET_CONFIG, VHOST_FLAG_NEED_REPLY, &p, 12 + sent, NULL, 0);
	return front_reply(f, VHOST_GET_CONFIG, out, sizeof(*out), NULL);
}

static void configuration_is_read(void **state)
{
	struct front *f = *state;
	struct virtio_net_config c;
	struct vhost_payload p;

	assert_int_equal(config(f, 0, sizeof(c), sizeof(c), &p), 12 + sizeof(c));
	memcpy(&c, p.config.data, sizeof(c));
	assert_int_equal(le16toh(c.status), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(le16toh(c.max_virtqueue_pairs), VHOST_QUEUE_PAIRS);
	assert_int_equal(le16toh(c.mtu), 9000);
	assert_int_equal(config(f, 10, 2, 2, &p), 14);
	assert_int_equal(p.config.offset, 10);
	assert_int_equal(p.config.data[0] | p.config.data[1] << 8, 9000);
	/* All of the space, and no more */
	assert_int_equal(config(f, 0, VHOST_CONFIG_MAX, VHOST_CONFIG_MAX, &p), 12 + VHOST_CONFIG_MAX);
	assert_int_equal(p.config.data[VHOST_CONFIG_MAX - 1], 0);
	assert_int_equal(config(f, VHOST_CONFIG_MAX, 0, 0, &p), 12);
	assert_int_equal(config(f, 1, VHOST_CONFIG_MAX, VHOST_CONFIG_MAX, &p), 0);
	assert_int_equal(config(f, UINT32_MAX, 2, 2, &p), 0);
	assert_int_equal(config(f, 0, UINT32_MAX, 8, &p), 0);
	assert_int_equal(config(f, 0, 8, 7, &p), 0);
	assert_silent(f);
}

static uint64_t configure(struct front *f, uint32_t offset, uint32_t size, uint32_t flags)
{
	struct vhost_payload p = { .config = { offset, size, flags, { 2, 3, 4, 5, 6, 7 } } };

	return front_ack(f, VHOST_SET_CONFIG, &p, 12 + MIN(size, (uint32_t)VHOST_CONFIG_MAX), NULL, 0);
}

static void configuration_is_written(void **state)
{
	struct front *f = *state;
	struct vhost_payload p;

	assert_int_equal(configure(f, 0, 6, 0), EPERM); /* only a legacy driver may */
	assert_int_equal(configure(f, 0, 6, 1), 0);
	assert_int_equal(config(f, 0, 6, 6, &p), 18);
	assert_memory_equal(p.config.data, "\2\3\4\5\6\7", 6);
	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, BIT(VHOST_F_PROTOCOL_FEATURES)), 0);
	assert_int_equal(configure(f, 0, 6, 0), 0);
	assert_int_equal(configure(f, 0, 7, 0), EPERM);
	assert_int_equal(configure(f, 6, 2, 0), EPERM);
	assert_int_equal(configure(f, 0, sizeof(struct virtio_net_config) + 1, 1), EINVAL);
	assert_int_equal(configure(f, UINT32_MAX, 2, 1), EINVAL);
	assert_int_equal(configure(f, 0, UINT32_MAX, 1), EINVAL);
}

static void the_mtu_is_set(void **state)
{
	struct front *f = *state;
	struct vhost_payload p;

	assert_int_equal(front_u64(f, VHOST_NET_SET_MTU, 67), EINVAL);
	assert_int_equal(front_u64(f, VHOST_NET_SET_MTU, 9001), EINVAL);
	assert_int_equal(front_u64(f, VHOST_NET_SET_MTU, UINT64_C(0x100000000) + 1500), EINVAL);
	assert_int_equal(front_u64(f, VHOST_NET_SET_MTU, 1500), 0);
	assert_int_equal(config(f, 10, 2, 2, &p), 14);
	assert_int_equal(p.config.data[0] | p.config.data[1] << 8, 1500);
}

static void a_guest_that_moved_is_announced(void **state)
{
	struct front *f = *state;

	assert_int_equal(front_ack(f, VHOST_SEND_RARP, "\x52\x54\0\1\2\3\0\0", 8, NULL, 0), 0);
	assert_memory_equal(f->mac, "\x52\x54\0\1\2\3", 6);
	assert_int_equal(front_ack(f, VHOST_SEND_RARP, "\x53\x54\0\1\2\3\0\0", 8, NULL, 0), EINVAL);
	assert_int_equal(front_ack(f, VHOST_SEND_RARP, "\0\0\0\0\0\0\0\1", 8, NULL, 0), EINVAL);
	assert_int_equal(f->announced, 1);
}

/* --- the end --- */

static void what_is_no_message_closes(void **state)
{
	struct front *f = *state;
	uint32_t garbage[3] = { VHOST_GET_FEATURES, 2, 0 };

	run(f, 0);
	front_raw(f, garbage, sizeof(garbage), NULL, 0);
	front_turn(f);
	assert_int_equal(f->closed, 1);
	assert_string_equal(f->why, "its front end says what is no vhost-user message");
	front_turn(f);
	assert_int_equal(f->closed, 1);
}

static void the_data_path_closes(void **state)
{
	struct front *f = *state;
	_cleanup_fd_ int error = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t value;

	run(f, 0);
	assert_int_equal(front_fd(f, VHOST_SET_VRING_ERR, 0, error), 0);
	assert_int_equal(front_fd(f, VHOST_SET_VRING_ERR, 1, other), 0);
	front_queue(f, 0)->ring.broken = true;
	vhost_device_close(f->device, "the ring is broken");
	vhost_device_close(f->device, "again");
	assert_string_equal(f->why, "the ring is broken");
	assert_int_equal(f->closed, 1);
	assert_int_equal(read(error, &value, sizeof(value)), sizeof(value));
	assert_int_equal(read(other, &value, sizeof(value)), -1);
}

static void it_is_closed_while_it_tells(void **state)
{
	struct front *f = *state;

	assert_int_equal(front_share(f), 0);
	front_ring(f, 0, 256, USER);
	f->close_on_change = true;
	assert_int_equal(front_kick(f, 0), NEVER);
	assert_int_equal(f->closed, 1);
	assert_false(front_queue(f, 0)->ring.started);
}

static void nobody_listens_to_replies(void **state)
{
	struct front *f = *state;
	struct vhost_header ask = { VHOST_GET_FEATURES, VHOST_FLAG_VERSION, 0 };

	for (int i = 0; i < 100000 && !f->closed; i++) {
		front_raw(f, &ask, sizeof(ask), NULL, 0);
		front_turn(f);
	}
	assert_string_equal(f->why, "its front end does not read what it is told");
}

/* All that QEMU would say, and it dies after each byte of it. Nothing may be left open or mapped: front_free() looks. */
static void a_front_end_dies_at_any_byte(void **state)
{
	struct vhost_payload table = { .memory = { .count = 2, .region = { { 0, 0x4000, USER, 0 }, { 0x4000, 0x4000, 0, 0x4000 } } } };
	struct vhost_payload address = { .address = { 0, 1, USER, USER + 0x2000, USER + 0x1000, 0x2000 } };
	struct vhost_payload slot = { .slot.region = { 0x10000, 0x1000, 0x10000, 0 } }, inflight = { .inflight = { 0, 0, 2, 256 } };
	struct vhost_payload number = { .state = { 0, 256 } }, zero = { .u64 = 0 }, features = { .u64 = OFFERED & ~BIT(VIRTIO_F_RING_PACKED) };
	struct vhost_payload protocol = { .u64 = 0x1b23f }, log = { .log = { 4096, 0 } };
	const struct { uint32_t request; const struct vhost_payload *payload; uint32_t size; size_t fds; bool event; } script[] = {
		{ VHOST_SET_FEATURES, &features, 8 }, { VHOST_SET_PROTOCOL_FEATURES, &protocol, 8 }, { VHOST_SET_MEM_TABLE, &table, 72, 2 },
		{ VHOST_SET_VRING_CALL, &zero, 8, 1, true }, { VHOST_SET_VRING_ERR, &zero, 8, 1, true }, { VHOST_GET_INFLIGHT_FD, &inflight, 20 },
		{ VHOST_SET_VRING_NUM, &number, 8 }, { VHOST_SET_VRING_ADDR, &address, 40 }, { VHOST_SET_VRING_KICK, &zero, 8, 1, true },
		{ VHOST_ADD_MEM_REG, &slot, 40, 1 }, { VHOST_SET_LOG_BASE, &log, 16, 1 }, { VHOST_SET_LOG_FD, &zero, 0, 1, true },
		{ VHOST_SET_MEM_TABLE, &table, 72, 2 }, { VHOST_GET_VRING_BASE, &zero, 8 },
	};
	size_t size = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(script); i++)
		size += sizeof(struct vhost_header) + script[i].size;
	for (size_t die = 0; die <= size; die++) {
		struct front *f = front_new(&params);
		int event = eventfd(0, EFD_CLOEXEC);
		size_t left = die;

		for (size_t i = 0; i < ARRAY_SIZE(script) && left; i++) {
			struct { struct vhost_header head; struct vhost_payload payload; } __attribute__((packed)) m = {
				{ script[i].request, VHOST_FLAG_VERSION, script[i].size }, *script[i].payload };
			size_t whole = sizeof(m.head) + script[i].size;
			int fds[] = { script[i].event ? event : f->memory, f->memory };

			front_raw(f, &m, MIN(whole, left), fds, script[i].fds);
			front_turn(f);
			left -= MIN(whole, left);
		}
		assert_int_equal(f->closed, 0);
		if (die == size) /* it ran, stopped for an area, for a table, and for good */
			assert_int_equal(f->stops[0], 2);
		f->fd = fd_close(f->fd);
		front_turn(f);
		assert_int_equal(f->closed, 1);
		assert_string_equal(f->why, "the guest closed its connection");
		fd_close(event);
		front_free(f);
	}
}

/* Everything that maps, makes or changes a descriptor, behind the daemon's walls. Builds with a sanitizer have them without seccomp. */
static int play_behind_the_walls(struct front *f)
{
	uint64_t log[] = { 0x1000, 0 };
	struct vhost_payload area = { .inflight = { 0, 0, 2, 256 } };
	_cleanup_fd_ int call = eventfd(0, EFD_CLOEXEC);
	int fd = -1;

	if (sandbox_enter(NULL, 0) < 0)
		return 1;
	front_negotiate(f, FEATURES);
	front_fd(f, VHOST_SET_VRING_CALL, 0, call);
	run(f, 0);
	if (front_ack(f, VHOST_SET_LOG_BASE, log, sizeof(log), &f->memory, 1) != 0)
		return 2;
	front_send(f, VHOST_GET_INFLIGHT_FD, 0, &area, 20, NULL, 0);
	if (front_reply(f, VHOST_GET_INFLIGHT_FD, &area, sizeof(area), &fd) != 20 || fd < 0)
		return 3;
	if (front_ack(f, VHOST_SET_INFLIGHT_FD, &area, 20, &fd, 1) != 0 || !front_queue(f, 0)->ring.inflight.region)
		return 4;
	if (ftruncate(f->memory, 0) < 0 || front_queue(f, 0)->ring.avail->idx)
		return 5;
	vhost_device_free(f->device);
	return 66;
}

static void it_works_behind_the_walls(void **state)
{
	int status;
	pid_t child = fork();

	if (!child)
		_exit(play_behind_the_walls(*state));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 66);
	assert_int_equal(ftruncate(((struct front *)*state)->memory, MEMORY), 0);
}

#define TEST(setup, name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup, features_are_offered_and_accepted),
		cmocka_unit_test(a_mac_is_offered_where_there_is_one),
		TEST(setup, replies_come_once_and_where_asked_for),
		TEST(setup_ready, wrong_sizes_and_descriptors_are_refused),
		TEST(setup_ready, what_was_not_offered_is_refused),
		cmocka_unit_test(questions_that_cannot_be_refused),
		TEST(setup_ready, a_table_with_room_to_spare),
		TEST(setup_ready, wrong_tables_change_nothing),
		TEST(setup_ready, memory_changes_under_a_ring),
		TEST(setup_ready, slots_are_added_and_removed),
		TEST(setup_ready, memory_is_cut_short),
		TEST(setup_ready, reset_owner_disables),
		TEST(setup_ready, reset_device_and_status),
		TEST(setup_ready, a_channel_back_is_kept),
		TEST(setup_ready, configuration_is_read),
		TEST(setup_ready, configuration_is_written),
		TEST(setup_ready, the_mtu_is_set),
		TEST(setup_ready, a_guest_that_moved_is_announced),
		TEST(setup_ready, what_is_no_message_closes),
		TEST(setup_ready, the_data_path_closes),
		TEST(setup_ready, it_is_closed_while_it_tells),
		TEST(setup_ready, nobody_listens_to_replies),
		cmocka_unit_test(a_front_end_dies_at_any_byte),
		TEST(setup, it_works_behind_the_walls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
