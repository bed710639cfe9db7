// SPDX-License-Identifier: MIT
#include "base/background.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

void background_tell(int fd)
{
	if (fd >= 0 && write(fd, "+", 1) < 0)
		log_debug("nobody waited: %s", strerror(errno));
	fd_close(fd);
}

int background_await(int fd, pid_t child, const char *gone)
{
	ssize_t n;
	int status;
	char byte;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return EXIT_SUCCESS;
	if (waitpid(child, &status, 0) == child && WIFEXITED(status))
		return WEXITSTATUS(status);
	log_error("%s", gone);
	return EXIT_FAILURE;
}
