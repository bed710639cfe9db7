// SPDX-License-Identifier: MIT
/* The queues of a vhost-user device as a front end sets them up, in any order: when they run, where, and with which descriptors. */
#include "vhost_front.h"

static const struct vhost_device_params params = { .features = OFFERED | BIT(VIRTIO_RING_F_INDIRECT_DESC), .mtu = 1500 };

static int setup(void **state)
{
	struct front *f = front_new(&params);

	front_negotiate(f, FEATURES);
	*state = f;
	return 0;
}

static int setup_plain(void **state)
{
	*state = front_new(&params);
	return 0;
}

static int teardown(void **state)
{
	front_free(*state);
	return 0;
}

static bool runs(struct front *f, uint32_t index)
{
	assert_int_equal(f->running[index], front_queue(f, index)->ring.started);
	return f->running[index];
}

/* --- start --- */

static void a_ring_runs_in_any_order(void **state)
{
	/* All orders of: memory, size, base, addresses, kick */
	for (unsigned int order = 0; order < 120; order++) {
		unsigned int left[] = { 0, 1, 2, 3, 4 }, code = order;
		struct front *f = front_new(&params);

		front_negotiate(f, FEATURES);
		for (unsigned int n = 5; n; n--) {
			unsigned int at = code % n, what = left[at];
			uint64_t r = 0;

			code /= n;
			left[at] = left[n - 1];
			switch (what) {
			case 0: r = front_share(f); break;
			case 1: r = front_state(f, VHOST_SET_VRING_NUM, 2, 64); break;
			case 2: r = front_state(f, VHOST_SET_VRING_BASE, 2, 7); break;
			case 3: r = front_address(f, 2, USER); break;
			case 4: r = front_kick(f, 2); break;
			}
			assert_int_equal(r, 0);
			/* The base may be left out, and be said later. */
			if (n > 2)
				assert_false(runs(f, 2));
		}
		assert_true(runs(f, 2));
		assert_int_equal(front_queue(f, 2)->ring.next_take, 7);
		assert_int_equal(front_queue(f, 2)->ring.size, 64);
		assert_false(front_queue(f, 2)->enabled);
		assert_int_equal(front_state(f, VHOST_SET_VRING_ENABLE, 2, 1), 0);
		assert_true(front_queue(f, 2)->enabled);
		assert_int_equal(front_stop(f, 2), 7);
		front_free(f);
	}
	(void)state;
}

static void without_protocol_features_it_is_enabled(void **state)
{
	struct front *f = *state;

	/* As User-mode Linux: protocol features are settled, and then the driver's own follow without bit 30. */
	front_negotiate(f, FEATURES);
	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, BIT(VIRTIO_F_VERSION_1)), 0);
	assert_int_equal(front_share(f), 0);
	front_ring(f, 1, 256, USER);
	assert_int_equal(front_kick(f, 1), 0);
	assert_true(runs(f, 1) && front_queue(f, 1)->enabled);
	/* Its driver goes, without GET_VRING_BASE; the ring is not touched until the next one has set it up. */
	assert_int_equal(front_state(f, VHOST_SET_VRING_ENABLE, 1, 0), 0);
	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, BIT(VIRTIO_F_VERSION_1)), 0);
	assert_false(front_queue(f, 1)->enabled);
	assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, 1, 128), 0);
	assert_false(runs(f, 1));
	assert_int_equal(front_state(f, VHOST_SET_VRING_BASE, 1, 0), 0);
	assert_false(runs(f, 1));
	assert_int_equal(front_address(f, 1, USER + 0x8000), 0);
	assert_int_equal(front_kick(f, 1), 0);
	assert_true(runs(f, 1) && front_queue(f, 1)->enabled);
	assert_int_equal(front_queue(f, 1)->ring.size, 128);
}

static void other_features_begin_the_rings_anew(void **state)
{
	struct front *f = *state;
	const struct vhost_queue *q = front_queue(f, 0);

	assert_int_equal(front_share(f), 0);
	front_ring(f, 0, 256, USER);
	assert_int_equal(front_kick(f, 0), 0);
	assert_false(q->ring.event_idx || q->ring.packed || q->ring.indirect);
	/* The same once more (QEMU says them for each pair), and what is not about the ring's form. */
	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, FEATURES), 0);
	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, FEATURES | BIT(VHOST_F_LOG_ALL)), 0);
	assert_true(runs(f, 0));
	assert_int_equal(f->stops[0], 0);
	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC)), 0);
	assert_false(runs(f, 0) || q->has_address || q->kick >= 0);
	front_ring(f, 0, 256, USER);
	assert_int_equal(front_kick(f, 0), 0);
	assert_true(runs(f, 0));
	assert_true(q->ring.event_idx && q->ring.indirect);
}

/* --- size and place --- */

static void sizes(void **state)
{
	struct front *f = *state;
	static const uint32_t wrong[] = { 0, 3, 255, 257, 32769, 65536, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, 0, wrong[i]), EINVAL);
	for (uint32_t size = 1; size <= 32768; size *= 2)
		assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, 0, size), 0);
	assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, VHOST_QUEUES, 256), EINVAL);
	assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, UINT32_MAX, 256), EINVAL);
	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, FEATURES | BIT(VIRTIO_F_RING_PACKED)), 0);
	assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, 0, 100), 0);
	assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, 0, 32769), EINVAL);
	/* Back to split rings: 100 is none any more. */
	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, FEATURES), 0);
	assert_int_equal(front_share(f), 0);
	assert_int_equal(front_address(f, 0, USER), 0);
	assert_int_equal(front_kick(f, 0), 0);
	assert_false(runs(f, 0));
	assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, 0, 128), 0);
	assert_true(runs(f, 0));
}

static uint64_t place(struct front *f, uint64_t descriptors, uint64_t available, uint64_t used)
{
	struct vhost_payload p = { .address = { 0, 0, descriptors, used, available, 0 } };

	return front_ack(f, VHOST_SET_VRING_ADDR, &p, sizeof(p.address), NULL, 0);
}

static void places(void **state)
{
	struct front *f = *state;
	const uint64_t end = USER + MEMORY;
	struct vhost_payload p = { .address = { VHOST_QUEUES, 0, USER, USER, USER, 0 } };

	assert_int_equal(front_ack(f, VHOST_SET_VRING_ADDR, &p, 40, NULL, 0), EINVAL);
	assert_int_equal(place(f, 16, 2, 4), 0); /* there is no memory yet to tell */
	assert_int_equal(front_share(f), 0);
	assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, 0, 256), 0);
	assert_int_equal(place(f, USER + 8, USER, USER), EINVAL);
	assert_int_equal(place(f, USER, USER + 1, USER), EINVAL);
	assert_int_equal(place(f, USER, USER, USER + 2), EINVAL);
	/* Up to the last byte: 16, 2 and 8 a descriptor, and 6 */
	assert_int_equal(place(f, end - 4096, end - 518, end - 2056), 0);
	assert_int_equal(place(f, end - 4080, USER, USER), EFAULT);
	assert_int_equal(place(f, USER, end - 516, USER), EFAULT);
	assert_int_equal(place(f, USER, USER, end - 2052), EFAULT);
	assert_int_equal(place(f, USER - 16, USER, USER), EFAULT);
	assert_int_equal(place(f, UINT64_MAX - 15, USER, USER), EFAULT);
	assert_int_equal(front_queue(f, 0)->used, end - 2056);
	assert_int_equal(front_kick(f, 0), 0);
	assert_true(runs(f, 0));
	assert_int_equal(place(f, USER, USER, end), EFAULT);
	assert_true(runs(f, 0));
}

static void places_of_packed_rings(void **state)
{
	struct front *f = *state;
	const uint64_t end = USER + MEMORY;

	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, FEATURES | BIT(VIRTIO_F_RING_PACKED)), 0);
	assert_int_equal(front_share(f), 0);
	assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, 0, 100), 0);
	assert_int_equal(place(f, USER, USER + 2, USER), EINVAL);
	assert_int_equal(place(f, end - 1584, USER, USER), EFAULT);
	assert_int_equal(place(f, USER, end, USER), EFAULT);
	assert_int_equal(place(f, end - 1600, end - 4, end - 8), 0);
	assert_int_equal(front_kick(f, 0), 0);
	assert_true(runs(f, 0) && front_queue(f, 0)->ring.packed && !front_queue(f, 0)->ring.broken);
	/* Nobody said where it begins. */
	assert_int_equal(front_stop(f, 0), 0x80008000);
	/* DPDK's front end says half of it. */
	assert_int_equal(front_state(f, VHOST_SET_VRING_BASE, 0, 0x8000), 0);
	assert_int_equal(front_kick(f, 0), 0);
	assert_int_equal(front_stop(f, 0), 0x80008000);
	assert_int_equal(front_state(f, VHOST_SET_VRING_BASE, 0, 0x80078007), 0);
	assert_int_equal(front_kick(f, 0), 0);
	assert_int_equal(front_stop(f, 0), 0x80078007);
}

/* What is aligned for the front end may lie askew in its file. */
static void places_askew(void **state)
{
	struct front *f = *state;
	const struct vhost_region_message odd = { GUEST, 0x8000, USER, 2 };

	front_ring(f, 0, 256, USER);
	assert_int_equal(front_table(f, &odd, 1, &f->memory), 0);
	assert_int_equal(front_kick(f, 0), 0);
	assert_false(runs(f, 0));
	assert_int_equal(front_address(f, 0, USER), EFAULT);
}

static void bases(void **state)
{
	struct front *f = *state;

	assert_int_equal(front_state(f, VHOST_SET_VRING_BASE, 0, 65536), EINVAL);
	assert_int_equal(front_state(f, VHOST_SET_VRING_BASE, VHOST_QUEUES, 0), EINVAL);
	assert_int_equal(front_state(f, VHOST_SET_VRING_BASE, 0, 65535), 0);
	assert_int_equal(front_stop(f, 0), 65535);
	assert_int_equal(front_state(f, VHOST_SET_VRING_ENABLE, 0, 2), EINVAL);
	assert_int_equal(front_state(f, VHOST_SET_VRING_ENABLE, VHOST_QUEUES, 1), EINVAL);
}

/* --- descriptors --- */

static void descriptors_that_are_none(void **state)
{
	static const uint32_t requests[] = { VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL, VHOST_SET_VRING_ERR };
	_cleanup_fd_ int event = eventfd(0, EFD_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct front *f = *state;
	size_t open_before = open_fds();

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		assert_int_equal(front_fd(f, requests[i], 0, -1), EINVAL);
		assert_int_equal(front_fd(f, requests[i], 0 | VHOST_QUEUE_NO_FD, event), EINVAL);
		assert_int_equal(front_fd(f, requests[i], VHOST_QUEUES, event), EINVAL);
		assert_int_equal(front_fd(f, requests[i], 255, event), EINVAL);
		assert_int_equal(front_fd(f, requests[i], 0x200, event), EINVAL);
		assert_int_equal(front_fd(f, requests[i], UINT64_C(1) << 32, event), EINVAL);
		assert_int_equal(front_fd(f, requests[i], 0, f->memory), EINVAL);
		assert_int_equal(front_fd(f, requests[i], 0, null), EINVAL);
		assert_int_equal(front_fd(f, requests[i], 15 | VHOST_QUEUE_NO_FD, -1), 0);
	}
	assert_int_equal(open_fds(), open_before);
	assert_true(front_queue(f, 15)->polled);
	assert_false(front_queue(f, 0)->polled);
}

static void descriptors_do_not_block(void **state)
{
	struct front *f = *state;
	_cleanup_fd_ int kick = eventfd(0, EFD_CLOEXEC), call = eventfd(0, EFD_CLOEXEC), error = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(front_fd(f, VHOST_SET_VRING_KICK, 0, kick), 0);
	assert_int_equal(front_fd(f, VHOST_SET_VRING_CALL, 0, call), 0);
	assert_int_equal(front_fd(f, VHOST_SET_VRING_ERR, 0, error), 0);
	assert_true(fcntl(front_queue(f, 0)->kick, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(front_queue(f, 0)->call, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(front_queue(f, 0)->error, F_GETFL) & O_NONBLOCK);
}

/* The other end of a pipe shows when ours is closed. */
static bool is_closed(int other)
{
	struct pollfd p = { .fd = other, .events = 0 };

	return poll(&p, 1, 0) == 1 && p.revents & (POLLERR | POLLHUP);
}

static void kicks_are_replaced_and_closed(void **state)
{
	struct front *f = *state;
	int one[2], two[2];

	assert_int_equal(pipe2(one, O_CLOEXEC), 0);
	assert_int_equal(pipe2(two, O_CLOEXEC), 0);
	assert_int_equal(front_share(f), 0);
	front_ring(f, 0, 256, USER);
	assert_int_equal(front_fd(f, VHOST_SET_VRING_KICK, 0, one[0]), 0);
	fd_close(one[0]);
	assert_false(is_closed(one[1]));
	assert_int_equal(f->kicks[0], 1);
	assert_true(runs(f, 0));
	assert_int_equal(front_fd(f, VHOST_SET_VRING_KICK, 0, two[0]), 0);
	fd_close(two[0]);
	assert_true(is_closed(one[1]));
	assert_int_equal(f->kicks[0], 3);
	assert_int_equal(f->stops[0], 0);
	front_stop(f, 0);
	assert_true(is_closed(two[1]));
	assert_int_equal(front_queue(f, 0)->kick, -1);
	assert_false(runs(f, 0));
	/* It stays stopped, whatever comes, until the next kick: or until it is to be polled. */
	assert_int_equal(front_share(f), 0);
	front_ring(f, 0, 256, USER);
	assert_false(runs(f, 0));
	assert_int_equal(front_fd(f, VHOST_SET_VRING_KICK, VHOST_QUEUE_NO_FD, -1), 0);
	assert_true(runs(f, 0) && front_queue(f, 0)->polled);
	front_stop(f, 0);
	assert_false(runs(f, 0) || front_queue(f, 0)->polled);
	fd_close(one[1]);
	fd_close(two[1]);
}

static void a_call_may_be_a_pipe(void **state)
{
	struct front *f = *state;
	uint64_t value;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(front_share(f), 0);
	front_ring(f, 0, 256, USER);
	assert_int_equal(front_fd(f, VHOST_SET_VRING_CALL, 0, ends[1]), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(read(ends[0], &value, sizeof(value)), -1);
	assert_int_equal(front_kick(f, 0), 0);
	/* To a ring that runs, it is called at once: the last call may have been lost with the old one. */
	assert_int_equal(front_fd(f, VHOST_SET_VRING_CALL, 0, ends[1]), 0);
	fd_close(ends[1]);
	assert_int_equal(read(ends[0], &value, sizeof(value)), sizeof(value));
	/* Full, and it does not wait. */
	for (int i = 0; i < 20000; i++)
		vhost_queue_call(front_queue(f, 0));
	assert_int_equal(front_fd(f, VHOST_SET_VRING_CALL, VHOST_QUEUE_NO_FD, -1), 0);
	assert_int_equal(front_queue(f, 0)->call, -1);
	vhost_queue_call(front_queue(f, 0));
	fd_close(ends[0]);
}

/* --- stop --- */

static void what_was_used_is_published(void **state)
{
	struct front *f = *state;
	struct vring_desc *d = (struct vring_desc *)f->bytes;
	struct vring_avail *avail = (struct vring_avail *)(f->bytes + 0x1000);
	const volatile struct vring_used *used = (struct vring_used *)(f->bytes + 0x2000);
	_cleanup_fd_ int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct virtqueue_chain chain;
	struct iovec iov[4];
	uint64_t value;

	assert_int_equal(front_share(f), 0);
	assert_int_equal(front_fd(f, VHOST_SET_VRING_CALL, 0, call), 0);
	d[3] = (struct vring_desc){ GUEST + 0x8000, 100, 0, 0 };
	avail->ring[0] = 3;
	avail->ring[1] = 3;
	avail->idx = 2;
	front_ring(f, 0, 256, USER);
	assert_int_equal(front_kick(f, 0), 0);
	assert_int_equal(virtqueue_take(&front_queue(f, 0)->ring, false, iov, ARRAY_SIZE(iov), &chain), 1);
	virtqueue_use(&front_queue(f, 0)->ring, &chain, 0);
	assert_int_equal(used->idx, 0);
	/* A change of memory */
	assert_int_equal(front_share(f), 0);
	assert_int_equal(used->idx, 1);
	assert_int_equal(used->ring[0].id, 3);
	assert_int_equal(read(call, &value, sizeof(value)), sizeof(value));
	assert_true(runs(f, 0));
	/* The end */
	assert_int_equal(virtqueue_take(&front_queue(f, 0)->ring, false, iov, ARRAY_SIZE(iov), &chain), 1);
	virtqueue_use(&front_queue(f, 0)->ring, &chain, 0);
	assert_int_equal(front_stop(f, 0), 2);
	assert_int_equal(used->idx, 2);
}

/* --- dirty log --- */

static uint64_t log_base(struct front *f, uint64_t size, uint64_t offset, const int *fds, size_t count)
{
	return front_ack(f, VHOST_SET_LOG_BASE, (uint64_t[]){ size, offset }, 16, fds, count);
}

static void a_ring_is_logged(void **state)
{
	struct front *f = *state;
	struct vhost_payload p = { .address = { 0, 1, USER, USER + 0x2000, USER + 0x1000, GUEST + 0x2000 } };
	const struct virtqueue *r = &front_queue(f, 0)->ring;

	assert_int_equal(front_share(f), 0);
	front_ring(f, 0, 256, USER);
	assert_int_equal(front_kick(f, 0), 0);
	f->acks = false; /* the reply comes anyway */
	assert_int_equal(log_base(f, 0x1000, 0x8000, &f->memory, 1), 0);
	f->acks = true;
	assert_null(r->log->bits);
	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, FEATURES | BIT(VHOST_F_LOG_ALL)), 0);
	assert_non_null(r->log->bits);
	assert_int_equal(r->log_used, 0);
	assert_int_equal(front_ack(f, VHOST_SET_VRING_ADDR, &p, 40, NULL, 0), 0);
	assert_int_equal(r->log_used, GUEST + 0x2000);
	assert_int_equal(f->stops[0], 0);
	vhost_log_mark(r->log, 0, 1);
	assert_int_equal(f->bytes[0x8000], 1);
	/* Another log, while it runs */
	assert_int_equal(log_base(f, 0x1000, 0x9000, &f->memory, 1), 0);
	vhost_log_mark(r->log, 0x1000, 1);
	assert_int_equal(f->bytes[0x9000], 2);
	p.address.flags = 0;
	assert_int_equal(front_ack(f, VHOST_SET_VRING_ADDR, &p, 40, NULL, 0), 0);
	assert_int_equal(r->log_used, 0);
	assert_int_equal(front_u64(f, VHOST_SET_FEATURES, FEATURES), 0);
	assert_null(r->log->bits);
	assert_int_equal(f->stops[0], 0);
}

static void a_log_that_cannot_be_had_ends_it(void **state)
{
	struct front *f = *state;

	assert_int_equal(log_base(f, MEMORY + 1, 0, &f->memory, 1), EINVAL);
	assert_int_equal(f->closed, 1);
}

static void a_log_nobody_agreed_upon(void **state)
{
	struct front *f = *state;

	front_u64(f, VHOST_SET_PROTOCOL_FEATURES, BIT(VHOST_PROTOCOL_REPLY_ACK));
	assert_int_equal(log_base(f, 0x1000, 0, &f->memory, 1), NEVER);
	f->acks = true;
	assert_int_equal(log_base(f, 0x1000, 0, &f->memory, 1), EOPNOTSUPP);
	assert_int_equal(f->closed, 0);
}

/* --- chains in flight --- */

static ssize_t ask_area(struct front *f, uint16_t queues, uint16_t size, size_t payload, struct vhost_payload *out, int *fd)
{
	struct vhost_payload p = { .inflight = { 0, 0, queues, size } };

	front_send(f, VHOST_GET_INFLIGHT_FD, VHOST_FLAG_NEED_REPLY, &p, payload, NULL, 0);
	memset(out, 0, sizeof(*out));
	return front_reply(f, VHOST_GET_INFLIGHT_FD, out, sizeof(*out), fd);
}

static void an_area_is_made(void **state)
{
	struct front *f = *state;
	struct vhost_payload p;
	struct stat st;
	int fd;

	for (size_t payload = 20; payload <= 24; payload += 4) {
		assert_int_equal(ask_area(f, 2, 256, payload, &p, &fd), payload);
		assert_int_equal(p.inflight.mmap_size, 2 * inflight_size(256, false));
		assert_int_equal(p.inflight.mmap_offset, 0);
		assert_int_equal(p.inflight.queue_count, 2);
		assert_int_equal(p.inflight.queue_size, 256);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, p.inflight.mmap_size);
		assert_int_equal(ftruncate(fd, 0), -1);
		assert_int_equal(errno, EPERM);
		fd_close(fd);
	}
	assert_int_equal(ask_area(f, 0, 256, 24, &p, &fd), 24);
	assert_int_equal(p.inflight.mmap_size, 0);
	assert_int_equal(fd, -1);
	assert_int_equal(ask_area(f, VHOST_QUEUES + 1, 256, 20, &p, &fd), 20);
	assert_int_equal(p.inflight.mmap_size, 0);
	assert_int_equal(ask_area(f, 1, 32769, 20, &p, &fd), 20);
	assert_int_equal(p.inflight.mmap_size, 0);
	assert_int_equal(ask_area(f, VHOST_QUEUES, 32768, 20, &p, &fd), 20);
	assert_int_equal(p.inflight.mmap_size, VHOST_QUEUES * inflight_size(32768, false));
	fd_close(fd);
	assert_silent(f);
}

static void an_area_comes_back(void **state)
{
	struct front *f = *state;
	struct vhost_payload p, wrong;
	struct virtqueue *r = &front_queue(f, 1)->ring;
	const uint16_t *version;
	uint8_t *area;
	int fd;

	assert_int_equal(ask_area(f, 2, 256, 24, &p, &fd), 24);
	area = mmap(NULL, p.inflight.mmap_size, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(area, MAP_FAILED);
	version = (const uint16_t *)(area + inflight_size(256, false) + 8);
	wrong = p, wrong.inflight.mmap_size++;
	assert_int_equal(front_ack(f, VHOST_SET_INFLIGHT_FD, &wrong, 24, &fd, 1), EINVAL);
	wrong = p, wrong.inflight.mmap_size--;
	assert_int_equal(front_ack(f, VHOST_SET_INFLIGHT_FD, &wrong, 24, &fd, 1), EINVAL);
	wrong = p, wrong.inflight.mmap_offset = 4;
	assert_int_equal(front_ack(f, VHOST_SET_INFLIGHT_FD, &wrong, 24, &fd, 1), EINVAL);
	assert_int_equal(front_ack(f, VHOST_SET_INFLIGHT_FD, &p, 24, NULL, 0), EINVAL);
	assert_int_equal(front_ack(f, VHOST_SET_INFLIGHT_FD, &p, 20, &fd, 1), 0);
	assert_int_equal(front_share(f), 0);
	front_ring(f, 1, 128, USER);
	assert_int_equal(front_kick(f, 1), 0);
	assert_non_null(r->inflight.region);
	assert_int_equal(r->inflight.size, 256);
	assert_int_equal(*version, 1);
	/* Of a queue that it has no part for, or one too small */
	front_ring(f, 2, 128, USER + 0x8000);
	assert_int_equal(front_kick(f, 2), 0);
	assert_null(front_queue(f, 2)->ring.inflight.region);
	front_ring(f, 0, 512, USER + 0x10000);
	assert_int_equal(front_kick(f, 0), 0);
	assert_null(front_queue(f, 0)->ring.inflight.region);
	/* Given again while it runs */
	assert_int_equal(front_ack(f, VHOST_SET_INFLIGHT_FD, &p, 20, &fd, 1), 0);
	assert_true(runs(f, 1) && r->inflight.region);
	front_stop(f, 1);
	assert_int_equal(*version, 0);
	munmap(area, p.inflight.mmap_size);
	fd_close(fd);
}

/* A back end dies with chains taken; the next one is told of them by the area, whatever base the front end thinks of. */
static void a_back_end_dies(void **state)
{
	struct front *f = *state, *next;
	struct vring_desc *d = (struct vring_desc *)f->bytes;
	struct vring_avail *avail = (struct vring_avail *)(f->bytes + 0x1000);
	struct virtqueue_chain chain;
	struct vhost_payload p;
	struct iovec iov[4];
	int fd;

	assert_int_equal(ask_area(f, 1, 256, 24, &p, &fd), 24);
	assert_int_equal(front_share(f), 0);
	for (uint16_t i = 0; i < 4; i++) {
		d[i] = (struct vring_desc){ GUEST + 0x8000, 100, 0, 0 };
		avail->ring[i] = i;
	}
	avail->idx = 4;
	front_ring(f, 0, 256, USER);
	assert_int_equal(front_kick(f, 0), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(virtqueue_take(&front_queue(f, 0)->ring, false, iov, ARRAY_SIZE(iov), &chain), 1);
		if (i)
			continue;
		virtqueue_use(&front_queue(f, 0)->ring, &chain, 0);
		virtqueue_publish(&front_queue(f, 0)->ring);
	}
	next = front_new(&params);
	front_negotiate(next, FEATURES);
	assert_int_equal(front_table(next, &(struct vhost_region_message){ GUEST, MEMORY, USER, 0 }, 1, &f->memory), 0);
	assert_int_equal(front_ack(next, VHOST_SET_INFLIGHT_FD, &p, 24, &fd, 1), 0);
	front_ring(next, 0, 256, USER);
	assert_int_equal(front_state(next, VHOST_SET_VRING_BASE, 0, 3), 0);
	assert_int_equal(front_kick(next, 0), 0);
	for (uint16_t i = 1; i < 4; i++) {
		assert_int_equal(virtqueue_take(&front_queue(next, 0)->ring, false, iov, ARRAY_SIZE(iov), &chain), 1);
		assert_int_equal(chain.id, i);
	}
	assert_int_equal(virtqueue_take(&front_queue(next, 0)->ring, false, iov, ARRAY_SIZE(iov), &chain), 0);
	front_free(next);
	fd_close(fd);
}

#define TEST(setup, name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_runs_in_any_order),
		TEST(setup_plain, without_protocol_features_it_is_enabled),
		TEST(setup, other_features_begin_the_rings_anew),
		TEST(setup, sizes),
		TEST(setup, places),
		TEST(setup, places_of_packed_rings),
		TEST(setup, places_askew),
		TEST(setup, bases),
		TEST(setup, descriptors_that_are_none),
		TEST(setup, descriptors_do_not_block),
		TEST(setup, kicks_are_replaced_and_closed),
		TEST(setup, a_call_may_be_a_pipe),
		TEST(setup, what_was_used_is_published),
		TEST(setup, a_ring_is_logged),
		TEST(setup, a_log_that_cannot_be_had_ends_it),
		TEST(setup_plain, a_log_nobody_agreed_upon),
		TEST(setup, an_area_is_made),
		TEST(setup, an_area_comes_back),
		TEST(setup, a_back_end_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
