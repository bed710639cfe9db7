// SPDX-License-Identifier: MIT
/* The firewall's rules, as nft prints them, and the tools that rules are written with. */
#include "doctor/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

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

/* Return: a stream of what nft prints; *@pid is to be waited for. NULL with errno. */
static FILE *start_nft(pid_t *pid)
{
	static char *const words[] = { "nft", "-j", "list", "ruleset", NULL };
	posix_spawn_file_actions_t actions;
	int ends[2], r;
	FILE *from;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	r = posix_spawn(pid, "/usr/sbin/nft", &actions, NULL, words, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	from = r ? NULL : fdopen(ends[0], "r");
	if (from)
		return from;
	close(ends[0]);
	if (!r)
		waitpid(*pid, NULL, 0); /* ended by SIGPIPE */
	errno = r ? r : ENOMEM;
	return NULL;
}

void gather_filter(struct facts *f)
{
	json_error_t error;
	int status = 0;
	FILE *from;
	pid_t pid;

	f->iptables = has_program("iptables");
	f->ip6tables = has_program("ip6tables");
	f->firewall_cmd = has_program("firewall-cmd");
	if (!*f->target.bridge)
		return;
	if (!f->root) {
		facts_gap(f, "the firewall's rules", "only root may read them: sudo hospes doctor");
		return;
	}
	from = start_nft(&pid);
	if (!from) {
		facts_gap(f, "the firewall's rules", "nft cannot be run: %s", strerror(errno));
		return;
	}
	f->ruleset = json_loadf(from, 0, &error);
	fclose(from);
	waitpid(pid, &status, 0);
	if (!f->ruleset || status)
		facts_gap(f, "the firewall's rules", "nft -j list ruleset failed%s%s", f->ruleset ? "" : ": ",
			  f->ruleset ? "" : error.text);
	if (access("/proc/net/ip_tables_names", R_OK) == 0) {
		char names[64] = "";

		if (gather_read("/proc/net/ip_tables_names", names, sizeof(names)) && *names)
			facts_gap(f, "rules of iptables-legacy", "nft does not show them; iptables-legacy -S FORWARD does");
	}
}
