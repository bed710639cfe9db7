// SPDX-License-Identifier: MIT
#include "cli/qemu_line.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/attr.h"

#define VALUE_SIZE     256
#define BRIDGE_DEFAULT "br0"     /* QEMU's own, where br= is not said */

/* --- one option: "TYPE,key=value,key=value" with commas in values doubled, or JSON --- */

/*
 * The next piece of a text, its doubled commas single. Return: where the rest begins, NULL at the end. An over-long piece is cut: no value
 * that is looked for is that long.
 */
static const char *next_piece(const char *text, char into[static VALUE_SIZE])
{
	size_t n = 0;

	if (!text || !*text)
		return NULL;
	for (; *text; text++) {
		if (*text == ',' && text[1] != ',')
			break;
		text += *text == ',';
		if (n < VALUE_SIZE - 1)
			into[n++] = *text;
	}
	into[n] = 0;
	return *text ? text + 1 : text;
}

static bool json_value(const char *text, const char *key, char into[static VALUE_SIZE])
{
	json_t *object = json_loads(text, 0, NULL);
	const char *value = json_string_value(json_object_get(object, key));

	if (value)
		snprintf(into, VALUE_SIZE, "%s", value);
	json_decref(object);
	return value;
}

/* @key: as in JSON; what stands first without a key is @first. Return: false if it is not there. */
static bool get(const char *text, const char *key, const char *first, char into[static VALUE_SIZE])
{
	char piece[VALUE_SIZE];
	size_t length = strlen(key);
	bool leading = true;

	if (*text == '{')
		return json_value(text, key, into);
	for (; (text = next_piece(text, piece)); leading = false) {
		if (leading && !strcmp(key, first) && !strchr(piece, '=')) {
			memcpy(into, piece, VALUE_SIZE);
			return true;
		}
		if (!strncmp(piece, key, length) && piece[length] == '=') {
			memmove(piece, piece + length + 1, strlen(piece + length + 1) + 1);
			memcpy(into, piece, VALUE_SIZE);
			return true;
		}
	}
	return false;
}

static bool is(const char *text, const char *key, const char *first, const char *value)
{
	char found[VALUE_SIZE];

	return get(text, key, first, found) && !strcmp(found, value);
}

/* Does a network option ask a helper for a tap on that bridge? */
static bool asks_helper(const char *text, const char *bridge)
{
	char value[VALUE_SIZE];

	if (!is(text, "type", "type", "bridge") && !(is(text, "type", "type", "tap") && get(text, "helper", "type", value)))
		return false;
	return get(text, "br", "type", value) ? !strcmp(value, bridge) : !strcmp(bridge, BRIDGE_DEFAULT);
}

/* --- the line --- */

struct line { const char *text; size_t size; };

/* The next option and its value, words of their own. Return: false at the end. */
static bool next_option(struct line *l, const char **option, const char **value)
{
	while (l->size) {
		size_t n = strnlen(l->text, l->size);
		const char *word = l->text;

		if (n == l->size)
			return false; /* without its NUL: cut off */
		l->text += n + 1, l->size -= n + 1;
		if (*word != '-' || !l->size || !memchr(l->text, 0, l->size))
			continue;
		*option = word + (word[1] == '-' ? 2 : 1);
		*value = l->text;
		return true;
	}
	return false;
}

/* Is there a -netdev of that id for the bridge? */
static bool netdev_asks(struct line l, const char *id, const char *bridge)
{
	const char *option, *value;

	while (next_option(&l, &option, &value))
		if (!strcmp(option, "netdev") && is(value, "id", "type", id) && asks_helper(value, bridge))
			return true;
	return false;
}

/* Of the old -net: all of them are on one hub. */
static bool hub_asks(struct line l, const char *bridge)
{
	const char *option, *value;

	while (next_option(&l, &option, &value))
		if (!strcmp(option, "net") && asks_helper(value, bridge))
			return true;
	return false;
}

/* Is this option a card? @mac: the key of its MAC; @asks: it is on the bridge */
static bool is_card(struct line all, const char *option, const char *value, const char *bridge, const char **mac, bool *asks)
{
	char id[VALUE_SIZE];

	*mac = "mac";
	if (!strcmp(option, "device")) {
		if (!get(value, "netdev", "driver", id))
			return false;
		*asks = netdev_asks(all, id, bridge);
		return true;
	}
	if (!strcmp(option, "nic")) {
		*asks = asks_helper(value, bridge);
		return !is(value, "type", "type", "none");
	}
	*mac = "macaddr";
	*asks = hub_asks(all, bridge);
	return !strcmp(option, "net") && is(value, "type", "type", "nic");
}

size_t qemu_line_macs(const char *line, size_t size, const char *bridge, struct mac out[static QEMU_LINE_MACS])
{
	struct mac unset = {{ 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 }};
	struct line all = { line, size }, l = all;
	const char *option, *value, *key;
	char text[VALUE_SIZE];
	size_t count = 0;
	struct mac mac;
	bool asks;

	while (count < QEMU_LINE_MACS && next_option(&l, &option, &value)) {
		if (!is_card(all, option, value, bridge, &key, &asks))
			continue;
		if (!get(value, key, "", text) || !mac_parse(text, &mac)) {
			mac = unset;
			unset.b[5]++;
		}
		if (asks)
			out[count++] = mac;
	}
	return count;
}
