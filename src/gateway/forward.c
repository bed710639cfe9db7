// SPDX-License-Identifier: MIT
#include "gateway/forward.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "base/attr.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "gateway/datagrams.h"
#include "gateway/forward_socket.h"
#include "gateway/host.h"
#include "io/listen.h"

struct forwards {
	struct forwards_params p;
	struct list running;
	struct datagrams *in;
};

/* One listening socket of a forward: one address, one port of its range. */
struct door {
	struct running *owner;
	uint16_t offset;        /* of the port in the range */
	int version;            /* of a client's address; 0: unix */
	struct listener listener;
	struct watch datagrams; /* of FORWARD_UDP, whose socket this owns */
};

struct running {
	struct list node;
	struct forwards *owner;
	struct forward_rule rule;
	uint64_t clients;
	dev_t device;           /* the unix socket's place on disk, when it was made */
	ino_t inode;
	struct door *doors;
	size_t count;
};

int forwards_new(struct forwards **out, const struct forwards_params *params)
{
	struct forwards *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->p = *params;
	list_init(&f->running);
	if (datagrams_new(&f->in)) {
		free(f);
		return -ENOMEM;
	}
	*out = f;
	return 0;
}

/* Close one door; clients that came in stay. */
static void door_close(struct door *d)
{
	listener_fini(&d->listener);
	if (d->datagrams.fd >= 0) {
		int fd = d->datagrams.fd;

		udp_forward_gone(d->owner->owner->p.udp, fd);
		watch_remove(&d->datagrams);
		close(fd);
	}
}

/* Take the path away, unless somebody else has put another socket there. */
static void remove_path(const struct running *r)
{
	struct stat st;

	if (r->inode && !lstat(r->rule.path, &st) && st.st_dev == r->device && st.st_ino == r->inode)
		unlink(r->rule.path);
}

static struct running *running_free(struct running *r)
{
	for (size_t i = 0; i < r->count; i++)
		door_close(&r->doors[i]);
	if (r->rule.kind == FORWARD_UNIX)
		remove_path(r);
	list_remove(&r->node);
	free(r->doors);
	free(r);
	return NULL;
}

DEFINE_CLEANUP(running)

struct forwards *forwards_free(struct forwards *f)
{
	list_for_each(n, &f->running)
		running_free(list_entry(n, struct running, node));
	datagrams_free(f->in);
	free(f);
	return NULL;
}

/* --- clients --- */

/* Who is meant, at this moment, and by which address. Return: NULL if nobody is there. */
static struct guest *find_guest(const struct door *d, addr_t *addr)
{
	struct guests *guests = d->owner->owner->p.guests;
	const char *text = d->owner->rule.guest;
	int first = d->version == 6 ? 6 : 4;
	struct guest *guest;
	struct mac mac;

	if (addr_parse(text, addr)) {
		guest = guests_by_addr(guests, *addr);
	} else {
		guest = mac_parse(text, &mac) ? guests_find(guests, mac) : guests_by_name(guests, text);
		/* By the client's version, so that the guest can see its address, else by the other. */
		if (guest && !guest_address(guest, first, addr) && !guest_address(guest, 10 - first, addr))
			guest = NULL;
	}
	return guest && guest->port_id ? guest : NULL;
}

/* The client hears that nobody is there, as if the guest had refused it. */
static void reject(int fd)
{
	struct linger at_once = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

static void door_accepted(struct listener *l, int fd)
{
	struct door *d = container_of(l, struct door, listener);
	const struct forwards_params *p = &d->owner->owner->p;
	union sockaddr_any sa = { 0 };
	socklen_t size = sizeof(sa);
	addr_t client = ADDR_ANY, addr;
	uint16_t port = 0;
	struct guest *guest = find_guest(d, &addr);

	if (d->version && !getpeername(fd, &sa.sa, &size))
		client = host_addr_of(&sa, &port);
	if (!guest || p->accepted(p->owner, guest, addr, d->owner->rule.to + d->offset, fd, client, port)) {
		log_debug("a client of a forward found no guest \"%s\"", d->owner->rule.guest);
		reject(fd);
		return;
	}
	d->owner->clients++;
}

static void door_datagrams(struct watch *w, uint32_t events _unused_)
{
	struct door *d = container_of(w, struct door, datagrams);
	struct forwards *f = d->owner->owner;
	size_t count = datagrams_receive(f->in, w->fd), next;
	struct datagram_run run;
	struct guest *guest;
	bool fresh;
	addr_t addr;

	deferred_add(f->p.turn_end);
	for (size_t i = 0; i < count && w->fd >= 0; i = next) {
		next = datagrams_run(f->in, i, count, &run);
		guest = find_guest(d, &addr);
		if (!guest)
			continue;
		udp_from_client(f->p.udp, w->fd, guest, addr, d->owner->rule.to + d->offset, &run, &fresh, loop_now(f->p.loop));
		d->owner->clients += fresh;
	}
}

/* --- adding and removing --- */

static int door_open(struct door *d, int fd)
{
	struct loop *loop = d->owner->owner->p.loop;
	int r;

	if (d->owner->rule.kind == FORWARD_UDP)
		r = watch_add(&d->datagrams, loop, fd, EPOLLIN, door_datagrams);
	else
		r = listener_init(&d->listener, loop, fd, door_accepted);
	if (r < 0) {
		d->datagrams.fd = -1;
		close(fd);
	}
	return r;
}

static struct door *next_door(struct running *r, uint16_t offset, int version)
{
	struct door *d = &r->doors[r->count++];

	*d = (struct door){ .owner = r, .offset = offset, .version = version, .datagrams.fd = -1 };
	return d;
}

static int open_path(struct running *r, char error[static 512])
{
	struct stat st;
	int fd = forward_socket_unix(r->rule.path, error);

	if (fd < 0)
		return fd;
	if (!lstat(r->rule.path, &st))
		r->device = st.st_dev, r->inode = st.st_ino;
	return door_open(next_door(r, 0, 0), fd);
}

static int open_ports(struct running *r, char error[static 512])
{
	addr_t addrs[2];
	size_t count = forward_socket_addresses(&r->rule, addrs);

	for (unsigned int port = r->rule.first; port <= r->rule.last; port++) {
		for (size_t i = 0; i < count; i++) {
			int fd = forward_socket_open(r->rule.kind, addrs[i], port, error), failed;

			/* The second of two is IPv6, which this host may be without. */
			if (i && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL))
				continue;
			if (fd < 0)
				return fd;
			failed = door_open(next_door(r, port - r->rule.first, addr_is4(addrs[i]) ? 4 : 6), fd);
			if (failed)
				return failed;
		}
	}
	return 0;
}

static int check_free(struct forwards *f, const struct forward_rule *rule, char error[static 512])
{
	char listen[FORWARD_TEXT_SIZE], to[FORWARD_TEXT_SIZE];

	list_for_each(n, &f->running) {
		const struct running *r = list_entry(n, struct running, node);

		if (!forward_overlaps(&r->rule, rule))
			continue;
		forward_format(&r->rule, listen, to);
		snprintf(error, 512, "%.130s is forwarded to %.130s already; remove that first: hospes forward rm %.130s", listen, to,
			 listen);
		return -EADDRINUSE;
	}
	return 0;
}

int forwards_add(struct forwards *f, const struct forward_rule *rule, char error[static 512])
{
	_cleanup_(running_freep) struct running *r = NULL;
	int result = check_free(f, rule, error);

	if (result)
		return result;
	snprintf(error, 512, "out of memory");
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	list_init(&r->node);
	r->owner = f;
	r->rule = *rule;
	r->doors = calloc(2 * (rule->last - rule->first + 1u), sizeof(*r->doors));
	if (!r->doors)
		return -ENOMEM;
	snprintf(error, 512, "cannot watch a socket: out of memory, or see /proc/sys/fs/epoll/max_user_watches");
	result = rule->kind == FORWARD_UNIX ? open_path(r, error) : open_ports(r, error);
	if (result)
		return result;
	error[0] = 0;
	list_append(&f->running, &steal(&r)->node);
	return 0;
}

static bool same_listen(const struct forward_rule *a, const struct forward_rule *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == FORWARD_UNIX)
		return !strcmp(a->path, b->path);
	return a->first == b->first && a->last == b->last && a->listen_default == b->listen_default &&
		(a->listen_default || addr_equal(a->listen, b->listen));
}

int forwards_remove(struct forwards *f, const struct forward_rule *rule)
{
	list_for_each(n, &f->running) {
		struct running *r = list_entry(n, struct running, node);

		if (same_listen(&r->rule, rule)) {
			running_free(r);
			return 0;
		}
	}
	return -ENOENT;
}

void forwards_each(struct forwards *f, void (*each)(void *owner, const struct forward_rule *rule, uint64_t clients), void *owner)
{
	list_for_each(n, &f->running) {
		const struct running *r = list_entry(n, struct running, node);

		each(owner, &r->rule, r->clients);
	}
}
