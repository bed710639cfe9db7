// SPDX-License-Identifier: MIT
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_SIZE 4096

/* Names that a guest chose may stand in a message: none may end the line or speak to the terminal. */
static size_t clean(char *text, size_t size)
{
	while (size && text[size - 1] == '\n')
		size--;
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
	return size;
}

/* One write a line, so that the lines of several processes do not mix. The caller's errno survives. */
static __attribute__((format(printf, 2, 0))) void write_line(const char *kind, const char *format, va_list args)
{
	int saved = errno;
	char line[LINE_MAX_SIZE];
	int start = snprintf(line, sizeof(line) / 2, "%s: %s", program_invocation_short_name, kind);
	size_t at = start < 0 ? 0 : (size_t)start < sizeof(line) / 2 ? (size_t)start : sizeof(line) / 2 - 1;
	size_t room = sizeof(line) - at - 1; /* the newline's byte stays free */
	int size = vsnprintf(line + at, room, format, args);

	if (size >= 0) {
		at += clean(line + at, (size_t)size < room ? (size_t)size : room - 1);
		line[at++] = '\n';
		if (write(STDERR_FILENO, line, at) < 0)
			(void)0; /* nobody is left to be told */
	}
	errno = saved;
}

#define WRITE_LINE(kind) do { va_list args; va_start(args, format); write_line(kind, format, args); va_end(args); } while (0)

void log_error(const char *format, ...)
{
	WRITE_LINE("");
}

void log_warning(const char *format, ...)
{
	WRITE_LINE("warning: ");
}

void log_info(const char *format, ...)
{
	WRITE_LINE("");
}

void log_debug(const char *format, ...)
{
	const char *wanted = getenv("HOSPES_DEBUG");

	if (wanted && !strcmp(wanted, "1"))
		WRITE_LINE("debug: ");
}
