// SPDX-License-Identifier: MIT
#include "port/virtio.h"

#include "base/attr.h"
#include "wire/eth.h"

/* Newer than the headers that we build with. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

static const uint8_t gso_types[] = {
	[GSO_NONE] = VIRTIO_NET_HDR_GSO_NONE,
	[GSO_TCP4] = VIRTIO_NET_HDR_GSO_TCPV4,
	[GSO_TCP6] = VIRTIO_NET_HDR_GSO_TCPV6,
	[GSO_UDP] = VIRTIO_NET_HDR_GSO_UDP_L4,
};

/* Congestion marks (VIRTIO_NET_HDR_GSO_ECN) are segmented like others here; IP fragmentation (UFO) is not offered to anybody. */
static bool virtio_parse_gso(uint8_t type, uint8_t *out)
{
	for (uint8_t i = 0; i < ARRAY_SIZE(gso_types); i++)
		if (gso_types[i] == (type & ~VIRTIO_NET_HDR_GSO_ECN)) {
			*out = i;
			return true;
		}
	return false;
}

enum drop virtio_header_parse(const struct virtio_net_hdr_v1 *h, uint32_t size, struct offload *out)
{
	*out = (struct offload){ 0 };
	if (size < sizeof(struct eth))
		return DROP_SHORT;
	if (!virtio_parse_gso(h->gso_type, &out->gso))
		return DROP_MALFORMED;
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (h->csum_start < sizeof(struct eth) || (uint32_t)h->csum_start + h->csum_offset + sizeof(be16_t) > size)
			return DROP_MALFORMED;
		out->checksum_open = true;
		out->checksum_start = h->csum_start;
		out->checksum_offset = h->csum_offset;
	}
	out->checksum_good = out->checksum_open || h->flags & VIRTIO_NET_HDR_F_DATA_VALID;
	if (out->gso == GSO_NONE)
		return DROP_NONE;
	if (!out->checksum_open || !h->gso_size)
		return DROP_MALFORMED;
	out->segment_size = h->gso_size;
	out->header_size = (uint16_t)MIN((uint32_t)h->hdr_len, size);
	return DROP_NONE;
}

void virtio_header_emit(const struct frame *f, struct virtio_net_hdr_v1 *h)
{
	const struct offload *o = &f->offload;

	*h = (struct virtio_net_hdr_v1){ .gso_type = VIRTIO_NET_HDR_GSO_NONE, .num_buffers = 1 };

	if (o->checksum_open) {
		h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h->csum_start = o->checksum_start;
		h->csum_offset = o->checksum_offset;
	} else if (o->checksum_good) {
		h->flags = VIRTIO_NET_HDR_F_DATA_VALID;
	}
	if (o->gso != GSO_NONE) {
		h->gso_type = gso_types[o->gso];
		h->gso_size = o->segment_size;
		h->hdr_len = (uint16_t)MIN((uint32_t)o->header_size, f->size);
	}
}
