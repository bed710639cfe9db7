// SPDX-License-Identifier: MIT
#include <errno.h>
#include <net/if_arp.h>
#include <stdio.h>

#include "bridge/array.h"
#include "bridge/snapshot_private.h"
#include "bridge/values.h"

static void put_text(json_t *j, const char *key, const char *text)
{
	if (*text)
		json_object_set_new(j, key, json_string(text));
}

static void put_flag(json_t *j, const char *key, bool flag)
{
	if (flag)
		json_object_set_new(j, key, json_true());
}

static void put_mac(json_t *j, const char *key, struct mac m)
{
	char text[MAC_TEXT_SIZE];

	if (!mac_is_zero(m))
		json_object_set_new(j, key, json_string(mac_format(m, text)));
}

static void put_dev(json_t *j, const char *key, const struct snapshot *s, unsigned int index)
{
	const struct link *l = index ? snapshot_link(s, index) : NULL;

	if (l)
		json_object_set_new(j, key, json_string(l->name));
}

static json_t *link_to_json(const struct snapshot *s, const struct link *l)
{
	json_t *j = json_pack("{si ss si si sb sb}", "index", (int)l->index, "name", l->name, "type", l->type, "mtu", (int)l->mtu, "up",
			      l->up,
			      "lower_up", l->lower_up);

	put_text(j, "kind", l->kind);
	put_mac(j, "mac", l->mac);
	put_mac(j, "permanent_mac", l->permanent_mac);
	put_dev(j, "master", s, l->master);
	put_dev(j, "lower", s, l->lower);
	put_flag(j, "promisc", l->promisc);
	put_flag(j, "wireless", l->wireless);
	put_flag(j, "foreign_namespace", l->foreign_namespace);
	put_text(j, "alias", l->alias);
	if (l->vlan_id)
		json_object_set_new(j, "vlan", json_integer(l->vlan_id));
	if (!strcmp(l->kind, "tun"))
		json_object_set_new(j, "tap", json_pack("{sb sb sI sI ss}", "tap", l->tap.tap, "persist", l->tap.persist, "owner",
							(json_int_t)l->tap.owner, "group", (json_int_t)l->tap.group, "user",
							l->tap.owner_name));
	if (!strcmp(l->kind, "bridge"))
		json_object_set_new(j, "bridge", json_pack("{sb sb sb si si si}", "stp", l->bridge.stp, "nf_call_ip", l->bridge.nf_call_ip,
							   "nf_call_ip6", l->bridge.nf_call_ip6, "forward_delay",
							   (int)l->bridge.forward_delay, "hello", (int)l->bridge.hello, "max_age",
							   (int)l->bridge.max_age));
	if (l->port.state || l->port.isolated)
		json_object_set_new(j, "port", json_pack("{si sb}", "state", l->port.state, "isolated", l->port.isolated));
	return j;
}

json_t *snapshot_to_json(const struct snapshot *s)
{
	json_t *j = json_object(), *links = json_array(), *addresses = json_array(), *routes = json_array(), *rules = json_array();
	json_t *sysctls = json_object(), *tables = json_array();

	for (size_t i = 0; i < s->link_count; i++)
		json_array_append_new(links, link_to_json(s, &s->links[i]));
	for (size_t i = 0; i < s->address_count; i++) {
		json_array_append_new(addresses, link_address_to_json(&s->addresses[i]));
		put_dev(json_array_get(addresses, i), "dev", s, s->addresses[i].index);
	}
	for (size_t i = 0; i < s->route_count; i++) {
		json_array_append_new(routes, link_route_to_json(&s->routes[i]));
		put_dev(json_array_get(routes, i), "dev", s, s->routes[i].index);
	}
	for (size_t i = 0; i < s->rule_count; i++)
		json_array_append_new(rules, route_rule_to_json(&s->rules[i]));
	for (size_t i = 0; i < s->sysctl_count; i++)
		json_object_set_new(sysctls, s->sysctls[i].key, json_string(s->sysctls[i].value));
	for (size_t i = 0; i < s->table_count; i++) {
		json_array_append_new(tables, json_pack("{ss ss}", "family", s->tables[i].family, "name", s->tables[i].name));
		put_text(json_array_get(tables, i), "comment", s->tables[i].comment);
	}
	put_text(j, "machine_id", s->machine_id);
	json_object_set_new(j, "links", links);
	json_object_set_new(j, "addresses", addresses);
	json_object_set_new(j, "routes", routes);
	json_object_set_new(j, "rules", rules);
	json_object_set_new(j, "sysctls", sysctls);
	json_object_set_new(j, "tables", tables);
	return j;
}

/* Absent or too long is "". */
static void get_text(char *into, size_t size, const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	snprintf(into, size, "%s", text && strlen(text) < size ? text : "");
}

static bool get_flag(const json_t *j, const char *key, bool usual)
{
	const json_t *v = json_object_get(j, key);

	return v ? json_is_true(v) : usual;
}

static uint32_t get_number(const json_t *j, const char *key, uint32_t usual)
{
	const json_t *v = json_object_get(j, key);

	return json_is_integer(v) ? (uint32_t)json_integer_value(v) : usual;
}

static bool get_mac(struct mac *m, const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return !text || mac_parse(text, m);
}

static bool link_from_json(struct link *l, const json_t *j, unsigned int index)
{
	const json_t *tap = json_object_get(j, "tap"), *bridge = json_object_get(j, "bridge"), *port = json_object_get(j, "port");

	get_text(l->name, sizeof(l->name), j, "name");
	get_text(l->kind, sizeof(l->kind), j, "kind");
	get_text(l->alias, sizeof(l->alias), j, "alias");
	l->ours = !strncmp(l->alias, OURS_ALIAS, strlen(OURS_ALIAS));
	l->index = get_number(j, "index", index);
	l->type = (uint16_t)get_number(j, "type", strcmp(l->name, "lo") ? ARPHRD_ETHER : ARPHRD_LOOPBACK);
	l->mtu = get_number(j, "mtu", l->type == ARPHRD_LOOPBACK ? 65536 : 1500);
	l->up = get_flag(j, "up", true);
	l->lower_up = get_flag(j, "lower_up", l->up);
	l->promisc = get_flag(j, "promisc", false);
	l->wireless = get_flag(j, "wireless", false);
	l->foreign_namespace = get_flag(j, "foreign_namespace", false);
	l->vlan_id = (uint16_t)get_number(j, "vlan", 0);
	l->tap.tap = get_flag(tap, "tap", tap);
	l->tap.persist = get_flag(tap, "persist", tap);
	l->tap.owner = get_number(tap, "owner", UINT32_MAX);
	l->tap.group = get_number(tap, "group", UINT32_MAX);
	get_text(l->tap.owner_name, sizeof(l->tap.owner_name), tap, "user");
	l->bridge.stp = get_flag(bridge, "stp", false);
	l->bridge.nf_call_ip = get_flag(bridge, "nf_call_ip", false);
	l->bridge.nf_call_ip6 = get_flag(bridge, "nf_call_ip6", false);
	l->bridge.forward_delay = get_number(bridge, "forward_delay", 1500);
	l->bridge.hello = get_number(bridge, "hello", 200);
	l->bridge.max_age = get_number(bridge, "max_age", 2000);
	l->port.state = (uint8_t)get_number(port, "state", 0);
	l->port.isolated = get_flag(port, "isolated", false);
	return l->name[0] && get_mac(&l->mac, j, "mac") && get_mac(&l->permanent_mac, j, "permanent_mac");
}

static unsigned int index_of(const void *owner, const char *name)
{
	const struct link *l = snapshot_link_named(owner, name);

	return l ? l->index : 0;
}

/* A link named under @key; absent is right. */
static bool get_dev(const struct snapshot *s, const json_t *j, const char *key, unsigned int *index)
{
	const char *name = json_string_value(json_object_get(j, key));

	*index = name ? index_of(s, name) : 0;
	return !name || *index;
}

static int links_from_json(struct snapshot *s, const json_t *list)
{
	const json_t *i;
	size_t n;

	json_array_foreach(list, n, i) {
		struct link *next = SNAPSHOT_NEXT(s, links, link_count);

		if (!next)
			return -ENOMEM;
		if (!link_from_json(next, i, (unsigned int)n + 1))
			return -EINVAL;
		s->link_count++;
	}
	json_array_foreach(list, n, i)
		if (!get_dev(s, i, "master", &s->links[n].master) || !get_dev(s, i, "lower", &s->links[n].lower))
			return -EINVAL;
	return 0;
}

static int address_from_json(struct snapshot *s, const json_t *j)
{
	struct link_address *a = SNAPSHOT_NEXT(s, addresses, address_count);

	if (!a)
		return -ENOMEM;
	if (!link_address_from_json(a, j) || !get_dev(s, j, "dev", &a->index))
		return -EINVAL;
	s->address_count++;
	return 0;
}

static int route_from_json(struct snapshot *s, const json_t *j)
{
	struct link_names names = { .index = index_of, .owner = s };
	struct link_route *r = SNAPSHOT_NEXT(s, routes, route_count);
	int error = r ? link_route_from_json(r, j, &names) : -ENOMEM;

	if (!error)
		s->route_count++;
	return error;
}

static int rule_from_json(struct snapshot *s, const json_t *j)
{
	struct route_rule *r = SNAPSHOT_NEXT(s, rules, rule_count);
	int error = r ? route_rule_from_json(r, j) : -ENOMEM;

	if (!error)
		s->rule_count++;
	return error;
}

static int table_from_json(struct snapshot *s, const json_t *j)
{
	struct nft_table *t = SNAPSHOT_NEXT(s, tables, table_count);

	if (!t)
		return -ENOMEM;
	get_text(t->family, sizeof(t->family), j, "family");
	get_text(t->name, sizeof(t->name), j, "name");
	get_text(t->comment, sizeof(t->comment), j, "comment");
	s->table_count++;
	return t->family[0] && t->name[0] ? 0 : -EINVAL;
}

static int sysctls_from_json(struct snapshot *s, const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) {
		struct sysctl *next = SNAPSHOT_NEXT(s, sysctls, sysctl_count);

		if (!next)
			return -ENOMEM;
		if (strlen(key) >= sizeof(next->key) || !json_is_string(value) || json_string_length(value) >= sizeof(next->value))
			return -EINVAL;
		strcpy(next->key, key);
		strcpy(next->value, json_string_value(value));
		s->sysctl_count++;
	}
	return 0;
}

int snapshot_from_json(struct snapshot **out, const json_t *json, char *error, size_t error_size)
{
	static const struct { const char *key; int (*take)(struct snapshot *s, const json_t *j); } lists[] = {
		{ "addresses", address_from_json }, { "routes", route_from_json }, { "rules", rule_from_json },
		{ "tables", table_from_json },
	};
	_cleanup_(snapshot_freep) struct snapshot *s = calloc(1, sizeof(*s));
	const char *where = "links";
	int r = s ? links_from_json(s, json_object_get(json, where)) : -ENOMEM;
	const json_t *i;
	size_t n = 0;

	for (size_t k = 0; !r && k < ARRAY_SIZE(lists); k++) {
		where = lists[k].key;
		json_array_foreach(json_object_get(json, where), n, i) {
			r = lists[k].take(s, i);
			if (r)
				break;
		}
	}
	if (!r)
		r = sysctls_from_json(s, json_object_get(json, where = "sysctls"));
	if (r) {
		snprintf(error, error_size, "%s, entry %zu: %s", where, n, r == -ENOMEM ? "out of memory" : "not as expected");
		return r;
	}
	get_text(s->machine_id, sizeof(s->machine_id), json, "machine_id");
	*out = steal(&s);
	return 0;
}
