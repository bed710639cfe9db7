// SPDX-License-Identifier: MIT
/* Slices of an iovec: the same bytes seen through fewer of them. Nothing is copied. */
#pragma once
#include <stddef.h>
#include <sys/uio.h>

/**
 * iov_slice() - the bytes from @offset on, @size of them
 * @into: filled in; room for @room parts
 * Return: parts used; fewer bytes than asked where the source is shorter or @room is too small.
 */
size_t iov_slice(const struct iovec *iov, size_t parts, size_t offset, size_t size, struct iovec *into, size_t room);

/** iov_size() - bytes in all */
size_t iov_size(const struct iovec *iov, size_t parts);
