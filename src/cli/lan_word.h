// SPDX-License-Identifier: MIT
/* The LAN on the command line of a verb whose only word it may be: "hospes up lab" is "hospes up --lan lab". */
#pragma once
#include "cli/args.h"

/**
 * lan_word() - take the LAN from the words, if there is one
 * @verb: its name, for messages
 * @args: as parsed; nothing may stand in it but one word
 * @lan:  what --lan said; replaced by the word
 * Return: 0, or -EINVAL after a message.
 */
int lan_word(const char *verb, const struct args *args, const char **lan);
