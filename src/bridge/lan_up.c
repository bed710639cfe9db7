// SPDX-License-Identifier: MIT
#include "bridge/lan_up.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "bridge/lan_configure.h"
#include "bridge/lan_control.h"
#include "bridge/lan_forwards.h"
#include "bridge/lan_rules.h"
#include "bridge/lan_taps.h"
#include "bridge/ruleset.h"
#include "bridge/services.h"
#include "lan/paths.h"

/* --- what guests are told and tell --- */

void lan_up_leases_changed(void *owner)
{
	struct lan_up *l = owner;

	lease_store_changed(&l->leases);
	lan_up_changed(l);
}

/* --- configuration --- */

/* The bridge's own link-local address: the router that guests hear of is the kernel itself. */
static addr_t link_local_of(const struct snapshot *now, const struct link *bridge)
{
	for (size_t i = 0; i < now->address_count; i++) {
		const struct link_address *a = &now->addresses[i];

		if (a->index == bridge->index && !addr_is4(a->local) && addr_is_link_local(a->local))
			return a->local;
	}
	return addr_eui64((addr_t){{ 0xfe, 0x80 }}, bridge->mac);
}

/* What Status shows of a LAN whose addresses are another's to give. */
static void describe_uplinked(struct lan_plan *p, const struct snapshot *now, const struct link *bridge)
{
	for (size_t i = 0; i < now->address_count; i++) {
		const struct link_address *a = &now->addresses[i];

		if (a->index != bridge->index || p->ip4 || !addr_is4(a->local))
			continue;
		p->ip4 = true;
		p->bits4 = a->bits;
		p->net4 = addr_of4(ip4(ip4_get(addr_get4(a->local)) & (a->bits ? ~0u << (32 - a->bits) : 0)));
	}
	for (size_t i = 0; i < now->route_count; i++) {
		const struct link_route *route = &now->routes[i];
		addr_t *gateway = addr_is4(route->gateway) ? &p->gateway4 : &p->gateway6;

		if (route->index == bridge->index && !route->bits && !addr_is_any(route->gateway) && addr_is_any(*gateway))
			*gateway = route->gateway;
	}
}

static int make_plan(struct lan_plan *out, const struct lan_config *config, const struct snapshot *now, char *error, size_t size)
{
	const struct link *bridge = snapshot_link_named(now, config->bridge.bridge);
	int r;

	if (!bridge) {
		snprintf(error, size, "there is no bridge %s", config->bridge.bridge);
		return -ENODEV;
	}
	if (*config->bridge.uplink) {
		*out = (struct lan_plan){ .mac = bridge->mac, .mtu = (uint16_t)MIN(bridge->mtu, (uint32_t)UINT16_MAX) };
		memcpy(out->name, config->name, sizeof(out->name));
		memcpy(out->domain, config->domain, sizeof(out->domain));
		describe_uplinked(out, now, bridge);
		return 0;
	}
	r = bridge_plan_lan(out, config, now, error, size);
	if (r < 0)
		return r;
	out->mac = bridge->mac;
	out->mtu = (uint16_t)MIN(bridge->mtu, (uint32_t)UINT16_MAX);
	out->dns4 = out->gateway4;
	out->dns6 = out->gateway6;
	out->link_local6 = link_local_of(now, bridge);
	return 0;
}

static int start_services(struct lan_up *l, char *error, size_t size)
{
	struct services_params params = {
		.loop = l->p.loop, .sockets = l->p.sockets, .guests = l->guests, .plan = &l->plan, .resolv_conf = l->p.resolv_conf, .link = l->bridge,
		.heard = &l->heard, .leases_changed = lan_up_leases_changed, .owner = l,
	};
	int r = *l->config->bridge.uplink || !(l->plan.ip4 || l->plan.ip6) ? 0 : services_new(&l->services, &params);

	if (r < 0)
		snprintf(error, size, "cannot serve DHCP and DNS on %s: %s", l->config->bridge.bridge, r == -ENOSPC ? PACKET_POOL_FULL : strerror(-r));
	return r;
}

int lan_up_take_plan(struct lan_up *l, const struct snapshot *now, char *error, size_t size)
{
	const struct link *bridge;
	struct lan_plan plan;
	int r;

	memset(&plan, 0, sizeof(plan)); /* it is compared whole */
	r = make_plan(&plan, l->config, now, error, size);
	if (r < 0)
		return r;
	bridge = snapshot_link_named(now, l->config->bridge.bridge);
	/* Services borrow the plan: they begin anew only where it is another. */
	if (l->bridge == bridge->index && !memcmp(&plan, &l->plan, sizeof(plan)) && (l->services || *l->config->bridge.uplink))
		return 0;
	l->services = services_free(l->services, false);
	l->plan = plan;
	l->bridge = bridge->index;
	l->mtu = bridge->mtu;
	bridge_nft_table(l->config, l->table);
	return start_services(l, error, size);
}

/* --- made and freed --- */

static int make_control(struct lan_up *l)
{
	_cleanup_(freep) char *path = paths_join(l->p.runtime, "control");
	_cleanup_fd_ int fd = -1;
	int r = path ? runtime_new(&l->runtime, l->p.runtime, l->plan.name) : -ENOMEM;

	if (r < 0)
		return r;
	fd = runtime_socket(l->runtime, "control", SOCK_STREAM);
	if (fd < 0)
		return fd;
	/* Everybody may knock; who is let in the kernel's word on the caller's user decides. */
	if (chmod(l->p.runtime, 0755) < 0 || chmod(path, 0666) < 0)
		return -errno;
	r = lan_control_new(&l->control, l, fd);
	if (!r)
		fd_steal(&fd);
	return r;
}

static int make_guests(struct lan_up *l)
{
	struct registry_params registry = { .guests = NULL, .lan = l->config->name, .machine_id = l->p.machine_id };
	int r = guests_new(&l->guests);

	if (!r)
		r = lease_store_init(&l->leases, l->p.loop, l->guests, l->p.state);
	registry.guests = l->guests;
	return r ? r : registry_new(&l->registry, &registry);
}

static int make_all(struct lan_up *l, const struct snapshot *now, char *error, size_t size)
{
	int r = make_guests(l);

	if (!r)
		r = lan_up_take_plan(l, now, error, size);
	if (r < 0)
		return r;
	lan_reserve(l, now);
	lan_configure_guests(l, NULL, l->config, NULL);
	r = make_control(l);
	if (r < 0) {
		snprintf(error, size, "cannot make the control socket in %s: %s", l->p.runtime, strerror(-r));
		return r;
	}
	lan_taps_load(l, now);
	lan_taps_persistent(l);
	lan_forwards_configure(l, l->config, NULL);
	r = lan_up_refresh(l);
	if (r < 0)
		snprintf(error, size, "nft did not take the LAN's rules; the log has its words");
	return r;
}

int lan_up_new(struct lan_up **out, const struct lan_up_params *params, struct lan_config *config, const struct snapshot *now, char *error,
		size_t error_size)
{
	struct lan_up *l = calloc(1, sizeof(*l));
	int r;

	*error = 0;
	if (!l) {
		lan_config_free(config);
		return -ENOMEM;
	}
	l->p = *params;
	l->config = config;
	list_init(&l->taps);
	timer_init(&l->refresh, params->loop, lan_up_refresh_due);
	r = make_all(l, now, error, error_size);
	if (r < 0) {
		if (!*error)
			snprintf(error, error_size, "%s", strerror(-r));
		lan_up_free(l);
		return r;
	}
	*out = l;
	return 0;
}

static void remove_file(const char *runtime, const char *name)
{
	_cleanup_(freep) char *path = paths_join(runtime, name);

	if (path && unlink(path) < 0 && errno != ENOENT)
		log_warning("cannot remove %s: %s", path, strerror(errno));
}

static void remove_rules(const char *lan, const char *table)
{
	_cleanup_(freep) char *text = rules_remove_text(table);
	char error[512];

	if (text && ruleset_load(text, error, sizeof(error)) < 0)
		log_warning("LAN %s: its rules cannot be removed: %s", lan, error);
}

void lan_up_remove(struct lan_up *l)
{
	lan_tap_delete_all(l);
	l->services = services_free(l->services, true);
	timer_set(&l->refresh, USEC_NEVER);
	remove_rules(l->plan.name, l->table);
	remove_file(l->p.runtime, "taps");
}

void lan_up_sweep(struct mnl_socket *route, const char *name, const char *runtime)
{
	static const char *const files[] = { "taps.new", "taps", "control", "pid" };
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	struct lan_config config = { 0 };
	char alias[64], table[NFT_TABLE_SIZE];

	snprintf(alias, sizeof(alias), OURS_ALIAS " %s", name);
	snprintf(config.name, sizeof(config.name), "%s", name);
	if (snapshot_read(&now) < 0)
		return;
	for (size_t i = 0; i < now->link_count; i++) {
		const struct link *k = &now->links[i];

		if (!strcmp(k->alias, alias) && !strcmp(k->kind, "tun") && !k->tap.persist && !strncmp(k->name, TAPLINK_PREFIX, strlen(TAPLINK_PREFIX)))
			taplink_delete(route, k->index);
	}
	remove_rules(name, bridge_nft_table(&config, table));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		remove_file(runtime, files[i]);
	rmdir(runtime); /* unless something else is in it */
}

struct lan_up *lan_up_free(struct lan_up *l)
{
	if (!l)
		return NULL;
	timer_set(&l->refresh, USEC_NEVER);
	l->control = l->control ? varlink_server_free(l->control) : NULL;
	l->services = services_free(l->services, false);
	list_for_each(n, &l->taps)
		free(list_entry(n, struct lan_tap, node));
	l->registry = l->registry ? registry_free(l->registry) : NULL;
	lease_store_fini(&l->leases);
	l->guests = l->guests ? guests_free(l->guests) : NULL;
	l->runtime = l->runtime ? runtime_free(l->runtime) : NULL;
	lan_config_free(l->config);
	free(l->rules);
	free(l);
	return NULL;
}
