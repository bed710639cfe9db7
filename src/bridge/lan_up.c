// SPDX-License-Identifier: MIT
#include "bridge/lan_up.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "bridge/lan_control.h"
#include "bridge/lan_forwards.h"
#include "bridge/lan_taps.h"
#include "bridge/learn.h"
#include "bridge/ruleset.h"
#include "bridge/services.h"
#include "lan/paths.h"

/*
 * Rules are set at once, but on the average no more often than this, however fast guests come and go; so many times in a row they may be.
 */
#define REFRESH_EACH  (250 * USEC_MS)
#define REFRESH_BURST 16

/* --- rules --- */

/* What a tap's guest has leased, of us or of the router behind the uplink. */
static void put_leases(struct lan_up *l, const struct lan_tap *t, struct rules_tap *out)
{
	const struct guest *guest = guests_find(l->guests, t->mac);

	if (guest && guest->lease4.state == LEASE_BOUND)
		out->leased[0] = guest->lease4.addr;
}

static size_t collect_taps(struct lan_up *l, struct rules_tap *into)
{
	size_t count = 0;

	guests_expire(l->guests, usec_wall() / USEC_S);
	list_for_each(n, &l->taps) {
		const struct lan_tap *t = list_entry(n, struct lan_tap, node);
		struct rules_tap *out = &into[count];

		if (count++ == LAN_UP_TAPS)
			return LAN_UP_TAPS;
		*out = (struct rules_tap){ .bound = !t->persistent, .mac = t->mac };
		memcpy(out->name, t->link.name, sizeof(out->name));
		if (!t->persistent)
			put_leases(l, t, out);
	}
	return count;
}

static char *wanted_rules(struct lan_up *l)
{
	_cleanup_(freep) struct rules_forward *forwards = calloc(2 * LAN_UP_FORWARDS, sizeof(*forwards));
	_cleanup_(freep) struct rules_tap *taps = calloc(LAN_UP_TAPS, sizeof(*taps));
	struct rules r = { .table = l->table, .bridge = l->config->bridge.bridge, .services = l->services, .taps = taps, .forwards = forwards };

	if (!forwards || !taps)
		return NULL;
	r.tap_count = collect_taps(l, taps);
	r.forward_count = lan_forwards_rules(l, forwards, 2 * LAN_UP_FORWARDS);
	r.gateway4 = l->plan.gateway4;
	r.gateway6 = l->services ? l->plan.link_local6 : l->plan.gateway6;
	if (rules_needs_localnet(&r)) {
		char path[64];
		_cleanup_fd_ int fd = -1;

		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet", r.bridge);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "1", 1) < 0)
			log_warning("LAN %s: cannot write %s: %s; forwards at 127.0.0.1 reach nobody", l->plan.name, path, strerror(errno));
	}
	return rules_text(&r);
}

/* When the next lease of a guest behind a tap ends, its rule ends too. */
static usec_t next_expiry(struct lan_up *l)
{
	int64_t wall = usec_wall() / USEC_S, next = INT64_MAX;

	for (const struct guest *g = guests_next(l->guests, NULL); g; g = guests_next(l->guests, g))
		if (g->port_id && g->lease4.state == LEASE_BOUND)
			next = MIN(next, g->lease4.until);
	return next == INT64_MAX ? USEC_NEVER : loop_now(l->p.loop) + MAX(next - wall + 1, (int64_t)1) * USEC_S;
}

int lan_up_refresh(struct lan_up *l)
{
	_cleanup_(freep) char *text = wanted_rules(l);
	char error[512];
	int r = 0;

	timer_set(&l->refresh, next_expiry(l));
	if (!text)
		return -ENOMEM;
	if (l->rules && !strcmp(l->rules, text))
		return 0;
	l->paced = MAX(l->paced, loop_now(l->p.loop)) + REFRESH_EACH;
	r = ruleset_load(text, error, sizeof(error));
	if (r < 0) {
		log_error("LAN %s: its rules cannot be set: %s", l->plan.name, error);
		return r;
	}
	free(l->rules);
	l->rules = steal(&text);
	return 0;
}

static void refresh_due(struct timer *t)
{
	struct lan_up *l = container_of(t, struct lan_up, refresh);

	/* What failed is tried again: rules that are too old keep an honest guest from its new address. */
	if (lan_up_refresh(l) < 0)
		timer_set(t, loop_now(l->p.loop) + 4 * REFRESH_EACH);
}

void lan_up_changed(struct lan_up *l)
{
	timer_set(&l->refresh, MAX(loop_now(l->p.loop), l->paced - REFRESH_BURST * REFRESH_EACH));
}

/* --- what guests are told and tell --- */

static void leases_changed(void *owner)
{
	struct lan_up *l = owner;

	lease_store_changed(&l->leases);
	lan_up_changed(l);
}

/* The guest that a frame of this tap may speak for. */
static struct guest *guest_behind(struct lan_up *l, const struct lan_tap *t, struct mac mac, usec_t now)
{
	struct guest *guest = guests_find(l->guests, mac);
	size_t macs = 0;

	if (!t->persistent)
		return mac_equal(mac, t->mac) ? guest : NULL;
	if (guest && guest->port_id == t->id)
		return guest;
	if (guest && guest->port_id)
		return NULL; /* it is behind another tap, and does not move on a frame's word */
	for (const struct guest *g = guests_next(l->guests, NULL); g; g = guests_next(l->guests, g))
		macs += g->port_id == t->id;
	guest = macs < LAN_UP_MACS ? guests_add(l->guests, mac, now) : NULL;
	if (guest)
		guest->port_id = t->id;
	return guest;
}

bool lan_up_told(struct lan_up *l, unsigned int in, unsigned int out, const struct iovec iov[static 2], usec_t now)
{
	const struct lan_tap *to = lan_tap_by_index(l, out), *from = to ? NULL : lan_tap_by_index(l, in), *t = to ? to : from;
	struct learned learned;
	struct guest *guest;

	if (!t)
		return false;
	learned = to ? learn_to_guest(iov, 2) : learn_from_guest(iov, 2);
	guest = learned.kind == LEARNED_NOTHING ? NULL : guest_behind(l, t, learned.mac, now);
	/* What our own services lease they have written down themselves. */
	if (guest && !(l->services && learned.kind == LEARNED_LEASE) && learn_apply(l->guests, guest, &learned, usec_wall() / USEC_S, now))
		leases_changed(l);
	return true;
}

/* --- configuration --- */

static const struct guest_config *guest_of(const struct lan_config *c, const char *name)
{
	for (size_t i = 0; c && i < c->guest_count; i++)
		if (!strcasecmp(c->guests[i].name, name))
			return &c->guests[i];
	return NULL;
}

static void configure_guests(struct lan_up *l, const struct lan_config *from, const struct lan_config *to)
{
	char error[REGISTRY_ERROR];

	for (size_t i = 0; from && i < from->guest_count; i++) {
		const struct guest_config *old = &from->guests[i], *new = guest_of(to, old->name);

		if (!new || !mac_equal(old->mac, new->mac))
			registry_remove(l->registry, old->name);
	}
	for (size_t i = 0; i < to->guest_count; i++) {
		struct registration want = { .mac = to->guests[i].mac };
		struct guest *guest;

		snprintf(want.name, sizeof(want.name), "%s", to->guests[i].name);
		if (registry_add(l->registry, &want, &guest, error, loop_now(l->p.loop)) < 0)
			log_warning("LAN %s: guest %s is left out: %s", to->name, want.name, error);
		else if (guests_set_fixed4(l->guests, guest, to->guests[i].ip4) < 0)
			log_warning("LAN %s: guest %s does not get its address: it is promised to another", to->name, want.name);
	}
}

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
		.leases_changed = leases_changed, .owner = l,
	};
	int r = *l->config->bridge.uplink || !(l->plan.ip4 || l->plan.ip6) ? 0 : services_new(&l->services, &params);

	if (r < 0)
		snprintf(error, size, "cannot serve DHCP and DNS on %s: %s", l->config->bridge.bridge, r == -ENOSPC ? "too many LANs are up"
				: strerror(-r));
	return r;
}

static int take_plan(struct lan_up *l, const struct snapshot *now, char *error, size_t size)
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

static void isolate_all(struct lan_up *l)
{
	list_for_each(n, &l->taps)
		taplink_isolate(l->p.route, list_entry(n, struct lan_tap, node)->link.index, l->config->bridge.guests_isolated);
}

int lan_up_configure(struct lan_up *l, struct lan_config *config, const struct snapshot *now, char *error, size_t error_size)
{
	struct lan_config *old = l->config;
	int r;

	l->config = config;
	r = take_plan(l, now, error, error_size);
	if (r < 0) {
		l->config = old;
		lan_config_free(config);
		return r;
	}
	configure_guests(l, old, config);
	if (old->bridge.guests_isolated != config->bridge.guests_isolated)
		isolate_all(l);
	lan_config_free(old);
	lan_taps_persistent(l);
	lan_forwards_configure(l, config);
	r = lan_up_refresh(l);
	if (r < 0)
		snprintf(error, error_size, "nft did not take the LAN's rules; the log has its words");
	return r;
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
		r = take_plan(l, now, error, size);
	if (r < 0)
		return r;
	configure_guests(l, NULL, l->config);
	r = make_control(l);
	if (r < 0) {
		snprintf(error, size, "cannot make the control socket in %s: %s", l->p.runtime, strerror(-r));
		return r;
	}
	lan_taps_load(l, now);
	lan_taps_persistent(l);
	lan_forwards_configure(l, l->config);
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
	timer_init(&l->refresh, params->loop, refresh_due);
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

static void remove_files(const char *runtime)
{
	_cleanup_(freep) char *path = paths_join(runtime, "taps");

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
	remove_files(l->p.runtime);
}

void lan_up_sweep(struct mnl_socket *route, const char *name, const char *runtime)
{
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
	remove_files(runtime);
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
