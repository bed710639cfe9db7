// SPDX-License-Identifier: MIT
#include "cli/qmp.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/fd.h"

#define LINE_SIZE  16384      /* a greeting has some hundred bytes, an event less */
#define RETRY      (20 * USEC_MS)

static int wait_readable(int fd, usec_t deadline)
{
	usec_t now = usec_now();
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int r = now >= deadline ? 0 : poll(&p, 1, (int)((deadline - now) / USEC_MS) + 1);

	return r < 0 && errno != EINTR ? -errno : r > 0 ? 0 : r < 0 ? wait_readable(fd, deadline) : -ETIMEDOUT;
}

/* One line, byte by byte: what stands behind it belongs to the next. */
static int read_line(int fd, char line[static LINE_SIZE], usec_t deadline)
{
	for (size_t used = 0; used < LINE_SIZE - 1;) {
		int r = wait_readable(fd, deadline);
		ssize_t n;

		if (r < 0)
			return r;
		n = read(fd, line + used, 1);
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		if (line[used++] == '\n') {
			line[used] = 0;
			return 0;
		}
	}
	return -EPROTO;
}

/* Read up to an object that has the key @wanted; events pass by. */
static int read_until(int fd, const char *wanted, usec_t deadline)
{
	char line[LINE_SIZE];
	int r;

	while ((r = read_line(fd, line, deadline)) == 0) {
		json_t *object = json_loads(line, 0, NULL);
		bool found = json_object_get(object, wanted), refused = json_object_get(object, "error");

		json_decref(object);
		if (!object)
			return -EPROTO;
		if (refused)
			return -EREMOTEIO;
		if (found)
			return 0;
	}
	return r;
}

int qmp_execute(int fd, const char *command, usec_t deadline)
{
	char text[128];
	int length = snprintf(text, sizeof(text), "{\"execute\":\"%s\"}\n", command);

	if (send(fd, text, (size_t)length, MSG_NOSIGNAL) != length)
		return -errno;
	return read_until(fd, "return", deadline);
}

int qmp_connect(const char *path, usec_t deadline)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, path);
	while (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		if (errno != ENOENT && errno != ECONNREFUSED && errno != EINTR)
			return -errno;
		if (usec_now() + RETRY >= deadline)
			return -ETIMEDOUT;
		usleep(RETRY);
	}
	r = read_until(fd, "QMP", deadline);
	if (!r)
		r = qmp_execute(fd, "qmp_capabilities", deadline);
	return r < 0 ? r : fd_steal(&fd);
}
