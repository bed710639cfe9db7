// SPDX-License-Identifier: MIT
/*
 * The error queue of a datagram socket (ip(7), IP_RECVERR): ICMP errors about what it sent, and the guest's hearing of them.
 *
 * What a guest sent went out as a datagram of the host's. When the network complains about that, the complaint quotes the host's datagram;
 * the guest is told the same about its own, which is rebuilt from the flow and from as much of the payload as was quoted.
 */
#pragma once
#include "gateway/emit.h"
#include "gateway/flow.h"
#include "gateway/host.h"

struct errqueue_entry {
	bool from_network;     /* an ICMP error; otherwise the kernel's own, which the sender has been told of already */
	enum icmp_error error;
	uint32_t mtu;          /* ICMP_ERROR_TOO_BIG; 0: not told */
	addr_t offender;       /* who sent the ICMP error */
	size_t size;           /* bytes quoted */
	uint8_t data[ICMP_ERROR_MAX]; /* UDP: of the payload; ping sockets: from the ICMP header on */
};

/**
 * errqueue_next() - take the oldest entry. Return: false if there is none; the socket's pending error is then cleared too, so that it is
 * not ready any more.
 */
bool errqueue_next(int fd, struct errqueue_entry *out);

/**
 * errqueue_report() - tell the guest of a flow what a network error was
 * @f:     the flow: the guest's packet went from key.guest to key.peer
 * @ttl:   of that packet
 * @entry: from_network
 * @l4:    that packet's transport header, and as much of its payload as is known
 * @mtu:   what to tell where the entry has no MTU
 */
void errqueue_report(struct emitter *e, struct host *h, const struct flow *f, uint8_t ttl, const struct errqueue_entry *entry,
		     const void *l4, size_t size, uint32_t mtu, usec_t now);

/**
 * errqueue_verdict() - what the guest hears of a packet that a flow could not take
 * @drop:  the verdict; for many there is nothing to say
 * @mtu:   for DROP_TOO_BIG; 0: not known, and then there is nothing to say
 * Return: @drop.
 */
enum drop errqueue_verdict(struct emitter *e, struct mac to, enum drop drop, const struct ip_packet *ip, struct cursor l4, uint32_t mtu,
			   usec_t now);

/** errqueue_drop_of() - the verdict for the result, 0 or negative errno, of sending to a host's socket */
enum drop errqueue_drop_of(int result);
