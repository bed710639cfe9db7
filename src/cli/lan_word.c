// SPDX-License-Identifier: MIT
#include "cli/lan_word.h"

#include <errno.h>
#include <string.h>
#include "cli/cli.h"
#include "cli/lan_client.h"

int lan_word(const char *verb, const struct args *args, const char **lan)
{
	if (args->count > 1 || args->rest_count) {
		cli_wrong(verb, "one LAN at a time, not \"%s\" too", args->count > 1 ? args->words[1] : args->rest[0]);
		return -EINVAL;
	}
	if (args->count && *lan && strcmp(*lan, args->words[0])) {
		cli_wrong(verb, "which LAN, %s or %s?", *lan, args->words[0]);
		return -EINVAL;
	}
	if (args->count)
		*lan = args->words[0];
	if (!*lan)
		*lan = LAN_DEFAULT;
	return lan_name_check(*lan);
}
