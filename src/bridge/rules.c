// SPDX-License-Identifier: MIT
#include "bridge/rules.h"

#include <stdio.h>
#include <stdlib.h>

const enum drop rules_reasons[] = {
	DROP_SPOOFED_MAC, DROP_SPOOFED_IP, DROP_MARTIAN, DROP_NO_PROTOCOL, DROP_MALFORMED, DROP_ROGUE_SERVER, DROP_POLICY,
};
const size_t rules_reason_count = ARRAY_SIZE(rules_reasons);

const char *rules_reason_set(enum drop why, char into[static RULES_SET_SIZE])
{
	snprintf(into, RULES_SET_SIZE, "dropped-%s", drop_name(why));
	return into;
}

/* --- elements of sets --- */

/* Elements of one tap; of no tap (NULL) those of the whole LAN. */
typedef void (*rules_element)(FILE *out, const struct rules *r, const struct rules_tap *t, const char **comma);

static void put(FILE *out, const char **comma, const char *element)
{
	fprintf(out, "%s%s", *comma, element);
	*comma = ", ";
}

static void put_of_tap(FILE *out, const char **comma, const struct rules_tap *t, const char *with)
{
	fprintf(out, with ? "%s\"%s\" . %s" : "%s\"%s\"", *comma, t->name, with);
	*comma = ", ";
}

static bool has_mac(const struct rules_tap *t)
{
	return t->binding == RULES_BOUND && !mac_is_zero(t->mac);
}

static void element_tap(FILE *out, _unused_ const struct rules *r, const struct rules_tap *t, const char **comma)
{
	if (t)
		put_of_tap(out, comma, t, NULL);
}

static void element_bound(FILE *out, _unused_ const struct rules *r, const struct rules_tap *t, const char **comma)
{
	if (t && t->binding == RULES_BOUND)
		put_of_tap(out, comma, t, NULL);
}

static void element_waiting(FILE *out, _unused_ const struct rules *r, const struct rules_tap *t, const char **comma)
{
	if (t && t->binding == RULES_WAITING)
		put_of_tap(out, comma, t, NULL);
}

static void element_mac(FILE *out, _unused_ const struct rules *r, const struct rules_tap *t, const char **comma)
{
	char mac[MAC_TEXT_SIZE];

	if (t && has_mac(t))
		put_of_tap(out, comma, t, mac_format(t->mac, mac));
}

static void element_guest(FILE *out, _unused_ const struct rules *r, const struct rules_tap *t, const char **comma)
{
	char mac[MAC_TEXT_SIZE];

	if (t && has_mac(t))
		put(out, comma, mac_format(t->mac, mac));
}

static void element_owned(FILE *out, const struct rules *r, const struct rules_tap *t, const char **comma)
{
	char mac[MAC_TEXT_SIZE];

	if (t)
		element_guest(out, r, t, comma);
	else if (!mac_is_zero(r->host))
		put(out, comma, mac_format(r->host, mac));
}

static size_t own_count(const struct rules_tap *t)
{
	size_t n = 0;

	while (n < RULES_ADDRS && !addr_is_any(t->own[n]))
		n++;
	return n;
}

static void element_held(FILE *out, _unused_ const struct rules *r, const struct rules_tap *t, const char **comma)
{
	bool held = false;

	for (size_t i = 0; t && i < own_count(t); i++)
		held |= addr_is4(t->own[i]);
	if (held)
		put_of_tap(out, comma, t, NULL);
}

static void put_known(FILE *out, const struct rules *r, const struct rules_tap *t, bool version4, const char **comma)
{
	const addr_t *a = t ? t->own : r->reserved;
	size_t count = t ? own_count(t) : r->reserved_count;
	char addr[ADDR_TEXT_SIZE];

	for (size_t i = 0; i < count; i++)
		if (addr_is4(a[i]) == version4)
			put(out, comma, addr_format(a[i], addr));
}

static void put_own(FILE *out, const struct rules_tap *t, bool version4, const char **comma)
{
	char addr[ADDR_TEXT_SIZE];

	for (size_t i = 0; t && i < own_count(t); i++)
		if (addr_is4(t->own[i]) == version4)
			put_of_tap(out, comma, t, addr_format(t->own[i], addr));
}

static void element_known4(FILE *out, const struct rules *r, const struct rules_tap *t, const char **comma)
{
	put_known(out, r, t, true, comma);
}

static void element_known6(FILE *out, const struct rules *r, const struct rules_tap *t, const char **comma)
{
	put_known(out, r, t, false, comma);
}

static void element_own4(FILE *out, _unused_ const struct rules *r, const struct rules_tap *t, const char **comma)
{
	put_own(out, t, true, comma);
}

static void element_own6(FILE *out, _unused_ const struct rules *r, const struct rules_tap *t, const char **comma)
{
	put_own(out, t, false, comma);
}

static const struct { const char *name, *type; rules_element element; } sets[] = {
	{ "taps", "ifname", element_tap },
	{ "bound", "ifname", element_bound },
	{ "waiting", "ifname", element_waiting },
	{ "macs", "ifname . ether_addr", element_mac },
	{ "guests", "ether_addr", element_guest },
	{ "owned", "ether_addr", element_owned },
	{ "held", "ifname", element_held },
	{ "known4", "ipv4_addr", element_known4 },
	{ "known6", "ipv6_addr", element_known6 },
	{ "own4", "ifname . ipv4_addr", element_own4 },
	{ "own6", "ifname . ipv6_addr", element_own6 },
};

#define FIRST "\t\telements = { "

static void put_elements(FILE *out, const struct rules *r, rules_element element)
{
	const char *comma = FIRST;

	element(out, r, NULL, &comma);
	for (size_t n = 0; n < r->tap_count; n++)
		element(out, r, &r->taps[n], &comma);
	fputs(*comma == ',' ? " }\n\t}\n" : "\t}\n", out);
}

static void put_sets(FILE *out, const struct rules *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		fprintf(out, "\tset %s {\n\t\ttype %s\n", sets[i].name, sets[i].type);
		put_elements(out, r, sets[i].element);
	}
	fputs("\tset told {\n\t\ttype ifname\n\t\tsize 4096\n\t\tflags dynamic,timeout\n\t\ttimeout 10s\n\t}\n", out);
}

/* --- counters --- */

/* A frame must be dropped also where the set has no room for its counter: such a rule is broken off, so the drop is a rule of its own. */
static void put_reason(FILE *out, const struct rules *r, enum drop why)
{
	const char *comma = FIRST;
	char set[RULES_SET_SIZE];

	rules_reason_set(why, set);
	fprintf(out, "\tset %s {\n\t\ttype ifname\n\t\tsize 4096\n\t\tflags dynamic\n\t\tcounter\n", set);
	for (size_t n = 0; n < r->tap_count; n++) {
		const struct rules_tap *t = &r->taps[n];

		if (!t->drops[why])
			continue;
		fprintf(out, "%s\"%s\" counter packets %llu bytes 0", comma, t->name, (unsigned long long)t->drops[why]);
		comma = ", ";
	}
	fputs(*comma == ',' ? " }\n\t}\n" : "\t}\n", out);
	fprintf(out, "\tchain %s {\n\t\tadd @%s { iifname counter }\n\t\tdrop\n\t}\n", set, set);
}

/* --- chains of the family bridge --- */

/* The rate is each tap's own, so that a guest that floods keeps nobody else from being learned. */
#define TELL(tap) "update @told { " tap " limit rate 20/second burst 40 packets } log group %d snaplen 640\n"

static void put_number(FILE *out, addr_t a)
{
	fputs("0x", out);
	for (size_t i = 0; i < sizeof(a.b); i++)
		fprintf(out, "%02x", a.b[i]);
}

/* Addresses of IPv6 as the numbers that the target of an advertisement is compared with: this nft has no name for it. */
static void element_known_number(FILE *out, const struct rules *r, const struct rules_tap *t, const char **comma)
{
	const addr_t *a = t ? t->own : r->reserved;
	size_t count = t ? own_count(t) : r->reserved_count;

	for (size_t i = 0; i < count; i++) {
		if (addr_is4(a[i]))
			continue;
		fputs(*comma, out);
		put_number(out, a[i]);
		*comma = ", ";
	}
}

static void element_own_number(FILE *out, _unused_ const struct rules *r, const struct rules_tap *t, const char **comma)
{
	for (size_t i = 0; t && i < own_count(t); i++) {
		if (addr_is4(t->own[i]))
			continue;
		fprintf(out, "%s\"%s\" . ", *comma, t->name);
		put_number(out, t->own[i]);
		*comma = ", ";
	}
}

/* Return: false if there was none, and nothing is written. */
static bool put_list(FILE *out, const struct rules *r, const char *lead, rules_element element)
{
	const char *comma = lead;

	element(out, r, NULL, &comma);
	for (size_t n = 0; n < r->tap_count; n++)
		element(out, r, &r->taps[n], &comma);
	if (comma == lead)
		return false;
	fputs(" }", out);
	return true;
}

static void put_targets(FILE *out, const struct rules *r)
{
	if (!put_list(out, r, "\t\ticmpv6 type nd-neighbor-advert @th,64,128 { ", element_known_number))
		return;
	put_list(out, r, " iifname . @th,64,128 != { ", element_own_number);
	fputs(" goto dropped-spoofed-ip\n", out);
}

/*
 * Neighbour discovery says a MAC inside, too: of a solicitation's source (option 1) or an advertisement's target (option 2). It stands in
 * the first option, behind eight bytes and an address; another option
 * in its place comes from no kernel, but for the nonce of duplicate address detection, whose source is "::". A rule whose bytes are not
 * there does not match.
 */
static void put_neighbour(FILE *out, const struct rules *r)
{
	fputs("\t\ticmpv6 type nd-neighbor-advert @th,192,16 != 0x0201 goto dropped-malformed\n"
	      "\t\ticmpv6 type nd-neighbor-solicit ip6 saddr != :: @th,192,16 != 0x0101 goto dropped-malformed\n", out);
	for (size_t i = 0; i < r->tap_count; i++) {
		const uint8_t *b = r->taps[i].mac.b;

		if (has_mac(&r->taps[i]))
			fprintf(out, "\t\tiifname \"%s\" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } @th,192,8 { 1, 2 } "
				"@th,208,48 != 0x%02x%02x%02x%02x%02x%02x goto dropped-spoofed-mac\n", r->taps[i].name, b[0], b[1], b[2], b[3], b[4],
				b[5]);
	}
	put_targets(out, r);
}

/* The MAC first: whoever has another's gets that one's frames (CVE-2025-52889). */
static void put_macs(FILE *out)
{
	fputs("\t\tether saddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 goto dropped-spoofed-mac\n"
	      "\t\tiifname @bound iifname . ether saddr != @macs goto dropped-spoofed-mac\n"
	      "\t\tether saddr @owned iifname . ether saddr != @macs goto dropped-spoofed-mac\n", out);
	fprintf(out, "\t\tiifname @waiting " TELL("iifname"), RULES_LOG_GROUP);
	fputs("\t\tiifname @waiting drop\n", out);
}

static void put_from_guest(FILE *out, const struct rules *r)
{
	fputs("\tchain from_guest {\n", out);
	put_macs(out);
	fputs("\t\tether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 goto dropped-martian\n"
	      "\t\tether type { 8021q, 8021ad } goto dropped-no-protocol\n"
	      "\t\tether type arp iifname @bound iifname . arp saddr ether != @macs goto dropped-spoofed-mac\n"
	      "\t\tether type ip udp sport 67 goto dropped-rogue-server\n"
	      "\t\tether type ip6 udp sport 547 goto dropped-rogue-server\n"
	      "\t\ticmpv6 type { nd-router-advert, nd-redirect } goto dropped-rogue-server\n", out);
	put_neighbour(out, r);
	fputs("\t\tether type arp arp saddr ip @known4 iifname . arp saddr ip != @own4 goto dropped-spoofed-ip\n"
	      "\t\tether type ip ip saddr @known4 iifname . ip saddr != @own4 goto dropped-spoofed-ip\n"
	      "\t\tether type ip6 ip6 saddr @known6 iifname . ip6 saddr != @own6 goto dropped-spoofed-ip\n"
	      "\t\tether type arp iifname @held arp saddr ip != 0.0.0.0 iifname . arp saddr ip != @own4 goto dropped-spoofed-ip\n"
	      "\t\tether type ip iifname @held ip saddr != 0.0.0.0 iifname . ip saddr != @own4 goto dropped-spoofed-ip\n", out);
	if (r->isolated)
		fputs("\t\tether daddr @guests iifname . ether daddr != @macs goto dropped-policy\n", out);
	fprintf(out, "\t\tether type arp " TELL("iifname"), RULES_LOG_GROUP);
	fprintf(out, "\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } " TELL("iifname"), RULES_LOG_GROUP);
	fputs("\t}\n", out);
}

static void put_to_guest(FILE *out, const char *chain, const char *hook)
{
	fprintf(out, "\tchain %s {\n\t\ttype filter hook %s priority -400\n\t\tpolicy accept\n", chain, hook);
	fprintf(out, "\t\toifname @taps ether type ip udp sport 67 udp dport 68 " TELL("oifname"), RULES_LOG_GROUP);
	fprintf(out, "\t\toifname @taps ether type ip6 udp sport 547 udp dport 546 " TELL("oifname") "\t}\n", RULES_LOG_GROUP);
}

static void put_bridge_table(FILE *out, const struct rules *r)
{
	fprintf(out, "table bridge %s\ndelete table bridge %s\ntable bridge %s {\n", r->table, r->table, r->table);
	put_sets(out, r);
	for (size_t i = 0; i < rules_reason_count; i++)
		put_reason(out, r, rules_reasons[i]);
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
