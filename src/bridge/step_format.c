// SPDX-License-Identifier: MIT
/* Steps as the ip, sysctl and nft commands that say the same. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bridge/step.h"
#include "bridge/values.h"

static void write_address(FILE *f, const struct step *s)
{
	const struct link_address *a = &s->address;
	const char *colon = strchr(a->label, ':');
	char text[ADDR_TEXT_SIZE], word[16];
	bool add = s->kind == STEP_ADDRESS_ADD;

	fprintf(f, "ip address %s %s", add ? "add" : "del", addr_format(a->local, text));
	if (!addr_equal(a->local, a->peer))
		fprintf(f, " peer %s", addr_format(a->peer, text));
	fprintf(f, "/%u dev %s", a->bits, s->link);
	if (!add)
		return;
	if (!addr_is_any(a->broadcast))
		fprintf(f, " broadcast %s", addr_format(a->broadcast, text));
	if (a->scope != RT_SCOPE_UNIVERSE)
		fprintf(f, " scope %s", word_of(WORDS_SCOPE, a->scope, word));
	if (colon)
		fprintf(f, " label %s%s", s->link, colon);
	if (a->metric)
		fprintf(f, " metric %u", a->metric);
	if (a->flags & IFA_F_NOPREFIXROUTE)
		fprintf(f, " noprefixroute");
	if (a->flags & IFA_F_MANAGETEMPADDR)
		fprintf(f, " mngtmpaddr");
	if (!addr_is4(a->local))
		fprintf(f, " nodad");
	if (a->valid != LIFE_FOREVER)
		fprintf(f, " valid_lft %u", a->valid);
	if (a->preferred != LIFE_FOREVER)
		fprintf(f, " preferred_lft %u", a->preferred);
}

static void write_route(FILE *f, const struct step *s)
{
	const struct link_route *r = &s->route;
	char text[ADDR_TEXT_SIZE], word[16];

	fprintf(f, "ip %sroute %s ", r->family == AF_INET6 ? "-6 " : "", s->kind == STEP_ROUTE_ADD ? "add" : "del");
	if (r->type != RTN_UNICAST)
		fprintf(f, "%s ", word_of(WORDS_TYPE, r->type, word));
	if (r->bits)
		fprintf(f, "%s/%u", addr_format(r->to, text), r->bits);
	else
		fprintf(f, "default");
	if (!addr_is_any(r->gateway))
		fprintf(f, " via %s%s", addr_is4(r->gateway) || r->family == AF_INET6 ? "" : "inet6 ", addr_format(r->gateway, text));
	fprintf(f, r->multipath ? " nexthops by %s" : " dev %s", s->link);
	if (r->table != RT_TABLE_MAIN)
		fprintf(f, " table %s", word_of(WORDS_TABLE, r->table, word));
	if (r->protocol != RTPROT_BOOT)
		fprintf(f, " proto %s", word_of(WORDS_PROTOCOL, r->protocol, word));
	if (r->family == AF_INET && r->scope != RT_SCOPE_UNIVERSE)
		fprintf(f, " scope %s", word_of(WORDS_SCOPE, r->scope, word));
	if (!addr_is_any(r->source))
		fprintf(f, " src %s", addr_format(r->source, text));
	if (r->metric)
		fprintf(f, " metric %u", r->metric);
	if (r->mtu)
		fprintf(f, " mtu %u", r->mtu);
	if (r->flags & RTNH_F_ONLINK)
		fprintf(f, " onlink");
	if (r->expires != LIFE_FOREVER)
		fprintf(f, " expires %u", r->expires);
}

static void write_rule(FILE *f, const struct step *s)
{
	const struct route_rule *r = &s->rule;
	const char *iif = s->key[0] && !strcmp(r->iif, s->key) ? s->link : r->iif;
	const char *oif = s->key[0] && !strcmp(r->oif, s->key) ? s->link : r->oif;
	char text[ADDR_TEXT_SIZE], word[16];

	fprintf(f, "ip %srule %s priority %u", r->family == AF_INET6 ? "-6 " : "", s->kind == STEP_RULE_ADD ? "add" : "del", r->priority);
	if (r->bits)
		fprintf(f, " from %s/%u", addr_format(r->from, text), r->bits);
	if (*iif)
		fprintf(f, " iif %s", iif);
	if (*oif)
		fprintf(f, " oif %s", oif);
	if (r->table)
		fprintf(f, " lookup %s", word_of(WORDS_TABLE, r->table, word));
}

/* Each line is a statement; blanks at its start are for people. */
static void write_nft(FILE *f, const char *text)
{
	const char *between = "";

	fprintf(f, "nft '");
	while (*text) {
		size_t n = strcspn(text, "\n"), blanks = strspn(text, " \t");

		if (n > blanks) {
			char last = text[n - 1];

			fprintf(f, "%s%.*s", text[blanks] == '}' && *between ? " " : between, (int)(n - blanks), text + blanks);
			between = last == '{' || last == ';' ? " " : "; ";
		}
		text += n + (text[n] != 0);
	}
	fprintf(f, "'");
}

static void write_link(FILE *f, const struct step *s)
{
	const char *what = NULL;

	switch (s->kind) {
	case STEP_BRIDGE_ADD:
		fprintf(f, "ip link add name %s address %s type bridge", s->link, s->value);
		break;
	case STEP_BRIDGE_DEL:
		fprintf(f, "ip link del %s", s->link);
		break;
	case STEP_TAP_ADD:
		fprintf(f, "ip tuntap add dev %s mode tap user %s", s->link, s->value);
		break;
	case STEP_TAP_DEL:
		fprintf(f, "ip tuntap del dev %s mode tap", s->link);
		break;
	case STEP_ALIAS:
		fprintf(f, "ip link set dev %s alias \"%s\"", s->link, s->value);
		break;
	case STEP_MAC:
		fprintf(f, "ip link set dev %s address %s", s->link, s->value);
		break;
	case STEP_MTU:
		fprintf(f, "ip link set dev %s mtu %s", s->link, s->value);
		break;
	case STEP_UP:
		fprintf(f, "ip link set dev %s %s", s->link, s->value);
		break;
	case STEP_MASTER:
		fprintf(f, "ip link set dev %s %s%s", s->link, s->value[0] ? "master " : "nomaster", s->value);
		break;
	case STEP_ISOLATED:
		fprintf(f, "bridge link set dev %s isolated %s", s->link, s->value[0] == '1' ? "on" : "off");
		break;
	case STEP_STP:
		what = "stp_state";
		break;
	case STEP_FORWARD_DELAY:
		what = "forward_delay";
		break;
	case STEP_HELLO:
		what = "hello_time";
		break;
	case STEP_MAX_AGE:
		what = "max_age";
		break;
	case STEP_ADDRESS_ADD: case STEP_ADDRESS_DEL: case STEP_ROUTE_ADD: case STEP_ROUTE_DEL: case STEP_RULE_ADD: case STEP_RULE_DEL:
	case STEP_SYSCTL: case STEP_NFT_ADD: case STEP_NFT_DEL: case STEP_KINDS:
		break;
	}
	if (what)
		fprintf(f, "ip link set dev %s type bridge %s %s", s->link, what, s->value);
}

static void write_step(FILE *f, const struct step *s)
{
	switch (s->kind) {
	case STEP_ADDRESS_ADD:
	case STEP_ADDRESS_DEL:
		write_address(f, s);
		break;
	case STEP_ROUTE_ADD:
	case STEP_ROUTE_DEL:
		write_route(f, s);
		break;
	case STEP_RULE_ADD:
	case STEP_RULE_DEL:
		write_rule(f, s);
		break;
	case STEP_SYSCTL:
		fprintf(f, "sysctl -w %s=%s", s->key, s->value);
		break;
	case STEP_NFT_ADD:
		write_nft(f, s->text);
		break;
	case STEP_NFT_DEL:
		fprintf(f, "nft delete table %s", s->key);
		break;
	case STEP_BRIDGE_ADD: case STEP_BRIDGE_DEL: case STEP_TAP_ADD: case STEP_TAP_DEL: case STEP_ALIAS: case STEP_MAC: case STEP_MTU:
	case STEP_UP: case STEP_MASTER: case STEP_ISOLATED: case STEP_STP: case STEP_FORWARD_DELAY: case STEP_HELLO:
	case STEP_MAX_AGE: case STEP_KINDS:
		write_link(f, s);
		break;
	}
}

char *step_format(const struct step *s)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	write_step(f, s);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
