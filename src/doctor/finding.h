// SPDX-License-Identifier: MIT
/*
 * What is wrong: the symptom that a person sees, the cause, where it was read, and the one line that mends it.
 *
 * Findings own their text. What came from outside (names of links, guests, programs) goes into a remedy only through findings_quote(), so
 * that a shell takes it as it is.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"

enum severity {
	SEVERITY_NOTE,       /* nothing is wrong, but it could be better, or surprise */
	SEVERITY_WARNING,    /* something does not work, or will not when it is wanted */
	SEVERITY_ERROR,      /* guests are cut off, wholly or in part */
};

struct finding {
	const char *check;   /* set by findings_add(): the name of the check that is running */
	enum severity severity;
	const char *guest;   /* whom alone it concerns; NULL: all */
	const char *symptom, *cause, *where;
	const char *remedy;  /* a line to type; NULL: there is none */
	const char *advice;  /* without a remedy, why, and what to do instead; with one, what has to be known about it, or NULL */
};

struct findings {
	struct finding *list; size_t count;
	char **texts; size_t text_count;
	const char *check;
	bool failed;         /* out of memory */
};

void findings_fini(struct findings *f);
#define _cleanup_findings_ _cleanup_(findings_fini)

/** findings_add() - put one; its texts must live as long as @f (literals, or made by say()) */
void findings_add(struct findings *f, struct finding finding);
/** say() - text that lives as long as @f. Return: "" when out of memory. */
const char *say(struct findings *f, const char *format, ...) _printf_(2, 3);
/** findings_quote() - @word for a POSIX shell, in quotes where it needs any */
const char *findings_quote(struct findings *f, const char *word);
/** findings_worst() - the worst severity, or -1 if there is nothing */
int findings_worst(const struct findings *f);
/** severity_name() - "error" */
const char *severity_name(enum severity severity);
