// SPDX-License-Identifier: MIT
#include "io/varlink_message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The parser recurses: count brackets outside of strings first. */
static bool too_deep(const char *text, size_t size)
{
	bool in_string = false;
	unsigned int depth = 0;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > VARLINK_DEPTH_MAX)
				return true;
		} else if ((c == '}' || c == ']') && depth) {
			depth--;
		}
	}
	return false;
}

int varlink_parse(const char *text, size_t size, json_t **out)
{
	json_auto_t *message = NULL;

	if (too_deep(text, size))
		return -EBADMSG;
	message = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(message))
		return -EBADMSG;
	*out = json_incref(message);
	return 0;
}

int varlink_format(json_t *message, char **out, size_t *size)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	json_decref(message);
	if (!text)
		return -ENOMEM;
	*out = text;
	*size = strlen(text) + 1;
	return 0;
}
