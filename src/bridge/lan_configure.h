// SPDX-License-Identifier: MIT
/* A configuration that has changed, applied to a bridge LAN that is up, beyond what the plan does. Each change is said in words. */
#pragma once
#include "bridge/lan_up.h"

/** lan_say() - one more change. @changes: an array; NULL: nobody listens */
void lan_say(json_t *changes, const char *format, ...) _printf_(2, 3);

/** lan_configure_guests() - from one configuration to the next. @from: NULL when the LAN comes up */
void lan_configure_guests(struct lan_up *l, const struct lan_config *from, const struct lan_config *to, json_t *changes);
