// SPDX-License-Identifier: MIT
/*
 * A step: one change of the kernel's network state, as a value.
 *
 * It can be printed as the ip, sysctl or nft command that says the same, kept as JSON, and turned into its inverse. What it needs for that
 * it carries itself ("old"). Links are named, since an index means nothing in a journal.
 */
#pragma once
#include "bridge/snapshot.h"

enum step_kind {
	STEP_BRIDGE_ADD,      /* link; value: its MAC */
	STEP_BRIDGE_DEL,
	STEP_TAP_ADD,         /* link; value: its owner, a user's name; persistent */
	STEP_TAP_DEL,
	STEP_ALIAS,           /* link; value, old: as with every setting of a link below */
	STEP_MAC,
	STEP_MTU,
	STEP_UP,              /* "up", "down" */
	STEP_MASTER,          /* a bridge's name, or "" */
	STEP_ISOLATED,        /* as a port: "1", "0" */
	STEP_STP,             /* "1", "0" */
	STEP_FORWARD_DELAY,   /* hundredths of seconds */
	STEP_HELLO,
	STEP_MAX_AGE,
	STEP_ADDRESS_ADD,     /* link, address */
	STEP_ADDRESS_DEL,
	STEP_ROUTE_ADD,       /* link, route; key: the link that the route left by before (its raw message still says so), or "" */
	STEP_ROUTE_DEL,
	STEP_RULE_ADD,        /* link, rule; key likewise */
	STEP_RULE_DEL,
	STEP_SYSCTL,          /* key, value, old */
	STEP_NFT_ADD,         /* key: "inet hospes_br0"; text: the whole of it */
	STEP_NFT_DEL,         /* key; text: for the way back */
	STEP_KINDS
};

/* As the journal has it: written down before it was taken, taken, on its way back. */
enum step_state { STEP_PLANNED, STEP_INTENDED, STEP_DONE, STEP_UNDOING };

struct step {
	enum step_kind kind;
	char link[IFNAMSIZ];
	char key[80];
	char value[96], old[96];
	char *text;                   /* owned; NULL but for nft */
	struct link_address address;
	struct link_route route;      /* owned */
	struct route_rule rule;       /* owned */
	uint32_t number;              /* in the journal; 0: not yet there */
	uint32_t undoes;              /* in the journal: this is the way back of that one; 0: none */
	enum step_state state;
};

struct steps { struct step *step; size_t count; };

/** steps_fini() - free the list's steps and the list */
void steps_fini(struct steps *s);
/** steps_add() - put @step at the end, which takes what it owns, also on failure. Return: 0 or -ENOMEM. */
int steps_add(struct steps *s, struct step *step);

void step_fini(struct step *s);
/** step_copy() - Return: 0 or -ENOMEM */
int step_copy(struct step *out, const struct step *s);

/** step_name() - of a kind, as in JSON: "bridge-add" */
const char *step_name(enum step_kind kind);
/**
 * step_format() - the command that does the same, in one line (an nft text's lines joined by "; ")
 * Return: malloc'd, or NULL when out of memory
 */
char *step_format(const struct step *s);
/** step_to_json() - Return: a new reference or NULL */
json_t *step_to_json(const struct step *s);
/** step_from_json() - Return: 0, -EINVAL or -ENOMEM */
int step_from_json(struct step *out, const json_t *json);
/** step_inverse() - the way back, its own "old" and "value" exchanged. Return: 0 or -ENOMEM. */
int step_inverse(struct step *out, const struct step *s);
