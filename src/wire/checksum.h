// SPDX-License-Identifier: MIT
/* The Internet checksum (RFC 1071): an unfolded sum that is added to and folded at the end. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include "base/be.h"
#include "base/cursor.h"
#include "wire/addr.h"

/* In the machine's byte order and unfolded: start with 0, and change it with these functions only. */
typedef uint64_t sum_t;

/** sum_bytes() - add bytes that start at an even offset of what is summed; fast for long buffers */
sum_t sum_bytes(sum_t sum, const void *data, size_t size);
/** sum_iov() - add parts that follow each other, each of any length, the first at an even offset */
sum_t sum_iov(sum_t sum, const struct iovec *iov, size_t count);
/** sum_cursor() - add all that @c (a copy) still has to read, from an even offset */
sum_t sum_cursor(sum_t sum, struct cursor c);
/** sum_pseudo() - add the pseudo header of either version (RFC 9293 section 3.1, RFC 8200 section 8.1) */
sum_t sum_pseudo(sum_t sum, addr_t src, addr_t dst, uint8_t protocol, uint32_t size);
/** sum_fold() - the checksum field's value: the folded sum's one's complement. UDP writes 0xffff for a zero (RFC 768): sum_fold_udp(). */
be16_t sum_fold(sum_t sum);
be16_t sum_fold_udp(sum_t sum);
/** sum_fold_partial() - the folded sum, not complemented: what virtio's NEEDS_CSUM wants in the field (the pseudo header's sum) */
be16_t sum_fold_partial(sum_t sum);
/** sum_is_valid() - does the sum over data that includes its checksum field come out right? */
bool sum_is_valid(sum_t sum);
