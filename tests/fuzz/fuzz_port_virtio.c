// SPDX-License-Identifier: MIT
/* An offload header from outside: what is taken lies within its frame, and comes back the same from our own writing. */
#include "fuzz.h"

#include "port/virtio.h"
#include "wire/eth.h"

/* Field by field: between them there is padding. */
static bool is_same(const struct offload *a, const struct offload *b)
{
	return a->gso == b->gso && a->checksum_open == b->checksum_open && a->checksum_good == b->checksum_good &&
	       a->segment_size == b->segment_size && a->header_size == b->header_size &&
	       a->checksum_start == b->checksum_start && a->checksum_offset == b->checksum_offset;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_net_hdr_v1 h;
	struct frame f = { 0 };
	struct offload again;
	uint16_t extra;

	if (size < sizeof(h) + sizeof(extra))
		return 0;
	memcpy(&h, data, sizeof(h));
	memcpy(&extra, data + sizeof(h), sizeof(extra));
	f.size = extra;
	if (virtio_header_parse(&h, f.size, &f.offload) != DROP_NONE)
		return 0;
	MUST(f.size >= sizeof(struct eth));
	if (f.offload.checksum_open) {
		MUST(f.offload.checksum_start >= sizeof(struct eth));
		MUST((uint32_t)f.offload.checksum_start + f.offload.checksum_offset + 2 <= f.size);
	}
	if (f.offload.gso != GSO_NONE)
		MUST(f.offload.checksum_open && f.offload.segment_size && f.offload.header_size <= f.size);
	virtio_header_emit(&f, &h);
	MUST(virtio_header_parse(&h, f.size, &again) == DROP_NONE);
	MUST(is_same(&again, &f.offload));
	return 0;
}
