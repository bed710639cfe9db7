// SPDX-License-Identifier: MIT
#include "gateway/flow.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "base/attr.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/wheel.h"

#define MAGIC   0x686f737065730001ull /* "hospes", layout 1 */
#define EVENTS  256

/* The head of the shared file. The buckets follow it, then the slots. */
struct file {
	uint64_t magic;
	struct hash_key key;
	uint32_t max, buckets;      /* buckets: a power of two */
	uint32_t fresh;             /* slots from here on were never used, so their pages were never touched */
	uint32_t free;              /* head of the free list */
	uint32_t count[FLOW_KINDS];
	uint32_t bucket[];          /* first slot of each chain */
};

struct flow_table {
	struct file *file;
	size_t size;
	struct flow *slots;         /* in the file */
	struct wheel *wheel;
	int memory, epoll;
};

static uint32_t *bucket_of(struct flow_table *t, const struct flow_key *key)
{
	return &t->file->bucket[hash_bytes(&t->file->key, key, sizeof(*key)) & (t->file->buckets - 1)];
}

static uint32_t index_of(const struct flow_table *t, const struct flow *f) { return (uint32_t)(f - t->slots); }

static int map_file(struct flow_table *t, uint32_t max)
{
	uint32_t buckets = 1;

	while (buckets < max)
		buckets <<= 1;
	size_t head = (sizeof(struct file) + buckets * sizeof(uint32_t) + 4095) & ~(size_t)4095;

	t->size = head + (size_t)max * sizeof(struct flow);
	t->memory = memfd_create("hospes-flows", MFD_CLOEXEC);
	if (t->memory < 0 || ftruncate(t->memory, (off_t)t->size))
		return -errno;
	t->file = mmap(NULL, t->size, PROT_READ | PROT_WRITE, MAP_SHARED, t->memory, 0);
	if (t->file == MAP_FAILED) {
		t->file = NULL;
		return -errno;
	}
	t->slots = (struct flow *)((char *)t->file + head);
	*t->file = (struct file){ .magic = MAGIC, .key = hash_key_random(), .max = max, .buckets = buckets, .free = FLOW_NONE };
	memset(t->file->bucket, 0xff, buckets * sizeof(uint32_t));
	return 0;
}

DEFINE_CLEANUP(flow_table)

int flow_table_new(struct flow_table **out, uint32_t max, usec_t now)
{
	_cleanup_(flow_table_freep) struct flow_table *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->memory = -1;
	t->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll < 0)
		return -errno;
	max = MIN(max, (uint32_t)FLOW_MAX);
	r = map_file(t, MAX(max, 1u));
	if (!r)
		r = wheel_new(&t->wheel, t->file->max, now);
	if (!r)
		*out = steal(&t);
	return r;
}

struct flow_table *flow_table_free(struct flow_table *t)
{
	if (t->file) {
		for (struct flow *f = NULL; (f = flow_next(t, f));)
			if (!(f->flags & FLOW_SHARED_FD))
				fd_close(f->fd);
		munmap(t->file, t->size);
	}
	if (t->wheel)
		wheel_free(t->wheel);
	fd_close(t->memory);
	fd_close(t->epoll);
	free(t);
	return NULL;
}

struct flow *flow_find(struct flow_table *t, const struct flow_key *key)
{
	for (uint32_t i = *bucket_of(t, key); i != FLOW_NONE; i = t->slots[i].next)
		if (!memcmp(&t->slots[i].key, key, sizeof(*key)))
			return &t->slots[i];
	return NULL;
}

struct flow *flow_add(struct flow_table *t, const struct flow_key *key, usec_t now)
{
	uint32_t *bucket = bucket_of(t, key), index = t->file->free;
	struct flow *f;

	if (index != FLOW_NONE)
		t->file->free = t->slots[index].next;
	else if (t->file->fresh < t->file->max)
		index = t->file->fresh++;
	else
		return NULL;

	f = &t->slots[index];
	*f = (struct flow){
		.key = *key, .fd = -1, .next = *bucket, .generation = f->generation, .events = FLOW_UNWATCHED,
		.deadline = USEC_NEVER, .active = now,
	};
	*bucket = index;
	t->file->count[key->kind]++;
	return f;
}

void flow_remove(struct flow_table *t, struct flow *f)
{
	uint32_t index = index_of(t, f), *link = bucket_of(t, &f->key);

	while (*link != index)
		link = &t->slots[*link].next;
	*link = f->next;

	if (f->flags & FLOW_SHARED_FD)
		f->fd = -1;
	f->fd = fd_close(f->fd); /* which takes it out of the epoll set too */
	wheel_clear(t->wheel, index);
	t->file->count[f->key.kind]--;
	f->key.kind = FLOW_FREE;
	f->generation++;
	f->next = t->file->free;
	t->file->free = index;
}

int flow_watch(struct flow_table *t, struct flow *f, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.u64 = (uint64_t)f->generation << 32 | index_of(t, f) };
	int op = f->events == FLOW_UNWATCHED ? EPOLL_CTL_ADD : events == FLOW_UNWATCHED ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

	if (events == f->events && !(events & EPOLLET))
		return 0;
	if (epoll_ctl(t->epoll, op, f->fd, &e))
		return -errno;
	f->events = events;
	return 0;
}

void flow_set_deadline(struct flow_table *t, struct flow *f, usec_t when)
{
	if (f->deadline == when)
		return;
	f->deadline = when;
	if (when == USEC_NEVER)
		wheel_clear(t->wheel, index_of(t, f));
	else
		wheel_set(t->wheel, index_of(t, f), when);
}

struct flow *flow_due(struct flow_table *t, usec_t now)
{
	uint32_t index = wheel_pop(t->wheel, now);

	if (index == UINT32_MAX)
		return NULL;
	t->slots[index].deadline = USEC_NEVER;
	return &t->slots[index];
}

usec_t flow_next_deadline(const struct flow_table *t) { return wheel_next(t->wheel); }

int flow_epoll(const struct flow_table *t) { return t->epoll; }

size_t flow_ready(struct flow_table *t, size_t max, void (*each)(void *owner, struct flow *f, uint32_t events), void *owner)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(t->epoll, events, (int)MIN(max, (size_t)EVENTS), 0);

	for (int i = 0; i < n; i++) {
		struct flow *f = &t->slots[(uint32_t)events[i].data.u64];

		/* An earlier one of this batch may have removed it, and its slot may serve another flow by now. */
		if (f->key.kind != FLOW_FREE && f->generation == (uint32_t)(events[i].data.u64 >> 32))
			each(owner, f, events[i].events);
	}
	return n > 0 ? (size_t)n : 0;
}

uint32_t flow_index(const struct flow_table *t, const struct flow *f) { return f ? index_of(t, f) : FLOW_NONE; }

struct flow *flow_at(struct flow_table *t, uint32_t index) { return index == FLOW_NONE ? NULL : &t->slots[index]; }

struct flow *flow_next(struct flow_table *t, const struct flow *after)
{
	for (uint32_t i = after ? index_of(t, after) + 1 : 0; i < t->file->fresh; i++)
		if (t->slots[i].key.kind != FLOW_FREE)
			return &t->slots[i];
	return NULL;
}

uint32_t flow_count(const struct flow_table *t, enum flow_kind kind) { return t->file->count[kind]; }
