// SPDX-License-Identifier: MIT
#include "cli/file_replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/fd.h"

#define TEXT_MAX (16 << 20)

static int read_all(int fd, char *into, size_t size)
{
	for (size_t used = 0; used < size;) {
		ssize_t n = read(fd, into + used, size - used);

		if (n < 0)
			return -errno;
		if (!n)
			return -EIO;
		used += (size_t)n;
	}
	return memchr(into, 0, size) ? -EINVAL : 0;
}

static char *fail(int error)
{
	errno = error;
	return NULL;
}

char *file_read_text(const char *path)
{
	/* A pipe of that name would keep us waiting for who writes into it. */
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	_cleanup_(freep) char *text = NULL;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	if (!S_ISREG(st.st_mode))
		return fail(S_ISDIR(st.st_mode) ? EISDIR : EINVAL);
	if (st.st_size > TEXT_MAX)
		return fail(EFBIG);
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return NULL;
	r = read_all(fd, text, (size_t)st.st_size);
	return r < 0 ? fail(-r) : steal(&text);
}

static int write_all(int fd, const char *text)
{
	for (size_t left = strlen(text); left;) {
		ssize_t n = write(fd, text, left);

		if (n < 0)
			return -errno;
		text += n, left -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int write_beside(const char *name, const char *text, mode_t mode)
{
	_cleanup_fd_ int fd = mkostemp((char *)name, O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, text);
	if (r < 0)
		unlink(name);
	return r;
}

int file_replace(const char *path, const char *text, unsigned int mode)
{
	_cleanup_(freep) char *real = realpath(path, NULL), *beside = NULL;
	struct stat st;
	int r;

	if (!real && errno != ENOENT)
		return -errno;
	if (asprintf(&beside, "%s.XXXXXX", real ? real : path) < 0)
		return -ENOMEM;
	if (real && !stat(real, &st))
		mode = st.st_mode & 07777;
	r = write_beside(beside, text, mode);
	if (r < 0)
		return r;
	if (rename(beside, real ? real : path) < 0) {
		r = -errno;
		unlink(beside);
	}
	return r;
}
