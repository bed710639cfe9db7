// SPDX-License-Identifier: MIT
/* What ssh reads: its command line, its configuration file. Pure text. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"

/**
 * ssh_words_split() - find the guest in the arguments of ssh
 * @argc: without the program's name
 * @argv: "-v -p 22 user@web uname -a"
 * Return: the index of the host; @argc if there is none.
 */
int ssh_words_split(int argc, char **argv);

/** ssh_words_have_user() - is the login name written, by -l, -o User= or user@? @host: as ssh_words_split() answered */
bool ssh_words_have_user(int argc, char **argv, int host);

/** ssh_quote_command() - a program's path for ProxyCommand: in the shell's quotes, with "%" doubled. Return: malloc'd or NULL. */
char *ssh_quote_command(const char *path);

/**
 * ssh_quote_path() - a path for a configuration line: in double quotes, with "%" doubled
 * Return: malloc'd; NULL if that cannot be done (quotes or "${" in it, out of memory).
 */
char *ssh_quote_path(const char *path);

/**
 * ssh_quote_include() - a path for Include, which is a pattern: in double quotes, with what a pattern has escaped
 * Return: malloc'd; NULL if that cannot be done (quotes in it; "%" or "$", which only some versions of ssh expand there; out of memory).
 */
char *ssh_quote_include(const char *path);

/**
 * ssh_config_add() - put a line at the top of ssh's configuration
 * @old:  the file's text; NULL: there is no file
 * @line: without a newline
 * Return: malloc'd text; the same if the line stands before the first Host and Match already. NULL when out of memory.
 */
char *ssh_config_add(const char *old, const char *line);

/**
 * ssh_config_remove() - take a line out that ssh_config_add() put in
 * @gone: true if nothing is left of a file that did not exist before
 * Return: malloc'd text, every other byte as it was. NULL when out of memory.
 */
char *ssh_config_remove(const char *old, const char *line, bool *gone);

/* What the block for the names of guests is made of; every path is already quoted. */
struct ssh_block {
	const char *pattern;         /* "*.hospes" */
	const char *program;         /* this program, quoted for a command */
	const char *lan;             /* NULL: the name says it */
	const char *known_hosts;     /* ours */
	const char *key;             /* ours; it need not be there */
	const char *key_command;     /* the same, quoted for a command */
	const char *const *keys;     /* the user's own default ones that are there; NULL at the end */
};

/** ssh_config_block() - "Host *.hospes" and what belongs to it. Return: malloc'd or NULL. */
char *ssh_config_block(const struct ssh_block *b);
