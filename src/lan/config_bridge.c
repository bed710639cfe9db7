// SPDX-License-Identifier: MIT
#include "lan/config_bridge.h"

#include <string.h>
#include <strings.h>

#include "base/attr.h"
#include "lan/config_keys.h"

#define BLANKS " \t"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

bool link_name_valid(const char *name)
{
	size_t n = strlen(name);

	return n && n < LINK_NAME_SIZE && strspn(name, LOWER DIGITS "-") == n && name[0] >= 'a' && name[0] <= 'z' && strcmp(name, "all") &&
	       strcmp(name, "default") && strcmp(name, "lo");
}

bool link_name_possible(const char *name)
{
	size_t n = strlen(name);

	return n && n < LINK_NAME_SIZE && strspn(name, LOWER UPPER DIGITS "_.@-") == n && strcmp(name, ".") && strcmp(name, "..");
}

/* useradd(8)'s, and of either case. */
static bool user_name_valid(const char *name)
{
	size_t n = strlen(name);

	return n && n < USER_NAME_SIZE && strspn(name, LOWER UPPER DIGITS "_.-") == n && name[0] != '-';
}

static bool parse_flag(const char *value, bool *out)
{
	*out = !strcasecmp(value, "yes");
	return *out || !strcasecmp(value, "no");
}

static bool set_bridge(struct config_draft *d, const char *value)
{
	if (!link_name_valid(value))
		return false;
	strcpy(d->config->bridge.bridge, value);
	return true;
}

static bool set_uplink(struct config_draft *d, const char *value)
{
	d->config->bridge.uplink[0] = 0;
	if (!strcasecmp(value, "none"))
		return true;
	if (!link_name_possible(value))
		return false;
	strcpy(d->config->bridge.uplink, value);
	return true;
}

static bool set_gateway(struct config_draft *d, const char *value)
{
	addr_t *a = &d->config->bridge.gateway4;

	return addr_parse(value, a) && addr_is4(*a) && !addr_is_unspecified(*a) && !addr_is_loopback(*a) && !addr_is_multicast(*a);
}

static bool set_stp(struct config_draft *d, const char *value) { return parse_flag(value, &d->config->bridge.stp); }
static bool set_nat(struct config_draft *d, const char *value) { return parse_flag(value, &d->config->bridge.nat); }
static bool set_isolated(struct config_draft *d, const char *value) { return parse_flag(value, &d->config->bridge.isolated); }

static bool set_seconds(int *into, const char *value, uint32_t min, uint32_t max)
{
	uint32_t v;

	if (!config_parse_number(value, min, max, &v))
		return false;
	*into = (int)v;
	return true;
}

static bool set_forward_delay(struct config_draft *d, const char *value)
{
	return set_seconds(&d->config->bridge.forward_delay, value, 2, 30);
}

static bool set_hello(struct config_draft *d, const char *value) { return set_seconds(&d->config->bridge.hello, value, 1, 10); }
static bool set_max_age(struct config_draft *d, const char *value) { return set_seconds(&d->config->bridge.max_age, value, 6, 40); }

static bool set_guests(struct config_draft *d, const char *value)
{
	d->config->bridge.guests_isolated = !strcasecmp(value, "isolated");
	return d->config->bridge.guests_isolated || !strcasecmp(value, "together");
}

/* The next of a list of words with commas or blanks between them. Return: false at the end; an over-long word is empty. */
static bool next_word(const char **list, char *into, size_t size)
{
	size_t n;

	*list += strspn(*list, BLANKS ",");
	n = strcspn(*list, BLANKS ",");
	memcpy(into, *list, n < size ? n : 0);
	into[n < size ? n : 0] = 0;
	*list += n;
	return n;
}

static bool set_taps(struct config_draft *d, const char *value)
{
	struct bridge_config *b = &d->config->bridge;
	char word[LINK_NAME_SIZE + USER_NAME_SIZE];

	for (b->tap_count = 0; next_word(&value, word, sizeof(word)); b->tap_count++) {
		char *owner = strchr(word, ':');

		if (!owner || b->tap_count == BRIDGE_TAPS_MAX)
			return false;
		*owner++ = 0;
		if (!link_name_valid(word) || !user_name_valid(owner))
			return false;
		for (size_t i = 0; i < b->tap_count; i++)
			if (!strcmp(b->taps[i].name, word))
				return false;
		strcpy(b->taps[b->tap_count].name, word);
		strcpy(b->taps[b->tap_count].owner, owner);
	}
	return b->tap_count;
}

static bool set_allow(struct config_draft *d, const char *value)
{
	struct bridge_config *b = &d->config->bridge;
	char word[USER_NAME_SIZE + 1];

	for (b->allow_count = 0; next_word(&value, word, sizeof(word)); b->allow_count++) {
		bool group = word[0] == '@';

		if (b->allow_count == BRIDGE_ALLOW_MAX || !user_name_valid(word + group))
			return false;
		b->allow[b->allow_count].group = group;
		strcpy(b->allow[b->allow_count].name, word + group);
	}
	return b->allow_count;
}

#define NAME_EXPECTED "1 to 15 of a-z, 0-9 and \"-\", a letter first, such as "

const struct config_key config_bridge_keys[] = {
	{ SECTION_LAN, "Bridge", NAME_EXPECTED "br0", set_bridge, WORD_OF_BRIDGE },
	{ SECTION_LAN, "Uplink", "none, or the name of a network card, such as eth0", set_uplink, WORD_OF_BRIDGE },
	{ SECTION_LAN, "Gateway", "the router's IPv4 address, such as 192.168.1.1", set_gateway, WORD_OF_BRIDGE },
	{ SECTION_LAN, "STP", "yes or no", set_stp, WORD_OF_BRIDGE },
	{ SECTION_LAN, "ForwardDelay", "2 to 30 seconds", set_forward_delay, WORD_OF_BRIDGE },
	{ SECTION_LAN, "Hello", "1 to 10 seconds", set_hello, WORD_OF_BRIDGE },
	{ SECTION_LAN, "MaxAge", "6 to 40 seconds", set_max_age, WORD_OF_BRIDGE },
	{ SECTION_LAN, "NAT", "yes or no", set_nat, WORD_OF_BRIDGE },
	{ SECTION_LAN, "Isolated", "yes or no", set_isolated, WORD_OF_BRIDGE },
	{ SECTION_LAN, "Guests", "together or isolated", set_guests, WORD_OF_BRIDGE },
	{ SECTION_LAN, "Taps", "up to 64 of TAP:USER, each tap once, a tap's name being " NAME_EXPECTED "tap0:wangji", set_taps,
	 WORD_OF_BRIDGE },
	{ SECTION_LAN, "Allow", "up to 64 users and @groups, such as wangji, @kvm", set_allow, WORD_OF_BRIDGE },
};
const size_t config_bridge_key_count = ARRAY_SIZE(config_bridge_keys);

void config_bridge_init(struct bridge_config *b)
{
	*b = (struct bridge_config){ .forward_delay = -1, .hello = -1, .max_age = -1 };
}

/* With the network's host bits cleared. */
static addr_t masked(addr_t a, unsigned int bits)
{
	unsigned int from = addr_is4(a) ? 96 : 0;

	for (unsigned int i = from + bits; i < 128; i++)
		a.b[i / 8] &= (uint8_t)~(0x80 >> i % 8);
	return a;
}

static bool is_broadcast4(addr_t a, unsigned int bits)
{
	return bits < 31 && !(~ip4_get(addr_get4(a)) & (UINT32_MAX >> bits));
}

static const char *check_names(const struct lan_config *c, const char **key, char *text, size_t size)
{
	const struct bridge_config *b = &c->bridge;

	*key = "Bridge";
	if (!link_name_valid(b->bridge)) {
		snprintf(text, size, "no Bridge is said and the LAN's own name is none for a link; expected Bridge = br0, say");
		return text;
	}
	if (!strcmp(b->bridge, b->uplink)) {
		snprintf(text, size, "Bridge and Uplink are both %s; expected the bridge to have a name of its own", b->bridge);
		return text;
	}
	*key = "Taps";
	for (size_t i = 0; i < b->tap_count; i++) {
		if (strcmp(b->taps[i].name, b->bridge) && strcmp(b->taps[i].name, b->uplink))
			continue;
		snprintf(text, size, "Taps: %s is the bridge's or the uplink's name; expected one of its own", b->taps[i].name);
		return text;
	}
	return NULL;
}

static bool has_tap(const struct bridge_config *b, const char *name)
{
	for (size_t i = 0; i < b->tap_count; i++)
		if (!strcmp(b->taps[i].name, name))
			return true;
	return false;
}

static const char *check_guest_taps(const struct lan_config *c, const char **key, char *text, size_t size)
{
	*key = "Taps";
	for (size_t i = 0; i < c->guest_count; i++) {
		const struct guest_config *g = &c->guests[i];

		if (!g->tap[0] || has_tap(&c->bridge, g->tap))
			continue;
		snprintf(text, size, "guest %.63s (line %u) has Tap = %s; expected it in Taps too, with its owner: Taps = %s:wangji, say", g->name,
			 g->line, g->tap, g->tap);
		return text;
	}
	return NULL;
}

/* What goes with an uplink, and what goes only without. */
static const char *check_kind(const struct lan_config *c, const char **key)
{
	const struct bridge_config *b = &c->bridge;
	bool uplink = b->uplink[0];

	if ((*key = "NAT", b->nat && uplink))
		return "NAT = yes is for a LAN of its own, whose guests leave by the host's routes; expected Uplink = none";
	if ((*key = "Isolated", b->isolated && uplink))
		return "Isolated = yes is for guests alone; expected Uplink = none";
	if (b->isolated && b->nat)
		return "Isolated = yes and NAT = yes exclude each other; expected one of the two";
	if ((*key = "IPv4", b->ip4 == BRIDGE_IP_DHCP && !uplink))
		return "IPv4 = dhcp: without an Uplink nobody answers; expected an address such as 10.0.5.1/24, or no line";
	if (b->nat && b->ip4 == BRIDGE_IP_NONE && b->ip6 == BRIDGE_IP_NONE)
		return "NAT = yes with IPv4 = none and IPv6 = none leaves nothing to carry; expected one of the two";
	if ((*key = "Gateway", !addr_is_any(b->gateway4) && !uplink))
		return "Gateway is a router behind the Uplink, and there is none; take the line out";
	return NULL;
}

static const char *check_addresses(const struct lan_config *c, const char **key, char *text, size_t size)
{
	const struct bridge_config *b = &c->bridge;
	bool set = b->ip4 == BRIDGE_IP_STATIC;
	char address[ADDR_TEXT_SIZE];

	*key = "IPv4";
	if (set && !b->uplink[0] && !c->has_net4) {
		snprintf(text, size, "IPv4 = %s/%u: expected a network of /8 to /29 in a LAN without an Uplink", addr_format(b->addr4,
															     address),
			 b->bits4);
		return text;
	}
	if (set && (is_broadcast4(b->addr4, b->bits4) ||
		    (b->uplink[0] && b->bits4 < 31 && addr_equal(masked(b->addr4, b->bits4), b->addr4)))) {
		snprintf(text, size, "IPv4 = %s/%u is the network's own or its broadcast address; expected the host's",
			 addr_format(b->addr4, address), b->bits4);
		return text;
	}
	*key = "Gateway";
	if (addr_is_any(b->gateway4))
		return NULL;
	if (b->ip4 == BRIDGE_IP_NONE || (set && !addr_in_prefix(b->gateway4, b->addr4, b->bits4)) || addr_equal(b->gateway4, b->addr4)) {
		snprintf(text, size, "Gateway = %s: expected another address in the network that IPv4 names", addr_format(b->gateway4,
															  address));
		return text;
	}
	return NULL;
}

/* IEEE 802.1D section 8.5: 2 * (forward delay - 1 s) >= max age >= 2 * (hello + 1 s) */
static const char *check_stp(const struct bridge_config *b, const char **key)
{
	int delay = b->forward_delay < 0 ? 15 : b->forward_delay, hello = b->hello < 0 ? 2 : b->hello,
		age = b->max_age < 0 ? 20 : b->max_age;

	*key = b->max_age < 0 ? "ForwardDelay" : "MaxAge";
	if (b->stp && (2 * (delay - 1) < age || age < 2 * (hello + 1)))
		return "with STP = yes, MaxAge (20 if not said) must be at most 2 * (ForwardDelay - 1) and at least 2 * (Hello + 1)";
	return NULL;
}

const char *config_bridge_finish(struct lan_config *c, const char **key, char *text, size_t size)
{
	struct bridge_config *b = &c->bridge;
	const char *wrong;

	if (!b->bridge[0] && link_name_valid(c->name))
		strcpy(b->bridge, c->name);
	if (b->ip4 == BRIDGE_IP_STATIC) {
		c->net4 = masked(b->addr4, b->bits4);
		c->bits4 = b->bits4;
		c->has_net4 = lan_net_valid4(c->net4, c->bits4);
	}
	if (b->ip6 == BRIDGE_IP_STATIC && b->bits6 == 64) {
		c->net6 = masked(b->addr6, 64);
		c->has_net6 = true;
	}
	wrong = check_names(c, key, text, size);
	wrong = wrong ? wrong : check_guest_taps(c, key, text, size);
	wrong = wrong ? wrong : check_kind(c, key);
	wrong = wrong ? wrong : check_addresses(c, key, text, size);
	return wrong ? wrong : check_stp(b, key);
}
