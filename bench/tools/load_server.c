// SPDX-License-Identifier: MIT
/* load: the server, one process and one epoll set for all */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "load.h"

#define BATCH 64

struct connection {
	int fd;
	char kind;
	uint64_t bytes;
};

struct server {
	int epoll, listener, udp;
	struct udp_count count;
	uint64_t first;
	char *buffer; /* LOAD_BUFFER bytes */
};

/* IPv6 for both versions, or IPv4 alone in a kernel that has no IPv6 */
static int bound(int type, const char *port)
{
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(port)) };
	struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = any6.sin6_port };
	int fd6 = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, off = 0, size = 4 << 20;
	int fd = fd6 >= 0 ? fd6 : socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, fd6 >= 0 ? (struct sockaddr *)&any6 : (struct sockaddr *)&any4, fd6 >= 0 ? sizeof(any6) : sizeof(any4)) < 0)
		die("bind");
	if (type == SOCK_STREAM && listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

static void watch(struct server *s, int fd, uint32_t events, void *data)
{
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = events, .data.ptr = data }) < 0)
		die("epoll_ctl");
}

static void accept_all(struct server *s)
{
	int fd;

	while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *c = calloc(1, sizeof(*c));

		if (!c)
			die("memory");
		c->fd = fd;
		watch(s, fd, EPOLLIN, c);
	}
}

static void drop(struct connection *c)
{
	close(c->fd);
	free(c);
}

/* Send until the socket takes no more. Return: false when the client has gone. */
static bool pour(const struct server *s, const struct connection *c)
{
	ssize_t n;

	do
		n = send(c->fd, s->buffer, 128 << 10, MSG_NOSIGNAL);
	while (n > 0);
	return errno == EAGAIN;
}

static bool begin_source(struct server *s, struct connection *c)
{
	epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &(struct epoll_event){ .events = EPOLLOUT | EPOLLRDHUP, .data.ptr = c });
	return pour(s, c);
}

/* One request came, whole, as wrk sends it. Return: false when the connection is over */
static bool answer_http(const struct server *s, const struct connection *c, size_t size)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

	return send(c->fd, answer, strlen(answer), MSG_NOSIGNAL) > 0 && !memmem(s->buffer, size, "Connection: close", 17);
}

/* Return: false when the connection is over */
static bool take(struct server *s, struct connection *c)
{
	ssize_t n = recv(c->fd, s->buffer, LOAD_BUFFER, 0);

	if (n < 0)
		return errno == EAGAIN;
	if (n == 0) {
		if (c->kind == TCP_SINK)
			send(c->fd, &c->bytes, sizeof(c->bytes), MSG_NOSIGNAL);
		return false;
	}
	if (!c->kind)
		c->kind = s->buffer[0];
	c->bytes += n;
	switch (c->kind) {
	case TCP_ECHO:
		return send(c->fd, s->buffer, n, MSG_NOSIGNAL) == n;
	case TCP_SOURCE:
		return begin_source(s, c);
	case TCP_CONNECT:
		send(c->fd, s->buffer, 1, MSG_NOSIGNAL);
		return false;
	case TCP_HTTP:
		return answer_http(s, c, n);
	default:
		return c->kind == TCP_SINK;
	}
}

static void connection_ready(struct server *s, struct connection *c, uint32_t events)
{
	bool on;

	if (c->kind == TCP_SOURCE)
		on = !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && pour(s, c);
	else
		on = take(s, c);
	if (!on)
		drop(c);
}

static void answer(struct server *s, char *data, size_t size, const struct sockaddr *from, socklen_t from_size)
{
	struct udp_go go;

	switch (data[0]) {
	case UDP_QUESTION:
		sendto(s->udp, &s->count, sizeof(s->count), 0, from, from_size);
		s->count = (struct udp_count){ 0 };
		break;
	case UDP_ECHO:
		sendto(s->udp, data, size, 0, from, from_size);
		break;
	case UDP_GO:
		if (size != sizeof(go) || fork())
			break;
		memcpy(&go, data, sizeof(go));
		udp_blast(s->udp, &go, from, from_size);
		_exit(0);
	default:
		break;
	}
}

static void count(struct server *s, size_t size, uint64_t now)
{
	if (!s->count.packets++)
		s->first = now;
	s->count.bytes += size;
	s->count.ns = now - s->first;
}

static void datagrams_ready(struct server *s)
{
	static char data[BATCH][2048];
	struct sockaddr_in6 from[BATCH];
	struct mmsghdr messages[BATCH];
	struct iovec iov[BATCH];
	int n;

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ data[i], sizeof(data[i]) };
		messages[i].msg_hdr = (struct msghdr){ .msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	n = recvmmsg(s->udp, messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		if (data[i][0] == UDP_DATA)
			count(s, messages[i].msg_len, now_ns());
		else
			answer(s, data[i], messages[i].msg_len, (struct sockaddr *)&from[i], messages[i].msg_hdr.msg_namelen);
	}
}

void serve(const char *port)
{
	struct server s = { .epoll = epoll_create1(EPOLL_CLOEXEC), .listener = bound(SOCK_STREAM, port), .udp = bound(SOCK_DGRAM, port) };
	struct epoll_event events[BATCH];

	signal(SIGCHLD, SIG_IGN);
	s.buffer = calloc(1, LOAD_BUFFER);
	if (!s.buffer)
		die("memory");
	watch(&s, s.listener, EPOLLIN, &s.listener);
	watch(&s, s.udp, EPOLLIN, &s.udp);
	for (;;) {
		int n = epoll_wait(s.epoll, events, BATCH, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &s.listener)
				accept_all(&s);
			else if (events[i].data.ptr == &s.udp)
				datagrams_ready(&s);
			else
				connection_ready(&s, events[i].data.ptr, events[i].events);
		}
	}
}
