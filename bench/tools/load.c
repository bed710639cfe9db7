// SPDX-License-Identifier: MIT
/* load: the clients' small tool, for what no package of Debian measures: round trips, connections, datagrams a second */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
	"load serve PORT\n"
	"load stream to|from HOST PORT FLOWS SECONDS\n"
	"load rr tcp|udp HOST PORT SIZE SECONDS\n"
	"load connect HOST PORT SECONDS\n"
	"load udp to|from HOST PORT SIZE BATCH equal|mixed SECONDS\n";

void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

void latencies_add(struct latencies *l, uint64_t ns)
{
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 1 << 16;
		l->ns = realloc(l->ns, l->room * sizeof(*l->ns));
		if (!l->ns)
			die("memory");
	}
	l->ns[l->count++] = ns > UINT32_MAX ? UINT32_MAX : ns;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void latencies_print(struct latencies *l, double seconds)
{
	if (!l->count) {
		errno = ENODATA;
		die("no round trip");
	}
	qsort(l->ns, l->count, sizeof(*l->ns), compare);
	printf("{\"count\": %zu, \"seconds\": %.6f, \"p50\": %.2f, \"p99\": %.2f}\n", l->count, seconds,
	       l->ns[l->count / 2] / 1e3, l->ns[l->count * 99 / 100] / 1e3);
}

static struct target resolve(const char *host, const char *port)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = in4.sin_port };
	struct target to = { 0 };

	if (inet_pton(AF_INET, host, &in4.sin_addr) == 1) {
		memcpy(&to.address, &in4, to.size = sizeof(in4));
	} else if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
		memcpy(&to.address, &in6, to.size = sizeof(in6));
	} else {
		fprintf(stderr, "load: %s is no address\n", host);
		exit(2);
	}
	to.family = to.address.ss_family;
	return to;
}

static bool is(const char *word, const char *wanted)
{
	return !strcmp(word, wanted);
}

static bool run(int argc, char **argv)
{
	struct target to;

	if (argc == 3 && is(argv[1], "serve"))
		serve(argv[2]);
	if (argc == 7 && is(argv[1], "stream")) {
		to = resolve(argv[3], argv[4]);
		tcp_stream(&to, is(argv[2], "to") ? TCP_SINK : TCP_SOURCE, atoi(argv[5]), atof(argv[6]));
	} else if (argc == 7 && is(argv[1], "rr")) {
		to = resolve(argv[3], argv[4]);
		(is(argv[2], "tcp") ? tcp_round_trips : udp_round_trips)(&to, atoi(argv[5]), atof(argv[6]));
	} else if (argc == 5 && is(argv[1], "connect")) {
		to = resolve(argv[2], argv[3]);
		tcp_connections(&to, atof(argv[4]));
	} else if (argc == 9 && is(argv[1], "udp")) {
		const struct udp_go go = {
			.kind = UDP_GO, .size = atoi(argv[5]), .batch = atoi(argv[6]), .mixed = is(argv[7], "mixed"), .milliseconds = 1000 * atof(argv[8]),
		};

		to = resolve(argv[3], argv[4]);
		(is(argv[2], "to") ? udp_to : udp_from)(&to, &go);
	} else {
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (!run(argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	return 0;
}
