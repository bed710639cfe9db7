// SPDX-License-Identifier: MIT
/*
 * Virtio's offload header (virtio 1.2 section 5.1.6) to and from ours. In host order, as a tap has it.
 */
#pragma once
#include <linux/virtio_net.h>
#include "base/drop.h"
#include "port/frame.h"

/**
 * virtio_header_parse() - judge and translate a header from outside
 * @h:    the header, a copy that nobody else can change
 * @size: of the frame behind it
 * @out:  filled in where the verdict is DROP_NONE: the checksum lies within the frame and behind its Ethernet header, and what
 *        is segmented has a segment size and an open checksum
 * Return: DROP_NONE, DROP_SHORT or DROP_MALFORMED.
 */
enum drop virtio_header_parse(const struct virtio_net_hdr_v1 *h, uint32_t size, struct offload *out);

/** virtio_header_emit() - the header for a frame; num_buffers is 1 */
void virtio_header_emit(const struct frame *f, struct virtio_net_hdr_v1 *out);
