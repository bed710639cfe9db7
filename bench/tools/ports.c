// SPDX-License-Identifier: MIT
/*
 * ports: many guests at once on a LAN's stream socket, for what a frame costs the switch by the number of ports, or the gateway by the number of flows.
 *
 * ports frames SOCKET PORTS                        bursts between ports at random, a fixed number of them in flight
 * ports flows SOCKET FLOWS GUEST HOST HOST-PORT    datagrams from as many source ports, at random, as fast as they are taken
 * ports sockets FLOWS HOST HOST-PORT               the same by as many sockets of its own, with nothing between: the kernel's part of that cost
 *
 * It says READY, takes a line with a number of seconds on its input, works so long and prints {"packets": N, "seconds": S}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BURST     32   /* frames that are written at once */
#define IN_FLIGHT 4    /* bursts */
#define FRAME     64   /* bytes of a frame between ports */
#define RECORD    (4 + FRAME)
#define PORTS_MAX 1024
#define FIRST_SOURCE_PORT 2048

struct load {
	unsigned int count; /* ports, or flows */
	int fd[PORTS_MAX];
	size_t have[PORTS_MAX]; /* bytes of a burst that have come in */
	uint64_t random;
	/* of flows */
	struct in_addr guest, host;
	uint16_t host_port;
	uint8_t gateway[6];
	int *sockets;
};

static void die(const char *what)
{
	fprintf(stderr, "ports: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* xorshift64: the same order in every run */
static unsigned int pick(struct load *l, unsigned int below)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return (l->random >> 16) % below;
}

static int attach(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), size = 1 << 20;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(path);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return fd;
}

static void write_all(int fd, const void *data, size_t size)
{
	while (size) {
		ssize_t n = send(fd, data, size, 0);

		if (n < 0)
			die("send");
		data = (const char *)data + n;
		size -= n;
	}
}

static void put_mac(uint8_t *at, unsigned int port)
{
	const uint8_t mac[6] = { 2, 0, 0, 9, port >> 8, port };

	memcpy(at, mac, 6);
}

static void put_length(uint8_t *at, uint32_t size)
{
	size = htonl(size);
	memcpy(at, &size, 4);
}

/* A frame of an experimental EtherType. Return: bytes with the length before it */
static size_t put_frame(uint8_t *at, unsigned int from, const uint8_t *to)
{
	memset(at, 0, RECORD);
	put_length(at, FRAME);
	memcpy(at + 4, to, 6);
	put_mac(at + 10, from);
	at[16] = 0x88;
	at[17] = 0xb5;
	return RECORD;
}

static void drain(struct load *l, int quiet_ms)
{
	static uint8_t data[1 << 18];
	struct pollfd fds[PORTS_MAX];

	for (unsigned int i = 0; i < l->count; i++)
		fds[i] = (struct pollfd){ .fd = l->fd[i], .events = POLLIN };
	while (poll(fds, l->count, quiet_ms) > 0)
		for (unsigned int i = 0; i < l->count; i++)
			if (fds[i].revents && recv(l->fd[i], data, sizeof(data), MSG_DONTWAIT) == 0)
				die("the port was closed");
}

static void attach_all(struct load *l, const char *path)
{
	static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 };
	uint8_t frame[RECORD];

	for (unsigned int i = 0; i < l->count; i++)
		l->fd[i] = attach(path);
	for (unsigned int i = 0; i < l->count; i++) {
		write_all(l->fd[i], frame, put_frame(frame, i, everybody));
		drain(l, 0);
	}
	drain(l, 300);
}

static void send_burst(struct load *l)
{
	unsigned int from = pick(l, l->count), to = (from + 1 + pick(l, l->count - 1)) % l->count;
	uint8_t data[BURST * RECORD], mac[6];
	size_t size = 0;

	put_mac(mac, to);
	for (int i = 0; i < BURST; i++)
		size += put_frame(data + size, from, mac);
	write_all(l->fd[from], data, size);
}

/* Return: frames that were received; a burst that has come in whole sends the next one off */
static uint64_t receive(struct load *l, unsigned int port)
{
	static uint8_t data[1 << 18];
	ssize_t n = recv(l->fd[port], data, sizeof(data), MSG_DONTWAIT);

	if (n <= 0)
		die("recv");
	l->have[port] += n;
	for (; l->have[port] >= BURST * RECORD; l->have[port] -= BURST * RECORD)
		send_burst(l);
	return n / RECORD;
}

static uint64_t run_frames(struct load *l, uint64_t end)
{
	struct pollfd fds[PORTS_MAX];
	uint64_t frames = 0;

	for (unsigned int i = 0; i < l->count; i++)
		fds[i] = (struct pollfd){ .fd = l->fd[i], .events = POLLIN };
	memset(l->have, 0, sizeof(l->have));
	for (int i = 0; i < IN_FLIGHT; i++)
		send_burst(l);
	while (now_ns() < end) {
		if (poll(fds, l->count, 1000) <= 0)
			die("nothing comes any more");
		for (unsigned int i = 0; i < l->count; i++)
			if (fds[i].revents)
				frames += receive(l, i);
	}
	drain(l, 200);
	return frames;
}

/* --- flows --- */

static void find_gateway(struct load *l)
{
	uint8_t request[4 + 60] = { 0 }, reply[4 + 2048], *arp = request + 18;
	uint32_t size;

	put_length(request, 60);
	memset(request + 4, 255, 6);
	put_mac(request + 10, 0);
	memcpy(request + 16, "\x08\x06", 2);
	memcpy(arp, "\0\1\x08\0\6\4\0\1", 8);
	put_mac(arp + 8, 0);
	memcpy(arp + 14, &l->guest, 4);
	memcpy(arp + 24, &l->host, 4);
	write_all(l->fd[0], request, sizeof(request));
	do {
		if (recv(l->fd[0], reply, 4, MSG_WAITALL) != 4)
			die("no answer to ARP");
		memcpy(&size, reply, 4);
		size = ntohl(size);
		if (size > 2048 || recv(l->fd[0], reply + 4, size, MSG_WAITALL) != (ssize_t)size)
			die("no frame");
	} while (memcmp(reply + 16, "\x08\x06\0\1\x08\0\6\4\0\2", 10) != 0);
	memcpy(l->gateway, reply + 18 + 8, 6);
}

static uint16_t checksum(const uint8_t *data, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i += 2)
		sum += data[i] << 8 | data[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

/* A datagram of a flow, without a checksum of UDP. Sizes differ, so that no run of equal ones can be made of them. */
static size_t put_datagram(struct load *l, uint8_t *at, unsigned int flow, unsigned int number)
{
	uint8_t *ip = at + 18, *udp = ip + 20;
	uint16_t payload = 60 + number % 3, total = htons(28 + payload), udp_size = htons(8 + payload), port = htons(FIRST_SOURCE_PORT + flow), sum;

	memset(at, 0, 46);
	put_length(at, 42 + payload);
	memcpy(at + 4, l->gateway, 6);
	put_mac(at + 10, 0);
	memcpy(at + 16, "\x08\x00", 2);
	memcpy(ip, "\x45\0\0\0\0\0\x40\0\x40\x11", 10);
	memcpy(ip + 2, &total, 2);
	memcpy(ip + 12, &l->guest, 4);
	memcpy(ip + 16, &l->host, 4);
	sum = checksum(ip, 20);
	memcpy(ip + 10, &sum, 2);
	memcpy(udp, &port, 2);
	memcpy(udp + 2, &l->host_port, 2);
	memcpy(udp + 4, &udp_size, 2);
	memset(udp + 8, 'D', payload);
	return 46 + payload;
}

static void send_datagrams(struct load *l, unsigned int first, bool random)
{
	uint8_t data[BURST * 128];
	size_t size = 0;

	for (unsigned int i = 0; i < BURST; i++)
		size += put_datagram(l, data + size, random ? pick(l, l->count) : (first + i) % l->count, i);
	write_all(l->fd[0], data, size);
}

static void open_flows(struct load *l, const char *path)
{
	l->fd[0] = attach(path);
	find_gateway(l);
	for (unsigned int i = 0; i < l->count; i += BURST) {
		send_datagrams(l, i, false);
		usleep(BURST * 20);
	}
	usleep(300000);
}

static uint64_t run_flows(struct load *l, uint64_t end)
{
	uint64_t sent = 0;

	for (; now_ns() < end; sent += BURST)
		send_datagrams(l, 0, true);
	return sent;
}

/* --- sockets --- */

static void open_sockets(struct load *l)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = l->host, .sin_port = l->host_port };
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	l->sockets = calloc(l->count, sizeof(*l->sockets));
	if (!l->sockets)
		die("memory");
	for (unsigned int i = 0; i < l->count; i++) {
		l->sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (l->sockets[i] < 0 || connect(l->sockets[i], (struct sockaddr *)&to, sizeof(to)) < 0)
			die("socket");
	}
}

static uint64_t run_sockets(struct load *l, uint64_t end)
{
	uint64_t sent = 0;
	char data[64];

	memset(data, 'D', sizeof(data));
	for (; now_ns() < end; sent += BURST)
		for (int i = 0; i < BURST; i++)
			send(l->sockets[pick(l, l->count)], data, 60 + i % 3, 0);
	return sent;
}

static unsigned int number(const char *word, unsigned int least, unsigned int most)
{
	unsigned long value = strtoul(word, NULL, 10);

	if (value >= least && value <= most)
		return value;
	fprintf(stderr, "ports: a number from %u to %u is expected, not %s\n", least, most, word);
	exit(2);
}

static struct in_addr address(const char *word)
{
	struct in_addr in;

	if (inet_pton(AF_INET, word, &in) == 1)
		return in;
	fprintf(stderr, "ports: an IPv4 address is expected, not %s\n", word);
	exit(2);
}

/* Open what the words say. Return: what then is run for a time, or NULL */
static uint64_t (*open_load(struct load *l, int argc, char **argv))(struct load *l, uint64_t end)
{
	if (argc == 4 && !strcmp(argv[1], "frames")) {
		l->count = number(argv[3], 2, PORTS_MAX);
		attach_all(l, argv[2]);
		return run_frames;
	}
	if (argc == 7 && !strcmp(argv[1], "flows")) {
		l->count = number(argv[3], 1, 60000);
		l->guest = address(argv[4]);
		l->host = address(argv[5]);
		l->host_port = htons(number(argv[6], 1, 65535));
		open_flows(l, argv[2]);
		return run_flows;
	}
	if (argc == 5 && !strcmp(argv[1], "sockets")) {
		l->count = number(argv[2], 1, 60000);
		l->host = address(argv[3]);
		l->host_port = htons(number(argv[4], 1, 65535));
		open_sockets(l);
		return run_sockets;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct load l = { .random = 88172645463325252ull };
	uint64_t (*run)(struct load *, uint64_t) = open_load(&l, argc, argv);
	uint64_t start, packets;
	double seconds;

	if (!run) {
		fprintf(stderr, "ports frames SOCKET PORTS | flows SOCKET FLOWS GUEST HOST HOST-PORT | sockets FLOWS HOST HOST-PORT\n");
		return 2;
	}
	puts("READY");
	fflush(stdout);
	while (scanf("%lf", &seconds) == 1) {
		start = now_ns();
		packets = run(&l, start + seconds * 1e9);
		printf("{\"packets\": %llu, \"seconds\": %.6f}\n", (unsigned long long)packets, (now_ns() - start) / 1e9);
		fflush(stdout);
	}
	return 0;
}
