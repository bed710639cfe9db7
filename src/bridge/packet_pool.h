// SPDX-License-Identifier: MIT
/* Packet sockets that were opened while the process had CAP_NET_RAW, for later. Parked, they hear nothing (port/packet.h). */
#pragma once
#include <stdbool.h>

/*
 * one for each LAN that has our services, and one for each on trial; the kernel takes 16 ms to close one, so that more would delay a
 * restart
 */
#define PACKET_POOL_SIZE 16

#define PACKET_POOL_TEXT_(n) #n
#define PACKET_POOL_TEXT(n)  PACKET_POOL_TEXT_(n)
/* What to tell a person when all are taken. */
#define PACKET_POOL_FULL                                                                                               \
	"hospes-bridged carries " PACKET_POOL_TEXT(PACKET_POOL_SIZE) " LANs at once that have no uplink or are on trial, and so many are up; " \
	"take one of them down (hospes down LAN), or confirm a trial"

struct packet_pool { int fd[PACKET_POOL_SIZE]; bool taken[PACKET_POOL_SIZE]; };

/** packet_pool_init() - open them. Return: 0 or negative errno. */
int packet_pool_init(struct packet_pool *p);
void packet_pool_fini(struct packet_pool *p);
/** packet_pool_take() - Return: a descriptor that stays the pool's, or -1 if all are taken */
int packet_pool_take(struct packet_pool *p);
/** packet_pool_give() - it is parked; -1 is harmless */
void packet_pool_give(struct packet_pool *p, int fd);
