// SPDX-License-Identifier: MIT
#include "cli/ssh_text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ssh(1): the options that take a value. */
#define WITH_VALUE "BbcDEeFIiJLlmOoPpQRSWw"

/* How a file is marked that did not exist: so that it goes when our line goes. */
#define MADE_BY "# This file was made by: hospes ssh-config --install\n"

/* Does this argument want the next one as its value? */
static bool wants_next(const char *arg)
{
	for (const char *c = arg + 1; *c; c++)
		if (strchr(WITH_VALUE, *c))
			return !c[1];
	return false;
}

int ssh_words_split(int argc, char **argv)
{
	int i = 0;

	while (i < argc) {
		if (!strcmp(argv[i], "--"))
			return i + 1;
		if (argv[i][0] != '-' || !argv[i][1])
			return i;
		i += wants_next(argv[i]) ? 2 : 1;
	}
	return argc;
}

/* The value of the option that @argv[i] ends in, whether it is its rest or the next argument. */
static const char *option_value(int argc, char **argv, int i, char *letter)
{
	for (const char *c = argv[i] + 1; *c; c++) {
		if (!strchr(WITH_VALUE, *c))
			continue;
		*letter = *c;
		return c[1] ? c + 1 : i + 1 < argc ? argv[i + 1] : "";
	}
	return NULL;
}

/* "User=x", "user x", but not "UserKnownHostsFile=x" */
static bool sets_user(const char *option)
{
	option += strspn(option, " \t");
	return !strncasecmp(option, "User", 4) && option[4] && strchr("= \t", option[4]);
}

bool ssh_words_have_user(int argc, char **argv, int host)
{
	if (host < argc && strchr(argv[host], '@'))
		return true;
	for (int i = 0; i < host && i < argc; i++) {
		char letter = 0;
		const char *value = argv[i][0] == '-' ? option_value(argc, argv, i, &letter) : NULL;

		if (value && (letter == 'l' || (letter == 'o' && sets_user(value))))
			return true;
		i += wants_next(argv[i]);
	}
	return false;
}

char *ssh_quote_command(const char *path)
{
	char *out = malloc(strlen(path) * 4 + 3), *at = out;

	if (!out)
		return NULL;
	*at++ = '\'';
	for (const char *c = path; *c; c++) {
		if (*c == '\'')
			at = stpcpy(at, "'\\''");
		else
			at = stpcpy(at, *c == '%' ? "%%" : (char[]){ *c, 0 });
	}
	strcpy(at, "'");
	return out;
}

char *ssh_quote_path(const char *path)
{
	char *out = strpbrk(path, "\"\\\n") || strstr(path, "${") ? NULL : malloc(strlen(path) * 2 + 3), *at = out;

	if (!out)
		return NULL;
	*at++ = '"';
	for (const char *c = path; *c; c++)
		at = stpcpy(at, *c == '%' ? "%%" : (char[]){ *c, 0 });
	strcpy(at, "\"");
	return out;
}

char *ssh_quote_include(const char *path)
{
	char *out = strpbrk(path, "\"\\\n%$") ? NULL : malloc(strlen(path) * 2 + 3), *at = out;

	if (!out)
		return NULL;
	*at++ = '"';
	for (const char *c = path; *c; c++) {
		if (strchr("*?[", *c))
			*at++ = '\\';
		*at++ = *c;
	}
	strcpy(at, "\"");
	return out;
}

/* The length of a line with its newline. */
static size_t line_length(const char *text)
{
	size_t length = strcspn(text, "\n");

	return length + (text[length] == '\n');
}

static bool is_line(const char *text, const char *line)
{
	return !strncmp(text, line, strlen(line)) && line_length(text) - (text[strcspn(text, "\n")] == '\n') == strlen(line);
}

static bool starts_block(const char *text)
{
	text += strspn(text, " \t");
	return (!strncasecmp(text, "Host", 4) && strchr(" \t=", text[4])) || (!strncasecmp(text, "Match", 5) && strchr(" \t=", text[5]));
}

char *ssh_config_add(const char *old, const char *line)
{
	char *text;

	for (const char *at = old; at && *at && !starts_block(at); at += line_length(at))
		if (is_line(at, line))
			return strdup(old);
	return asprintf(&text, "%s\n%s", line, old ? old : MADE_BY) < 0 ? NULL : text;
}

char *ssh_config_remove(const char *old, const char *line, bool *gone)
{
	char *text = malloc(strlen(old) + 1), *to = text;
	size_t length;

	if (!text)
		return NULL;
	for (const char *at = old; *at; at += length) {
		length = line_length(at);
		if (!is_line(at, line))
			to = mempcpy(to, at, length);
	}
	*to = 0;
	*gone = !strcmp(text, MADE_BY);
	return text;
}

char *ssh_config_block(const struct ssh_block *b)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	fprintf(to, "Host %s\n", b->pattern);
	fprintf(to, "\tProxyCommand %s connect ", b->program);
	if (b->lan)
		fprintf(to, "--lan %s ", b->lan);
	fprintf(to, "%%h:%%p\n");
	fprintf(to, "\tUserKnownHostsFile %s ~/.ssh/known_hosts\n", b->known_hosts);
	fprintf(to, "\tStrictHostKeyChecking accept-new\n");
	/* Naming one key turns the default ones off: so they are named, too. */
	fprintf(to, "Match host %s exec \"test -r %s\"\n", b->pattern, b->key_command);
	fprintf(to, "\tIdentityFile %s\n", b->key);
	for (const char *const *key = b->keys; *key; key++)
		fprintf(to, "\tIdentityFile %s\n", *key);
	return fclose(to) == EOF ? NULL : steal(&text);
}
