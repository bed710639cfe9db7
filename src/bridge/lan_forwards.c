// SPDX-License-Identifier: MIT
#include "bridge/lan_forwards.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "bridge/lan_configure.h"

int lan_forward_check(const struct lan_up *l, const struct forward_rule *rule, char *error, size_t error_size)
{
	const char *why = NULL;

	if (!l->services)
		why = "guests of a LAN with an uplink have addresses that others reach without a forward";
	else if (rule->kind == FORWARD_UNIX)
		why = "a bridge LAN forwards TCP and UDP ports, no unix sockets";
	else if (!rule->listen_default && !addr_is4(rule->listen) && addr_is_loopback(rule->listen))
		why = "the kernel does not hand on what comes to ::1; listen at 127.0.0.1";
	else if ((uint32_t)rule->to + (rule->last - rule->first) > UINT16_MAX)
		why = "the guest's ports end at 65535";
	if (why)
		snprintf(error, error_size, "%s", why);
	return why ? -EINVAL : 0;
}

int lan_forward_add(struct lan_up *l, const struct forward_rule *rule, bool of_file, char *error, size_t error_size)
{
	int r = lan_forward_check(l, rule, error, error_size);

	if (r < 0)
		return r;
	for (size_t i = 0; i < l->forward_count; i++)
		if (forward_overlaps(&l->forwards[i].rule, rule)) {
			snprintf(error, error_size, "there is a forward of that port already; hospes forward ls -l %s shows it", l->plan.name);
			return -EEXIST;
		}
	if (l->forward_count == LAN_UP_FORWARDS) {
		snprintf(error, error_size, "a LAN has %d forwards at the most", LAN_UP_FORWARDS);
		return -ENOSPC;
	}
	l->forwards[l->forward_count].rule = *rule;
	l->forwards[l->forward_count++].of_file = of_file;
	return 0;
}

int lan_forward_remove(struct lan_up *l, const struct forward_rule *rule)
{
	char wanted[FORWARD_TEXT_SIZE], there[FORWARD_TEXT_SIZE], ignored[FORWARD_TEXT_SIZE];

	forward_format(rule, wanted, ignored);
	for (size_t i = 0; i < l->forward_count; i++) {
		forward_format(&l->forwards[i].rule, there, ignored);
		if (strcmp(there, wanted))
			continue;
		l->forwards[i] = l->forwards[--l->forward_count];
		return 0;
	}
	return -ENOENT;
}

static bool same_forward(const struct forward_rule *a, const struct forward_rule *b)
{
	char a_listen[FORWARD_TEXT_SIZE], a_to[FORWARD_TEXT_SIZE], b_listen[FORWARD_TEXT_SIZE], b_to[FORWARD_TEXT_SIZE];

	forward_format(a, a_listen, a_to);
	forward_format(b, b_listen, b_to);
	return !strcmp(a_listen, b_listen) && !strcmp(a_to, b_to);
}

static bool is_configured(const struct lan_config *config, const struct forward_rule *rule)
{
	for (size_t i = 0; i < config->forward_count; i++)
		if (same_forward(&config->forwards[i], rule))
			return true;
	return false;
}

/* Is it there already, by the file as it was or by a verb? The file has it from now on. */
static bool keep_forward(struct lan_up *l, const struct forward_rule *rule)
{
	for (size_t i = 0; i < l->forward_count; i++)
		if (same_forward(&l->forwards[i].rule, rule)) {
			l->forwards[i].of_file = true;
			return true;
		}
	return false;
}

void lan_forwards_configure(struct lan_up *l, const struct lan_config *config, json_t *changes)
{
	char error[512], listen[FORWARD_TEXT_SIZE], to[FORWARD_TEXT_SIZE];

	for (size_t i = l->forward_count; i--;) {
		if (!l->forwards[i].of_file || (is_configured(config, &l->forwards[i].rule) && l->services))
			continue;
		forward_format(&l->forwards[i].rule, listen, to);
		l->forwards[i] = l->forwards[--l->forward_count];
		lan_say(changes, "forward %s to %s removed", listen, to);
	}
	for (size_t i = 0; i < config->forward_count; i++) {
		if (keep_forward(l, &config->forwards[i]))
			continue;
		forward_format(&config->forwards[i], listen, to);
		if (lan_forward_add(l, &config->forwards[i], true, error, sizeof(error)) < 0) {
			log_warning("LAN %s: the forward of %s to %s is left out: %s", config->name, listen, to, error);
			lan_say(changes, "forward %s to %s NOT added: %s", listen, to, error);
		} else {
			lan_say(changes, "forward %s to %s added", listen, to);
		}
	}
}

static bool address_of(const struct lan_up *l, const char *name, int version, addr_t *out)
{
	const struct guest *guest;

	if (addr_parse(name, out))
		return addr_is4(*out) == (version == 4);
	guest = guests_by_name(l->guests, name);
	return guest && guest_address(guest, version, out) && !addr_is_link_local(*out);
}

size_t lan_forwards_rules(const struct lan_up *l, struct rules_forward *into, size_t room)
{
	static const addr_t loopback4 = {{ [10] = 0xff, [11] = 0xff, 127, 0, 0, 1 }};
	size_t count = 0;

	for (size_t i = 0; i < l->forward_count; i++) {
		const struct forward_rule *f = &l->forwards[i].rule;
		addr_t listen = f->listen_default ? loopback4 : f->listen;
		struct rules_forward rule;

		memset(&rule, 0, sizeof(rule));
		rule.listen = addr_is_unspecified(listen) ? ADDR_ANY : listen; /* 0.0.0.0 means all of that version */
		rule.udp = f->kind == FORWARD_UDP;
		rule.first = f->first;
		rule.last = f->last;
		rule.port = f->to;
		for (int version = 4; version <= 6; version += 2) {
			if (!addr_is_any(listen) && addr_is4(listen) != (version == 4))
				continue;
			if (count < room && address_of(l, f->guest, version, &rule.to))
				into[count++] = rule;
		}
	}
	return count;
}
