// SPDX-License-Identifier: MIT
#include "lan/machine_id.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

void machine_id_read(char into[static MACHINE_ID_SIZE])
{
	static const char *const files[] = { "/etc/machine-id", "/var/lib/dbus/machine-id" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_fd_ int fd = open(files[i], O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, into, MACHINE_ID_SIZE - 1);

		if (n <= 0)
			continue;
		into[n] = 0;
		into[strcspn(into, "\n")] = 0;
		if (*into)
			return;
	}
	/* A machine with none still gets the same addresses each time. */
	if (gethostname(into, MACHINE_ID_SIZE - 1) < 0)
		*into = 0;
	into[MACHINE_ID_SIZE - 1] = 0;
}
