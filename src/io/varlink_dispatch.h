// SPDX-License-Identifier: MIT
/* Which handler a Varlink call is for, whether its parameters are what the table says, and org.varlink.service itself. */
#pragma once
#include "io/varlink_server.h"

/**
 * varlink_dispatch() - answer a call, or let its handler do so
 * @service:    the table
 * @owner:      for handlers
 * @call:       to be answered
 * @method:     whole name, from outside
 * @parameters: from outside; NULL: none
 * @upgrade:    whether the caller wants the connection afterwards
 */
void varlink_dispatch(const struct varlink_service *service, void *owner, struct varlink_call *call, const char *method, json_t *parameters,
		      bool upgrade);
