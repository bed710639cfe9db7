// SPDX-License-Identifier: MIT
#include "bridge/values.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

_Static_assert(AF_INET == 2 && AF_INET6 == 10, "addr_family()");

struct word { uint32_t number; const char *word; };

static const struct word protocols[] = {
	{ RTPROT_UNSPEC, "none" }, { RTPROT_REDIRECT, "redirect" }, { RTPROT_KERNEL, "kernel" }, { RTPROT_BOOT, "boot" },
	{ RTPROT_STATIC, "static" }, { RTPROT_RA, "ra" }, { RTPROT_DHCP, "dhcp" }, { 0 },
};
static const struct word scopes[] = {
	{ RT_SCOPE_UNIVERSE, "global" }, { RT_SCOPE_SITE, "site" }, { RT_SCOPE_LINK, "link" }, { RT_SCOPE_HOST, "host" },
	{ RT_SCOPE_NOWHERE, "nowhere" }, { 0 },
};
static const struct word types[] = {
	{ RTN_UNICAST, "unicast" }, { RTN_LOCAL, "local" }, { RTN_BROADCAST, "broadcast" }, { RTN_ANYCAST, "anycast" },
	{ RTN_MULTICAST, "multicast" }, { RTN_BLACKHOLE, "blackhole" }, { RTN_UNREACHABLE, "unreachable" }, { RTN_PROHIBIT, "prohibit" },
	{ RTN_THROW, "throw" }, { 0 },
};
static const struct word tables[] = {
	{ RT_TABLE_MAIN, "main" }, { RT_TABLE_LOCAL, "local" }, { RT_TABLE_DEFAULT, "default" }, { 0 },
};
static const struct word *const sets[] = {
	[WORDS_PROTOCOL] = protocols, [WORDS_SCOPE] = scopes, [WORDS_TYPE] = types, [WORDS_TABLE] = tables,
};

const char *word_of(enum word_set set, uint32_t number, char into[static 16])
{
	for (const struct word *w = sets[set]; w->word; w++)
		if (w->number == number)
			return w->word;
	snprintf(into, 16, "%u", number);
	return into;
}

bool word_number(enum word_set set, const char *word, uint32_t *number)
{
	char *end;
	unsigned long v;

	for (const struct word *w = sets[set]; w->word; w++)
		if (!strcmp(w->word, word))
			return *number = w->number, true;
	v = strtoul(word, &end, 10);
	*number = (uint32_t)v;
	return word[0] >= '0' && word[0] <= '9' && !*end && v <= UINT32_MAX;
}

bool addr_bits_parse(const char *text, addr_t *a, uint8_t *bits)
{
	const char *slash = strchrnul(text, '/');
	char address[ADDR_TEXT_SIZE], *end;
	unsigned long v;

	if ((size_t)(slash - text) >= sizeof(address))
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = 0;
	if (!addr_parse(address, a))
		return false;
	*bits = addr_is4(*a) ? 32 : 128;
	if (!*slash)
		return true;
	v = strtoul(slash + 1, &end, 10);
	if (slash[1] < '0' || slash[1] > '9' || *end || v > *bits)
		return false;
	*bits = (uint8_t)v;
	return true;
}

addr_t addr_any_of(uint8_t family)
{
	return family == AF_INET ? addr_of4((struct ip4){ 0 }) : ADDR_ANY;
}

addr_t attr_addr(const struct nlattr *attribute)
{
	struct ip4 four;
	addr_t a = ADDR_ANY;

	if (mnl_attr_get_payload_len(attribute) == sizeof(four)) {
		memcpy(&four, mnl_attr_get_payload(attribute), sizeof(four));
		return addr_of4(four);
	}
	if (mnl_attr_get_payload_len(attribute) == sizeof(a))
		memcpy(&a, mnl_attr_get_payload(attribute), sizeof(a));
	return a;
}

void attr_put_addr(struct nlmsghdr *h, uint16_t type, addr_t a)
{
	struct ip4 four = addr_get4(a);

	mnl_attr_put(h, type, addr_is4(a) ? sizeof(four) : sizeof(a), addr_is4(a) ? (const void *)&four : (const void *)&a);
}

uint8_t *raw_copy(const void *raw, size_t size)
{
	uint8_t *copy = raw ? malloc(size) : NULL;

	return copy ? memcpy(copy, raw, size) : NULL;
}

json_t *hex_to_json(const uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(size * 2 + 1);
	json_t *json;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size; i++)
		text[i * 2] = digits[bytes[i] >> 4], text[i * 2 + 1] = digits[bytes[i] & 15];
	json = json_stringn(text, size * 2);
	free(text);
	return json;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint8_t *hex_from_json(const json_t *json, size_t *size)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	const char *text = json_string_value(json);
	size_t n = text ? strlen(text) / 2 : 0;

	if (!n || n > VALUE_MESSAGE_SIZE / 2 || strlen(text) % 2)
		return NULL;
	bytes = malloc(n);
	for (size_t i = 0; bytes && i < n; i++) {
		int high = digit(text[i * 2]), low = digit(text[i * 2 + 1]);

		if (high < 0 || low < 0)
			return NULL;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	*size = n;
	return steal(&bytes);
}
