// SPDX-License-Identifier: MIT
/*
 * Which fabric a LAN has, so that nobody has to say it.
 *
 * A LAN's own user decides first: a file in ~/.config/hospes is that of a user LAN. A file in /etc/hospes may say "Fabric =
 * bridge"; that LAN is served by hospes-bridged, for all whom it lets. A LAN with no file is a user LAN.
 */
#pragma once
#include <stdbool.h>
#include "lan/config.h"

/**
 * fabric_of() - the fabric of a LAN, up or down
 * @lan: a valid name
 * @out: filled in
 * Return: 0; -EBADMSG if its file is wrong, or another negative errno, after a message.
 */
int fabric_of(const char *lan, enum fabric *out);

/** fabric_is_own() - has this user a file of that name of their own? Then a bridge LAN of that name is not meant. */
bool fabric_is_own(const char *lan);

/**
 * fabric_need_root() - for what only root may do to a bridge LAN
 *
 * Return: 0, or -EPERM after a message that says what to type. @words: the verb and its options.
 */
int fabric_need_root(const char *words, const char *lan);

/** fabric_say_down() - say that a bridge LAN is down, and who can bring it up */
void fabric_say_down(const char *lan);
