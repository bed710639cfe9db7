// SPDX-License-Identifier: MIT
#include "doctor/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@:/,+=-"

void findings_fini(struct findings *f)
{
	for (size_t i = 0; i < f->text_count; i++)
		free(f->texts[i]);
	free(f->texts);
	free(f->list);
}

void findings_add(struct findings *f, struct finding finding)
{
	struct finding *grown = reallocarray(f->list, f->count + 1, sizeof(*grown));

	if (!grown) {
		f->failed = true;
		return;
	}
	finding.check = f->check;
	f->list = grown;
	f->list[f->count++] = finding;
}

/* Take over @text. */
static const char *keep(struct findings *f, char *text)
{
	char **grown = text ? reallocarray(f->texts, f->text_count + 1, sizeof(*grown)) : NULL;

	if (!grown) {
		free(text);
		f->failed = true;
		return "";
	}
	f->texts = grown;
	return f->texts[f->text_count++] = text;
}

const char *say(struct findings *f, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return keep(f, text);
}

const char *findings_quote(struct findings *f, const char *word)
{
	char *text, *out;

	if (*word && strspn(word, PLAIN) == strlen(word))
		return say(f, "%s", word);
	text = out = malloc(strlen(word) * 4 + 3);
	if (text) {
		*out++ = '\'';
		for (; *word; word++) {
			if (*word == '\'')
				out = stpcpy(out, "'\\''");
			else
				*out++ = *word;
		}
		strcpy(out, "'");
	}
	return keep(f, text);
}

int findings_worst(const struct findings *f)
{
	int worst = -1;

	for (size_t i = 0; i < f->count; i++)
		worst = MAX(worst, (int)f->list[i].severity);
	return worst;
}

const char *severity_name(enum severity severity)
{
	switch (severity) {
	case SEVERITY_NOTE: return "note";
	case SEVERITY_WARNING: return "warning";
	case SEVERITY_ERROR: return "error";
	}
	return "?";
}
