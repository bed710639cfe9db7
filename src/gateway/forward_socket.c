// SPDX-License-Identifier: MIT
#include "gateway/forward_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "base/fd.h"
#include "gateway/host.h"
#include "gateway/hostsock.h"

#define LOOPBACK4 ((addr_t){{ [10] = 0xff, [11] = 0xff, 127, 0, 0, 1 }})
#define LOOPBACK6 ((addr_t){{ [15] = 1 }})
#define ANY4      ((addr_t){{ [10] = 0xff, [11] = 0xff }})
#define HIGHER    8000 /* 80 becomes 8080, 443 becomes 8443 */

size_t forward_socket_addresses(const struct forward_rule *rule, addr_t into[static 2])
{
	bool both = rule->listen_default || addr_is_any(rule->listen);

	into[0] = !both ? rule->listen : rule->listen_default ? LOOPBACK4 : ANY4;
	into[1] = rule->listen_default ? LOOPBACK6 : ADDR_ANY;
	return both ? 2 : 1;
}

static unsigned int first_unprivileged_port(void)
{
	unsigned int port = 1024;
	FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");

	if (file) {
		if (fscanf(file, "%u", &port) != 1)
			port = 1024;
		fclose(file);
	}
	return port;
}

/* Why @port of @addr could not be had. Return: @result. */
static int explain(int result, enum forward_kind kind, addr_t addr, uint16_t port, char error[static 512])
{
	const char *protocol = kind == FORWARD_UDP ? "udp" : "tcp";
	unsigned int first = first_unprivileged_port();
	char where[ADDR_TEXT_SIZE + 32], text[ADDR_TEXT_SIZE];

	snprintf(where, sizeof(where), addr_is4(addr) ? "%s:%u/%s" : "[%s]:%u/%s", addr_format(addr, text), port, protocol);
	if (result == -EADDRINUSE)
		snprintf(error, 512, "cannot listen on %s: another program does (ss -l%cnp shows which); stop it, or choose another port",
			 where, protocol[0]);
	else if (result == -EACCES && port < first)
		snprintf(error, 512, "cannot listen on %s: ports below %u are not for ordinary users; use %u instead, or as root: "
			 "sysctl -w net.ipv4.ip_unprivileged_port_start=%u", where, first, port + HIGHER, port);
	else if (result == -EADDRNOTAVAIL)
		snprintf(error, 512, "cannot listen on %s: this host does not have that address (ip address shows those it has)", where);
	else if (result == -EMFILE)
		snprintf(error, 512, "cannot listen on %s: too many open files; raise the limit (ulimit -n), or forward fewer ports",
			 where);
	else
		snprintf(error, 512, "cannot listen on %s: %s", where, strerror(-result));
	return result;
}

static int open_tcp(addr_t addr)
{
	_cleanup_fd_ int fd = socket(addr_is4(addr) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    (!addr_is4(addr) && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))))
		return -errno;
	return fd_steal(&fd);
}

static int open_udp(addr_t addr)
{
	int fd = hostsock_open(addr, 0);

	if (fd < 0)
		return fd;
	hostsock_set(fd, addr, HOSTSOCK_FRAGMENT, 1);
	hostsock_set(fd, addr, HOSTSOCK_LOCAL, 1);
	hostsock_set(fd, addr, HOSTSOCK_RUNS, 1);
	return fd;
}

int forward_socket_open(enum forward_kind kind, addr_t addr, uint16_t port, char error[static 512])
{
	_cleanup_fd_ int fd = kind == FORWARD_UDP ? open_udp(addr) : open_tcp(addr);
	union sockaddr_any sa;
	socklen_t size = host_sockaddr(&sa, addr, port);

	if (fd < 0)
		return explain(fd, kind, addr, port, error);
	if (bind(fd, &sa.sa, size) || (kind != FORWARD_UDP && listen(fd, SOMAXCONN)))
		return explain(-errno, kind, addr, port, error);
	return fd_steal(&fd);
}

/* Make way for a new socket at @path. Return: 0 or negative errno. */
static int clear_path(const struct sockaddr_un *un, char error[static 512])
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (lstat(un->sun_path, &st))
		return 0; /* what is wrong with the folder, bind() will tell */
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(error, 512, "cannot listen on %s: it exists and is no socket; remove it, or choose another path", un->sun_path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof(*un)) && errno == ECONNREFUSED && !unlink(un->sun_path))
		return 0;
	snprintf(error, 512, "cannot listen on %s: another program does (ss -lxp shows which); stop it, or choose another path",
		 un->sun_path);
	return -EADDRINUSE;
}

int forward_socket_unix(const char *path, char error[static 512])
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = -1;
	mode_t mask;
	int r;

	if (strlen(path) >= sizeof(un.sun_path)) {
		snprintf(error, 512, "cannot listen on %.300s: a socket's path has at most %zu bytes", path, sizeof(un.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(un.sun_path, path);
	r = clear_path(&un, error);
	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mask = umask(0177);
	r = fd < 0 || bind(fd, (const struct sockaddr *)&un, sizeof(un)) ? -errno : 0;
	umask(mask);
	if (!r && listen(fd, SOMAXCONN))
		r = -errno;
	if (r) {
		snprintf(error, 512, "cannot listen on %s: %s%s", path, strerror(-r), r == -ENOENT ? "; make its folder first" : "");
		return r;
	}
	return fd_steal(&fd);
}
