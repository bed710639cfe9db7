// SPDX-License-Identifier: MIT
#include "doctor/firewall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX     16   /* as the kernel: NFT_JUMP_STACK_SIZE */
#define JUMPS_MAX     10000 /* in one walk: chains that jump twice to the next would double it with each */
#define BASE_MAX      64
#define USER_CHAIN    "DOCKER-USER"
#define OUR_TABLE     "hospes"

enum answer { NO, YES, UNKNOWN };
enum verdict { VERDICT_NEXT, VERDICT_ACCEPT, VERDICT_DROP, VERDICT_RETURN };

struct walk {
	const json_t *objects;
	const struct firewall_packet *packet;
	const char *family, *table;
	struct firewall_verdict *out;
	int depth, jumps;
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* --- matches --- */

/* "br*" matches what begins so. */
static bool same_name(const char *pattern, const char *name)
{
	size_t size = strlen(pattern);

	if (size && pattern[size - 1] == '*')
		return !strncmp(pattern, name, size - 1);
	return !strcmp(pattern, name);
}

static enum answer is_address(const json_t *right, addr_t a)
{
	const json_t *prefix = json_object_get(right, "prefix");
	addr_t net;

	if (addr_is_any(a))
		return UNKNOWN;
	if (prefix)
		return addr_parse(text_of(prefix, "addr"), &net) &&
			addr_in_prefix(a, net, (unsigned int)json_integer_value(json_object_get(prefix, "len"))) ? YES : NO;
	if (!json_is_string(right) || !addr_parse(json_string_value(right), &net))
		return UNKNOWN;
	return addr_equal(a, net) ? YES : NO;
}

/* One value: exactly one of @name and @address is asked about. */
static enum answer is_value(const json_t *right, const char *name, const addr_t *address)
{
	const json_t *set = json_is_array(right) ? right : json_object_get(right, "set"), *one;
	enum answer found = NO;
	size_t i;

	if (json_is_array(set)) {
		json_array_foreach(set, i, one) {
			enum answer a = is_value(one, name, address);

			if (a == YES)
				return YES;
			if (a == UNKNOWN)
				found = UNKNOWN;
		}
		return found;
	}
	if (address)
		return is_address(right, *address);
	if (!json_is_string(right) || *json_string_value(right) == '@')
		return UNKNOWN;
	return same_name(json_string_value(right), name) ? YES : NO;
}

/* What the packet has where a rule looks. Return: false if that is not known. */
static bool look_up(const struct firewall_packet *p, const json_t *left, const char **name, const addr_t **address)
{
	const char *meta = text_of(json_object_get(left, "meta"), "key");
	const json_t *payload = json_object_get(left, "payload");
	const char *protocol = text_of(payload, "protocol"), *field = text_of(payload, "field");

	*name = NULL;
	*address = NULL;
	if (!strcmp(meta, "iifname") || !strcmp(meta, "iif"))
		*name = p->in;
	else if (!strcmp(meta, "oifname") || !strcmp(meta, "oif"))
		*name = p->out;
	else if (!strcmp(meta, "ibrname") || !strcmp(meta, "obrname"))
		*name = p->bridge;
	else if (!strcmp(meta, "nfproto"))
		*name = !strcmp(p->family, "ip6") ? "ipv6" : "ipv4";
	else if (!strcmp(text_of(json_object_get(left, "ct"), "key"), "state"))
		*name = p->state;
	else if (!strcmp(protocol, "ip") || !strcmp(protocol, "ip6"))
		*address = !strcmp(field, "saddr") ? &p->from : !strcmp(field, "daddr") ? &p->to : NULL;
	return *name || *address;
}

static enum answer is_met(const struct firewall_packet *p, const json_t *match)
{
	const char *name, *op = text_of(match, "op");
	const addr_t *address;
	enum answer a;

	if (!look_up(p, json_object_get(match, "left"), &name, &address))
		return UNKNOWN;
	a = is_value(json_object_get(match, "right"), name, address);
	if (a == UNKNOWN || !strcmp(op, "==") || !strcmp(op, "in"))
		return a;
	if (!strcmp(op, "!="))
		return a == YES ? NO : YES;
	return UNKNOWN;
}

/* --- chains --- */

static enum verdict walk_chain(struct walk *w, const char *chain);

static enum verdict drop_at(struct walk *w, const char *chain, int handle)
{
	snprintf(w->out->chain, sizeof(w->out->chain), "%s", chain);
	w->out->handle = handle;
	return VERDICT_DROP;
}

/* The end of a rule all of whose matches are met. A goto does not come back: what is behind it is left out as by a return. */
static enum verdict take(struct walk *w, const json_t *statement, const char *chain, int handle)
{
	const json_t *jump = json_object_get(statement, "jump"), *go = json_object_get(statement, "goto");
	const char *target = text_of(json_object_get(statement, "xt"), "name");
	enum verdict v;

	if (json_object_get(statement, "accept") || !strcmp(target, "ACCEPT"))
		return VERDICT_ACCEPT;
	if (json_object_get(statement, "drop") || json_object_get(statement, "reject") || !strcmp(target, "REJECT") ||
	    !strcmp(target, "DROP"))
		return drop_at(w, chain, handle);
	if (json_object_get(statement, "return") || !strcmp(target, "RETURN"))
		return VERDICT_RETURN;
	if (!jump && !go)
		return VERDICT_NEXT;
	v = walk_chain(w, text_of(jump ? jump : go, "target"));
	return v == VERDICT_NEXT && go ? VERDICT_RETURN : v;
}

/* A verdict map: the entry that the packet's value picks. */
static const json_t *pick(const struct walk *w, const json_t *vmap)
{
	const json_t *entries = json_object_get(json_object_get(vmap, "data"), "set"), *entry;
	const addr_t *address;
	const char *name;
	size_t i;

	if (!look_up(w->packet, json_object_get(vmap, "key"), &name, &address))
		return NULL;
	json_array_foreach(entries, i, entry)
		if (is_value(json_array_get(entry, 0), name, address) == YES)
			return json_array_get(entry, 1);
	return NULL;
}

static bool is_unknown_match(const json_t *statement)
{
	return !strcmp(text_of(json_object_get(statement, "xt"), "type"), "match") || json_object_get(statement, "limit");
}

static enum verdict walk_rule(struct walk *w, const json_t *rule, const char *chain)
{
	int handle = (int)json_integer_value(json_object_get(rule, "handle"));
	const json_t *statement;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, statement) {
		const json_t *match = json_object_get(statement, "match"), *vmap = json_object_get(statement, "vmap");
		enum verdict v = VERDICT_NEXT;

		if (is_unknown_match(statement) || (match && is_met(w->packet, match) != YES))
			return VERDICT_NEXT;
		if (!match)
			v = take(w, vmap ? pick(w, vmap) : statement, chain, handle);
		if (v != VERDICT_NEXT)
			return v;
	}
	return VERDICT_NEXT;
}

static bool is_in(const struct walk *w, const json_t *what)
{
	return !strcmp(text_of(what, "family"), w->family) && !strcmp(text_of(what, "table"), w->table);
}

/* Return: VERDICT_NEXT at its end. */
static enum verdict walk_chain(struct walk *w, const char *chain)
{
	enum verdict v = VERDICT_NEXT;
	const json_t *object;
	size_t i;

	if (++w->depth > DEPTH_MAX || w->jumps++ > JUMPS_MAX) {
		w->depth--;
		return VERDICT_NEXT;
	}
	if (!strcmp(chain, USER_CHAIN))
		snprintf(w->out->through, sizeof(w->out->through), "%s", chain);
	json_array_foreach(w->objects, i, object) {
		const json_t *rule = json_object_get(object, "rule");

		if (!rule || !is_in(w, rule) || strcmp(text_of(rule, "chain"), chain))
			continue;
		v = walk_rule(w, rule, chain);
		if (v != VERDICT_NEXT)
			break;
	}
	w->depth--;
	/* A return leads back to whoever jumped here. */
	return v == VERDICT_RETURN && w->depth ? VERDICT_NEXT : v;
}

static bool judge_base(struct walk *w, const json_t *base)
{
	const char *name = text_of(base, "name");
	enum verdict v;

	*w->out->through = 0;
	v = walk_chain(w, name);
	if (v == VERDICT_NEXT || v == VERDICT_RETURN)
		v = strcmp(text_of(base, "policy"), "drop") ? VERDICT_ACCEPT : drop_at(w, name, 0);
	if (v != VERDICT_DROP)
		return false;
	w->out->dropped = true;
	snprintf(w->out->family, sizeof(w->out->family), "%s", w->family);
	snprintf(w->out->table, sizeof(w->out->table), "%s", w->table);
	snprintf(w->out->base, sizeof(w->out->base), "%s", name);
	return true;
}

static bool applies(const json_t *chain, const char *family, const char *hook)
{
	const char *own = text_of(chain, "family");
	bool ip = strcmp(family, "bridge");

	return !strcmp(text_of(chain, "hook"), hook) && strncmp(text_of(chain, "table"), OUR_TABLE, strlen(OUR_TABLE)) &&
		(!strcmp(own, family) || (ip && !strcmp(own, "inet")));
}

static int compare_priority(const void *a, const void *b)
{
	json_int_t one = json_integer_value(json_object_get(*(const json_t *const *)a, "prio"));
	json_int_t other = json_integer_value(json_object_get(*(const json_t *const *)b, "prio"));

	return (one > other) - (one < other);
}

void firewall_judge(const json_t *ruleset, const struct firewall_packet *packet, struct firewall_verdict *out)
{
	struct walk w = { .objects = json_object_get(ruleset, "nftables"), .packet = packet, .out = out };
	const json_t *bases[BASE_MAX], *object;
	size_t count = 0, i;

	*out = (struct firewall_verdict){ 0 };
	json_array_foreach(w.objects, i, object) {
		const json_t *chain = json_object_get(object, "chain");

		if (chain && count < BASE_MAX && applies(chain, packet->family, "forward"))
			bases[count++] = chain;
	}
	qsort(bases, count, sizeof(*bases), compare_priority);
	for (i = 0; i < count; i++) {
		w.family = text_of(bases[i], "family");
		w.table = text_of(bases[i], "table");
		if (judge_base(&w, bases[i]))
			return;
	}
}

bool firewall_has_hook(const json_t *ruleset, const char *hook)
{
	const json_t *object;
	const char *own;
	size_t i;

	json_array_foreach(json_object_get(ruleset, "nftables"), i, object) {
		const json_t *chain = json_object_get(object, "chain");

		if (!chain || !json_object_get(chain, "hook"))
			continue;
		own = hook ? hook : text_of(chain, "hook");
		if (applies(chain, "ip", own) || applies(chain, "ip6", own))
			return true;
	}
	return false;
}

bool firewall_has_masquerade(const json_t *ruleset)
{
	const json_t *object, *statement;
	size_t i, k;

	json_array_foreach(json_object_get(ruleset, "nftables"), i, object)
		json_array_foreach(json_object_get(json_object_get(object, "rule"), "expr"), k, statement)
			if (json_object_get(statement, "masquerade") ||
			    !strcmp(text_of(json_object_get(statement, "xt"), "name"), "MASQUERADE"))
				return true;
	return false;
}
