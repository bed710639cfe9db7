// SPDX-License-Identifier: MIT
/* Frames of guests and of DHCP servers, as the service of bridge LANs reads them. */
#include "bridge/learn.h"
#include "bridge/trial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct trial_way ways[] = {
		{ .gateway = {{ [10] = 0xff, [11] = 0xff, 192, 168, 1, 1 }} },
		{ .gateway = {{ 0xfe, 0x80, [15] = 1 }} },
	};
	size_t head = size < 14 ? size : 14;
	struct iovec iov[2] = { { (void *)(uintptr_t)data, head }, { (void *)(uintptr_t)(data + head), size - head } };
	struct learned from = learn_from_guest(iov, 2), to = learn_to_guest(iov, 2);

	/* What is learned can be somebody's. */
	if (from.kind != LEARNED_NOTHING && (addr_is_any(from.addr) || addr_is_multicast(from.addr) || mac_is_group(from.mac)))
		__builtin_trap();
	if (to.kind == LEARNED_LEASE && (addr_is_unspecified(to.addr) || !to.seconds))
		__builtin_trap();
	for (size_t i = 0; i < 2; i++)
		trial_is_answer(&ways[i], data, size);
	return 0;
}
