// SPDX-License-Identifier: MIT
#include "io/varlink_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "io/varlink_message.h"

/* Say why, as far as the socket takes it at once, and close. */
static void refuse(int fd, json_t *message)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;

	if (varlink_format(message, &text, &size) == 0 && send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("a refused client of the control socket had gone");
	fd_close(fd);
}

static bool is_admitted(const struct varlink_server *s, const struct ucred *peer)
{
	if (s->service->admits)
		return s->service->admits(s->owner, peer->uid);
	return peer->uid == geteuid() || peer->uid == 0;
}

static bool has_room(struct varlink_server *s, const struct ucred *peer)
{
	size_t limit = s->service->connections ? s->service->connections : VARLINK_CONNECTIONS, of_user = 0;

	if (s->stopped)
		return false;
	if (!peer->uid && s->service->admits)
		return s->count < 2 * limit;
	list_for_each(n, &s->connections)
		of_user += list_entry(n, struct connection, node)->uid == peer->uid;
	return s->count < limit && (!s->service->connections_of_user || of_user < s->service->connections_of_user);
}

void varlink_server_adopt(struct varlink_server *s, int fd)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	bool admitted;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		fd_close(fd);
		return;
	}
	admitted = is_admitted(s, &peer);
	/* Where other users are expected they are no news, and hear it as an answer, so that they can tell it from a service that died. */
	if (!admitted && !s->service->admits) {
		log_warning("process %d of user %u was refused on the control socket", (int)peer.pid, (unsigned int)peer.uid);
		refuse(fd, json_pack("{ss s{}}", "error", "org.varlink.service.PermissionDenied", "parameters"));
		return;
	}
	if (!has_room(s, &peer))
		refuse(fd, json_pack("{ss s{ss}}", "error", s->service->error_full, "parameters", "what", "connections"));
	else if (varlink_connection_new(s, fd, &peer, !admitted) < 0)
		log_error("cannot serve a client of the control socket: out of memory");
}

static void accepted(struct listener *l, int fd)
{
	varlink_server_adopt(container_of(l, struct varlink_server, listener), fd);
}

int varlink_server_new(struct varlink_server **out, struct loop *loop, const struct varlink_service *service, void *owner, int fd)
{
	_cleanup_(freep) struct varlink_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	/* Objects are hash tables whose keys clients choose: take the random key now, while /dev/urandom can be opened. */
	json_object_seed(0);
	*s = (struct varlink_server){ .loop = loop, .service = service, .owner = owner };
	list_init(&s->connections);
	r = fd < 0 ? 0 : listener_init(&s->listener, loop, fd, accepted);
	if (r < 0)
		return r;
	*out = steal(&s);
	return 0;
}

void varlink_server_stop(struct varlink_server *s)
{
	listener_fini(&s->listener);
	s->stopped = true;
}

struct varlink_server *varlink_server_free(struct varlink_server *s)
{
	if (!s)
		return NULL;
	varlink_server_stop(s);
	while (!list_empty(&s->connections))
		varlink_connection_free(list_entry(s->connections.next, struct connection, node));
	free(s);
	return NULL;
}
