// SPDX-License-Identifier: MIT
/*
 * Frames that a rule of nft tells us about ("log group"): netlink's NFLOG. It takes CAP_NET_ADMIN alone, where packet sockets would take
 * CAP_NET_RAW, and the rules have dropped what is forged before.
 */
#pragma once
#include <libmnl/libmnl.h>
#include <sys/uio.h>
#include "io/loop.h"

struct nflog {
	struct watch watch;
	struct mnl_socket *socket;
	/*
	 * A frame: @iov is its Ethernet header and the rest of it, good until this returns. @in and @out are indices of bridge ports; 0: it came
	 * from the host, or its way was not yet chosen.
	 */
	void (*told)(void *owner, unsigned int in, unsigned int out, const struct iovec iov[static 2]);
	void *owner;
};

/**
 * nflog_init() - hear what rules of the family bridge say to @group. told and owner are set. Return: 0 or negative errno: -EBUSY if
 * another process hears that group.
 */
int nflog_init(struct nflog *n, struct loop *loop, uint16_t group);
/** nflog_fini() - harmless on a zeroed one */
void nflog_fini(struct nflog *n);
