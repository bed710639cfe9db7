// SPDX-License-Identifier: MIT
/* LANs as the service knows them: found, on trial, taken over from a service that died. */
#include "bridge/service_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "bridge/lan_file.h"
#include "bridge/lan_taps.h"
#include "lan/paths.h"

#define FORWARD_DELAY 15   /* the kernel's, seconds */

/* --- known ones --- */

static const char *const state_names[] = { [LAN_DOWN] = "down", [LAN_UP] = "up", [LAN_TRYING] = "trying", [LAN_BROKEN] = "broken" };

const char *service_lan_state(const struct service_lan *l)
{
	return state_names[l->state];
}

struct service_lan *service_lan_find(struct service *s, const char *name)
{
	list_for_each(n, &s->lans) {
		struct service_lan *l = list_entry(n, struct service_lan, node);

		if (!strcmp(l->name, name))
			return l;
	}
	return NULL;
}

static void trial_is_over(struct service_lan *l, const char *why)
{
	struct outcome o = { 0 };

	log_warning("LAN %s goes back to what was before: %s", l->name, why);
	service_lan_down(l, &o);
	if (o.error)
		log_error("LAN %s is broken: %s; hospes down %s mends it", l->name, o.message, l->name);
	outcome_fini(&o);
	service_lan_settle(l);
}

static void expired(struct timer *t)
{
	struct service_lan *l = container_of(t, struct service_lan, expiry);

	if (service_lan_left(l) > 0)
		timer_set(t, loop_now(l->service->p.loop) + service_lan_left(l) * USEC_S);
	else
		trial_is_over(l, "nobody has confirmed it");
}

static void gateway_lost(void *owner)
{
	trial_is_over(owner, "the gateway does not answer any more");
}

void service_lan_stop(struct service_lan *l)
{
	if (l->expiry.deadline != USEC_NEVER)
		trial_is_over(l, "the service ends, and nobody has confirmed it");
}

struct service_lan *service_lan_get(struct service *s, const char *name)
{
	struct service_lan *l = service_lan_find(s, name);

	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	*l = (struct service_lan){ .service = s, .trial_socket = -1, .runtime = paths_join(s->p.runtime, name),
			.state_folder = paths_join(s->p.state, name) };
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->journal = l->state_folder ? paths_join(l->state_folder, "journal") : NULL;
	list_init(&l->node);
	timer_init(&l->expiry, s->p.loop, expired);
	l->trial = (struct trial){ .answered = service_lan_asked, .lost = gateway_lost, .owner = l };
	trial_init(&l->trial, s->p.loop, -1);
	list_init(&l->hangup.node);
	if (!l->runtime || !l->journal)
		return service_lan_free(l);
	list_append(&s->lans, &l->node);
	return l;
}

struct service_lan *service_lan_free(struct service_lan *l)
{
	list_remove(&l->node);
	service_lan_end_trial(l);
	varlink_hang_off(&l->hangup);
	lan_config_free(l->wanted);
	l->up = lan_up_free(l->up);
	free(l->runtime);
	free(l->state_folder);
	free(l->journal);
	free(l);
	return NULL;
}

void service_lan_settle(struct service_lan *l)
{
	if (l->state != LAN_DOWN || l->wanted || l->up)
		return;
	rmdir(l->state_folder); /* unless leases are kept there */
	service_lan_free(l);
}

static size_t taps_of_user(void *owner, uint32_t uid)
{
	struct service *s = ((struct service_lan *)owner)->service;
	size_t count = 0;

	list_for_each(n, &s->lans) {
		const struct service_lan *l = list_entry(n, struct service_lan, node);

		count += l->up ? lan_tap_count(l->up, uid) : 0;
	}
	return count;
}

struct lan_up_params service_lan_params(struct service_lan *l)
{
	struct service *s = l->service;

	return (struct lan_up_params){
		.loop = s->p.loop, .route = s->route, .sockets = &s->sockets, .runtime = l->runtime, .state = l->state_folder,
				.machine_id = s->p.machine_id, .hears = s->nflog.socket,
		.resolv_conf = s->p.resolv_conf, .taps_of_user = taps_of_user, .reload = service_lan_reload, .owner = l,
	};
}

int service_lan_reload(void *owner, _unused_ struct lan_up *up, json_t *changes, char *error)
{
	struct service_lan *l = owner;
	struct outcome o = { 0 };
	struct lan_config *config;
	int64_t left = service_lan_left(l);
	int r;

	/* Who calls is a client of what is served, which must not be taken away under him. */
	if (l->wanted || l->state == LAN_DOWN || l->state == LAN_BROKEN) {
		snprintf(error, SERVICE_ERROR, "LAN %s is %s; sudo hospes up %s %s", l->name, l->wanted ? "being brought up" : service_lan_state(l),
			 l->name, l->wanted ? "reads the file, too" : "mends it");
		return -EINVAL;
	}
	r = lan_file_load(&config, l->service->p.config, l->name, error, SERVICE_ERROR);
	if (r < 0)
		return r == -ENOENT || r == -EPERM ? -EINVAL : r;
	/* A trial goes on: nobody has confirmed anything. */
	service_lan_up(l, config, left < 0 ? 0 : MAX(left, (int64_t)1), l->trial.has_answered, &o);
	for (size_t i = 0; i < o.done; i++) {
		_cleanup_(freep) char *text = step_format(&o.steps.step[i]);

		if (text)
			json_array_append_new(changes, json_string(text));
	}
	json_array_extend(changes, o.changes);
	snprintf(error, SERVICE_ERROR, "%s", o.message);
	r = o.error ? o.code ? o.code : -EINVAL : 0;
	outcome_fini(&o);
	return r;
}

/* --- whom to ask --- */

/* The best default route there, of version 4 where there is one. */
static addr_t gateway_of(const struct snapshot *now, unsigned int index, int version)
{
	addr_t best = ADDR_ANY;
	uint32_t metric = UINT32_MAX;

	for (size_t i = 0; i < now->route_count; i++) {
		const struct link_route *r = &now->routes[i];

		if (r->index != index || r->bits || r->table != 254 || addr_is_any(r->gateway) || addr_is4(r->gateway) != (version == 4) ||
		    (r->metric >= metric && !addr_is_any(best)))
			continue;
		best = r->gateway;
		metric = r->metric;
	}
	return best;
}

static addr_t address_of(const struct snapshot *now, unsigned int index, addr_t gateway)
{
	addr_t found = ADDR_ANY;

	for (size_t i = 0; i < now->address_count; i++) {
		const struct link_address *a = &now->addresses[i];

		if (a->index != index || addr_is4(a->local) != addr_is4(gateway))
			continue;
		if (addr_is_any(found) || addr_in_prefix(gateway, a->local, a->bits))
			found = a->local;
	}
	return found;
}

int service_lan_way(const struct lan_config *config, struct trial_way *way)
{
	const struct bridge_config *b = &config->bridge;
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	const struct link *bridge, *uplink, *link;
	int r = snapshot_read(&now);

	*way = (struct trial_way){ 0 };
	if (r < 0 || !*b->uplink)
		return r;
	bridge = snapshot_link_named(now, b->bridge);
	uplink = snapshot_link_named(now, b->uplink);
	link = bridge && uplink && uplink->master == bridge->index ? bridge : uplink;
	if (!link)
		return 0;
	way->link = link->index;
	way->mac = link->mac;
	way->gateway = addr_is_any(b->gateway4) ? gateway_of(now, link->index, 4) : b->gateway4;
	if (addr_is_any(way->gateway))
		way->gateway = gateway_of(now, link->index, 6);
	way->from = address_of(now, link->index, way->gateway);
	/* Without an address of that version there is nobody who could ask over IPv6; ARP can (RFC 5227). */
	if (addr_is_any(way->from) && !addr_is4(way->gateway))
		way->gateway = ADDR_ANY;
	return 0;
}

/* --- the trial --- */

/* Goes on while the machine sleeps, and means the same to the next service. */
static int64_t boot_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec;
}

int64_t service_lan_left(const struct service_lan *l)
{
	return l->state == LAN_TRYING ? MAX(l->until - boot_seconds(), (int64_t)0) : -1;
}

bool service_lan_take_socket(struct service_lan *l, const struct trial_way *way)
{
	if (l->trial_socket < 0 && way->link)
		l->trial_socket = packet_pool_take(&l->service->sockets);
	l->trial.fd = l->trial_socket;
	return l->trial_socket >= 0 || !way->link;
}

void service_lan_begin_trial(struct service_lan *l, const struct lan_config *config, int64_t seconds, bool answered)
{
	const struct bridge_config *b = &config->bridge;
	usec_t silent = b->stp ? (usec_t)2 * (b->forward_delay < 0 ? FORWARD_DELAY : b->forward_delay) * USEC_S : 0;
	struct trial_way way;

	l->until = boot_seconds() + seconds;
	/* Bringing it up took a while of this turn, which is not the trial's. */
	timer_set(&l->expiry, usec_now() + seconds * USEC_S);
	if (service_lan_way(config, &way) < 0)
		return;
	if (!service_lan_take_socket(l, &way)) /* it ends with its time all the same */
		log_warning("LAN %s: nobody watches its gateway while it is on trial: " PACKET_POOL_FULL, l->name);
	else
		trial_watch(&l->trial, &way, answered, silent);
}

void service_lan_end_trial(struct service_lan *l)
{
	timer_set(&l->expiry, USEC_NEVER);
	trial_stop(&l->trial);
	packet_pool_give(&l->service->sockets, l->trial_socket);
	l->trial_socket = l->trial.fd = -1;
}

int service_lan_confirm(struct service_lan *l)
{
	struct journal *j;
	int r = journal_open(&j, l->journal, l->name);

	if (r < 0)
		return r;
	r = journal_mark(j, MARK_UP);
	journal_free(j);
	if (r < 0)
		return r;
	service_lan_end_trial(l);
	l->state = LAN_UP;
	log_info("LAN %s is confirmed", l->name);
	return 0;
}

/* --- after a crash, or a restart --- */

static void take_over(struct service_lan *l)
{
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	struct lan_up_params params = service_lan_params(l);
	struct lan_config *config;
	char error[SERVICE_ERROR] = "";
	int r = lan_file_load(&config, l->service->p.config, l->name, error, sizeof(error));

	if (!r) {
		r = snapshot_read(&now);
		if (r < 0)
			lan_config_free(config);
		else
			r = lan_up_new(&l->up, &params, config, now, error, sizeof(error));
	}
	/* The bridge works without us; only new guests do not get in. */
	if (r < 0)
		log_error("LAN %s is up, and cannot be served: %s; hospes up %s tries again", l->name, *error ? error : strerror(-r), l->name);
}

static void recover_trial(struct service_lan *l, long long until)
{
	int64_t left = until - boot_seconds();

	l->state = LAN_TRYING;
	if (left <= 0) {
		trial_is_over(l, "its trial's time ran out while no service was there");
		return;
	}
	take_over(l);
	if (l->up)
		service_lan_begin_trial(l, l->up->config, left, false);
	timer_set(&l->expiry, loop_now(l->service->p.loop) + left * USEC_S);
	l->until = until;
	log_info("LAN %s is on trial, for %lld more seconds", l->name, (long long)left);
}

void service_lan_recover(struct service_lan *l)
{
	struct journal *j = NULL;
	int r = journal_open(&j, l->journal, l->name);
	char word[64] = "";
	size_t steps = 0;
	long long until;

	if (!r) {
		steps = journal_steps(j)->count;
		snprintf(word, sizeof(word), "%s", journal_marked(j));
		journal_free(j);
	}
	if (r < 0) {
		log_error("LAN %s is broken: its journal %s cannot be read: %s", l->name, l->journal, strerror(-r));
		l->state = LAN_BROKEN;
	} else if (sscanf(word, "trying %lld", &until) == 1) {
		recover_trial(l, until);
	} else if (!strcmp(word, MARK_UP)) {
		l->state = LAN_UP;
		take_over(l);
	} else if (!strcmp(word, MARK_BACK)) {
		l->state = LAN_BROKEN;
		trial_is_over(l, "a service that died had not finished with that");
	} else if (steps) {
		log_warning("LAN %s is broken: a service that died was in the middle of bringing it up or down; hospes up %s or hospes down %s mends it",
				l->name,
			    l->name, l->name);
		l->state = LAN_BROKEN;
	} else {
		unlink(l->journal);
		service_lan_settle(l);
	}
}
