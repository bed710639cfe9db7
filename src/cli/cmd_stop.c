// SPDX-License-Identifier: MIT
/* hospes stop: end guests that run started */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include "base/log.h"
#include "base/usec.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/guest_folder.h"
#include "cli/guest_ref.h"
#include "cli/lan_client.h"
#include "cli/process.h"

#define GONE_TIMEOUT_MS 15000   /* the guest gets 8 s to power off, QEMU some to end */
#define NOTE_AFTER_MS   1500

/* Return: a pidfd of the process that looks after the guest; negative errno after a message. */
static int find(const char *lan, const char *guest)
{
	_cleanup_json_ json_t *found = NULL;
	_cleanup_fd_ int fd = -1;
	pid_t pid = guest_folder_pid(lan, guest);

	if (pid > 0)
		return process_open_guest(pid);
	/* By a MAC or an address, or not of ours: the LAN knows. */
	fd = lan_connect(lan, LAN_AS_IS);
	if (fd == -ENOENT) {
		log_error("no guest %s was started by hospes run, and LAN %s is down", guest, lan);
		return -ESRCH;
	}
	if (fd < 0 || lan_call(fd, "Resolve", json_pack("{s:s}", "guest", guest), &found) < 0)
		return -ESRCH;
	pid = guest_folder_pid(lan, lan_text(json_object_get(found, "guest"), "name"));
	if (pid > 0)
		return process_open_guest(pid);
	if (strcmp(lan_text(json_object_get(found, "guest"), "state"), "attached"))
		log_error("guest %s does not run", guest);
	else
		log_error("guest %s was not started by hospes run: end it where it was started", guest);
	return -ESRCH;
}

static int wait_gone(int process, const char *guest)
{
	struct pollfd p = { .fd = process, .events = POLLIN };
	int r = poll(&p, 1, NOTE_AFTER_MS);

	if (!r) {
		log_info("waiting for guest %s to power off", guest);
		r = poll(&p, 1, GONE_TIMEOUT_MS);
	}
	if (r > 0)
		return 0;
	log_error("guest %s does not end; ps -C hospes shows its process", guest);
	return -ETIMEDOUT;
}

static int stop(const char *lan, const char *word)
{
	_cleanup_fd_ int process = -1;
	struct guest_ref ref;
	char error[256];

	if (guest_ref_parse(&ref, word, error, sizeof(error)) < 0)
		return cli_wrong("stop", "%s", error);
	if (ref.port)
		return cli_wrong("stop", "a guest is expected, without a port: %s", ref.guest);
	if (*ref.lan)
		lan = ref.lan;
	process = find(lan, ref.guest);
	if (process < 0)
		return EXIT_FAILURE;
	if (syscall(SYS_pidfd_send_signal, process, SIGTERM, NULL, 0) < 0 && errno != ESRCH) {
		log_error("cannot end guest %s: %s", ref.guest, strerror(errno));
		return EXIT_FAILURE;
	}
	return wait_gone(process, ref.guest) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int cmd_stop(int argc, char **argv)
{
	const char *lan = LAN_DEFAULT;
	const struct args_option options[] = { ARGS_LAN(&lan), { 0 } };
	struct args args;
	int status = EXIT_SUCCESS;

	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0)
		return EXIT_USAGE;
	if (!args.count || args.rest_count)
		return cli_wrong("stop", "a guest is expected, as in: hospes stop web");
	if (lan_name_check(lan) < 0)
		return EXIT_USAGE;
	for (int i = 0; i < args.count; i++) {
		int r = stop(lan, args.words[i]);

		if (r)
			status = r;
	}
	return status;
}
