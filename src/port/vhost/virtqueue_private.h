// SPDX-License-Identifier: MIT
/* What the two forms of a virtqueue share: virtqueue.c asks which it is, split.c and packed.c know how. Nobody else includes this. */
#pragma once
#include "base/attr.h"
#include "port/vhost/virtqueue.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* A descriptor of either form, copied out of the guest's memory: what it says cannot change any more. */
struct descriptor {
	uint64_t address;
	uint32_t size;
	uint16_t flags, next;   /* next: split; packed: the buffer's id */
};

/* Where a chain's parts go. */
struct parts {
	struct iovec *iov;
	size_t room;
	struct virtqueue_chain *chain;
	bool to_driver;
	bool request;           /* some of both: readable ones first (virtio 1.2 section 2.7.4.2) */
	bool full;              /* the chain has more of them than there was room for, though not too many for a chain */
};

/** virtqueue_add_part() - look a descriptor's bytes up. Return: false if it breaks the ring, or there is no room (@p->full). */
bool virtqueue_add_part(struct virtqueue *r, struct parts *p, const struct descriptor *d);
/** virtqueue_indirect_table() - where the table lies that a descriptor names, of descriptors of 16 bytes. NULL if it breaks the ring. */
const volatile void *virtqueue_indirect_table(struct virtqueue *r, const struct descriptor *d, uint32_t *count);
/** virtqueue_break() - nothing of the ring is to be touched again. Return: -EPROTO. */
int virtqueue_break(struct virtqueue *r);

int split_take(struct virtqueue *r, struct parts *p);
bool split_has_more(struct virtqueue *r);
uint16_t split_available(struct virtqueue *r);
void split_use(struct virtqueue *r, const struct virtqueue_chain *c, uint32_t written);
void split_show(struct virtqueue *r);
bool split_wants_call(const struct virtqueue *r);
void split_silence(struct virtqueue *r);
void split_listen(struct virtqueue *r);

/* Where the first buffer of the chain @ahead lies, for the guest; false if there is none. */
bool split_ahead(struct virtqueue *r, uint16_t ahead, uint64_t *address);
bool packed_ahead(struct virtqueue *r, uint16_t ahead, uint64_t *address);

int packed_take(struct virtqueue *r, struct parts *p);
bool packed_has_more(struct virtqueue *r);
uint16_t packed_available(struct virtqueue *r);
/** packed_is_fresh() - was nothing of the ring ever used? */
bool packed_is_fresh(const struct virtqueue *r);
void packed_use(struct virtqueue *r, const struct virtqueue_chain *c, uint32_t written);
void packed_show(struct virtqueue *r);
bool packed_wants_call(const struct virtqueue *r);
void packed_silence(struct virtqueue *r);
void packed_listen(struct virtqueue *r);
