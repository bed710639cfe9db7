// SPDX-License-Identifier: MIT
#include "cli/dial.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include "base/fd.h"
#include "base/usec.h"

#define ADDRESS_TIMEOUT (4 * USEC_S)   /* a kernel gives up after about three when nobody answers its ARP */

static size_t put(const json_t *text, bool link_local, addr_t *out, size_t count)
{
	addr_t a;

	if (count == DIAL_MAX || !json_is_string(text) || !addr_parse(json_string_value(text), &a) || addr_is_link_local(a) != link_local)
		return count;
	for (size_t i = 0; i < count; i++)
		if (addr_equal(out[i], a))
			return count;
	out[count] = a;
	return count + 1;
}

static size_t put_all(const json_t *addresses, bool link_local, addr_t *out, size_t count)
{
	json_t *text;
	size_t i;

	json_array_foreach(addresses, i, text)
		count = put(text, link_local, out, count);
	return count;
}

size_t dial_addresses(const json_t *guest, addr_t out[static DIAL_MAX])
{
	const json_t *addresses = json_object_get(guest, "addresses");

	return put_all(addresses, true, out, put_all(addresses, false, out, put(json_object_get(guest, "lease"), false, out, 0)));
}

static socklen_t fill(struct sockaddr_storage *sa, addr_t address, uint16_t port, unsigned int link)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)sa;
	struct sockaddr_in *four = (struct sockaddr_in *)sa;
	struct ip4 ip;

	*sa = (struct sockaddr_storage){ 0 };
	if (!addr_is4(address)) {
		*six = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
		six->sin6_scope_id = addr_is_link_local(address) ? link : 0;
		memcpy(&six->sin6_addr, &address, sizeof(address));
		return sizeof(*six);
	}
	ip = addr_get4(address);
	*four = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	memcpy(&four->sin_addr, &ip, sizeof(ip));
	return sizeof(*four);
}

static int wait_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	usec_t end = usec_now() + ADDRESS_TIMEOUT;
	int error, r;
	socklen_t size = sizeof(error);

	for (;;) {
		usec_t left = end - usec_now();

		r = left <= 0 ? 0 : poll(&p, 1, (int)(left / USEC_MS) + 1);
		if (!r)
			return -ETIMEDOUT;
		if (r > 0)
			break;
		if (errno != EINTR)
			return -errno;
	}
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno : -error;
}

static int dial_one(addr_t address, uint16_t port, unsigned int link)
{
	struct sockaddr_storage sa;
	socklen_t size = fill(&sa, address, port, link);
	_cleanup_fd_ int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, size) < 0)
		r = errno == EINPROGRESS ? wait_connected(fd) : -errno;
	return r < 0 ? r : fd_steal(&fd);
}

int dial(const addr_t *address, size_t count, uint16_t port, const char *link)
{
	unsigned int index = *link ? if_nametoindex(link) : 0;
	bool refused = false;

	for (size_t i = 0; i < count; i++) {
		int fd;

		if (!addr_is4(address[i]) && addr_is_link_local(address[i]) && !index)
			continue;
		fd = dial_one(address[i], port, index);
		if (fd >= 0)
			return fd;
		if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
			return fd;
		refused = refused || fd == -ECONNREFUSED;
	}
	return refused ? -ECONNREFUSED : -EHOSTUNREACH;
}
