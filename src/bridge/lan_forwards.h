// SPDX-License-Identifier: MIT
/* Forwards of a bridge LAN: ports of the host, handed to guests by rules of nft as soon as the guest's address is known. */
#pragma once
#include "bridge/lan_up.h"

/** lan_forward_check() - can rules do it? Return: 0 or -EINVAL with @error (512 bytes). */
int lan_forward_check(const struct lan_up *l, const struct forward_rule *rule, char *error, size_t error_size);
/** lan_forward_add() - Return: 0; -EINVAL, -EEXIST or -ENOSPC with @error */
int lan_forward_add(struct lan_up *l, const struct forward_rule *rule, bool of_file, char *error, size_t error_size);
/** lan_forward_remove() - by where it listens. Return: 0 or -ENOENT. */
int lan_forward_remove(struct lan_up *l, const struct forward_rule *rule);
/** lan_forwards_configure() - those of the file are exchanged for those of @config. @changes: as with lan_say() */
void lan_forwards_configure(struct lan_up *l, const struct lan_config *config, json_t *changes);
/** lan_forwards_rules() - as rules, those whose guest has an address now. Return: how many; at most @room. */
size_t lan_forwards_rules(const struct lan_up *l, struct rules_forward *into, size_t room);
