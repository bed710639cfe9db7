// SPDX-License-Identifier: MIT
/* A netlink socket of the caller's network namespace: dumps, and batches of requests each of which is answered. */
#pragma once
#include <libmnl/libmnl.h>
#include <stdbool.h>
#include "base/attr.h"

struct nl;

/** nl_new() - @bus: NETLINK_ROUTE or NETLINK_NETFILTER. Return: 0 or negative errno. */
int nl_new(struct nl **out, int bus);
struct nl *nl_free(struct nl *n);
DEFINE_CLEANUP(nl)

/**
 * nl_dump() - everything of a kind
 * @type:    of the request, with @header (@header_size bytes) behind the message's own
 * @take:    called with each message; Return: MNL_CB_OK, or MNL_CB_ERROR with errno set
 * Return: 0 or negative errno; -EINTR if the kernel's tables changed meanwhile: begin again
 */
int nl_dump(struct nl *n, uint16_t type, const void *header, size_t header_size, mnl_cb_t take, void *owner);

/**
 * nl_begin() - a message at the end of the batch. @flags: NLM_F_CREATE ...; Return: where to put the payload (VALUE_MESSAGE_SIZE), or NULL
 * when out of memory
 */
struct nlmsghdr *nl_begin(struct nl *n, uint16_t type, uint16_t flags);
/** nl_end() - that message is whole */
void nl_end(struct nl *n, const struct nlmsghdr *h);
/** nl_count() - messages in the batch */
size_t nl_count(const struct nl *n);
/** nl_is_full() - are there so many that the answers to two more might find no room in the socket, where all of them wait? */
bool nl_is_full(const struct nl *n);
/**
 * nl_send() - the batch in one sendmsg; then it is empty
 * @errors: one for each message: 0 or the kernel's negative errno
 * Return: 0 if every message was answered, or negative errno
 */
int nl_send(struct nl *n, int *errors);
