// SPDX-License-Identifier: MIT
#include "bridge/packet_pool.h"

#include "base/fd.h"
#include "port/packet.h"

int packet_pool_init(struct packet_pool *p)
{
	for (int i = 0; i < PACKET_POOL_SIZE; i++)
		p->fd[i] = -1;
	for (int i = 0; i < PACKET_POOL_SIZE; i++) {
		p->taken[i] = false;
		p->fd[i] = packet_socket();
		if (p->fd[i] < 0) {
			int r = p->fd[i];

			packet_pool_fini(p);
			return r;
		}
	}
	return 0;
}

void packet_pool_fini(struct packet_pool *p)
{
	for (int i = 0; i < PACKET_POOL_SIZE; i++)
		p->fd[i] = fd_close(p->fd[i]);
}

int packet_pool_take(struct packet_pool *p)
{
	for (int i = 0; i < PACKET_POOL_SIZE; i++)
		if (!p->taken[i] && p->fd[i] >= 0) {
			p->taken[i] = true;
			return p->fd[i];
		}
	return -1;
}

void packet_pool_give(struct packet_pool *p, int fd)
{
	for (int i = 0; i < PACKET_POOL_SIZE; i++)
		if (fd >= 0 && p->fd[i] == fd) {
			packet_socket_park(fd);
			p->taken[i] = false;
		}
}
