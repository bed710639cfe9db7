// SPDX-License-Identifier: MIT
#include "engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "engine/control.h"
#include "engine/folders.h"
#include "engine/listeners.h"
#include "engine/reload.h"
#include "control/runtime.h"

struct engine {
	struct loop *loop;
	struct lan_plan plan;
	struct lan_config *config;
	char *config_path, *machine_id;
	bool config_search;
	struct fault fault;
	bool no_peek_offset;
	bool down;

	struct folders folders;
	struct runtime *runtime;
	struct guests *guests;
	struct lease_store leases;
	struct switch_ *sw;
	struct registry *registry;
	struct ports *ports;
	struct gateway *gateway;
	struct listeners *listeners;
	struct control *control;
	struct dhcp_servers heard;
};

/* --- configuration --- */

static struct reload_parts reload_parts(struct engine *e)
{
	return (struct reload_parts){ .plan = &e->plan, .forwards = gateway_forwards(e->gateway), .registry = e->registry,
		.guests = e->guests };
}

static int engine_load(struct engine *e, struct lan_config **out, char *error, size_t size)
{
	_cleanup_(freep) char *found = e->config_search ? lan_config_find(e->plan.name) : NULL;

	return lan_config_load(out, e->plan.name, e->config_search ? found : e->config_path, error, size);
}

static void apply_poll(struct engine *e, const struct lan_config *config)
{
	loop_spin(e->loop, config->poll == CONFIG_POLL_AUTO ? SPIN_AUTO : config->poll);
}

static void say_change(void *owner, const char *change)
{
	json_array_append_new(owner, json_string(change));
}

static int control_wants_reload(void *owner, json_t *changes, char *error)
{
	struct engine *e = owner;
	struct reload_parts parts = reload_parts(e);
	struct reload_report report = { .say = say_change, .owner = changes };
	struct lan_config *config;
	int r = engine_load(e, &config, error, 1024);

	if (r < 0)
		return r;
	reload_apply(&parts, e->config, config, &report, loop_now(e->loop));
	apply_poll(e, config);
	/* The rest of the old one stays in force until a restart, and the next reload says so again. */
	config->fabric = e->config->fabric;
	memcpy(config->domain, e->config->domain, sizeof(config->domain));
	config->has_net4 = e->config->has_net4, config->no_ip4 = e->config->no_ip4, config->net4 = e->config->net4,
		config->bits4 = e->config->bits4;
	config->has_net6 = e->config->has_net6, config->no_ip6 = e->config->no_ip6, config->net6 = e->config->net6;
	config->mtu = e->config->mtu, config->flow_max = e->config->flow_max;
	lan_config_free(e->config);
	e->config = config;
	return 0;
}

void engine_reload(struct engine *e)
{
	json_auto_t *changes = json_array();
	const json_t *change;
	char error[1024];
	size_t i;

	if (!changes)
		return;
	if (control_wants_reload(e, changes, error) < 0)
		log_error("the configuration stays as it was: %s", error);
	json_array_foreach(changes, i, change)
		log_info("reload: %s", json_string_value(change));
}

static void say_start(_unused_ void *owner, const char *change)
{
	if (strstr(change, " NOT "))
		log_error("%s", change);
	else
		log_debug("%s", change);
}

/* --- down --- */

static void control_wants_down(void *owner)
{
	engine_down(owner);
}

static void control_ended(void *owner)
{
	struct engine *e = owner;

	loop_stop(e->loop, 0);
}

void engine_down(struct engine *e)
{
	if (e->down)
		return;
	e->down = true;
	if (e->control)
		control_stop(e->control);
	if (e->listeners)
		listeners_stop(e->listeners);
	if (e->gateway)
		gateway_advertise(e->gateway, false);
	lease_store_fini(&e->leases);
	/* Ports last, so that what the gateway says as it goes still reaches its guests. */
	if (e->gateway) {
		ports_set_gateway(e->ports, NULL);
		e->gateway = gateway_free(e->gateway);
	}
	e->ports = ports_free(e->ports);
	e->listeners = listeners_free(e->listeners);
	e->registry = registry_free(e->registry);
	e->sw = switch_free(e->sw);
	e->guests = guests_free(e->guests);
	e->runtime = runtime_free(e->runtime);
}

struct engine *engine_free(struct engine *e)
{
	if (!e)
		return NULL;
	engine_down(e);
	control_free(e->control);
	lan_config_free(e->config);
	folders_fini(&e->folders);
	free(e->config_path);
	free(e->machine_id);
	free(e);
	return NULL;
}
DEFINE_CLEANUP(engine)

/* --- up --- */

static void leases_changed(void *owner)
{
	struct engine *e = owner;

	lease_store_changed(&e->leases);
}

static int make_network(struct engine *e)
{
	struct ports_params ports = { .loop = e->loop, .guests = e->guests, .plan = &e->plan, .heard = &e->heard };
	struct registry_params registry = { .guests = e->guests, .lan = e->plan.name, .machine_id = e->machine_id };
	struct gateway_params gateway = { .loop = e->loop, .guests = e->guests, .plan = &e->plan, .resolv_conf = e->folders.resolv_conf,
					  .flow_max = e->config->flow_max, .no_peek_offset = e->no_peek_offset, .leases_changed = leases_changed, .owner = e };
	int r = switch_new(&e->sw, PORTS_MAX);

	if (r < 0)
		return r;
	ports.sw = registry.sw = gateway.sw = e->sw;
	if (e->fault.lose || e->fault.duplicate || e->fault.reorder)
		ports.fault = &e->fault;
	r = registry_new(&e->registry, &registry);
	if (!r)
		r = ports_new(&e->ports, &ports);
	if (!r)
		r = gateway_new(&e->gateway, &gateway);
	return r < 0 ? r : ports_set_gateway(e->ports, e->gateway);
}

static int apply_config(struct engine *e)
{
	struct reload_parts parts = reload_parts(e);
	struct reload_report report = { .say = say_start };

	apply_poll(e, e->config);
	return reload_apply(&parts, NULL, e->config, &report, loop_now(e->loop)) ? -EINVAL : 0;
}

static int make_control(struct engine *e)
{
	struct control_parts parts = {
		.loop = e->loop, .plan = &e->plan, .guests = e->guests, .sw = e->sw, .gateway = e->gateway, .ports = e->ports,
		.registry = e->registry, .leases = &e->leases, .heard = &e->heard,
		.reload = control_wants_reload, .down = control_wants_down, .ended = control_ended, .owner = e,
	};
	_cleanup_fd_ int fd = runtime_socket(e->runtime, "control", SOCK_STREAM);
	int r = fd < 0 ? fd : control_new(&e->control, &parts, fd);

	if (!r)
		fd_steal(&fd);
	return r;
}

/* The sockets come last: who can connect is served. */
static int make_sockets(struct engine *e)
{
	static const struct { const char *name; int type; } wanted[] = {
		 { "vhost", SOCK_STREAM }, { "stream", SOCK_STREAM }, { "dgram", SOCK_DGRAM } };
	int fds[ARRAY_SIZE(wanted)] = { -1, -1, -1 }, r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(wanted) && r >= 0; i++)
		r = fds[i] = runtime_socket(e->runtime, wanted[i].name, wanted[i].type);
	if (r >= 0)
		r = listeners_new(&e->listeners, e->loop, e->ports, e->plan.mtu,
				  &(struct listener_sockets){ .vhost = fds[0], .stream = fds[1], .dgram = fds[2] });
	if (r >= 0)
		return make_control(e);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		fd_close(fds[i]);
	return r;
}

static int engine_up(struct engine *e, const struct engine_params *p)
{
	int r = folders_init(&e->folders, p->runtime, p->state, p->resolv_conf, p->config_path, e->config);

	if (!r)
		r = runtime_new(&e->runtime, p->runtime, p->plan->name);
	if (r < 0)
		return r;
	r = guests_new(&e->guests);
	if (!r)
		r = lease_store_init(&e->leases, e->loop, e->guests, p->state);
	if (!r)
		r = make_network(e);
	if (r < 0) {
		log_error("cannot bring LAN %s up: %s", p->plan->name, strerror(-r));
		return r;
	}
	r = apply_config(e);
	if (!r)
		r = make_sockets(e);
	if (r < 0)
		return r;
	gateway_advertise(e->gateway, true);
	return 0;
}

int engine_new(struct engine **out, const struct engine_params *p, struct lan_config *config)
{
	_cleanup_(engine_freep) struct engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e) {
		lan_config_free(config);
		return -ENOMEM;
	}
	e->loop = p->loop;
	e->plan = *p->plan;
	e->config = config;
	e->config_search = p->config_search;
	if (p->fault)
		e->fault = *p->fault;
	e->no_peek_offset = p->no_peek_offset;
	e->machine_id = strdup(p->machine_id);
	e->config_path = p->config_path ? strdup(p->config_path) : NULL;
	r = e->machine_id && (e->config_path || !p->config_path) ? engine_up(e, p) : -ENOMEM;
	if (r < 0)
		return r;
	*out = steal(&e);
	return 0;
}

int engine_log(struct engine *e)
{
	return runtime_log(e->runtime);
}

size_t engine_folders(const struct engine *e, struct sandbox_folder into[static ENGINE_FOLDERS])
{
	_Static_assert(ENGINE_FOLDERS >= FOLDERS_MAX, "room for all");
	return folders_list(&e->folders, into);
}
