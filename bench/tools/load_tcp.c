// SPDX-License-Identifier: MIT
/* load: TCP clients */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "load.h"

static int connected(const struct target *to, char kind)
{
	int fd = socket(to->family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)&to->address, to->size) < 0)
		die("connect");
	if (kind && send(fd, &kind, 1, 0) != 1)
		die("send");
	return fd;
}

/* Tell the server that it was all, and ask what came. Return: bytes */
static uint64_t received_there(int fd)
{
	uint64_t bytes = 0;

	shutdown(fd, SHUT_WR);
	if (recv(fd, &bytes, sizeof(bytes), MSG_WAITALL) != sizeof(bytes))
		die("the server's count");
	return bytes;
}

static uint64_t move(struct pollfd *flows, unsigned int count, char kind, uint64_t end)
{
	char *buffer = calloc(1, LOAD_BUFFER);
	uint64_t bytes = 0;
	ssize_t n;

	while (now_ns() < end) {
		if (poll(flows, count, 100) < 0)
			die("poll");
		for (unsigned int i = 0; i < count; i++) {
			if (!flows[i].revents)
				continue;
			if (kind == TCP_SINK)
				n = send(flows[i].fd, buffer, 128 << 10, MSG_DONTWAIT);
			else
				n = recv(flows[i].fd, buffer, LOAD_BUFFER, MSG_DONTWAIT);
			if (n == 0 || (n < 0 && errno != EAGAIN))
				die("stream");
			bytes += n > 0 && kind == TCP_SOURCE ? n : 0;
		}
	}
	free(buffer);
	return bytes;
}

void tcp_stream(const struct target *to, char kind, unsigned int count, double seconds)
{
	struct pollfd *flows = calloc(count, sizeof(*flows));
	uint64_t start, bytes;

	if (!flows)
		die("memory");
	for (unsigned int i = 0; i < count; i++)
		flows[i] = (struct pollfd){ .fd = connected(to, kind), .events = kind == TCP_SINK ? POLLOUT : POLLIN };
	start = now_ns();
	bytes = move(flows, count, kind, start + seconds * 1e9);
	for (unsigned int i = 0; i < count; i++) {
		if (kind == TCP_SINK)
			bytes += received_there(flows[i].fd);
		close(flows[i].fd);
	}
	printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)bytes, (now_ns() - start) / 1e9);
	free(flows);
}

void tcp_round_trips(const struct target *to, size_t size, double seconds)
{
	struct latencies l = { 0 };
	char *data = calloc(1, size);
	uint64_t start, end, before, now;
	int fd;

	if (!data)
		die("memory");
	memset(data, TCP_ECHO, size);
	fd = connected(to, 0);
	start = before = now_ns();
	end = start + seconds * 1e9;
	do {
		if (send(fd, data, size, 0) != (ssize_t)size || recv(fd, data, size, MSG_WAITALL) != (ssize_t)size)
			die("round trip");
		now = now_ns();
		latencies_add(&l, now - before);
		before = now;
	} while (now < end);
	close(fd);
	latencies_print(&l, (now - start) / 1e9);
}

void tcp_connections(const struct target *to, double seconds)
{
	uint64_t start = now_ns(), end = start + seconds * 1e9, before = start, now;
	struct latencies l = { 0 };
	char answer;

	do {
		int fd = connected(to, TCP_CONNECT);

		if (recv(fd, &answer, 1, 0) != 1 || recv(fd, &answer, 1, 0) != 0)
			die("answer");
		close(fd);
		now = now_ns();
		latencies_add(&l, now - before);
		before = now;
	} while (now < end);
	latencies_print(&l, (now - start) / 1e9);
}
