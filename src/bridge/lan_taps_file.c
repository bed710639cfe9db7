// SPDX-License-Identifier: MIT
/*
 * The file `taps` of a LAN's runtime folder: which taps were handed to whom, for the next service. One object a line:
 *
 *	{"tap": "hospes-1", "index": 7, "device": "d6:...", "mac": "52:54:00:...", "name": "web", "uid": 1000, "pid": 4711}
 *
 * It is written before a tap comes up, and it is only a claim: what it says is compared with the kernel's state.
 */
#include "bridge/lan_taps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "lan/paths.h"

#define LINE_SIZE 1024

static json_t *tap_json(const struct lan_up *l, const struct lan_tap *t)
{
	const struct guest *guest = guests_find(l->guests, t->mac);
	char mac[MAC_TEXT_SIZE], device[MAC_TEXT_SIZE];

	return json_pack("{ss si ss ss ss sI si sb}", "tap", t->link.name, "index", (int)t->link.index, "device", mac_format(t->link.mac, device),
			"mac", mac_format(t->mac, mac),
			 "name", guest ? guest->name : "", "uid", (json_int_t)t->uid, "pid", (int)t->pid, "registered", t->registered);
}

static bool write_taps(const struct lan_up *l, FILE *out)
{
	list_for_each(n, &((struct lan_up *)l)->taps) {
		const struct lan_tap *t = list_entry(n, struct lan_tap, node);
		json_auto_t *line = t->persistent ? NULL : tap_json(l, t);

		if (t->persistent)
			continue;
		if (!line || json_dumpf(line, out, JSON_COMPACT) < 0 || fputc('\n', out) == EOF)
			return false;
	}
	return fflush(out) == 0;
}

int lan_taps_save(const struct lan_up *l)
{
	_cleanup_(freep) char *path = paths_join(l->p.runtime, "taps"), *fresh = paths_join(l->p.runtime, "taps.new");
	int fd = path && fresh ? open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	bool good;

	if (!out) {
		fd_close(fd);
		return path && fresh ? -EIO : -ENOMEM;
	}
	good = write_taps(l, out);
	if (fclose(out) || !good || rename(fresh, path) < 0) {
		log_error("cannot write %s: %s", path, strerror(errno));
		return -EIO;
	}
	return 0;
}

/* --- and back --- */

static bool is_as_made(const struct lan_up *l, const struct taplink *now, const json_t *line)
{
	struct mac device;

	return now->tap && !now->persistent && now->index == (unsigned int)json_integer_value(json_object_get(line, "index")) &&
			now->master == l->bridge &&
	       mac_parse(json_string_value(json_object_get(line, "device")), &device) && mac_equal(device, now->mac);
}

static void load_tap(struct lan_up *l, const json_t *line)
{
	const char *name = json_string_value(json_object_get(line, "name"));
	struct lan_tap like = {
		.uid = (uint32_t)json_integer_value(json_object_get(line, "uid")), .pid = (int32_t)json_integer_value(json_object_get(line, "pid")),
		.registered = json_is_true(json_object_get(line, "registered")), .counted = true,
	};
	struct registration want = { .pid = like.pid };
	char error[REGISTRY_ERROR];
	struct guest *guest;
	struct lan_tap *t;

	if (!name || strlen(name) >= sizeof(want.name) || !mac_parse(json_string_value(json_object_get(line, "mac")), &like.mac) ||
	    taplink_get(l->p.route, json_string_value(json_object_get(line, "tap")), &like.link) < 0 || !is_as_made(l, &like.link, line))
		return;
	want.mac = like.mac;
	strcpy(want.name, name);
	if (registry_add(l->registry, &want, &guest, error, loop_now(l->p.loop)) < 0) {
		log_warning("LAN %s: tap %s is not taken over: %s", l->plan.name, like.link.name, error);
		return;
	}
	t = lan_tap_add(l, &like);
	if (t)
		guest->port_id = t->id;
}

static void load_file(struct lan_up *l, FILE *in)
{
	char text[LINE_SIZE];

	while (fgets(text, sizeof(text), in)) {
		json_auto_t *line = json_loads(text, 0, NULL);

		if (json_is_string(json_object_get(line, "tap")) && json_is_string(json_object_get(line, "mac")) && json_is_string(json_object_get(line,
				"device")))
			load_tap(l, line);
	}
}

static void adopt_persistent(struct lan_up *l, const struct snapshot *now)
{
	for (size_t i = 0; i < now->link_count; i++) {
		const struct link *k = &now->links[i];

		if (k->master == l->bridge && k->ours && !strcmp(k->kind, "tun") && k->tap.persist)
			lan_taps_adopt(l, k);
	}
}

/* One that was made, and whose owner the service died before it knew: its descriptor was never handed over, or the file is lost. */
static void delete_strays(struct lan_up *l, const struct snapshot *now)
{
	for (size_t i = 0; i < now->link_count; i++) {
		const struct link *k = &now->links[i];

		if (k->master != l->bridge || !k->ours || strcmp(k->kind, "tun") || k->tap.persist || strncmp(k->name, TAPLINK_PREFIX,
				strlen(TAPLINK_PREFIX)) ||
		    lan_tap_by_index(l, k->index))
			continue;
		log_warning("LAN %s: tap %s is removed: nobody knows whose guest is behind it", l->plan.name, k->name);
		taplink_delete(l->p.route, k->index);
	}
}

void lan_taps_load(struct lan_up *l, const struct snapshot *now)
{
	_cleanup_(freep) char *path = paths_join(l->p.runtime, "taps");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	FILE *in = fd < 0 ? NULL : fdopen(fd, "r");

	if (in) {
		load_file(l, in);
		fclose(in);
	} else {
		fd_close(fd);
	}
	delete_strays(l, now);
	adopt_persistent(l, now);
	lan_taps_save(l);
}
