// SPDX-License-Identifier: MIT
/* What a LAN's daemon says of itself. It is asked, never started. */
#include "doctor/gather.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "io/varlink_client.h"
#include "lan/paths.h"

#define PATIENCE (3 * USEC_S)

static void copy(char *into, size_t size, const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	snprintf(into, size, "%s", text ? text : "");
}

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static bool parse_net(const char *text, addr_t *net, uint8_t *bits)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	char address[ADDR_TEXT_SIZE];

	if (!slash || slash - text >= (int)sizeof(address))
		return false;
	snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
	*bits = (uint8_t)strtoul(slash + 1, NULL, 10);
	return addr_parse(address, net);
}

static void keep_guest(struct facts *f, const json_t *json)
{
	const char *mac = json_string_value(json_object_get(json, "mac")), *state = json_string_value(json_object_get(json, "state"));
	struct guest_fact *g = facts_add(f, lan.guests, lan.guest_count);
	const json_t *address;
	size_t i;

	if (!g)
		return;
	copy(g->name, sizeof(g->name), json, "name");
	if (mac)
		mac_parse(mac, &g->mac);
	g->attached = state && !strcmp(state, "attached");
	g->leased = json_is_string(json_object_get(json, "lease"));
	g->port = json_is_integer(json_object_get(json, "port")) ? (int64_t)number(json, "port") : -1;
	json_array_foreach(json_object_get(json, "addresses"), i, address)
		if (g->count < ARRAY_SIZE(g->addresses) && json_is_string(address) &&
		    addr_parse(json_string_value(address), &g->addresses[g->count]))
			g->count++;
}

/* By which findings know a guest: its name, or its MAC if it has none */
static void copy_name(char into[static GUEST_TEXT_SIZE], const struct guest_fact *g)
{
	char mac[MAC_TEXT_SIZE];

	snprintf(into, GUEST_TEXT_SIZE, "%s", *g->name ? g->name : mac_format(g->mac, mac));
}

static void keep_drop(struct facts *f, const json_t *port, const json_t *json)
{
	struct drop_fact *d = facts_add(f, lan.drops, lan.drop_count);

	if (!d)
		return;
	d->port = (int64_t)number(port, "id");
	copy(d->kind, sizeof(d->kind), port, "kind");
	copy(d->reason, sizeof(d->reason), json, "reason");
	d->frames = number(json, "frames");
	d->sent = number(port, "frames_to_guest");
	for (size_t i = 0; i < f->lan.guest_count; i++)
		if (f->lan.guests[i].port == d->port && f->lan.guests[i].attached)
			copy_name(d->guest, &f->lan.guests[i]);
}

void gather_lan_list(struct facts *f, const json_t *list)
{
	const json_t *one, *drop;
	size_t i, k;

	json_array_foreach(json_object_get(list, "guests"), i, one)
		keep_guest(f, one);
	json_array_foreach(json_object_get(list, "ports"), i, one)
		json_array_foreach(json_object_get(one, "drops"), k, drop)
			keep_drop(f, one, drop);
}

void gather_lan_forwards(struct facts *f, const json_t *reply)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(reply, "forwards"), i, one) {
		struct forward_fact *w = facts_add(f, lan.forwards, lan.forward_count);
		char *port;

		if (!w)
			return;
		copy(w->listen, sizeof(w->listen), one, "listen");
		copy(w->to, sizeof(w->to), one, "to");
		/* "web:80", "[fd00::15]:80" */
		snprintf(w->guest, sizeof(w->guest), "%s", w->to + (*w->to == '['));
		port = *w->to == '[' ? strchr(w->guest, ']') : strrchr(w->guest, ':');
		if (port)
			*port = 0;
	}
}

/* Return: what it answers, or NULL. */
static json_t *ask(int fd, const char *method, int *error)
{
	char name[VARLINK_ERROR_SIZE];
	json_t *reply = NULL;
	int r = varlink_call(fd, &(struct varlink_request){ .method = method, .timeout = PATIENCE }, &reply, name);

	if (!r)
		return reply;
	json_decref(reply);
	*error = r;
	return NULL;
}

static void keep_server(struct facts *f, const json_t *json)
{
	const char *address = json_string_value(json_object_get(json, "address")), *mac = json_string_value(json_object_get(json, "mac"));
	struct answer_fact server, *kept;

	if (!address || !mac || !addr_parse(address, &server.addr) || !mac_parse(mac, &server.mac))
		return;
	kept = facts_add(f, lan.servers, lan.server_count);
	if (kept)
		*kept = server;
}

static void keep_clash(struct facts *f, const json_t *json)
{
	const char *address = json_string_value(json_object_get(json, "address"));
	const char *holder = json_string_value(json_object_get(json, "holder")), *second = json_string_value(json_object_get(json, "second"));
	struct clash_fact clash, *kept;

	if (!address || !holder || !second || !addr_parse(address, &clash.addr) || !mac_parse(holder, &clash.holder) ||
	    !mac_parse(second, &clash.second))
		return;
	kept = facts_add(f, lan.clashes, lan.clash_count);
	if (kept)
		*kept = clash;
}

void gather_lan_status(struct facts *f, const json_t *status)
{
	struct lan_facts *lan = &f->lan;
	const json_t *one;
	size_t i;
	const char *gateway = json_string_value(json_object_get(status, "gateway4"));

	copy(lan->host_access, sizeof(lan->host_access), status, "host_access");
	if (!parse_net(json_string_value(json_object_get(status, "network4")), &lan->net4, &lan->bits4))
		lan->bits4 = 0;
	if (gateway && !addr_parse(gateway, &lan->gateway4))
		lan->gateway4 = ADDR_ANY;
	json_array_foreach(json_object_get(status, "dhcp_servers"), i, one)
		keep_server(f, one);
	json_array_foreach(json_object_get(status, "lease_clashes"), i, one)
		keep_clash(f, one);
}

static void talk(struct facts *f, int fd)
{
	static const char *const methods[] = { "org.hospes.Lan.Status", "org.hospes.Lan.List", "org.hospes.Lan.ListForwards" };
	struct lan_facts *lan = &f->lan;

	lan->state = LAN_UP;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		int error = 0;
		json_t *reply = ask(fd, methods[i], &error);

		if (!reply && error == VARLINK_ERROR)
			continue;
		if (!reply) {
			lan->state = error == -ETIMEDOUT || error == -EAGAIN ? LAN_SILENT : LAN_DEAD;
			return;
		}
		if (i == 0)
			gather_lan_status(f, reply);
		else if (i == 1)
			gather_lan_list(f, reply);
		else
			gather_lan_forwards(f, reply);
		json_decref(reply);
	}
}

static void read_pid(struct lan_facts *lan)
{
	_cleanup_(freep) char *path = strdup(lan->control);
	char text[32];

	if (path && strlen(path) > strlen("control")) {
		strcpy(path + strlen(path) - strlen("control"), "pid");
		/* To be written behind "kill": 0 and below mean many processes, 1 the first of all. */
		if (gather_read(path, text, sizeof(text)) && strtol(text, NULL, 10) > 1)
			lan->pid = (pid_t)strtol(text, NULL, 10);
	}
}

void gather_lan_guest(struct facts *f)
{
	struct mac mac;
	addr_t a;

	for (size_t i = 0; *f->target.guest && i < f->lan.guest_count; i++) {
		const struct guest_fact *g = &f->lan.guests[i];
		bool is = mac_parse(f->target.guest, &mac) && mac_equal(mac, g->mac);

		for (size_t k = 0; addr_parse(f->target.guest, &a) && k < g->count; k++)
			is |= addr_equal(a, g->addresses[k]);
		if (!is)
			continue;
		copy_name(f->target.guest, g);
		return;
	}
}

void gather_lan(struct facts *f)
{
	_cleanup_(freep) char *runtime = *f->target.bridge ? NULL : paths_runtime(f->target.lan);
	_cleanup_fd_ int fd = -1;

	if (!*f->target.lan || (!*f->target.bridge && !runtime))
		return;
	if (runtime)
		snprintf(f->lan.control, sizeof(f->lan.control), "%s/control", runtime);
	else
		snprintf(f->lan.control, sizeof(f->lan.control), "/run/hospes/%s/control", f->target.lan);
	read_pid(&f->lan);
	fd = varlink_connect(f->lan.control, PATIENCE);
	switch (fd) {
	case -ENOENT: f->lan.state = LAN_DOWN; break;
	case -ECONNREFUSED: f->lan.state = LAN_DEAD; break;
	case -EAGAIN:
	case -ETIMEDOUT: f->lan.state = LAN_SILENT; break;
	default:
		if (fd >= 0)
			talk(f, fd);
		else
			facts_gap(f, "the LAN's guests", "%s: %s", f->lan.control, strerror(-fd));
	}
	gather_lan_guest(f);
}
