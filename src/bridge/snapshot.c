// SPDX-License-Identifier: MIT
#include "bridge/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>

#include "base/fd.h"
#include "bridge/array.h"
#include "bridge/snapshot_private.h"
#include "bridge/values.h"

#define TRIES 8 /* how often the tables may change under a dump */

/* Of the whole namespace, and of each link ("all" and "default" are links here). */
static const char *const general[] = {
	"net/ipv4/ip_forward", "net/ipv4/ping_group_range", "net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables",
	"net/bridge/bridge-nf-call-arptables",
};
static const char *const of_links4[] = {
	"forwarding", "rp_filter", "arp_ignore", "arp_announce", "arp_filter", "accept_local", "accept_redirects", "send_redirects",
	"proxy_arp",
	"promote_secondaries", "route_localnet",
};
static const char *const of_links6[] = {
	"disable_ipv6", "forwarding", "accept_ra", "accept_ra_defrtr", "accept_ra_pinfo", "accept_ra_rt_info_max_plen", "autoconf",
	"use_tempaddr", "addr_gen_mode", "accept_redirects", "accept_dad",
};

struct snapshot *snapshot_free(struct snapshot *s)
{
	for (size_t i = 0; i < s->route_count; i++)
		link_route_fini(&s->routes[i]);
	for (size_t i = 0; i < s->rule_count; i++)
		route_rule_fini(&s->rules[i]);
	free(s->links);
	free(s->addresses);
	free(s->routes);
	free(s->rules);
	free(s->sysctls);
	free(s->tables);
	free(s);
	return NULL;
}

/* The first line of a file. Return: its length, or -1. */
static int read_line(const char *path, char *into, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, into, size - 1);

	if (n < 0)
		return -1;
	into[n] = 0;
	into[strcspn(into, "\n")] = 0;
	return (int)strlen(into);
}

static int read_sysctl(struct snapshot *s, const char *key)
{
	struct sysctl *next = SNAPSHOT_NEXT(s, sysctls, sysctl_count);
	char path[128];

	if (!next)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/sys/%s", key);
	snprintf(next->key, sizeof(next->key), "%s", key);
	if (read_line(path, next->value, sizeof(next->value)) >= 0)
		s->sysctl_count++;
	return 0;
}

static int read_of_link(struct snapshot *s, int version, const char *link, const char *const *names, size_t count)
{
	char key[sizeof(s->sysctls->key)];
	int r = 0;

	for (size_t i = 0; !r && i < count; i++) {
		snprintf(key, sizeof(key), "net/ipv%d/conf/%s/%s", version, link, names[i]);
		r = read_sysctl(s, key);
	}
	return r;
}

int snapshot_read_sysctls(struct snapshot *s)
{
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(general); i++)
		r = read_sysctl(s, general[i]);
	for (size_t i = 0; !r && i < s->link_count + 2; i++) {
		const char *link = i == 0 ? "all" : i == 1 ? "default" : s->links[i - 2].name;

		r = read_of_link(s, 4, link, of_links4, ARRAY_SIZE(of_links4));
		if (!r)
			r = read_of_link(s, 6, link, of_links6, ARRAY_SIZE(of_links6));
	}
	return r;
}

static int read_all(struct snapshot *s)
{
	_cleanup_(nl_freep) struct nl *n = NULL;
	int r = nl_new(&n, NETLINK_ROUTE);

	if (!r)
		r = snapshot_read_links(s, n);
	if (!r)
		r = snapshot_read_routes(s, n);
	if (!r)
		r = snapshot_read_tables(s);
	if (!r)
		r = snapshot_read_sysctls(s);
	if (!r && read_line("/etc/machine-id", s->machine_id, sizeof(s->machine_id)) < 0)
		s->machine_id[0] = 0;
	return r;
}

int snapshot_read(struct snapshot **out)
{
	int r = -EINTR;

	for (int tries = 0; r == -EINTR && tries < TRIES; tries++) {
		_cleanup_(snapshot_freep) struct snapshot *s = calloc(1, sizeof(*s));

		r = s ? read_all(s) : -ENOMEM;
		if (!r)
			*out = steal(&s);
	}
	return r;
}

const struct link *snapshot_link(const struct snapshot *s, unsigned int index)
{
	for (size_t i = 0; i < s->link_count; i++)
		if (s->links[i].index == index)
			return &s->links[i];
	return NULL;
}

const struct link *snapshot_link_named(const struct snapshot *s, const char *name)
{
	for (size_t i = 0; i < s->link_count; i++)
		if (!strcmp(s->links[i].name, name))
			return &s->links[i];
	return NULL;
}

const char *snapshot_sysctl(const struct snapshot *s, const char *key)
{
	for (size_t i = 0; i < s->sysctl_count; i++)
		if (!strcmp(s->sysctls[i].key, key))
			return s->sysctls[i].value;
	return NULL;
}

const char *snapshot_sysctl_of(const struct snapshot *s, int version, const char *link, const char *name)
{
	char key[sizeof(s->sysctls->key)];

	snprintf(key, sizeof(key), "net/ipv%d/conf/%s/%s", version, link, name);
	return snapshot_sysctl(s, key);
}

const struct nft_table *snapshot_table(const struct snapshot *s, const char *family, const char *name)
{
	for (size_t i = 0; i < s->table_count; i++)
		if (!strcmp(s->tables[i].family, family) && !strcmp(s->tables[i].name, name))
			return &s->tables[i];
	return NULL;
}
