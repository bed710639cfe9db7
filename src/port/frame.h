// SPDX-License-Identifier: MIT
/*
 * A frame on its way, with its offload header.
 *
 * The bytes belong to whoever passes the frame down, and stay valid only until the call that passes it returns: who wants to
 * keep them copies them. They may lie in a guest's memory, which can change at any moment: headers are copied out before they
 * are judged.
 *
 * The offload header is virtio's struct virtio_net_hdr (virtio 1.2 section 5.1.6) in host order: with it one frame of up to 64
 * KiB stands for a run of TCP segments, and a checksum may still be open.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include "base/cursor.h"

enum gso { GSO_NONE, GSO_TCP4, GSO_TCP6, GSO_UDP };

#define FRAME_MAX (65535 + 14 + 4) /* the longest frame: an IP packet of 64 KiB, an Ethernet header, a VLAN tag */

struct offload {
	uint8_t gso;                /* enum gso */
	bool checksum_open;         /* VIRTIO_NET_HDR_F_NEEDS_CSUM: the field holds the pseudo header's sum; to be completed */
	bool checksum_good;         /* VIRTIO_NET_HDR_F_DATA_VALID, or open: need not be verified */
	uint16_t segment_size;      /* payload bytes a segment, where gso is set */
	uint16_t header_size;       /* Ethernet, IP and transport headers together, where gso is set; a hint from outside: recompute it */
	uint16_t checksum_start;    /* from the start of the frame */
	uint16_t checksum_offset;   /* from checksum_start */
};

struct frame {
	struct offload offload;
	const struct iovec *iov;    /* Ethernet header first, without FCS */
	uint32_t parts;
	uint32_t size;              /* of all parts together */
};

/** frame_cursor() - a cursor at the frame's first byte */
static inline struct cursor frame_cursor(const struct frame *f) { return cursor_of_iov(f->iov, f->parts); }
