// SPDX-License-Identifier: MIT
/* load: UDP clients */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "load.h"

#define BATCH_MAX 64

static int connected(const struct target *to)
{
	int fd = socket(to->family, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 4 << 20;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (connect(fd, (const struct sockaddr *)&to->address, to->size) < 0)
		die("connect");
	return fd;
}

void udp_blast(int fd, const struct udp_go *go, const struct sockaddr *to, socklen_t size)
{
	unsigned int batch = go->batch < 1 ? 1 : go->batch > BATCH_MAX ? BATCH_MAX : go->batch;
	uint64_t end = now_ns() + go->milliseconds * 1000000ull;
	struct mmsghdr messages[BATCH_MAX];
	struct iovec iov[BATCH_MAX];
	char data[2048];

	memset(data, UDP_DATA, sizeof(data));
	for (unsigned int i = 0; i < batch; i++) {
		iov[i] = (struct iovec){ data, go->size - (go->mixed ? i % 3 ? 3 - i % 3 : 0 : 0) };
		messages[i].msg_hdr = (struct msghdr){ .msg_name = (void *)to, .msg_namelen = to ? size : 0, .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	while (now_ns() < end) {
		if (sendmmsg(fd, messages, batch, 0) >= 0)
			continue;
		if (errno == EAGAIN)
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 10);
		else if (errno != ENOBUFS && errno != ECONNREFUSED)
			die("sendmmsg");
	}
}

/* What the server has counted; a question or its answer may be lost in the crowd. */
static bool ask(int fd, struct udp_count *count)
{
	const char question = UDP_QUESTION;

	for (int tries = 0; tries < 50; tries++) {
		send(fd, &question, 1, 0);
		if (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 100) == 1 && recv(fd, count, sizeof(*count), 0) == sizeof(*count))
			return true;
	}
	return false;
}

static void print(const struct udp_count *count)
{
	printf("{\"packets\": %llu, \"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)count->packets, (unsigned long long)count->bytes,
	       count->ns / 1e9);
}

/* Nothing of an earlier question's answers must be left. */
static void drain(int fd)
{
	char data[64];

	while (recv(fd, data, sizeof(data), MSG_DONTWAIT) >= 0)
		;
}

void udp_to(const struct target *to, const struct udp_go *go)
{
	struct udp_count count;
	int fd = connected(to);

	if (!ask(fd, &count))
		die("no answer of the server before");
	usleep(20000);
	drain(fd);
	udp_blast(fd, go, NULL, 0);
	usleep(50000);
	if (!ask(fd, &count))
		die("no answer of the server after");
	print(&count);
}

void udp_from(const struct target *to, const struct udp_go *go)
{
	static char data[BATCH_MAX][2048];
	struct mmsghdr messages[BATCH_MAX] = { 0 };
	struct iovec iov[BATCH_MAX];
	struct udp_count count = { 0 };
	int fd = connected(to), n, wait = 3000;
	uint64_t first = 0, now;

	for (int i = 0; i < BATCH_MAX; i++) {
		iov[i] = (struct iovec){ data[i], sizeof(data[i]) };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	send(fd, go, sizeof(*go), 0);
	while (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, wait) == 1) {
		n = recvmmsg(fd, messages, BATCH_MAX, MSG_DONTWAIT, NULL);
		now = now_ns();
		if (n <= 0)
			break;
		if (!count.packets)
			first = now;
		for (int i = 0; i < n; i++)
			count.bytes += messages[i].msg_len;
		count.packets += n;
		count.ns = now - first;
		wait = 300;
	}
	print(&count);
}

void udp_round_trips(const struct target *to, size_t size, double seconds)
{
	uint64_t start, end, before, now;
	struct latencies l = { 0 };
	char data[2048];
	int fd = connected(to);

	memset(data, UDP_ECHO, sizeof(data));
	start = before = now = now_ns();
	end = start + seconds * 1e9;
	while (now < end) {
		send(fd, data, size, 0);
		if (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 200) != 1 || recv(fd, data, sizeof(data), 0) < 0) {
			before = now = now_ns(); /* lost */
			continue;
		}
		now = now_ns();
		latencies_add(&l, now - before);
		before = now;
	}
	close(fd);
	latencies_print(&l, (now - start) / 1e9);
}
