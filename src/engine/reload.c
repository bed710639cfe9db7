// SPDX-License-Identifier: MIT
#include "engine/reload.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void _printf_(2, 3) say(const struct reload_report *report, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	report->say(report->owner, text);
}

/* --- forwards --- */

static bool same_forward(const struct forward_rule *a, const struct forward_rule *b)
{
	char a_listen[FORWARD_TEXT_SIZE], a_to[FORWARD_TEXT_SIZE], b_listen[FORWARD_TEXT_SIZE], b_to[FORWARD_TEXT_SIZE];

	forward_format(a, a_listen, a_to);
	forward_format(b, b_listen, b_to);
	return !strcmp(a_listen, b_listen) && !strcmp(a_to, b_to);
}

static bool has_forward(const struct lan_config *c, const struct forward_rule *rule)
{
	for (size_t i = 0; c && i < c->forward_count; i++)
		if (same_forward(&c->forwards[i], rule))
			return true;
	return false;
}

struct forward_search { const struct forward_rule *rule; bool found; };

static void match_forward(void *owner, const struct forward_rule *rule, _unused_ uint64_t clients)
{
	struct forward_search *search = owner;

	search->found |= same_forward(rule, search->rule);
}

/* A verb may have added or removed it already. */
static bool runs_forward(struct forwards *f, const struct forward_rule *rule)
{
	struct forward_search search = { .rule = rule };

	forwards_each(f, match_forward, &search);
	return search.found;
}

static size_t reload_forwards(const struct reload_parts *p, const struct lan_config *from, const struct lan_config *to,
			      const struct reload_report *report)
{
	char listen[FORWARD_TEXT_SIZE], target[FORWARD_TEXT_SIZE], error[512];
	size_t failed = 0;

	for (size_t i = 0; from && i < from->forward_count; i++) {
		if (has_forward(to, &from->forwards[i]) || !runs_forward(p->forwards, &from->forwards[i]))
			continue;
		forward_format(&from->forwards[i], listen, target);
		forwards_remove(p->forwards, &from->forwards[i]);
		say(report, "forward %s to %s removed", listen, target);
	}
	for (size_t i = 0; i < to->forward_count; i++) {
		if (runs_forward(p->forwards, &to->forwards[i]))
			continue;
		forward_format(&to->forwards[i], listen, target);
		if (forwards_add(p->forwards, &to->forwards[i], error) < 0) {
			say(report, "forward %s to %s NOT added: %s", listen, target, error);
			failed++;
		} else {
			say(report, "forward %s to %s added", listen, target);
		}
	}
	return failed;
}

/* --- guests --- */

static const struct guest_config *guest_of(const struct lan_config *c, const char *name)
{
	for (size_t i = 0; c && i < c->guest_count; i++)
		if (!strcasecmp(c->guests[i].name, name))
			return &c->guests[i];
	return NULL;
}

static bool add_guest(const struct reload_parts *p, const struct guest_config *g, const char *what, const struct reload_report *report,
	usec_t now)
{
	struct registration want = { .mac = g->mac };
	char error[REGISTRY_ERROR], ip4[ADDR_TEXT_SIZE];
	struct guest *guest;

	snprintf(want.name, sizeof(want.name), "%s", g->name);
	if (registry_add(p->registry, &want, &guest, error, now) < 0) {
		say(report, "guest %s NOT %s: %s", g->name, what, error);
		return false;
	}
	if (guests_set_fixed4(p->guests, guest, g->ip4) < 0) {
		say(report, "guest %s %s, but NOT its address %s: it is promised to another guest", g->name, what, addr_format(g->ip4,
			ip4));
		return false;
	}
	say(report, "guest %s %s", g->name, what);
	return true;
}

static size_t reload_guests(const struct reload_parts *p, const struct lan_config *from, const struct lan_config *to,
			    const struct reload_report *report, usec_t now)
{
	size_t failed = 0;

	/* All that go first, so that their names, MACs and addresses are free. */
	for (size_t i = 0; from && i < from->guest_count; i++) {
		const struct guest_config *old = &from->guests[i], *new = guest_of(to, old->name);

		if (new && mac_equal(old->mac, new->mac))
			continue;
		if (registry_remove(p->registry, old->name) == 0 && !new)
			say(report, "guest %s is no longer registered", old->name);
	}
	for (size_t i = 0; i < to->guest_count; i++) {
		const struct guest_config *new = &to->guests[i], *old = guest_of(from, new->name);

		if (!old || !mac_equal(old->mac, new->mac) || !addr_equal(old->ip4, new->ip4))
			failed += !add_guest(p, new, old ? "changed" : "registered", report, now);
	}
	return failed;
}

/* --- the LAN itself --- */

static void reload_plan(struct lan_plan *plan, const struct lan_config *from, const struct lan_config *to,
	const struct reload_report *report)
{
	const struct { const char *key; bool differs; } fixed[] = {
		{ "Fabric", from->fabric != to->fabric },
		{ "Domain", strcmp(from->domain, to->domain) },
		{ "IPv4", from->has_net4 != to->has_net4 || from->no_ip4 != to->no_ip4 || !addr_equal(from->net4, to->net4) ||
			from->bits4 != to->bits4 },
		{ "IPv6", from->has_net6 != to->has_net6 || from->no_ip6 != to->no_ip6 || !addr_equal(from->net6, to->net6) },
		{ "MTU", from->mtu != to->mtu },
		{ "Flows", from->flow_max != to->flow_max },
	};

	if (from->host_access != to->host_access) {
		plan->host_access = to->host_access;
		say(report, "HostAccess is %s now; connections that are open stay", host_access_name(to->host_access));
	}
	if (from->lease_seconds != to->lease_seconds) {
		plan->lease_seconds = to->lease_seconds;
		say(report, "leases last %u seconds from now on", (unsigned int)to->lease_seconds);
	}
	if (from->keepalive_seconds != to->keepalive_seconds) {
		plan->keepalive_seconds = to->keepalive_seconds;
		say(report, "connections are probed when quiet for %u seconds, each from its next packet on",
			(unsigned int)to->keepalive_seconds);
	}
	if (from->poll != to->poll)
		say(report, "Poll is as the file says from now on");
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (fixed[i].differs)
			say(report, "%s cannot change while the LAN is up: hospes restart %s applies it", fixed[i].key, to->name);
}

size_t reload_apply(const struct reload_parts *parts, const struct lan_config *from, const struct lan_config *to,
	const struct reload_report *report,
		    usec_t now)
{
	size_t failed = reload_guests(parts, from, to, report, now);

	if (from)
		reload_plan(parts->plan, from, to, report);
	return failed + reload_forwards(parts, from, to, report);
}
