// SPDX-License-Identifier: MIT
#include "doctor/facts.h"

#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void client_fini(struct dhcp_client *c)
{
	for (size_t i = 0; i < c->argc; i++)
		free(c->argv[i]);
	free(c->argv);
	free(c->command);
}

void facts_fini(struct facts *f)
{
	for (size_t i = 0; i < f->client_count; i++)
		client_fini(&f->clients[i]);
	void *lists[] = {
		f->target.config, f->neighbours, f->sysctls, f->holders, f->clients, f->nics, f->devices,
		f->groups, f->owners, f->gaps, f->lan.guests, f->lan.drops, f->lan.forwards, f->lan.servers, f->lan.clashes,
		f->probe.addresses, f->probe.dhcp,
	};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		free(lists[i]);
	json_decref(f->ruleset);
	if (f->net)
		snapshot_free(f->net);
}

void *facts_grow(struct facts *f, void *list, size_t *count, size_t size)
{
	char **all = list, *grown;

	/* Room doubles at each power of two. */
	if (!(*count & (*count - 1))) {
		grown = reallocarray(*all, *count ? *count * 2 : 1, size);
		if (!grown) {
			f->failed = true;
			return NULL;
		}
		*all = grown;
	}
	return memset(*all + size * (*count)++, 0, size);
}

void facts_gap(struct facts *f, const char *what, const char *format, ...)
{
	struct gap *gap = facts_add(f, gaps, gap_count);
	va_list args;

	if (!gap)
		return;
	snprintf(gap->what, sizeof(gap->what), "%s", what);
	va_start(args, format);
	vsnprintf(gap->why, sizeof(gap->why), format, args);
	va_end(args);
}

const struct link *facts_link(const struct facts *f, const char *name)
{
	return f->net && *name ? snapshot_link_named(f->net, name) : NULL;
}

const struct link *facts_bridge(const struct facts *f)
{
	const struct link *link = facts_link(f, f->target.bridge);

	return link && !strcmp(link->kind, "bridge") ? link : NULL;
}

bool facts_is_port(const struct facts *f, const struct link *link)
{
	const struct link *bridge = facts_bridge(f);

	return bridge && link && link->master == bridge->index;
}

/* Does a default route leave by this link? */
static bool leads_out(const struct facts *f, unsigned int index)
{
	for (size_t i = 0; i < f->net->route_count; i++)
		if (facts_counts(&f->net->routes[i]) && !f->net->routes[i].bits && f->net->routes[i].index == index)
			return true;
	return false;
}

const struct link *facts_uplink(const struct facts *f)
{
	const struct link *named = facts_link(f, f->target.uplink), *best = NULL;

	if (named)
		return facts_is_port(f, named) ? named : NULL;
	for (size_t i = 0; f->net && i < f->net->link_count; i++) {
		const struct link *l = &f->net->links[i];

		if (!facts_is_port(f, l) || l->tap.tap)
			continue;
		if (strcmp(l->kind, "veth") || leads_out(f, l->index))
			return l;
		if (!best)
			best = l;
	}
	return best && leads_out(f, best->master) ? best : NULL;
}

const char *facts_sysctl_text(const struct facts *f, const char *key)
{
	for (size_t i = 0; i < f->sysctl_count; i++)
		if (!strcmp(f->sysctls[i].key, key))
			return f->sysctls[i].value;
	return f->net ? snapshot_sysctl(f->net, key) : NULL;
}

long facts_sysctl(const struct facts *f, const char *key, long missing)
{
	const char *text = facts_sysctl_text(f, key);

	return text ? strtol(text, NULL, 10) : missing;
}

long facts_link_sysctl(const struct facts *f, const char *family, const char *link, const char *name, long missing)
{
	char key[96];

	snprintf(key, sizeof(key), "net/%s/conf/%s/%s", family, link, name);
	return facts_sysctl(f, key, missing);
}

const struct device_fact *facts_device(const struct facts *f, const char *path)
{
	for (size_t i = 0; i < f->device_count; i++)
		if (!strcmp(f->devices[i].path, path))
			return &f->devices[i];
	return NULL;
}

const struct tap_holder *facts_holder(const struct facts *f, const char *tap)
{
	for (size_t i = 0; i < f->holder_count; i++)
		if (!strcmp(f->holders[i].tap, tap))
			return &f->holders[i];
	return NULL;
}

bool facts_counts(const struct link_route *route)
{
	return route->type == RTN_UNICAST && route->table == RT_TABLE_MAIN && !route->lost;
}

bool facts_counts_address(const struct link_address *address)
{
	return !addr_is_loopback(address->local) && !addr_is_link_local(address->local) && !address->lost;
}

const struct link_route *facts_default_route(const struct facts *f, bool ip4)
{
	const struct link_route *best = NULL;

	for (size_t i = 0; f->net && i < f->net->route_count; i++) {
		const struct link_route *r = &f->net->routes[i];

		if (facts_counts(r) && !r->bits && (r->family == AF_INET) == ip4 && (!best || r->metric < best->metric))
			best = r;
	}
	return best;
}
