// SPDX-License-Identifier: MIT
/*
 * Messages of the Varlink protocol (varlink.org): one JSON object each, ended by a NUL.
 *
 * What comes from outside is bounded here: size by the caller's buffer, depth before the parser recurses, doubled keys refused.
 */
#pragma once
#include <jansson.h>
#include <stddef.h>

#define VARLINK_CALL_MAX  65536         /* bytes of a call, with its NUL */
#define VARLINK_REPLY_MAX (4u << 20)    /* bytes of a reply, with its NUL */
#define VARLINK_DEPTH_MAX 16            /* objects and arrays inside each other */

/**
 * varlink_parse() - read one message
 * @text: its bytes, without the NUL
 * @size: how many
 * @out:  a JSON object; json_decref() it
 * Return: 0; -EBADMSG if it is no JSON object, too deep, or has a key twice.
 */
int varlink_parse(const char *text, size_t size, json_t **out);

/**
 * varlink_format() - write one message
 * @message: an object; owned by the call, NULL (jansson ran out of memory while it was made) fails
 * @out:     malloc'd, with the NUL
 * @size:    bytes, with the NUL
 * Return: 0 or -ENOMEM.
 */
int varlink_format(json_t *message, char **out, size_t *size);
