// SPDX-License-Identifier: MIT
#include "bridge/rules.h"

#include <stdio.h>
#include <stdlib.h>

/* --- elements of sets --- */

typedef void (*rules_element)(FILE *out, const struct rules_tap *t, const char **comma);

static void put(FILE *out, const char **comma, const char *tap, const char *with)
{
	fprintf(out, with ? "%s\"%s\" . %s" : "%s\"%s\"", *comma, tap, with);
	*comma = ", ";
}

static void element_tap(FILE *out, const struct rules_tap *t, const char **comma)
{
	put(out, comma, t->name, NULL);
}

static void element_bound(FILE *out, const struct rules_tap *t, const char **comma)
{
	if (t->bound)
		put(out, comma, t->name, NULL);
}

static void element_mac(FILE *out, const struct rules_tap *t, const char **comma)
{
	char mac[MAC_TEXT_SIZE];

	if (t->bound)
		put(out, comma, t->name, mac_format(t->mac, mac));
}

static void element_held(FILE *out, const struct rules_tap *t, const char **comma)
{
	if (!addr_is_any(t->leased[0]))
		put(out, comma, t->name, NULL);
}

static void element_lessee(FILE *out, const struct rules_tap *t, const char **comma)
{
	char addr[ADDR_TEXT_SIZE];

	for (size_t i = 0; i < RULES_ADDRS && !addr_is_any(t->leased[i]); i++)
		put(out, comma, t->name, addr_format(t->leased[i], addr));
}

static void element_leased(FILE *out, const struct rules_tap *t, const char **comma)
{
	char addr[ADDR_TEXT_SIZE];

	for (size_t i = 0; i < RULES_ADDRS && !addr_is_any(t->leased[i]); i++) {
		fprintf(out, "%s%s", *comma, addr_format(t->leased[i], addr));
		*comma = ", ";
	}
}

static const struct { const char *name, *type; rules_element element; } sets[] = {
	{ "taps", "ifname", element_tap },
	{ "bound", "ifname", element_bound },
	{ "macs", "ifname . ether_addr", element_mac },
	{ "held", "ifname", element_held },
	{ "lessees", "ifname . ipv4_addr", element_lessee },
	{ "leased", "ipv4_addr", element_leased },
};

static void put_sets(FILE *out, const struct rules *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		const char *comma = "\t\telements = { ";

		fprintf(out, "\tset %s {\n\t\ttype %s\n", sets[i].name, sets[i].type);
		for (size_t n = 0; n < r->tap_count; n++)
			sets[i].element(out, &r->taps[n], &comma);
		fputs(*comma == ',' ? " }\n\t}\n" : "\t}\n", out);
	}
	fputs("\tset told {\n\t\ttype ifname\n\t\tsize 4096\n\t\tflags dynamic,timeout\n\t\ttimeout 10s\n\t}\n", out);
}

/* --- chains of the family bridge --- */

/* The rate is each tap's own, so that a guest that floods keeps nobody else from being learned. */
#define TELL(tap) "update @told { " tap " limit rate 20/second burst 40 packets } log group %d snaplen 640\n"

static void put_gateway(FILE *out, const struct rules *r)
{
	char addr[ADDR_TEXT_SIZE];
	unsigned int i;

	if (!addr_is_any(r->gateway4)) {
		addr_format(r->gateway4, addr);
		fprintf(out, "\t\tether type arp arp saddr ip %s counter drop\n\t\tether type ip ip saddr %s counter drop\n", addr, addr);
	}
	if (addr_is_any(r->gateway6))
		return;
	addr_format(r->gateway6, addr);
	fprintf(out, "\t\tether type ip6 ip6 saddr %s counter drop\n", addr);
	/* The target of an advertisement, for which this nft has no name. */
	fputs("\t\ticmpv6 type nd-neighbor-advert @th,64,128 0x", out);
	for (i = 0; i < sizeof(r->gateway6.b); i++)
		fprintf(out, "%02x", r->gateway6.b[i]);
	fputs(" counter drop\n", out);
}

/*
 * Neighbour discovery says a MAC inside, too: of a solicitation's source (option 1) or an advertisement's target (option 2). It stands in
 * the first option, behind eight bytes and an address; another option
 * in its place comes from no kernel, but for the nonce of duplicate address detection, whose source is "::". A rule whose bytes are not
 * there does not match.
 */
static void put_neighbour(FILE *out, const struct rules *r)
{
	fputs("\t\ticmpv6 type nd-neighbor-advert @th,192,16 != 0x0201 counter drop\n"
	      "\t\ticmpv6 type nd-neighbor-solicit ip6 saddr != :: @th,192,16 != 0x0101 counter drop\n", out);
	for (size_t i = 0; i < r->tap_count; i++) {
		const uint8_t *b = r->taps[i].mac.b;

		if (r->taps[i].bound)
			fprintf(out, "\t\tiifname \"%s\" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } @th,192,8 { 1, 2 } "
				"@th,208,48 != 0x%02x%02x%02x%02x%02x%02x counter drop\n", r->taps[i].name, b[0], b[1], b[2], b[3], b[4], b[5]);
	}
}

static void put_from_guest(FILE *out, const struct rules *r)
{
	fputs("\tchain from_guest {\n"
	      "\t\tiifname @bound iifname . ether saddr != @macs counter drop\n"
	      "\t\tether saddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 counter drop\n"
	      "\t\tether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 counter drop\n"
	      "\t\tether type { 8021q, 8021ad } counter drop\n"
	      "\t\tether type arp iifname @bound iifname . arp saddr ether != @macs counter drop\n"
	      "\t\tether type ip udp sport 67 counter drop\n"
	      "\t\tether type ip6 udp sport 547 counter drop\n"
	      "\t\ticmpv6 type { nd-router-advert, nd-redirect } counter drop\n", out);
	put_gateway(out, r);
	put_neighbour(out, r);
	fputs("\t\tether type arp arp saddr ip @leased iifname . arp saddr ip != @lessees counter drop\n"
	      "\t\tether type ip ip saddr @leased iifname . ip saddr != @lessees counter drop\n"
	      "\t\tether type arp iifname @held arp saddr ip != 0.0.0.0 iifname . arp saddr ip != @lessees counter drop\n"
	      "\t\tether type ip iifname @held ip saddr != 0.0.0.0 iifname . ip saddr != @lessees counter drop\n", out);
	fprintf(out, "\t\tether type arp " TELL("iifname"), RULES_LOG_GROUP);
	fprintf(out, "\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } " TELL("iifname"), RULES_LOG_GROUP);
	fputs("\t}\n", out);
}

static void put_to_guest(FILE *out, const char *chain, const char *hook)
{
	fprintf(out, "\tchain %s {\n\t\ttype filter hook %s priority -400\n\t\tpolicy accept\n", chain, hook);
	fprintf(out, "\t\toifname @taps ether type ip udp sport 67 udp dport 68 " TELL("oifname") "\t}\n", RULES_LOG_GROUP);
}

static void put_bridge_table(FILE *out, const struct rules *r)
{
	fprintf(out, "table bridge %s\ndelete table bridge %s\ntable bridge %s {\n", r->table, r->table, r->table);
	put_sets(out, r);
	put_from_guest(out, r);
	fputs("\tchain first {\n\t\ttype filter hook prerouting priority -400\n\t\tpolicy accept\n\t\tiifname @taps jump from_guest\n\t}\n", out);
	put_to_guest(out, "to_guest", "forward");
	put_to_guest(out, "to_guest_from_host", "output");
	fputs("}\n", out);
}

/* --- family inet --- */

static void put_ports(FILE *out, const struct rules_forward *f)
{
	fprintf(out, "%s dport %u", f->udp ? "udp" : "tcp", f->first);
	if (f->last > f->first)
		fprintf(out, "-%u", f->last);
}

/* A range keeps its numbers apart by one rule a port: nft maps a range to a range only by chance of the port asked for. */
static void put_forward(FILE *out, const struct rules_forward *f)
{
	char listen[ADDR_TEXT_SIZE], to[ADDR_TEXT_SIZE];
	const char *family = addr_is4(f->to) ? "ip" : "ip6";

	for (uint32_t port = f->first; port <= f->last; port++) {
		struct rules_forward one = *f;

		one.first = one.last = (uint16_t)port;
		fputs("\t\t", out);
		if (addr_is_any(f->listen))
			fprintf(out, "meta nfproto %s fib daddr type local ", addr_is4(f->to) ? "ipv4" : "ipv6");
		else
			fprintf(out, "%s daddr %s ", family, addr_format(f->listen, listen));
		put_ports(out, &one);
		fprintf(out, " dnat %s to %s%s%s:%u\n", family, addr_is4(f->to) ? "" : "[", addr_format(f->to, to), addr_is4(f->to) ? "" : "]",
			(unsigned int)(f->port + (port - f->first)));
	}
}

static void put_nat_chain(FILE *out, const struct rules *r, const char *chain, const char *hook)
{
	fprintf(out, "\tchain %s {\n\t\ttype nat hook %s priority -100\n\t\tpolicy accept\n", chain, hook);
	for (size_t i = 0; i < r->forward_count; i++)
		put_forward(out, &r->forwards[i]);
	fputs("\t}\n", out);
}

static void put_forwards(FILE *out, const struct rules *r)
{
	put_nat_chain(out, r, "inbound", "prerouting");
	put_nat_chain(out, r, "inbound_from_host", "output");
	/* The host's own client may have come from an address that means nothing to the guest: loopback. */
	fprintf(out, "\tchain answers {\n\t\ttype nat hook postrouting priority 100\n\t\tpolicy accept\n"
		"\t\toifname \"%s\" ct status dnat ip saddr 127.0.0.0/8 masquerade\n\t}\n", r->bridge);
	/* With route_localnet a guest could otherwise reach what listens on the host's loopback (CVE-2020-8558). */
	fprintf(out, "\tchain loopback {\n\t\ttype filter hook prerouting priority -350\n\t\tpolicy accept\n"
		"\t\tiifname \"%s\" ip daddr 127.0.0.0/8 counter drop\n\t\tiifname \"%s\" ip saddr 127.0.0.0/8 counter drop\n\t}\n", r->bridge,
				r->bridge);
}

static void put_services_table(FILE *out, const struct rules *r)
{
	fprintf(out, "table inet %s_svc\ndelete table inet %s_svc\n", r->table, r->table);
	if (!r->services && !r->forward_count)
		return;
	fprintf(out, "table inet %s_svc {\n", r->table);
	if (r->services)
		fprintf(out, "\tchain arriving {\n\t\ttype filter hook input priority -350\n\t\tpolicy accept\n"
			"\t\tiifname \"%s\" udp dport { 53, 67, 547 } drop\n\t\tiifname \"%s\" tcp dport 53 drop\n\t}\n", r->bridge, r->bridge);
	if (r->forward_count)
		put_forwards(out, r);
	fputs("}\n", out);
}

/* --- all of it --- */

char *rules_text(const struct rules *r)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool failed;

	if (!out)
		return NULL;
	put_bridge_table(out, r);
	put_services_table(out, r);
	failed = ferror(out);
	if (fclose(out) || failed) {
		free(text);
		return NULL;
	}
	return text;
}

char *rules_remove_text(const char *table)
{
	char *text;

	/* "table" makes it, so that there is one to delete. */
	return asprintf(&text, "table bridge %s\ndelete table bridge %s\ntable inet %s_svc\ndelete table inet %s_svc\n", table, table, table,
			table) < 0 ? NULL : text;
}

bool rules_needs_localnet(const struct rules *r)
{
	for (size_t i = 0; i < r->forward_count; i++)
		if (addr_is4(r->forwards[i].listen) && addr_is_loopback(r->forwards[i].listen))
			return true;
	return false;
}
