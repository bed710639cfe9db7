// SPDX-License-Identifier: MIT
#include "cli/args.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "cli/cli.h"

/* One run over argv. */
struct scan {
	const struct args_option *options;
	char **argv;
	int argc, at;        /* at: the argument that is being read */
	char *error;
	size_t size;
};

static const struct args_option *find_letter(const struct args_option *o, char letter)
{
	for (; o->name; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

static const struct args_option *find_name(const struct args_option *o, const char *name, size_t length)
{
	for (; o->name; o++)
		if (strlen(o->name) == length && !memcmp(o->name, name, length))
			return o;
	return NULL;
}

/* Give a value to an option; @value NULL: it is the next argument. */
static int take_value(struct scan *s, const struct args_option *o, const char *shown, const char *value)
{
	if (!value && s->at + 1 < s->argc)
		value = s->argv[++s->at];
	if (!value) {
		snprintf(s->error, s->size, "%s needs a value", shown);
		return -EINVAL;
	}
	if (o->value) {
		*o->value = value;
		return 0;
	}
	if (o->list->count == ARGS_LIST_MAX) {
		snprintf(s->error, s->size, "%s stands there more than %d times", shown, ARGS_LIST_MAX);
		return -EINVAL;
	}
	o->list->value[o->list->count++] = value;
	return 0;
}

static int take_long(struct scan *s, const char *arg)
{
	const char *equals = strchr(arg, '=');
	size_t length = equals ? (size_t)(equals - arg) : strlen(arg);
	const struct args_option *o = find_name(s->options, arg + 2, length - 2);

	if (!o) {
		snprintf(s->error, s->size, "there is no option %.*s", (int)length, arg);
		return -EINVAL;
	}
	if (!o->flag)
		return take_value(s, o, arg, equals ? equals + 1 : NULL);
	if (equals) {
		snprintf(s->error, s->size, "%.*s takes no value", (int)length, arg);
		return -EINVAL;
	}
	*o->flag = true;
	return 0;
}

static int take_letters(struct scan *s, const char *arg)
{
	for (const char *c = arg + 1; *c; c++) {
		const struct args_option *o = find_letter(s->options, *c);
		const char shown[] = { '-', *c, 0 };

		if (!o) {
			snprintf(s->error, s->size, "there is no option %s", shown);
			return -EINVAL;
		}
		if (!o->flag)
			return take_value(s, o, shown, c[1] ? c + 1 : NULL);
		*o->flag = true;
	}
	return 0;
}

int args_parse_quiet(struct args *out, int argc, char **argv, const struct args_option *options, enum args_style style,
		     char *error, size_t size)
{
	struct scan s = { .options = options, .argv = argv, .argc = argc, .error = error, .size = size };
	int words = 1, r = 0;

	*out = (struct args){ .words = argv + 1 };
	for (s.at = 1; s.at < argc && !r; s.at++) {
		char *arg = argv[s.at];

		if (!strcmp(arg, "--")) {
			s.at++;
			break;
		}
		if (arg[0] != '-' || !arg[1])
			argv[words++] = arg;
		else if (arg[1] == '-')
			r = take_long(&s, arg);
		else
			r = take_letters(&s, arg);
		if (words > 1 && style == ARGS_FIRST) {
			while (++s.at < argc)
				argv[words++] = argv[s.at];
			break;
		}
	}
	out->count = words - 1;
	argv[words] = NULL; /* before the rest: at least the "--" stood between, or the end */
	out->rest = argv + s.at;
	out->rest_count = argc - s.at;
	return r;
}

int args_parse(struct args *out, int argc, char **argv, const struct args_option *options, enum args_style style)
{
	char error[160];
	int r = args_parse_quiet(out, argc, argv, options, style, error, sizeof(error));

	if (r < 0)
		cli_wrong(argv[0], "%s", error);
	return r;
}
