// SPDX-License-Identifier: MIT
/* The service as a process: its folders, its sockets, what it watches. */
#include "bridge/service_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "bridge/lan_taps.h"
#include "io/varlink_server.h"
#include "lan/paths.h"

#define BACKLOG      128
#define LOCK_TRIES   50
#define LOCK_EACH_MS 20

/* --- links and frames --- */

static struct lan_tap *find_tap(struct service *s, unsigned int index, struct lan_up **up)
{
	list_for_each(n, &s->lans) {
		struct service_lan *l = list_entry(n, struct service_lan, node);
		struct lan_tap *t = l->up ? lan_tap_by_index(l->up, index) : NULL;

		if (!t)
			continue;
		*up = l->up;
		return t;
	}
	return NULL;
}

static void link_changed(void *owner, const struct taplink *link)
{
	struct lan_up *up;
	struct lan_tap *t = find_tap(owner, link->index, &up);

	/* The message may be older than what was done since: only what is now counts. */
	if (t)
		lan_tap_judge(up, t);
}

static void link_gone(void *owner, unsigned int index)
{
	struct lan_up *up;
	struct lan_tap *t = find_tap(owner, index, &up);

	if (t)
		lan_tap_forget(up, t);
}

static void link_addressed(void *owner, unsigned int index)
{
	struct service *s = owner;

	list_for_each(n, &s->lans) {
		struct service_lan *l = list_entry(n, struct service_lan, node);

		if (!l->up || l->up->bridge != index)
			continue;
		l->up->stale = true;
		lan_up_changed(l->up);
	}
}

static void links_lost(void *owner)
{
	struct service *s = owner;

	list_for_each(n, &s->lans) {
		struct service_lan *l = list_entry(n, struct service_lan, node);

		if (l->up)
			link_addressed(s, l->up->bridge);
		for (struct list *t = l->up ? l->up->taps.next : NULL, *next; l->up && t != &l->up->taps; t = next) {
			next = t->next;
			lan_tap_judge(l->up, list_entry(t, struct lan_tap, node));
		}
	}
}

static void frame_told(void *owner, unsigned int in, unsigned int out, const struct iovec iov[static 2])
{
	struct service *s = owner;

	list_for_each(n, &s->lans) {
		struct service_lan *l = list_entry(n, struct service_lan, node);

		if (l->up && lan_up_told(l->up, in, out, iov, loop_now(s->p.loop)))
			return;
	}
}

/* --- folders and the socket --- */

static int make_folder(const char *path)
{
	int r = paths_make(path);

	if (r == -EPERM)
		log_error("the folder %s has to be root's, and nobody else may write to it: chown root %s; chmod go-w %s", path, path, path);
	else if (r < 0)
		log_error("cannot make the folder %s: %s", path, strerror(-r));
	return r;
}

/* Others have to pass through to the sockets; what lies in it is each its own user's. */
static int make_runtime(struct service *s)
{
	int r = make_folder(s->p.runtime);

	if (!r && chmod(s->p.runtime, 0755) < 0) {
		r = -errno;
		log_error("cannot open the folder %s to others: %s", s->p.runtime, strerror(-r));
	}
	return r;
}

static int make_lock(struct service *s)
{
	_cleanup_(freep) char *path = paths_join(s->p.runtime, "bridged.lock");
	_cleanup_fd_ int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
	int tries = 0;

	if (fd < 0) {
		log_error("cannot open %s/bridged.lock: %s", s->p.runtime, strerror(errno));
		return -errno;
	}
	/* One that was killed has it until the kernel has closed its packet sockets. */
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK && ++tries < LOCK_TRIES && !poll(NULL, 0, LOCK_EACH_MS))
			continue;
		log_error("hospes-bridged runs already: another process holds %s", path);
		return -EBUSY;
	}
	s->lock = fd_steal(&fd);
	return 0;
}

static int bind_socket(int fd, const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, path);
	/* Whoever had it is dead: we hold the lock. */
	if ((unlink(path) < 0 && errno != ENOENT) || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	/* Everybody may knock: the kernel tells who it is. */
	return chmod(path, 0666) < 0 || listen(fd, BACKLOG) < 0 ? -errno : 0;
}

static int make_socket(struct service *s)
{
	_cleanup_(freep) char *path = paths_join(s->p.runtime, "bridged");
	int r;

	s->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = !path ? -ENOMEM : s->listening < 0 ? -errno : bind_socket(s->listening, path);
	if (r < 0)
		log_error("cannot make the socket %s/bridged: %s", s->p.runtime, strerror(-r));
	return r;
}

/* --- made, started, freed --- */

static int make_all(struct service *s)
{
	int r = make_runtime(s);

	if (!r)
		r = make_lock(s);
	if (!r)
		r = make_folder(s->p.state);
	if (r < 0)
		return r;
	r = packet_pool_init(&s->sockets);
	if (r < 0)
		log_error("cannot open packet sockets: %s%s", strerror(-r), r == -EPERM ? "; hospes-bridged has to be started as root" : "");
	return r;
}

int service_new(struct service **out, const struct service_params *params)
{
	struct service *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->p = *params;
	s->lock = s->listening = -1;
	list_init(&s->lans);
	s->monitor = (struct taplink_monitor){ .changed = link_changed, .gone = link_gone, .addressed = link_addressed, .lost = links_lost,
		.owner = s };
	s->nflog = (struct nflog){ .told = frame_told, .owner = s };
	for (int i = 0; i < PACKET_POOL_SIZE; i++)
		s->sockets.fd[i] = -1;
	json_object_seed(0); /* while /dev/urandom can be opened */
	r = make_all(s);
	if (r < 0) {
		service_free(s);
		return r;
	}
	*out = s;
	return 0;
}

static void recover_all(struct service *s)
{
	DIR *dir = opendir(s->p.state);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct service_lan *l = lan_name_valid(entry->d_name) ? service_lan_get(s, entry->d_name) : NULL;

		if (l && access(l->journal, F_OK) == 0)
			service_lan_recover(l);
		else if (l)
			service_lan_settle(l);
	}
	if (dir)
		closedir(dir);
}

int service_start(struct service *s)
{
	int r = taplink_socket(&s->route);

	if (!r)
		r = taplink_monitor_init(&s->monitor, s->p.loop);
	if (r < 0) {
		log_error("cannot watch the host's links: %s", strerror(-r));
		return r;
	}
	r = nflog_init(&s->nflog, s->p.loop, RULES_LOG_GROUP);
	if (r < 0) /* guests work without it, and are listed without their addresses */
		log_warning("cannot hear what guests say of their addresses (NFLOG group %d): %s", RULES_LOG_GROUP, strerror(-r));
	recover_all(s);
	r = make_socket(s);
	if (!r)
		r = varlink_server_new(&s->server, s->p.loop, &service_interface, s, s->listening);
	if (!r)
		s->listening = -1;
	return r;
}

void service_stop(struct service *s)
{
	list_for_each(n, &s->lans)
		service_lan_stop(list_entry(n, struct service_lan, node));
}

struct service *service_free(struct service *s)
{
	if (!s)
		return NULL;
	s->server = s->server ? varlink_server_free(s->server) : NULL;
	list_for_each(n, &s->lans)
		service_lan_free(list_entry(n, struct service_lan, node));
	nflog_fini(&s->nflog);
	taplink_monitor_fini(&s->monitor);
	if (s->route)
		mnl_socket_close(s->route);
	packet_pool_fini(&s->sockets);
	if (s->lock >= 0) {
		_cleanup_(freep) char *path = paths_join(s->p.runtime, "bridged");

		if (path)
			unlink(path);
	}
	fd_close(s->listening);
	fd_close(s->lock);
	free(s);
	return NULL;
}
