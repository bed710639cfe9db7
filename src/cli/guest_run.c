// SPDX-License-Identifier: MIT
#include "cli/guest_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "base/log.h"
#include "cli/bridged_client.h"
#include "cli/cli.h"
#include "cli/guest_folder.h"
#include "cli/guest_process.h"
#include "cli/lan_client.h"
#include "cli/mini.h"
#include "lan/guest.h"
#include "lan/paths.h"

#define NUMBER_MAX   1000
#define VHOST_QUEUES_MAX 8                       /* pairs, as the LAN's port has them */
#define STEM_SIZE     48                        /* of a name that a number follows */

/* What was made at the LAN and is undone at the end. */
struct place {
	char name[GUEST_NAME_SIZE], mac[MAC_TEXT_SIZE];
	bool ours;                           /* nobody else registered that name: [Guest] of the configuration, qemu-args */
	int published;
	int service, tap;                    /* bridge LANs: the connection that the tap belongs to, and its descriptor; else -1 */
};

static void place_fini(struct place *p)
{
	fd_close(p->tap);
	fd_close(p->service);
}

int guest_publish_parse(struct guest_publish *out, const char *text, char *error, size_t size)
{
	const char *colon = strrchr(text, ':'), *slash = colon ? strchr(colon, '/') : NULL;
	char listen[FORWARD_TEXT_SIZE], to[32], ignored[FORWARD_TEXT_SIZE];
	struct forward_rule rule;

	if (!colon || colon == text || strlen(text) >= sizeof(listen) || strcspn(colon + 1, "/") >= sizeof(out->port)) {
		snprintf(error, size, "\"%s\": [ADDRESS:]HOSTPORT:GUESTPORT is expected, as in 8080:80", text);
		return -EINVAL;
	}
	/* "53:53/udp": how the port speaks may stand at the end, too. */
	snprintf(listen, sizeof(listen), "%.*s%s", (int)(colon - text), text, slash ? slash : "");
	snprintf(out->port, sizeof(out->port), "%.*s", slash ? (int)(slash - colon - 1) : (int)strlen(colon + 1), colon + 1);
	snprintf(to, sizeof(to), "guest:%s", out->port);
	if (forward_parse(&rule, listen, to, error, size) < 0)
		return -EINVAL;
	forward_format(&rule, out->listen, ignored);
	return 0;
}

/* --- the guest's place at the LAN --- */

/* Does the name belong to somebody who never said which process runs it? */
static bool is_kept(int lan, const char *name)
{
	_cleanup_json_ json_t *reply = NULL;
	char error[VARLINK_ERROR_SIZE];

	return name && lan_try(lan, "Resolve", json_pack("{s:s}", "guest", name), &reply, error) == 0 &&
	       json_is_true(json_object_get(json_object_get(reply, "guest"), "registered")) && !lan_number(reply, "pid");
}

/* Return: 0; -EEXIST with no message; or negative errno after one. */
static int register_name(int lan, const struct guest_run *run, const char *name, bool last, struct place *p)
{
	_cleanup_json_ json_t *reply = NULL;
	char error[VARLINK_ERROR_SIZE], text[512];
	int r;

	/* With its tap, the service of a bridge LAN forgets a guest that stands in no file. */
	p->ours = run->port != QEMU_PORT_TAP && !is_kept(lan, name);
	r = lan_try(lan, "Register", json_pack("{s:s*, s:s*, s:i}", "name", name, "user", run->mini ? "root" : NULL, "pid", (int)getpid()),
		    &reply, error);
	if (r == VARLINK_ERROR) {
		if (!last && !strcmp(error, "Exists"))
			return -EEXIST;
		log_error("%s", lan_error_text(error, reply, text, sizeof(text)));
		return -EREMOTEIO;
	}
	snprintf(p->name, sizeof(p->name), "%s", lan_text(reply, "name"));
	snprintf(p->mac, sizeof(p->mac), "%s", lan_text(reply, "mac"));
	return r;
}

/*
 * On a bridge LAN QEMU inherits a tap that was made for it. The kernel removes the tap when its last descriptor, ours or QEMU's, is
 * closed: so it neither stays behind, nor goes when the service is started anew. The connection stays open for as long as the guest
 * runs. Only who has a guest attached may register it there, so this comes first.
 * Return: as register_name().
 */
static int attach_name(const struct guest_run *run, const char *name, bool last, struct place *p)
{
	_cleanup_json_ json_t *reply = NULL;
	int tap = last ? bridged_attach(p->service, run->lan, name, NULL, &reply) : bridged_attach_free(p->service, run->lan, name, NULL, &reply);

	if (tap < 0)
		return tap == -EBUSY ? -EEXIST : tap;
	p->tap = tap;
	snprintf(p->name, sizeof(p->name), "%s", lan_text(reply, "name"));
	snprintf(p->mac, sizeof(p->mac), "%s", lan_text(reply, "mac"));
	return 0;
}

static int take_name(int lan, const struct guest_run *run, const char *name, bool last, struct place *p)
{
	int r = run->port == QEMU_PORT_TAP ? attach_name(run, name, last, p) : 0;

	return r ? r : register_name(lan, run, p->tap >= 0 ? p->name : name, last || p->tap >= 0, p);
}

static int take_place(int lan, const struct guest_run *run, struct place *p)
{
	char name[GUEST_NAME_SIZE];
	int r = 0;

	if (run->port == QEMU_PORT_TAP)
		p->service = r = bridged_connect(LAN_START);
	if (r >= 0)
		r = take_name(lan, run, run->name, !run->numbered, p);
	for (int number = 2; r == -EEXIST; number++) {
		snprintf(name, sizeof(name), "%.*s-%u", STEM_SIZE, run->name, (unsigned int)number);
		r = take_name(lan, run, name, number == NUMBER_MAX, p);
	}
	return r;
}

static int publish(int lan, const struct guest_run *run, struct place *p)
{
	for (; p->published < run->publish_count; p->published++) {
		const struct guest_publish *f = &run->publish[p->published];
		json_t *parameters = json_pack("{s:s, s:o}", "listen", f->listen, "to", json_sprintf("%s:%s", p->name, f->port));
		int r = lan_call(lan, "AddForward", parameters, NULL);

		if (r < 0)
			return r;
	}
	return 0;
}

/* The LAN may be down, or another daemon that knows nothing of the guest: then nothing is left to undo. */
static void leave(const struct guest_run *run, const struct place *p)
{
	_cleanup_fd_ int lan = lan_connect(run->lan, LAN_AS_IS);
	char error[VARLINK_ERROR_SIZE];

	for (int i = 0; lan >= 0 && i < p->published; i++)
		lan_try(lan, "RemoveForward", json_pack("{s:s}", "listen", run->publish[i].listen), NULL, error);
	if (lan >= 0 && p->ours)
		lan_try(lan, "Unregister", json_pack("{s:s}", "name", p->name), NULL, error);
}

/* --- QEMU --- */

/* What QEMU is to inherit. Return: a descriptor, 0 if it needs none, or negative errno after a message. */
static int connect_port(const struct guest_run *run, struct place *p, const char *path)
{
	int fd;

	if (run->port == QEMU_PORT_TAP)
		return fd_steal(&p->tap);
	/* A QEMU of before 7.2 cannot connect itself. */
	if (run->port == QEMU_PORT_VHOST || qemu_connects_itself(&run->qemu))
		return 0;
	fd = varlink_connect(path, 5 * USEC_S);
	if (fd < 0)
		log_error("cannot connect the guest to %s: %s", path, strerror(-fd));
	return fd;
}

/* The LAN's socket for guests of that port; a tap has none. */
static const char *socket_of(enum qemu_port port)
{
	return port == QEMU_PORT_VHOST ? "vhost" : port == QEMU_PORT_DGRAM ? "dgram" : "stream";
}

static int start(struct guest_run *run, struct place *p, const struct guest_folder *folder, struct mini *mini, int ready)
{
	_cleanup_(freep) char *runtime = paths_runtime(run->lan);
	_cleanup_(freep) char *path = runtime ? paths_join(runtime, socket_of(run->port)) : NULL;
	_cleanup_words_ struct words words = { 0 };
	struct guest_process process = {
		.name = p->name, .folder = folder, .ready = ready, .gentle = !run->mini, .detached = run->detach, .keep = { mini->fd },
	};
	struct qemu_guest *g = &run->guest;
	_cleanup_fd_ int connection = path ? connect_port(run, p, path) : -ENOMEM;

	if (connection < 0)
		return EXIT_FAILURE;
	g->name = p->name;
	g->net = (struct qemu_net){
		.port = run->port, .mac = p->mac, .path = path, .own_path = folder->dgram, .fd = connection, .no_rom = run->mini,
	};
	g->net.vhost = run->port == QEMU_PORT_TAP && qemu_vhost();
	g->net.mem = g->mem;
	g->net.no_msix = g->own_accel || g->accel == ACCEL_TCG;
	g->net.queues = g->net.no_msix ? 1 : MIN(g->cpus, VHOST_QUEUES_MAX);
	g->qmp = folder->qmp, g->serial = folder->serial, g->serial_log = folder->serial_log;
	g->kernel = mini->kernel, g->initrd = mini->initrd, g->append = mini->append;
	qemu_add_guest(&words, &run->qemu, g);
	if (words.failed)
		return EXIT_FAILURE;
	process.argv = words.list;
	process.keep[1] = connection;
	return guest_process_run(&process);
}

/* @ready: a pipe on which to say that the guest runs; -1: nobody waits. */
static int run_here(struct guest_run *run, int ready)
{
	struct mini mini __attribute__((cleanup(mini_fini))) = { .fd = -1 };
	struct guest_folder folder __attribute__((cleanup(guest_folder_fini))) = { .lock = -1 };
	_cleanup_fd_ int lan = lan_connect(run->lan, LAN_START);
	struct place place __attribute__((cleanup(place_fini))) = { .service = -1, .tap = -1 };
	int status = EXIT_FAILURE, r = lan < 0 ? lan : take_place(lan, run, &place);

	if (r < 0)
		return lan < 0 ? cli_status(lan) : EXIT_FAILURE;
	r = guest_folder_new(&folder, run->lan, place.name);
	if (!r)
		r = publish(lan, run, &place);
	if (!r && run->mini)
		r = mini_prepare(&mini, run->mini, run->lan, place.name);
	/* While the guest runs, the LAN must be free to go. */
	lan = fd_close(lan);
	if (!r)
		status = start(run, &place, &folder, &mini, ready);
	leave(run, &place);
	return status;
}

/* --- detached --- */

static int become_supervisor(struct guest_run *run, int ready)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setsid();
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	return run_here(run, ready);
}

static void say_runs(const char *name, const char *lan)
{
	char option[LAN_NAME_SIZE + 8] = "";

	if (strcmp(lan, LAN_DEFAULT))
		snprintf(option, sizeof(option), "-l %s ", lan);
	printf("guest %s runs; hospes %sssh %s logs in, hospes %sstop %s ends it\n", name, option, name, option, name);
}

int guest_run(struct guest_run *run)
{
	_cleanup_fd_ int from = -1, to = -1;
	char name[GUEST_NAME_SIZE];
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (!run->detach)
		return run_here(run, -1);
	fflush(NULL);
	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		log_error("cannot start a process: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	from = fds[0], to = fds[1];
	if (!pid) {
		from = fd_close(from);
		return become_supervisor(run, to);
	}
	to = fd_close(to);
	/* The name, when the guest runs; nothing if it does not come to that. */
	n = read(from, name, sizeof(name) - 1);
	if (n > 0) {
		name[n] = 0;
		say_runs(name, run->lan);
		return EXIT_SUCCESS;
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}
