// SPDX-License-Identifier: MIT
#include "lan/config_keys.h"

#include <string.h>
#include <strings.h>

/* A decimal number alone. */
bool config_parse_number(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;
	size_t n = strspn(text, "0123456789");

	if (!n || n > 10 || text[n])
		return false;
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (uint64_t)(text[i] - '0');
	*out = (uint32_t)v;
	return v >= min && v <= max;
}

/* "ADDRESS/BITS" */
bool config_parse_net(const char *text, addr_t *net, uint32_t *bits)
{
	char address[ADDR_TEXT_SIZE];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : 0;

	if (!n || n >= sizeof(address) || !config_parse_number(slash + 1, 0, 128, bits))
		return false;
	memcpy(address, text, n);
	address[n] = 0;
	return addr_parse(address, net);
}

static bool set_fabric(struct config_draft *d, const char *value)
{
	d->config->fabric = strcasecmp(value, "bridge") ? FABRIC_USER : FABRIC_BRIDGE;
	return d->config->fabric == FABRIC_BRIDGE || !strcasecmp(value, "user");
}

static bool set_domain(struct config_draft *d, const char *value)
{
	char copy[sizeof(d->config->domain)], *rest = copy, *label;

	if (strlen(value) >= sizeof(copy))
		return false;
	for (size_t i = 0; i <= strlen(value); i++)
		copy[i] = value[i] >= 'A' && value[i] <= 'Z' ? (char)(value[i] - 'A' + 'a') : value[i];
	strcpy(d->config->domain, copy);
	while ((label = strsep(&rest, ".")))
		if (!guest_name_valid(label))
			return false;
	return true;
}

/* Which fabric the LAN has may be said further down, so both readings are taken here and judged at the end of the file. */
static bool set_ipv4(struct config_draft *d, const char *value)
{
	struct bridge_config *b = &d->config->bridge;
	uint32_t bits;

	d->config->no_ip4 = !strcasecmp(value, "none");
	b->ip4 = d->config->no_ip4 ? BRIDGE_IP_NONE : BRIDGE_IP_DHCP;
	if (d->config->no_ip4 || !strcasecmp(value, "dhcp"))
		return true;
	b->ip4 = BRIDGE_IP_STATIC;
	if (!config_parse_net(value, &b->addr4, &bits) || !addr_is4(b->addr4) || bits < 8 || bits > 32 || addr_is_loopback(b->addr4) ||
	    addr_is_multicast(b->addr4) || !b->addr4.b[12])
		return false;
	b->bits4 = (uint8_t)bits;
	return true;
}

static bool set_ipv6(struct config_draft *d, const char *value)
{
	struct bridge_config *b = &d->config->bridge;
	uint32_t bits;

	d->config->no_ip6 = !strcasecmp(value, "none");
	b->ip6 = d->config->no_ip6 ? BRIDGE_IP_NONE : BRIDGE_IP_AUTO;
	if (d->config->no_ip6 || !strcasecmp(value, "auto"))
		return true;
	b->ip6 = BRIDGE_IP_STATIC;
	if (!config_parse_net(value, &b->addr6, &bits) || addr_is4(b->addr6) || bits < 8 || bits > 128)
		return false;
	b->bits6 = (uint8_t)bits;
	/* Global unicast or unique local. */
	return (b->addr6.b[0] & 0xe0) == 0x20 || (b->addr6.b[0] & 0xfe) == 0xfc;
}

static bool set_mtu(struct config_draft *d, const char *value)
{
	uint32_t v;

	if (!config_parse_number(value, 1280, 65520, &v))
		return false;
	d->config->mtu = d->config->bridge.mtu = (uint16_t)v;
	return true;
}

static bool set_lease(struct config_draft *d, const char *value)
{
	static const struct { char unit; uint32_t seconds; } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	uint32_t unit = 1, v;
	size_t n = strlen(value);
	char digits[16];

	if (!n || n >= sizeof(digits))
		return false;
	strcpy(digits, value);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (digits[n - 1] == units[i].unit)
			unit = units[i].seconds, digits[n - 1] = 0;
	if (!config_parse_number(digits, 1, 31536000 / unit, &v) || v * unit < 120)
		return false;
	d->config->lease_seconds = v * unit;
	return true;
}

static bool set_host_access(struct config_draft *d, const char *value)
{
	static const char *const words[] = { [HOST_ACCESS_LAN] = "lan", [HOST_ACCESS_FULL] = "full", [HOST_ACCESS_NONE] = "none" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcasecmp(value, words[i])) {
			d->config->host_access = (enum host_access)i;
			return true;
		}
	}
	return false;
}

static bool set_flows(struct config_draft *d, const char *value)
{
	return config_parse_number(value, 16, 65536, &d->config->flow_max);
}

static bool set_keepalive(struct config_draft *d, const char *value)
{
	return config_parse_number(value, 1, 86400, &d->config->keepalive_seconds);
}

static bool set_poll(struct config_draft *d, const char *value)
{
	uint32_t v = 0;

	if (!strcasecmp(value, "auto"))
		d->config->poll = CONFIG_POLL_AUTO;
	else if (!strcasecmp(value, "off") || config_parse_number(value, 0, 1000000, &v))
		d->config->poll = (int32_t)v;
	else
		return false;
	return true;
}

static bool set_guest_name(struct config_draft *d, const char *value)
{
	if (!guest_name_valid(value) || guest_name_reserved(value))
		return false;
	for (size_t i = 0; i <= strlen(value); i++)
		d->guest.name[i] = value[i] >= 'A' && value[i] <= 'Z' ? (char)(value[i] - 'A' + 'a') : value[i];
	return true;
}

static bool set_guest_mac(struct config_draft *d, const char *value)
{
	return mac_parse(value, &d->guest.mac) && !mac_is_group(d->guest.mac) && !mac_is_zero(d->guest.mac);
}

static bool set_guest_ip4(struct config_draft *d, const char *value)
{
	return addr_parse(value, &d->guest.ip4) && addr_is4(d->guest.ip4) && !addr_is_unspecified(d->guest.ip4);
}

static bool set_guest_tap(struct config_draft *d, const char *value)
{
	if (!link_name_valid(value))
		return false;
	strcpy(d->guest.tap, value);
	return true;
}

static bool keep_text(char *into, const char *value)
{
	if (!*value || strlen(value) >= FORWARD_TEXT_SIZE)
		return false;
	strcpy(into, value);
	return true;
}

static bool set_listen(struct config_draft *d, const char *value)
{
	return keep_text(d->listen, value);
}

static bool set_to(struct config_draft *d, const char *value)
{
	return keep_text(d->to, value);
}

static const struct config_key keys[] = {
	{ SECTION_LAN, "Fabric", "user or bridge", set_fabric },
	{ SECTION_LAN, "Domain", "a DNS name of at most 63 letters, digits, hyphens and dots, such as hospes", set_domain },
	{ SECTION_LAN, "IPv4",
		"none, or a network without host bits, /8 to /29, such as 10.0.2.0/24; in a bridge LAN none, dhcp, or the host's address "
		"such as 192.168.1.2/24", set_ipv4 },
	{ SECTION_LAN, "IPv6",
		"none, or a global or unique local /64, such as fd12:3456:789a:1::/64; in a bridge LAN none, auto, or the host's address "
		"such as fd12:3456:789a:1::2/64", set_ipv6 },
	{ SECTION_LAN, "MTU", "1280 to 65520", set_mtu },
	{ SECTION_LAN, "Lease", "two minutes to a year, such as 600, 90m, 12h or 7d", set_lease },
	{ SECTION_LAN, "HostAccess", "lan, full or none", set_host_access, WORD_OF_USER },
	{ SECTION_LAN, "Flows", "16 to 65536", set_flows, WORD_OF_USER },
	{ SECTION_LAN, "Keepalive", "1 to 86400 seconds", set_keepalive, WORD_OF_USER },
	{ SECTION_LAN, "Poll", "auto, off, or up to 1000000 microseconds", set_poll, WORD_OF_USER },
	{ SECTION_GUEST, "Name",
		"1 to 63 letters, digits and hyphens, no hyphen first or last, other than gateway, host, dns and localhost, such as web",
		set_guest_name },
	{ SECTION_GUEST, "MAC", "a unicast MAC such as 52:54:00:12:34:57", set_guest_mac },
	{ SECTION_GUEST, "IPv4", "an IPv4 address in the LAN's network, such as 10.0.2.20", set_guest_ip4 },
	{ SECTION_GUEST, "Tap", "one of the taps of Taps, such as tap0", set_guest_tap },
	{ SECTION_FORWARD, "Listen", "[ADDRESS:]PORT[-PORT][/tcp|/udp], or the path of a unix socket", set_listen },
	{ SECTION_FORWARD, "To", "GUEST:PORT", set_to },
};

enum config_section config_section_find(const char *name)
{
	static const char *const names[] = { [SECTION_LAN] = "LAN", [SECTION_GUEST] = "Guest", [SECTION_FORWARD] = "Forward" };

	for (size_t i = SECTION_LAN; i < ARRAY_SIZE(names); i++)
		if (!strcasecmp(name, names[i]))
			return (enum config_section)i;
	return SECTION_NONE;
}

static size_t key_count(void)
{
	return ARRAY_SIZE(keys) + config_bridge_key_count;
}

const struct config_key *config_key(int number)
{
	size_t n = (size_t)number;

	return n < ARRAY_SIZE(keys) ? &keys[n] : &config_bridge_keys[n - ARRAY_SIZE(keys)];
}

int config_key_find(enum config_section section, const char *name)
{
	for (int i = 0; i < (int)key_count(); i++)
		if (config_key(i)->section == section && !strcasecmp(config_key(i)->name, name))
			return i;
	return -1;
}

const char *config_key_list(enum config_section section, char *into, size_t size)
{
	size_t used = 0;

	into[0] = 0;
	for (int i = 0; i < (int)key_count(); i++) {
		const char *name = config_key(i)->name;

		if (config_key(i)->section != section || used + strlen(name) + 3 > size)
			continue;
		used += (size_t)snprintf(into + used, size - used, "%s%s", used ? ", " : "", name);
	}
	return into;
}
