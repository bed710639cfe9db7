// SPDX-License-Identifier: MIT
/* A configuration file: refused with file and line, or a model that a plan can be made of. */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>

#include "lan/config.h"

#define LABEL "x.lan:"

static void check_plan(const struct lan_config *c)
{
	struct lan_plan p;
	char error[512] = "";
	int r = lan_plan_make(&p, c, "machine", NULL, 0, error, sizeof(error));

	if (r) {
		MUST(r == -EINVAL && error[0] && c->guest_count);
		return;
	}
	MUST(p.ip4 != c->no_ip4 && p.ip6 != c->no_ip6 && (p.ip4 || p.ip6));
	if (p.ip4)
		MUST(lan_plan_in_pool4(&p, p.pool4_first) && lan_plan_in_pool4(&p, p.pool4_last) && lan_plan_is_local(&p, p.gateway4) &&
		     lan_plan_is_local(&p, p.dns4) && !mac_is_group(p.mac));
}

static void check_model(const struct lan_config *c)
{
	char listen[FORWARD_TEXT_SIZE], to[FORWARD_TEXT_SIZE], error[512];

	MUST(c->mtu >= 1280 && c->lease_seconds >= 120 && c->flow_max >= 16 && c->flow_max <= 65536 && c->domain[0]);
	for (size_t i = 0; i < c->guest_count; i++)
		MUST(guest_name_valid(c->guests[i].name) && !mac_is_group(c->guests[i].mac) && c->guests[i].line);
	for (size_t i = 0; i < c->forward_count; i++) {
		struct forward_rule again;

		forward_format(&c->forwards[i], listen, to);
		MUST(!forward_parse(&again, listen, to, error, sizeof(error)) && !memcmp(&again, &c->forwards[i], sizeof(again)));
	}
}

static void check_bridge(const struct bridge_config *b)
{
	MUST(link_name_valid(b->bridge) && strcmp(b->bridge, b->uplink) && (!b->uplink[0] || link_name_possible(b->uplink)));
	MUST(!(b->uplink[0] && (b->nat || b->isolated)) && !(b->nat && b->isolated));
	MUST(b->ip4 != BRIDGE_IP_STATIC || (addr_is4(b->addr4) && b->bits4 && b->bits4 <= 32));
	MUST(b->ip6 != BRIDGE_IP_STATIC || (!addr_is4(b->addr6) && b->bits6 && b->bits6 <= 128));
	for (size_t i = 0; i < b->tap_count; i++)
		MUST(link_name_valid(b->taps[i].name) && b->taps[i].owner[0] && strcmp(b->taps[i].name, b->bridge));
	for (size_t i = 0; i < b->allow_count; i++)
		MUST(b->allow[i].name[0] && !strchr(b->allow[i].name, ' '));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(lan_config_freep) struct lan_config *c = NULL;
	FILE *f = size ? fmemopen((void *)data, size, "r") : NULL;
	char error[512] = "";
	int r;

	if (!f)
		return 0;
	r = lan_config_parse(&c, "default", f, "x.lan", error, sizeof(error));
	fclose(f);
	MUST(!r == !!c);
	if (r) {
		MUST(r == -EINVAL && !strncmp(error, LABEL, strlen(LABEL)) && error[strlen(LABEL)] >= '1' && error[strlen(LABEL)] <= '9');
		return 0;
	}
	check_model(c);
	if (c->fabric == FABRIC_BRIDGE)
		check_bridge(&c->bridge);
	else
		check_plan(c);
	return 0;
}
