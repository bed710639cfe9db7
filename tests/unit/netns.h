// SPDX-License-Identifier: MIT
/* A network namespace of the test's own: nothing of the machine's is seen or touched, and it goes with the process. */
#pragma once
#include "unit.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		perror(path);
		fail();
	}
	close(fd);
}

/* Run a command line; it must succeed. */
static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (system(line)) {
		print_error("failed: %s\n", line);
		fail();
	}
}

/*
 * Enter a new namespace: loopback, and a link "uplink" to a router that is another namespace with its own process.
 *
 *	host 198.51.100.7, 2001:db8:1::7 -- uplink -- 198.51.100.1, 2001:db8:1::1 router -- 203.0.113.9, 2001:db8:2::9 (its own)
 */
static pid_t netns_enter(void)
{
	int ready[2];
	pid_t router;
	char c;

	if (geteuid() == 0) {
		assert_int_equal(unshare(CLONE_NEWNET), 0);
	} else {
		char map[2][64];

		snprintf(map[0], sizeof(map[0]), "0 %u 1", geteuid());
		snprintf(map[1], sizeof(map[1]), "0 %u 1", getegid());
		assert_int_equal(unshare(CLONE_NEWUSER | CLONE_NEWNET), 0);
		write_file("/proc/self/setgroups", "deny");
		write_file("/proc/self/uid_map", map[0]);
		write_file("/proc/self/gid_map", map[1]);
	}
	assert_int_equal(pipe(ready), 0);
	router = fork();
	if (!router) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	shell("ip link set lo up && ip link add uplink type veth peer name downlink && ip link set downlink netns %d", router);
	shell("ip addr add 198.51.100.7/24 dev uplink && ip -6 addr add 2001:db8:1::7/64 dev uplink nodad && ip link set uplink up");
	shell("nsenter -t %d -n sh -c 'ip link set lo up && ip addr add 198.51.100.1/24 dev downlink && "
	      "ip -6 addr add 2001:db8:1::1/64 dev downlink nodad && ip link set downlink up && "
	      "ip addr add 203.0.113.9/32 dev lo && ip -6 addr add 2001:db8:2::9/128 dev lo && echo 1 >/proc/sys/net/ipv4/ip_forward && "
	      "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding && echo 0 >/proc/sys/net/ipv4/icmp_ratemask && "
	      "echo 0 >/proc/sys/net/ipv6/icmp/ratelimit && "
	      "ip route add 192.0.2.0/24 via 198.51.100.99 && ip -6 route add 2001:db8:3::/64 via 2001:db8:1::99'", router);
	shell("ip route add default via 198.51.100.1 && ip -6 route add default via 2001:db8:1::1");
	return router;
}

_unused_ static void netns_leave(pid_t router)
{
	kill(router, SIGKILL);
	waitpid(router, NULL, 0);
}
