// SPDX-License-Identifier: MIT
#include "engine/listeners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "io/listen.h"
#include "port/dgram.h"
#include "port/stream.h"
#include "port/vhost/vhost.h"

struct listeners {
	struct loop *loop;
	struct ports *ports;
	struct listener vhost, stream;
	uint16_t mtu;
	struct dgram_hub *dgram;
	bool stopped;
	bool full;  /* it was said */
};

static int take(struct listeners *l, struct port *p)
{
	int r = l->stopped ? -ESHUTDOWN : ports_add(l->ports, p);

	if (r == -ENOSPC && !l->full)
		log_warning("a guest was turned away: the LAN has %d ports, and all are taken", PORTS_MAX);
	l->full = r == -ENOSPC;
	return r;
}

/* A connection on one of the sockets: its port, if it is one of this user's. */
static void attach(struct listeners *l, int fd, bool vhost)
{
	int32_t pid = 0;
	struct port *p;
	int r;

	if (!listener_of_same_user(fd, &pid)) {
		log_warning("process %d of another user was refused on the %s socket", (int)pid, vhost ? "vhost" : "stream");
		fd_close(fd);
		return;
	}
	r = vhost ? vhost_port_new(&p, l->loop, ports_sink(l->ports), fd, l->mtu) : stream_port_new(&p, l->loop, ports_sink(l->ports), fd);
	if (r < 0) {
		log_warning("cannot attach a guest: %s", strerror(-r));
		fd_close(fd);
		return;
	}
	p->peer_pid = pid;
	if (take(l, p) < 0)
		port_free(p);
}

static void stream_accepted(struct listener *stream, int fd)
{
	attach(container_of(stream, struct listeners, stream), fd, false);
}

static void vhost_accepted(struct listener *vhost, int fd)
{
	attach(container_of(vhost, struct listeners, vhost), fd, true);
}

static int dgram_added(void *owner, struct port *p)
{
	return take(owner, p);
}

/* The sockets stay the caller's. */
static void let_go(struct listener *l)
{
	l->fd = -1;
	listener_fini(l);
}

int listeners_new(struct listeners **out, struct loop *loop, struct ports *ports, uint16_t mtu, const struct listener_sockets *sockets)
{
	_cleanup_(freep) struct listeners *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->loop = loop;
	l->ports = ports;
	l->mtu = mtu;
	r = listener_init(&l->stream, loop, sockets->stream, stream_accepted);
	if (r < 0)
		return r;
	r = listener_init(&l->vhost, loop, sockets->vhost, vhost_accepted);
	if (r < 0) {
		let_go(&l->stream);
		return r;
	}
	r = dgram_hub_new(&l->dgram, loop, ports_sink(ports), sockets->dgram, dgram_added, l);
	if (r < 0) {
		let_go(&l->vhost);
		let_go(&l->stream);
		return r;
	}
	*out = steal(&l);
	return 0;
}

void listeners_stop(struct listeners *l)
{
	l->stopped = true;
	listener_fini(&l->vhost);
	listener_fini(&l->stream);
}

struct listeners *listeners_free(struct listeners *l)
{
	if (!l)
		return NULL;
	listeners_stop(l);
	dgram_hub_free(l->dgram);
	free(l);
	return NULL;
}
