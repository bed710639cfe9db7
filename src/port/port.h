// SPDX-License-Identifier: MIT
/*
 * The port contract: one attachment to a LAN.
 *
 * A port takes frames from its guest and gives them to its sink (the switch, as the engine wires it), in batches; and it takes
 * frames for its guest through port_send(). It never waits: what it cannot take now it drops and counts, so that one slow guest
 * stalls nobody. Who can wait instead (the gateway, whose data stays in the host's sockets) asks port_room() first and is told
 * by sink->drained when there is room again.
 *
 * Ownership: the engine owns ports and frees them. A port that finds its guest gone calls sink->closed, once, and the engine
 * frees it at the end of the turn; until then it takes nothing (DROP_PORT_DOWN).
 *
 * Counting: "from_guest" is counted by port_input(), "to_guest" by port_send() and port_commit(); both work on what the ops return. Drops
 * are counted by whoever has the verdict, at the port in question.
 */
#pragma once
#include <stdint.h>
#include "base/drop.h"
#include "base/usec.h"
#include "port/fault.h"
#include "port/frame.h"

#define PORT_BATCH 64       /* frames in one call at the most */
#define PORT_MTU   1500     /* a port's mtu until the engine sets another */

struct loop;
struct port;

struct port_counters {
	uint64_t frames, bytes;
};

/* What a port's guest can take; what it cannot is done in software before port_send(). */
enum port_takes {
	PORT_TAKES_OPEN_CHECKSUM = 1, /* offload.checksum_open */
	PORT_TAKES_TCP4_SEGMENTS = 2, /* GSO_TCP4 */
	PORT_TAKES_TCP6_SEGMENTS = 4, /* GSO_TCP6 */
	PORT_TAKES_UDP4_SEGMENTS = 8, /* GSO_UDP, of which version is not said */
	PORT_TAKES_UDP6_SEGMENTS = 16,
	PORT_TAKES_UDP_SEGMENTS = PORT_TAKES_UDP4_SEGMENTS | PORT_TAKES_UDP6_SEGMENTS,
	PORT_TAKES_ALL = PORT_TAKES_OPEN_CHECKSUM | PORT_TAKES_TCP4_SEGMENTS | PORT_TAKES_TCP6_SEGMENTS | PORT_TAKES_UDP_SEGMENTS,
};

struct port_ops {
	const char *kind;             /* "stream", "dgram", "tap", "gateway": what `hospes ls` shows */

	/*
	 * Take frames for the guest, none of which needs an offload that the port lacks. Bytes not taken at return are copied.
	 * Return: how many were taken, counted from the first; the rest find the port full. A frame that the port drops for a
	 * reason of its own, and counts, is taken.
	 */
	size_t (*send)(struct port *p, const struct frame *frames, size_t count);

	/* Bytes of frames it takes now without dropping; NULL: always plenty. */
	size_t (*room)(struct port *p);

	/* Lend memory of the guest's own, and take the frame that was written there; NULL: it has none to lend. As port_reserve() says. */
	size_t (*reserve)(struct port *p, const struct frame *head, size_t least, size_t most, struct iovec *iov, size_t room, size_t *got);
	void (*commit)(struct port *p, const struct frame *f);

	/* Free everything, close descriptors. Return NULL. */
	struct port *(*free)(struct port *p);
};

/* Who a port serves: filled in once by the engine, shared by all ports of a LAN. */
struct port_sink {
	void (*input)(void *owner, struct port *from, const struct frame *frames, size_t count); /* count <= PORT_BATCH */
	void (*drained)(void *owner, struct port *p);  /* a port that was short of room has some again */
	void (*closed)(void *owner, struct port *p, const char *why);
	void *owner;
	struct loop *loop;            /* told how much the ports move, loop_moved(); NULL: nobody is */
};

struct port {
	const struct port_ops *ops;
	const struct port_sink *sink;
	uint16_t id;                  /* unique in the LAN while the port lives; the engine gives it */
	uint16_t mtu;                 /* IP bytes a frame may carry towards the guest, where not segmented later */
	uint8_t takes;                /* enum port_takes */
	bool down;                    /* closed; takes nothing any more */
	bool still;                   /* its guest has stopped its rings: it was reset, or stands still, or goes on behind another port */
	bool short_of_room;           /* port_room() was too little for somebody: call sink->drained when there is room */
	int32_t peer_pid;             /* of the process at the other end, 0 if not known */
	struct port_counters from_guest, to_guest;
	uint64_t drops[DROP_COUNT];
	uint64_t rate_from, rate_to;  /* bytes a second, smoothed; brought up to date when there is traffic or somebody looks */
	struct fault *fault;          /* NULL but in tests; borrowed, of this port alone */
	usec_t rate_time;
	uint64_t rate_from_seen, rate_to_seen;
};

/** port_drop() - count @frames dropped for a reason */
static inline void port_drop(struct port *p, enum drop why, uint64_t frames) { p->drops[why] += frames; }

/**
 * port_send() - give frames to the guest; counts what was taken, and DROP_PORT_FULL or DROP_PORT_DOWN for what was not
 *
 * Return: how many were taken; all of them where there is a fault layer, which looks like a network that loses some.
 */
size_t port_send(struct port *p, const struct frame *frames, size_t count);

/** port_input() - for the kinds of port: count frames that came from the guest and pass them to the sink */
void port_input(struct port *p, const struct frame *frames, size_t count);

/**
 * port_room() - bytes that the port takes now without dropping
 * @want: at most FRAME_MAX; if there is less room, the port calls sink->drained later (not if it closes before)
 */
size_t port_room(struct port *p, size_t want);

/**
 * port_reserve() - memory of the guest's own to write one frame into, from its Ethernet header on
 * @head:  the headers that it will have, to choose a queue by; borrowed
 * @least: bytes that must have room
 * @most:  and that may be used
 * @iov:   filled in, with up to @room parts; the bytes are the guest's: write them, and do not believe what is read there
 * @got:   how many bytes there are: from @least to @most
 *
 * port_commit() must follow, with no other call to the port in between.
 * Return: parts in @iov; 0 if the port cannot lend any now: port_send() is the other way.
 */
size_t port_reserve(struct port *p, const struct frame *head, size_t least, size_t most, struct iovec *iov, size_t room, size_t *got);

/** port_commit() - the frame is written: @f->offload and @f->size, up to what was lent, count; its iov does not. Size 0: there is none. */
void port_commit(struct port *p, const struct frame *f);

/** port_drained() - for the kinds of port: nothing is queued any more; tells the sink if somebody was short of room */
void port_drained(struct port *p);

/** port_close() - for the kinds of port: the guest has gone; marks the port down and tells the sink, once. @why is a constant string. */
void port_close(struct port *p, const char *why);

/**
 * port_rates() - bring rate_from and rate_to up to date
 *
 * Smoothed over about a second; steps shorter than 250 ms wait for the next call. The kinds of port call it when frames come
 * from their guest, so that it is right for whoever looks later, without a timer.
 */
void port_rates(struct port *p, usec_t now);

struct port *port_free(struct port *p);
