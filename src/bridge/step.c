// SPDX-License-Identifier: MIT
#include "bridge/step.h"

#include <errno.h>
#include <stdio.h>

#include "bridge/array.h"
#include "bridge/values.h"

/* What a step is called, and which undoes it. A setting undoes itself, with "value" and "old" exchanged. */
static const struct { const char *name; enum step_kind inverse; } kinds[] = {
	[STEP_BRIDGE_ADD] = { "bridge-add", STEP_BRIDGE_DEL },
	[STEP_BRIDGE_DEL] = { "bridge-del", STEP_BRIDGE_ADD },
	[STEP_TAP_ADD] = { "tap-add", STEP_TAP_DEL },
	[STEP_TAP_DEL] = { "tap-del", STEP_TAP_ADD },
	[STEP_ALIAS] = { "alias", STEP_ALIAS },
	[STEP_MAC] = { "mac", STEP_MAC },
	[STEP_MTU] = { "mtu", STEP_MTU },
	[STEP_UP] = { "up", STEP_UP },
	[STEP_MASTER] = { "master", STEP_MASTER },
	[STEP_ISOLATED] = { "isolated", STEP_ISOLATED },
	[STEP_STP] = { "stp", STEP_STP },
	[STEP_FORWARD_DELAY] = { "forward-delay", STEP_FORWARD_DELAY },
	[STEP_HELLO] = { "hello", STEP_HELLO },
	[STEP_MAX_AGE] = { "max-age", STEP_MAX_AGE },
	[STEP_ADDRESS_ADD] = { "address-add", STEP_ADDRESS_DEL },
	[STEP_ADDRESS_DEL] = { "address-del", STEP_ADDRESS_ADD },
	[STEP_ROUTE_ADD] = { "route-add", STEP_ROUTE_DEL },
	[STEP_ROUTE_DEL] = { "route-del", STEP_ROUTE_ADD },
	[STEP_RULE_ADD] = { "rule-add", STEP_RULE_DEL },
	[STEP_RULE_DEL] = { "rule-del", STEP_RULE_ADD },
	[STEP_SYSCTL] = { "sysctl", STEP_SYSCTL },
	[STEP_NFT_ADD] = { "nft-add", STEP_NFT_DEL },
	[STEP_NFT_DEL] = { "nft-del", STEP_NFT_ADD },
};
_Static_assert(ARRAY_SIZE(kinds) == STEP_KINDS, "every kind of step has a name and a way back");

const char *step_name(enum step_kind kind)
{
	return kinds[kind].name;
}

void step_fini(struct step *s)
{
	free(s->text);
	link_route_fini(&s->route);
	route_rule_fini(&s->rule);
	*s = (struct step){ 0 };
}

void steps_fini(struct steps *s)
{
	for (size_t i = 0; i < s->count; i++)
		step_fini(&s->step[i]);
	free(s->step);
	*s = (struct steps){ 0 };
}

int steps_add(struct steps *s, struct step *step)
{
	struct step *bigger = array_grow(s->step, s->count, sizeof(*step));

	if (!bigger) {
		step_fini(step);
		return -ENOMEM;
	}
	s->step = bigger;
	s->step[s->count++] = *step;
	*step = (struct step){ 0 };
	return 0;
}

int step_copy(struct step *out, const struct step *s)
{
	*out = *s;
	out->text = s->text ? strdup(s->text) : NULL;
	out->route.raw = out->rule.raw = NULL;
	if ((s->text && !out->text) || link_route_copy(&out->route, &s->route) || route_rule_copy(&out->rule, &s->rule)) {
		step_fini(out);
		return -ENOMEM;
	}
	return 0;
}

static bool exchanges(enum step_kind kind)
{
	return kinds[kind].inverse == kind;
}

int step_inverse(struct step *out, const struct step *s)
{
	int r = step_copy(out, s);

	if (r)
		return r;
	out->kind = kinds[s->kind].inverse;
	out->undoes = s->number;
	out->number = 0;
	out->state = STEP_PLANNED;
	if (exchanges(s->kind)) {
		memcpy(out->value, s->old, sizeof(out->value));
		memcpy(out->old, s->value, sizeof(out->old));
	}
	return 0;
}

static void put_text(json_t *j, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(j, key, json_string(text));
}

json_t *step_to_json(const struct step *s)
{
	json_t *j = json_pack("{ss}", "kind", kinds[s->kind].name);

	put_text(j, "link", s->link);
	put_text(j, "key", s->key);
	put_text(j, "value", s->value);
	put_text(j, "old", s->old);
	put_text(j, "text", s->text);
	if (s->kind == STEP_ADDRESS_ADD || s->kind == STEP_ADDRESS_DEL)
		json_object_set_new(j, "address", link_address_to_json(&s->address));
	if (s->route.raw)
		json_object_set_new(j, "route", link_route_to_json(&s->route));
	if (s->rule.raw)
		json_object_set_new(j, "rule", route_rule_to_json(&s->rule));
	return j;
}

/* Absent is "". Return: false if it is no text, or too long. */
static bool get_text(char *into, size_t size, const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);

	into[0] = 0;
	if (!v)
		return true;
	if (!json_is_string(v) || json_string_length(v) >= size)
		return false;
	strcpy(into, json_string_value(v));
	return true;
}

static bool get_kind(const json_t *j, enum step_kind *kind)
{
	const char *name = json_string_value(json_object_get(j, "kind"));

	for (size_t i = 0; name && i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(name, kinds[i].name))
			return *kind = (enum step_kind)i, true;
	return false;
}

/* Each kind has what it needs. */
static bool is_whole(const struct step *s)
{
	switch (s->kind) {
	case STEP_BRIDGE_ADD:
	case STEP_BRIDGE_DEL:
	case STEP_TAP_ADD:
	case STEP_TAP_DEL:
	case STEP_ALIAS:
	case STEP_MAC:
	case STEP_MTU:
	case STEP_UP:
	case STEP_MASTER:
	case STEP_ISOLATED:
	case STEP_STP:
	case STEP_FORWARD_DELAY:
	case STEP_HELLO:
	case STEP_MAX_AGE:
		return s->link[0];
	case STEP_ADDRESS_ADD:
	case STEP_ADDRESS_DEL:
		return s->link[0] && !addr_is_any(s->address.local);
	case STEP_ROUTE_ADD:
	case STEP_ROUTE_DEL:
		return s->link[0] && s->route.raw;
	case STEP_RULE_ADD:
	case STEP_RULE_DEL:
		return s->rule.raw;
	case STEP_SYSCTL:
		return !strncmp(s->key, "net/", 4) && !strstr(s->key, "/../");
	case STEP_NFT_ADD:
		return s->text && s->key[0];
	case STEP_NFT_DEL:
		return s->key[0];
	case STEP_KINDS:
		break;
	}
	return false;
}

int step_from_json(struct step *out, const json_t *json)
{
	struct step s = { 0 };
	const json_t *address = json_object_get(json, "address"), *route = json_object_get(json, "route");
	const json_t *rule = json_object_get(json, "rule");
	const char *text = json_string_value(json_object_get(json, "text"));
	bool good = get_kind(json, &s.kind) && get_text(s.link, sizeof(s.link), json, "link") &&
		    get_text(s.key, sizeof(s.key), json, "key") &&
		    get_text(s.value, sizeof(s.value), json, "value") && get_text(s.old, sizeof(s.old), json, "old") &&
		    (!address || link_address_from_json(&s.address, address));
	int r = good ? 0 : -EINVAL;

	if (!r && route)
		r = link_route_from_json(&s.route, route, NULL);
	if (!r && rule)
		r = route_rule_from_json(&s.rule, rule);
	if (!r && text && !(s.text = strdup(text)))
		r = -ENOMEM;
	if (!r && !is_whole(&s))
		r = -EINVAL;
	if (r) {
		step_fini(&s);
		return r;
	}
	*out = s;
	return 0;
}
