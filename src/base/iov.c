// SPDX-License-Identifier: MIT
#include "base/iov.h"

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

size_t iov_size(const struct iovec *iov, size_t parts)
{
	size_t size = 0;

	for (size_t i = 0; i < parts; i++)
		size += iov[i].iov_len;
	return size;
}
