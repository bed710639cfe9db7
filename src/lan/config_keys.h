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

struct config_key {
	enum config_section section;
	const char *name;
	const char *expected;
	bool (*set)(struct config_draft *d, const char *value); /* false: not as expected; NULL: a word of bridge LANs */
};

/** config_section_find() - by name, any case; SECTION_NONE if there is none */
enum config_section config_section_find(const char *name);
/** config_key_find() - by name, any case. Return: its number for config_key(), or -1. Numbers are below 32. */
int config_key_find(enum config_section section, const char *name);
const struct config_key *config_key(int number);
/** config_key_list() - the names of a section's keys as "A, B, C"; Return: @into */
const char *config_key_list(enum config_section section, char *into, size_t size);
