// SPDX-License-Identifier: MIT
/* Slices of an iovec: the same bytes seen through fewer of them. Nothing is copied, but by iov_copy(). */
#pragma once
#include <stddef.h>
#include <sys/uio.h>

/**
 * iov_slice() - the bytes from @offset on, @size of them
 * @into: filled in; room for @room parts
 * Return: parts used; fewer bytes than asked where the source is shorter or @room is too small.
 */
size_t iov_slice(const struct iovec *iov, size_t parts, size_t offset, size_t size, struct iovec *into, size_t room);

/**
 * iov_copy() - copy all bytes of @from to the place @at in @to, which must have room for them
 * @at: bytes from the start of @to
 */
void iov_copy(const struct iovec *to, size_t at, const struct iovec *from, size_t parts);

/** iov_size() - bytes in all */
size_t iov_size(const struct iovec *iov, size_t parts);
