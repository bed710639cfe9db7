// SPDX-License-Identifier: MIT
#include "base/iov.h"

#include <string.h>
#include "base/attr.h"

size_t iov_slice(const struct iovec *iov, size_t parts, size_t offset, size_t size, struct iovec *into, size_t room)
{
	size_t used = 0;

	for (size_t i = 0; i < parts && size && used < room; i++) {
		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		size_t take = MIN(iov[i].iov_len - offset, size);

		into[used++] = (struct iovec){ (char *)iov[i].iov_base + offset, take };
		size -= take;
		offset = 0;
	}
	return used;
}

void iov_copy(const struct iovec *to, size_t at, const struct iovec *from, size_t parts)
{
	for (size_t i = 0; i < parts; i++) {
		const char *data = from[i].iov_base;

		for (size_t left = from[i].iov_len, size; left; data += size, left -= size, at += size) {
			for (; at >= to->iov_len; to++)
				at -= to->iov_len;
			size = MIN(left, to->iov_len - at);
			memcpy((char *)to->iov_base + at, data, size);
		}
	}
}

size_t iov_size(const struct iovec *iov, size_t parts)
{
	size_t size = 0;

	for (size_t i = 0; i < parts; i++)
		size += iov[i].iov_len;
	return size;
}
