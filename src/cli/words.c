// SPDX-License-Identifier: MIT
#include "cli/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add(struct words *w, char *word)
{
	if (word && w->count + 2 > w->room) {
		size_t room = w->room ? w->room * 2 : 32;
		char **list = realloc(w->list, room * sizeof(*list));

		if (list) {
			w->list = list;
			w->room = room;
		}
	}
	if (!word || w->count + 2 > w->room) {
		free(word);
		w->failed = true;
		return;
	}
	w->list[w->count++] = word;
	w->list[w->count] = NULL;
}

static _printf_(1, 0) char *format_word(const char *format, va_list args)
{
	char *word;

	return vasprintf(&word, format, args) < 0 ? NULL : word;
}

void words_add(struct words *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(w, format_word(format, args));
	va_end(args);
}

void words_add_pair(struct words *w, const char *option, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(w, strdup(option));
	add(w, format_word(format, args));
	va_end(args);
}

void words_fini(struct words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->list[i]);
	free(w->list);
	*w = (struct words){ 0 };
}

#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%"

char *words_quote(const struct words *w)
{
	char *text = NULL;
	size_t size;
	FILE *to = w->failed ? NULL : open_memstream(&text, &size);

	if (!to)
		return NULL;
	for (size_t i = 0; i < w->count; i++) {
		const char *word = w->list[i];
		bool plain = *word && strspn(word, PLAIN) == strlen(word);

		fputs(i ? plain ? " " : " '" : plain ? "" : "'", to);
		for (; *word; word++)
			if (*word == '\'')
				fputs("'\\''", to);
			else
				fputc(*word, to);
		fputs(plain ? "" : "'", to);
	}
	if (fclose(to) == EOF)
		free(steal(&text));
	return text;
}
