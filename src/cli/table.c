// SPDX-License-Identifier: MIT
#include "cli/table.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

struct table {
	size_t columns;
	const char *const *headings;
	char **cells;                /* row by row; each malloc'd */
	size_t count, room;
};

int table_new(struct table **out, const char *const *headings)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->headings = headings;
	while (headings[t->columns])
		t->columns++;
	if (!t->columns || t->columns > TABLE_COLUMNS) {
		free(t);
		return -EINVAL;
	}
	*out = t;
	return 0;
}

struct table *table_free(struct table *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
	return NULL;
}

int table_cell(struct table *t, const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int r = 0;

	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		char **cells = realloc(t->cells, room * sizeof(*cells));

		if (!cells)
			return -ENOMEM;
		t->cells = cells, t->room = room;
	}
	va_start(args, format);
	if (format && *format)
		r = vasprintf(&text, format, args);
	va_end(args);
	if (r < 0)
		return -ENOMEM;
	if (!text || !*text) {
		free(text);
		text = strdup("-");
		if (!text)
			return -ENOMEM;
	}
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	t->cells[t->count++] = text;
	return 0;
}

/* The text of a heading without its mark. */
static const char *heading(const struct table *t, size_t column)
{
	return t->headings[column] + (t->headings[column][0] == '>');
}

bool table_empty(const struct table *t)
{
	return !t->count;
}

static void print_row(const struct table *t, FILE *to, const size_t *widths, size_t row)
{
	size_t owed = 0; /* spaces that are written only if something follows */

	for (size_t c = 0; c < t->columns; c++) {
		size_t at = (row - 1) * t->columns + c;
		const char *text = !row ? heading(t, c) : at < t->count ? t->cells[at] : "";
		size_t length = strspn(text, " ") == strlen(text) ? 0 : strlen(text);
		bool right = t->headings[c][0] == '>';

		if (length)
			fprintf(to, "%*s%s", (int)(owed + (right ? widths[c] - length : 0)), "", text);
		owed = (length ? right ? 0 : widths[c] - length : owed + widths[c]) + 2;
	}
	fputc('\n', to);
}

void table_print(const struct table *t, FILE *to)
{
	size_t widths[TABLE_COLUMNS], rows = (t->count + t->columns - 1) / t->columns;

	for (size_t c = 0; c < t->columns; c++)
		widths[c] = strlen(heading(t, c));
	for (size_t i = 0; i < t->count; i++)
		widths[i % t->columns] = MAX(widths[i % t->columns], strlen(t->cells[i]));
	for (size_t row = 0; row <= rows; row++)
		print_row(t, to, widths, row);
}

const char *human_bytes(uint64_t bytes, char into[static HUMAN_TEXT_SIZE])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	/* 999.5 and more would show as 1000 */
	while (value >= 999.5 && unit + 1 < ARRAY_SIZE(units))
		value /= 1024, unit++;
	snprintf(into, HUMAN_TEXT_SIZE, "%.*f %s", unit && value < 9.95, value, units[unit]);
	return into;
}
