// SPDX-License-Identifier: MIT
/* The firewall's rules, as nft prints them, and the tools that rules are written with. */
#include "doctor/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fd.h"
#include "base/usec.h"

#define PATIENCE 5 /* seconds: nft prints some 20,000 rules in one */

extern char **environ;

/* nft while it prints the rules. */
struct nft {
	pid_t pid;
	int from; /* what it prints */
	usec_t deadline;
	bool late; /* it has not ended by then */
};

static bool has_program(const char *name)
{
	static const char *const folders[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin" };
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], name);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* Return: 0 or negative errno */
static int nft_start(struct nft *nft)
{
	static char *const words[] = { "nft", "-j", "list", "ruleset", NULL };
	posix_spawn_file_actions_t actions;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	r = posix_spawn(&nft->pid, "/usr/sbin/nft", &actions, NULL, words, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (r) {
		close(ends[0]);
		return -r;
	}
	nft->from = ends[0];
	nft->deadline = usec_now() + PATIENCE * USEC_S;
	return 0;
}

/* Until there is something to read (of a pidfd: until the process has ended). Return: false if nft is late. */
static bool nft_wait(struct nft *nft, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	usec_t left;

	while ((left = nft->deadline - usec_now()) > 0)
		if (poll(&p, 1, (int)(left / USEC_MS) + 1) > 0)
			return true;
	nft->late = true;
	return false;
}

/* For json_load_callback(). */
static size_t nft_read(void *into, size_t size, void *data)
{
	struct nft *nft = data;
	ssize_t got = nft_wait(nft, nft->from) ? read(nft->from, into, size) : -1;

	return (size_t)got;
}

/* Return: its status, as of waitpid() */
static int nft_end(struct nft *nft)
{
	_cleanup_fd_ int process = pidfd_open(nft->pid, 0);
	int status = 0;

	nft->from = fd_close(nft->from);
	if (!nft_wait(nft, process))
		kill(nft->pid, SIGKILL);
	waitpid(nft->pid, &status, 0);
	return status;
}

static void gather_ruleset(struct facts *f)
{
	struct nft nft = { .from = -1 };
	json_error_t error;
	int r = nft_start(&nft);

	if (r < 0) {
		facts_gap(f, "the firewall's rules", "nft cannot be run: %s", strerror(-r));
		return;
	}
	f->ruleset = json_load_callback(nft_read, &nft, 0, &error);
	r = nft_end(&nft);
	if (nft.late)
		facts_gap(f, "the firewall's rules", "nft -j list ruleset did not end within %d seconds", PATIENCE);
	else if (!f->ruleset || r)
		facts_gap(f, "the firewall's rules", "nft -j list ruleset failed%s%s", f->ruleset ? "" : ": ",
			  f->ruleset ? "" : error.text);
}

void gather_filter(struct facts *f)
{
	char names[64] = "";

	f->iptables = has_program("iptables");
	f->ip6tables = has_program("ip6tables");
	f->firewall_cmd = has_program("firewall-cmd");
	if (!*f->target.bridge)
		return;
	if (!f->root) {
		facts_gap(f, "the firewall's rules", "only root may read them: sudo hospes doctor");
		return;
	}
	gather_ruleset(f);
	if (gather_read("/proc/net/ip_tables_names", names, sizeof(names)) && *names)
		facts_gap(f, "rules of iptables-legacy", "nft does not show them; iptables-legacy -S FORWARD does");
}
