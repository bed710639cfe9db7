// SPDX-License-Identifier: MIT
/* A LAN without an uplink: its networks, and its rules. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bridge/array.h"
#include "bridge/plan_private.h"
#include "bridge/values.h"

addr_t plan_masked(addr_t a, unsigned int bits)
{
	for (unsigned int i = (addr_is4(a) ? 96 : 0) + bits; i < 128; i++)
		a.b[i / 8] &= (uint8_t)~(0x80 >> i % 8);
	return a;
}

/* Networks that the host has routes to, but by this LAN's bridge. */
static int list_taken(struct net4 **out, size_t *count, const struct snapshot *now, const struct link *bridge)
{
	_cleanup_(freep) struct net4 *nets = NULL;

	*count = 0;
	for (size_t i = 0; i < now->route_count; i++) {
		const struct link_route *r = &now->routes[i];
		struct net4 *bigger;

		if (r->family != AF_INET || !r->bits || r->type != RTN_UNICAST || (bridge && r->index == bridge->index))
			continue;
		bigger = array_grow(nets, *count, sizeof(*nets));
		if (!bigger)
			return -ENOMEM;
		nets = bigger;
		nets[(*count)++] = (struct net4){ .net = r->to, .bits = r->bits };
	}
	*out = steal(&nets);
	return 0;
}

/* A network that was chosen stays, whatever routes came since. */
static void keep_chosen(struct lan_config *c, const struct snapshot *now, const struct link *bridge)
{
	for (size_t i = 0; bridge && bridge->ours && !c->has_net4 && i < now->address_count; i++) {
		const struct link_address *a = &now->addresses[i];

		if (a->index != bridge->index || !addr_is4(a->local) || !lan_net_valid4(plan_masked(a->local, a->bits), a->bits))
			continue;
		c->has_net4 = true;
		c->net4 = plan_masked(a->local, a->bits);
		c->bits4 = a->bits;
	}
}

static int check_guests(const struct lan_plan *p, const struct lan_config *c, char *error, size_t error_size)
{
	char text[ADDR_TEXT_SIZE];

	for (size_t i = 0; i < c->guest_count; i++)
		if (!addr_is_any(c->guests[i].ip4) && addr_equal(c->guests[i].ip4, p->gateway4)) {
			snprintf(error, error_size, "LAN %s: guest %s (line %u) cannot have %s, which is the host's", c->name,
				 c->guests[i].name,
				 c->guests[i].line, addr_format(p->gateway4, text));
			return -EINVAL;
		}
	return 0;
}

int bridge_plan_lan(struct lan_plan *out, const struct lan_config *config, const struct snapshot *now, char *error, size_t error_size)
{
	const struct link *bridge = snapshot_link_named(now, config->bridge.bridge);
	const struct bridge_config *b = &config->bridge;
	_cleanup_(freep) struct net4 *taken = NULL;
	struct lan_config c = *config;
	size_t count;
	int r = list_taken(&taken, &count, now, bridge);

	if (r)
		return r;
	keep_chosen(&c, now, bridge);
	r = lan_plan_make(out, &c, now->machine_id, taken, count, error, error_size);
	if (r)
		return r;
	if (b->ip4 == BRIDGE_IP_STATIC && !addr_equal(b->addr4, config->net4)) {
		out->gateway4 = b->addr4;
		out->mac = (struct mac){{ 0x52, 0x55, b->addr4.b[12], b->addr4.b[13], b->addr4.b[14], b->addr4.b[15] }};
		out->link_local6 = out->ip6 ? addr_eui64((addr_t){{ 0xfe, 0x80 }}, out->mac) : ADDR_ANY;
	}
	if (b->ip6 == BRIDGE_IP_STATIC && !addr_equal(b->addr6, config->net6))
		out->gateway6 = b->addr6;
	/* The host answers itself: one address is enough. */
	out->dns4 = out->gateway4;
	out->dns6 = out->gateway6;
	out->no_router = b->isolated;
	if (b->mtu)
		out->mtu = b->mtu;
	return check_guests(out, config, error, error_size);
}

const char *bridge_nft_table(const struct lan_config *config, char into[static NFT_TABLE_SIZE])
{
	snprintf(into, NFT_TABLE_SIZE, "hospes_%s", config->name);
	return into;
}

static void write_masquerade(FILE *f, const struct planner *p)
{
	char text[ADDR_TEXT_SIZE];

	fprintf(f, "\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n");
	if (p->lan.ip4)
		fprintf(f, "\t\tip saddr %s/%u oifname != \"%s\" masquerade\n", addr_format(p->lan.net4, text), p->lan.bits4, p->b->bridge);
	if (p->lan.ip6)
		fprintf(f, "\t\tip6 saddr %s/%u oifname != \"%s\" masquerade\n", addr_format(p->lan.net6, text), p->lan.bits6,
			p->b->bridge);
	fprintf(f, "\t}\n");
}

/*
 * NAT: nobody comes in unasked, but by a forward. Isolated: nothing passes between the bridge and anything else, the host among it. Routed:
 * nothing is kept out, and the (empty) chain says whose the LAN is. Frames from guest to guest meet the forward hook too where br_netfilter
 * is on; they have the bridge on both sides.
 */
static void write_chains(FILE *f, const struct planner *p)
{
	const char *bridge = p->b->bridge;

	fprintf(f, "\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n");
	if (p->b->nat)
		fprintf(f, "\t\tiifname != \"%s\" oifname \"%s\" ct state established,related accept\n"
			   "\t\tiifname != \"%s\" oifname \"%s\" ct status dnat accept\n"
			   "\t\tiifname != \"%s\" oifname \"%s\" drop\n", bridge, bridge, bridge, bridge, bridge, bridge);
	if (p->b->isolated)
		fprintf(f, "\t\tiifname \"%s\" oifname != \"%s\" drop\n\t\tiifname != \"%s\" oifname \"%s\" drop\n", bridge, bridge,
			bridge, bridge);
	fprintf(f, "\t}\n");
	if (p->b->isolated)
		fprintf(f, "\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tiifname \"%s\" drop\n\t}\n",
			bridge);
	if (p->b->nat)
		write_masquerade(f, p);
}

/* FNV-1a: enough to tell that the configuration changed. */
static uint32_t fingerprint(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return h;
}

static char *text_of(const struct planner *p, void (*write)(FILE *f, const struct planner *p))
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	write(f, p);
	if (!fclose(f))
		return text;
	free(text);
	return NULL;
}

/* The table is made anew in one transaction. Its comment tells whose it is and what it says. */
void plan_nft(struct planner *p)
{
	_cleanup_(freep) char *chains = text_of(p, write_chains);
	struct step s = { .kind = STEP_NFT_ADD };
	const struct nft_table *is;
	char table[NFT_TABLE_SIZE], comment[96], alias[64];

	if (!chains) {
		p->failed = -ENOMEM;
		return;
	}
	bridge_nft_table(p->config, table);
	snprintf(comment, sizeof(comment), "%s %08x%s", plan_alias(p, alias), fingerprint(chains), p->b->isolated ? ISOLATED_MARK : "");
	is = snapshot_table(p->now, "inet", table);
	if (is && !strcmp(is->comment, comment))
		return;
	snprintf(s.key, sizeof(s.key), "inet %s", table);
	if (asprintf(&s.text, "table inet %s\ndelete table inet %s\ntable inet %s {\n\tcomment \"%s\"\n%s}\n", table, table, table, comment,
		     chains) < 0) {
		p->failed = -ENOMEM;
		return;
	}
	plan_add(p, s);
}
