/* SPDX-License-Identifier: MIT */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A TCP connection's first byte says what the server does with it; a datagram's first byte, what it is.
 * The client measures and prints one line of JSON.
 */
enum {
	TCP_ECHO = 'E',    /* send back what comes */
	TCP_CONNECT = 'C', /* answer with one byte and close */
	TCP_SINK = 'S',    /* discard; at the end of the stream answer with the bytes received, 8 bytes in the machine's order */
	TCP_SOURCE = 'R',  /* send until the client closes */
	TCP_HTTP = 'G',    /* a GET of HTTP/1.1: two bytes; closed after that if the client says so */
	UDP_DATA = 'D',    /* counted */
	UDP_QUESTION = 'Q',/* answered with struct udp_count of the data since the last question */
	UDP_ECHO = 'E',    /* sent back */
	UDP_GO = 'G',      /* struct udp_go: send data to where it came from */
};

#define LOAD_BUFFER (256 << 10)

struct udp_count {
	uint64_t packets, bytes, ns; /* ns: from the first to the last */
};

struct udp_go {
	char kind;
	uint8_t mixed; /* sizes that no run of equal datagrams can be made of */
	uint16_t size, batch;
	uint16_t milliseconds;
};

struct target {
	struct sockaddr_storage address;
	socklen_t size;
	int family;
};

/* Say what is wrong with errno's text, and end. */
_Noreturn void die(const char *what);
uint64_t now_ns(void);

/* Serve TCP and UDP at a port, until killed. */
_Noreturn void serve(const char *port);

void tcp_stream(const struct target *to, char kind, unsigned int flows, double seconds);
void tcp_round_trips(const struct target *to, size_t size, double seconds);
void tcp_connections(const struct target *to, double seconds);

/* Datagrams to the server, counted there. */
void udp_to(const struct target *to, const struct udp_go *go);
/* Datagrams from the server, counted here. */
void udp_from(const struct target *to, const struct udp_go *go);
void udp_round_trips(const struct target *to, size_t size, double seconds);
/* Send what @go says by a socket to an address (NULL: it is connected). */
void udp_blast(int fd, const struct udp_go *go, const struct sockaddr *to, socklen_t size);

struct latencies {
	uint32_t *ns;
	size_t count, room;
};

void latencies_add(struct latencies *l, uint64_t ns);
/* Print the JSON line of round trips: count, seconds, p50, p99 in microseconds. */
void latencies_print(struct latencies *l, double seconds);
