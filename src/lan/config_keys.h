// SPDX-License-Identifier: MIT
/*
 * The keys that a configuration file may have: for config.c alone.
 *
 * Each key is one line of a table: its section, its name, what is expected as its value (for the message), and what takes the value.
 */
#pragma once
#include "lan/config.h"

enum config_section { SECTION_NONE, SECTION_LAN, SECTION_GUEST, SECTION_FORWARD };

/* What is being read. A section of guests or forwards is gathered here and checked at its end. */
struct config_draft {
	struct lan_config *config;
	struct guest_config guest;
	char listen[FORWARD_TEXT_SIZE], to[FORWARD_TEXT_SIZE];
};

enum config_word { WORD_OF_ANY, WORD_OF_USER, WORD_OF_BRIDGE }; /* which fabric a key of [LAN] is for */

struct config_key {
	enum config_section section;
	const char *name;
	const char *expected;
	bool (*set)(struct config_draft *d, const char *value); /* false: not as expected */
	enum config_word word;
};

#define CONFIG_KEY_MAX 32 /* a set of keys is a bit mask */

/** config_section_find() - by name, any case; SECTION_NONE if there is none */
enum config_section config_section_find(const char *name);
/** config_key_find() - by name, any case. Return: its number for config_key(), or -1. Numbers are below 32. */
int config_key_find(enum config_section section, const char *name);
const struct config_key *config_key(int number);
/** config_key_list() - the names of a section's keys as "A, B, C"; Return: @into */
const char *config_key_list(enum config_section section, char *into, size_t size);
/**
 * config_parse_number() - a decimal number alone, from @min to @max. config_parse_net() - "ADDRESS/BITS"; the bits are not compared with
 * the address's length.
 * Return: false if it is none
 */
bool config_parse_number(const char *text, uint32_t min, uint32_t max, uint32_t *out);
bool config_parse_net(const char *text, addr_t *net, uint32_t *bits);

/* The keys of bridge LANs: config_bridge.c. */
extern const struct config_key config_bridge_keys[];
extern const size_t config_bridge_key_count;

/** config_bridge_init() - as it is before a line is read */
void config_bridge_init(struct bridge_config *b);
/**
 * config_bridge_finish() - fill in what was not said, and check the whole
 * @key: NULL, or on failure the name of the key whose line is wrong
 * Return: NULL, or what is wrong, in @text
 */
const char *config_bridge_finish(struct lan_config *c, const char **key, char *text, size_t size);
