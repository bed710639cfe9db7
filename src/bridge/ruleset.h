// SPDX-License-Identifier: MIT
/* Rules given to the kernel: the nft program, fed on its standard input. The only program that the service ever starts. */
#pragma once
#include <stddef.h>

#define RULESET_NFT "/usr/sbin/nft"

/**
 * ruleset_load() - nft -f -
 * @text:  one transaction: all of it holds afterwards, or nothing has changed
 * @error: why not, in nft's words; 512 bytes
 * Waits for its end, ten seconds at the most (then it is killed). Return: 0, or negative errno with @error: -EINVAL if nft refused.
 */
int ruleset_load(const char *text, char *error, size_t error_size);
