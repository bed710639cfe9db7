// SPDX-License-Identifier: MIT
#include "doctor/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "base/fd.h"
#include "base/usec.h"
#include "io/varlink_client.h"

#define ARP_WAIT    (1 * USEC_S)
#define DHCP_WAIT   (3 * USEC_S)   /* servers look first whether the address is free */
#define ATTEMPTS    2
#define AGAIN       (USEC_S / 2)   /* when what was asked is asked once more: a frame may be lost */
#define FRAME_WAIT  (1 * USEC_S)   /* for the rest of a frame that has begun */
#define ANSWERS_MAX 64
#define FRAME_SIZE  65550

/* A place where frames can be sent and heard. */
struct place {
	int fd;
	bool stream;         /* each frame stands behind its length: a port of a user LAN */
	bool closed;         /* nothing more comes from there */
	uint8_t *frame;      /* FRAME_SIZE */
};

struct probe {
	struct facts *f;
	struct place place;
	struct mac mac;      /* that of a guest which does not exist */
	uint32_t xid;
};

static int open_packet(const struct link *link)
{
	_cleanup_fd_ int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)link->index };
	struct packet_mreq all = { .mr_ifindex = (int)link->index, .mr_type = PACKET_MR_PROMISC };

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0)
		return -errno;
	return fd_steal(&fd);
}

static int open_stream(const struct facts *f)
{
	char path[sizeof(f->lan.control)];
	char *name;

	snprintf(path, sizeof(path), "%s", f->lan.control);
	name = strrchr(path, '/');
	if (!name)
		return -ENOENT;
	strcpy(name, "/stream");
	return varlink_connect(path, USEC_S);
}

static void place_send(struct place *p, const uint8_t *frame, size_t size)
{
	uint8_t length[4] = { 0, 0, (uint8_t)(size >> 8), (uint8_t)size };
	struct iovec parts[] = { { length, sizeof(length) }, { (void *)(uintptr_t)frame, size } };
	struct msghdr message = { .msg_iov = parts + !p->stream, .msg_iovlen = 1 + (size_t)p->stream };

	/* One that is lost is sent again. */
	if (sendmsg(p->fd, &message, MSG_NOSIGNAL) < 0)
		return;
}

static bool wait_readable(int fd, usec_t until)
{
	usec_t left = until - usec_now();

	return left > 0 && poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, (int)(left / USEC_MS) + 1) > 0;
}

static bool read_all(int fd, uint8_t *into, size_t size, usec_t until)
{
	while (size) {
		ssize_t got;

		if (!wait_readable(fd, until))
			return false;
		got = read(fd, into, size);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		if (got > 0)
			into += got, size -= (size_t)got;
	}
	return true;
}

/* Return: the size of the next frame, or 0 when the time is up. */
static size_t place_receive(struct place *p, usec_t until)
{
	uint8_t length[4] = { 0 };
	uint32_t size;

	if (!p->stream) {
		ssize_t got = wait_readable(p->fd, until) ? read(p->fd, p->frame, FRAME_SIZE) : 0;

		return got > 0 ? (size_t)got : 0;
	}
	if (!wait_readable(p->fd, until))
		return 0;
	until = usec_now() + FRAME_WAIT;
	p->closed = !read_all(p->fd, length, sizeof(length), until);
	size = (uint32_t)length[0] << 24 | (uint32_t)length[1] << 16 | (uint32_t)length[2] << 8 | length[3];
	p->closed = p->closed || size > FRAME_SIZE || !read_all(p->fd, p->frame, size, until);
	return p->closed ? 0 : size;
}

static void keep_answer(struct facts *f, struct answer_fact **list, size_t *count, const struct answer_fact *answer)
{
	struct answer_fact *kept;

	for (size_t i = 0; i < *count; i++)
		if (addr_equal((*list)[i].addr, answer->addr) && mac_equal((*list)[i].mac, answer->mac))
			return;
	kept = *count < ANSWERS_MAX ? facts_grow(f, list, count, sizeof(*answer)) : NULL;
	if (kept)
		*kept = *answer;
}

/* Hand each frame that comes for some time to @take. */
static void hear(struct probe *p, usec_t wait, void (*take)(struct probe *p, size_t size))
{
	usec_t until = usec_now() + wait;

	while (!p->place.closed && usec_now() < until) {
		size_t size = place_receive(&p->place, until);

		if (size)
			take(p, size);
	}
}

/* --- DHCP servers --- */

static void take_offer(struct probe *p, size_t size)
{
	struct answer_fact server;

	if (probe_read_offer(p->place.frame, size, p->xid, &server))
		keep_answer(p->f, &p->f->probe.dhcp, &p->f->probe.dhcp_count, &server);
}

static void probe_dhcp(struct probe *p)
{
	uint8_t frame[PROBE_FRAME_MAX];
	size_t size = probe_discover(frame, p->mac, p->xid);

	p->f->probe.dhcp_asked = true;
	for (int i = 1; i <= ATTEMPTS; i++) {
		place_send(&p->place, frame, size);
		hear(p, i < ATTEMPTS ? AGAIN : DHCP_WAIT, take_offer);
	}
}

/* --- addresses that two have --- */

static void ask_all(struct probe *p)
{
	uint8_t frame[PROBE_FRAME_MAX];
	const struct facts *f = p->f;
	addr_t any = addr_of4(ip4(0));

	for (size_t i = 0; i < f->lan.guest_count; i++)
		for (size_t k = 0; k < f->lan.guests[i].count; k++)
			if (addr_is4(f->lan.guests[i].addresses[k]))
				place_send(&p->place, frame, probe_arp(frame, p->mac, any, f->lan.guests[i].addresses[k]));
	for (size_t i = 0; i < f->neighbour_count; i++)
		if (!strcmp(f->neighbours[i].link, f->target.bridge))
			place_send(&p->place, frame, probe_arp(frame, p->mac, any, f->neighbours[i].addr));
}

static void take_address(struct probe *p, size_t size)
{
	struct answer_fact who;
	struct mac to;

	if (probe_read_arp(p->place.frame, size, &who, &to) && mac_equal(to, p->mac))
		keep_answer(p->f, &p->f->probe.addresses, &p->f->probe.address_count, &who);
}

static void probe_addresses(struct probe *p)
{
	for (int i = 1; i <= ATTEMPTS; i++) {
		ask_all(p);
		hear(p, i < ATTEMPTS ? AGAIN : ARP_WAIT, take_address);
	}
}

/* --- a switch that filters --- */

/* A router that is always there, as far as we know: the default one, else any neighbour behind the bridge. */
static addr_t find_router(const struct facts *f)
{
	const struct link *bridge = facts_bridge(f);
	const struct link_route *r = facts_default_route(f, true);

	if (r && r->index == bridge->index && !addr_is_any(r->gateway))
		return r->gateway;
	for (size_t i = 0; i < f->neighbour_count; i++)
		if (!strcmp(f->neighbours[i].link, bridge->name))
			return f->neighbours[i].addr;
	return ADDR_ANY;
}

static enum probe_result ask_router(struct place *place, struct mac from, addr_t router)
{
	uint8_t frame[PROBE_FRAME_MAX];
	struct answer_fact who;
	struct mac to;
	size_t size;

	for (int i = 0; i < ATTEMPTS; i++) {
		usec_t until = usec_now() + ARP_WAIT;

		place_send(place, frame, probe_arp(frame, from, addr_of4(ip4(0)), router));
		while (usec_now() < until) {
			size = place_receive(place, until);
			if (size && probe_read_arp(place->frame, size, &who, &to) && addr_equal(who.addr, router) && mac_equal(to, from))
				return PROBE_ANSWERED;
		}
	}
	return PROBE_NO_ANSWER;
}

static void probe_uplink(struct probe *p)
{
	const struct link *uplink = facts_uplink(p->f), *bridge = facts_bridge(p->f);
	struct probe_facts *facts = &p->f->probe;
	struct place place = p->place;

	if (!uplink)
		return;
	facts->asked = find_router(p->f);
	if (addr_is_any(facts->asked)) {
		facts_gap(p->f, "a switch that filters MACs", "nobody is known beyond %s who could answer", uplink->name);
		return;
	}
	/* It leaves by the uplink itself, as a bridged guest's frame does. */
	place.fd = open_packet(uplink);
	if (place.fd < 0)
		return;
	facts->foreign_mac = p->mac;
	facts->own = ask_router(&place, bridge->mac, facts->asked);
	facts->foreign = ask_router(&place, p->mac, facts->asked);
	fd_close(place.fd);
}

static int open_place(struct probe *p)
{
	const struct link *bridge = facts_bridge(p->f);

	p->place.stream = !*p->f->target.bridge;
	if (p->place.stream)
		return p->place.fd = p->f->lan.state == LAN_UP ? open_stream(p->f) : -EHOSTDOWN;
	return p->place.fd = bridge ? open_packet(bridge) : -ENODEV;
}

int probe_run(struct facts *f)
{
	_cleanup_(freep) uint8_t *frame = malloc(FRAME_SIZE);
	struct probe p = { .f = f, .place = { .fd = -1, .frame = frame } };
	uint8_t random[8];
	int r;

	if (!frame || getrandom(random, sizeof(random), 0) != sizeof(random))
		return -ENOMEM;
	r = open_place(&p);
	if (r < 0) {
		facts_gap(f, "what probes would show", "%s", r == -EPERM ? "only root may send on a bridge: sudo hospes doctor --probe" :
			  r == -EHOSTDOWN ? "the LAN is down" : strerror(-r));
		return 0;
	}
	p.mac = (struct mac){{ 0x52, 0x54, 0x00, random[0], random[1], random[2] }};
	memcpy(&p.xid, random + 4, sizeof(p.xid));
	probe_dhcp(&p);
	probe_addresses(&p);
	if (!p.place.stream)
		probe_uplink(&p);
	if (p.place.closed)
		facts_gap(f, "all that probes would show", "the LAN ended while they ran");
	fd_close(p.place.fd);
	return f->failed ? -ENOMEM : 0;
}
