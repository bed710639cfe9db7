// SPDX-License-Identifier: MIT
/*
 * Options and words of a verb's command line.
 *
 *	const char *lan = LAN_DEFAULT;
 *	bool json = false;
 *	const struct args_option options[] = { ARGS_LAN(&lan), { "json", 0, .flag = &json }, { 0 } };
 *	struct args args;
 *
 *	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0)
 *		return EXIT_USAGE;
 *
 * Long options may be written --name VALUE or --name=VALUE, letters -l VALUE, -lVALUE and, flags, together. "--" ends the options; what
 * follows it is kept apart. Nothing is allocated: all text stays in argv, which is put into order (words first).
 */
#pragma once
#include <stdbool.h>
#include "base/attr.h"

#define ARGS_LIST_MAX 64

struct args_list {
	const char *value[ARGS_LIST_MAX];
	int count;
};

/* One of flag, value and list is set. An array of them ends with a zeroed one. */
struct args_option {
	const char *name;        /* "json" for --json */
	char letter;             /* 'l' for -l; 0 if it has none */
	bool *flag;              /* set when it is there */
	const char **value;      /* takes a value; the last one counts */
	struct args_list *list;  /* takes a value, and may be there several times */
};

#define ARGS_LAN(lan) { "lan", 'l', .value = (lan) }

enum args_style {
	ARGS_ANYWHERE,   /* options may stand between the words */
	ARGS_FIRST,      /* the first word ends the options: the rest belongs to another program */
};

struct args {
	char **words;    /* in argv, not the verb itself; ends with NULL */
	int count;
	char **rest;     /* what stood behind "--"; ends with NULL, too */
	int rest_count;
};

/**
 * args_parse() - take options out of a verb's arguments
 * @out:     words and rest
 * @argc:    from the verb on
 * @argv:    argv[0] is the verb; put into order
 * @options: what there is; ends with a zeroed one
 * @style:   where options may stand
 * Return: 0, or -EINVAL when a message and the usage have been given.
 */
int args_parse(struct args *out, int argc, char **argv, const struct args_option *options, enum args_style style);

/** args_parse_quiet() - the same, the message in @error (@size bytes) instead. */
int args_parse_quiet(struct args *out, int argc, char **argv, const struct args_option *options, enum args_style style,
		     char *error, size_t size);
