// SPDX-License-Identifier: MIT
/* The command line of whatever process runs hospes-tap. */
#include "fuzz.h"

#include "cli/qemu_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iovec line = copy_bytes(data, size);
	struct mac mac[QEMU_LINE_MACS];
	size_t count = qemu_line_macs(line.iov_base, size, "br0", mac);

	MUST(count <= QEMU_LINE_MACS);
	/* No card comes out of a line that has not even the word for one. */
	MUST(!count || memmem(data, size, "-device", 7) || memmem(data, size, "-nic", 4) || memmem(data, size, "-net", 4));
	free(line.iov_base);
	return 0;
}
