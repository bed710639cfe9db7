// SPDX-License-Identifier: MIT
/* An argument list that is put together word by word. A word that cannot be made (out of memory) is asked for once, at the end. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"

struct words {
	char **list;    /* ends with NULL; NULL while there is none */
	size_t count, room;
	bool failed;
};

/** words_add() - put one word; the format's values may hold anything */
void words_add(struct words *w, const char *format, ...) _printf_(2, 3);
/** words_add_pair() - put an option and, formatted, its value */
void words_add_pair(struct words *w, const char *option, const char *format, ...) _printf_(3, 4);
/** words_fini() - free them all */
void words_fini(struct words *w);
#define _cleanup_words_ _cleanup_(words_fini)

/** words_quote() - one line that a POSIX shell reads back as these words. Return: malloc'd or NULL. */
char *words_quote(const struct words *w);
