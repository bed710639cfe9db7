// SPDX-License-Identifier: MIT
/*
 * A virtqueue, seen from the device (virtio 1.2 sections 2.7, split, and 2.8, packed).
 *
 * The driver makes chains of buffers available; the device takes them in order, uses each, and publishes what it used, in batches:
 *
 *	while (count < batch && virtqueue_take(r, ..., &chain[count]) > 0)
 *		count++;
 *	...
 *	for each: virtqueue_use(r, &chain[i], bytes written);
 *	if (virtqueue_publish(r))
 *		call the driver;
 *
 * Everything in the ring is the driver's to change at any time: descriptors are copied before they are judged, and every address is
 * looked up in the guest's memory. A ring that makes no sense is broken from then on: virtqueue_take() says so, and nothing of it is
 * touched again.
 *
 * Chains may be given back unused: virtqueue_mark() before taking, virtqueue_rewind() to there.
 */
#pragma once
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <sys/uio.h>
#include "port/vhost/inflight.h"
#include "port/vhost/log.h"
#include "port/vhost/memory.h"

#define VIRTQUEUE_SIZE_MAX   32768
#define VIRTQUEUE_PARTS_MAX  1024      /* iovecs of one chain at the most, and descriptors that hold nothing */

struct virtqueue {
	bool packed, event_idx, in_order, indirect; /* as negotiated */
	bool started, broken;
	uint16_t size;                 /* descriptors; a power of two if split */
	uint16_t next_take;            /* split: like avail->idx; packed: slot */
	uint16_t next_use;             /* split: like used->idx, not published yet; packed: slot */
	uint16_t published;            /* split: used->idx as the driver sees it; packed: the slot of the first not published */
	uint16_t available;            /* split: avail->idx as read last */
	uint16_t signalled;            /* published when the driver was last called, or wanted no call */
	uint16_t unpublished;          /* split: entries; packed: slots */
	uint16_t unasked;              /* likewise: published since virtqueue_forget_call(); no more than 65535 */
	uint16_t first_flags;          /* packed: flags of the slot at @published, which are written last */
	bool take_wrap, use_wrap, published_wrap; /* packed: wrap counters */
	bool signalled_valid;
	union {
		struct {
			const volatile struct vring_desc *descriptors;
			volatile struct vring_avail *avail;
			volatile struct vring_used *used;
		};
		struct {
			volatile struct vring_packed_desc *slots;
			volatile struct vring_packed_desc_event *driver_event, *device_event;
		};
	};
	struct vhost_memory *memory;   /* borrowed: the guest's */
	struct vhost_log *log;         /* borrowed; its bits are NULL where nothing is logged */
	struct inflight_queue inflight;
	uint64_t log_used;             /* guest-physical address of the used ring, for the log; 0: not logged */
};

/* A chain that was taken. */
struct virtqueue_chain {
	uint16_t id;                   /* of its first descriptor (split), or buffer (packed) */
	uint16_t slots;                /* ring entries that it takes: 1 if split */
	uint16_t parts;
	uint16_t empty;                /* descriptors that hold nothing: they are no parts, but were followed all the same */
	uint16_t readable;             /* of a request: how many of the parts, the first ones, are for the device to read */
	uint32_t size;                 /* bytes of all parts */
};

struct virtqueue_mark { uint16_t next_take; bool take_wrap; };

/**
 * virtqueue_start() - begin where the ring stands
 * @r:    size, features, memory, log and the places of the ring's three areas are filled in
 * @base: as in SET_VRING_BASE. Split: the next avail index. Packed: bits 0 to 14 the next slot to take and 15 its wrap counter, bits 16
 *        to 31 likewise for the next one to use.
 */
void virtqueue_start(struct virtqueue *r, uint32_t base);
/** virtqueue_base() - where it stands now, as GET_VRING_BASE wants it. Chains that were taken and not used count as not taken. */
uint32_t virtqueue_base(const struct virtqueue *r);

/**
 * virtqueue_take() - the next chain that the driver made available
 * @to_driver: its buffers are for the device to write (a receive queue); all must be so, or none
 * @iov:  filled in: the chain's bytes; where one descriptor spans two regions of memory it is two parts
 * @room: how many parts fit; an empty descriptor takes a part's place
 * Return: 1; 0 if there is none; -ENOBUFS if @room is less than VIRTQUEUE_PARTS_MAX and too little for this chain, which stays where it is;
 * -EPROTO if the ring is broken, now or before (a chain too long, a loop, a wrong direction, an address outside memory).
 */
int virtqueue_take(struct virtqueue *r, bool to_driver, struct iovec *iov, size_t room, struct virtqueue_chain *out);

/** virtqueue_take_request() - likewise a chain whose first buffers are for the device to read, and the rest for it to write */
int virtqueue_take_request(struct virtqueue *r, struct iovec *iov, size_t room, struct virtqueue_chain *out);

/** virtqueue_has_more() - has the driver made anything available that was not taken? */
bool virtqueue_has_more(struct virtqueue *r);

/** virtqueue_available() - chains that could be taken now; a hint. Of a packed ring they are counted one by one, up to 64 in 1024 slots. */
uint16_t virtqueue_available(struct virtqueue *r);

/**
 * virtqueue_prefetch() - let the first bytes of the chain @ahead of the next be on their way here, to be written
 *
 * They lie in the cache of the core that the guest runs on. Only a hint: nothing of the chain is judged.
 */
void virtqueue_prefetch(struct virtqueue *r, uint16_t ahead);

static inline struct virtqueue_mark virtqueue_mark(const struct virtqueue *r)
{
	return (struct virtqueue_mark){ r->next_take, r->take_wrap };
}

/** virtqueue_rewind() - back to @m: the @count chains at @c, which are all that were taken since, count as not taken */
static inline void virtqueue_rewind(struct virtqueue *r, struct virtqueue_mark m, const struct virtqueue_chain *c, size_t count)
{
	for (size_t i = 0; r->inflight.region && i < count; i++)
		inflight_give_back(&r->inflight, c[i].id);
	r->next_take = m.next_take;
	r->take_wrap = m.take_wrap;
}

/** virtqueue_use() - give a chain back, into which @written bytes were written, in the order taken; seen with virtqueue_publish() */
void virtqueue_use(struct virtqueue *r, const struct virtqueue_chain *c, uint32_t written);

/** virtqueue_publish() - let the driver see what was used. Return: true if it wants a call. */
bool virtqueue_publish(struct virtqueue *r);
/** virtqueue_show() - publish, in parts: let the driver see what was used */
void virtqueue_show(struct virtqueue *r);
/** virtqueue_wants_call() - does it want a call for what it was shown since virtqueue_forget_call()? By now it may have seen it. */
bool virtqueue_wants_call(const struct virtqueue *r);
/** virtqueue_forget_call() - it is called for that, or wants no call */
void virtqueue_forget_call(struct virtqueue *r);

/** virtqueue_silence() - ask the driver for no kicks: the ring is looked at anyway */
void virtqueue_silence(struct virtqueue *r);
/** virtqueue_listen() - ask for a kick with the next chain. Return: true if there is one already: look again (virtio 1.2 2.7.10.1). */
bool virtqueue_listen(struct virtqueue *r);
