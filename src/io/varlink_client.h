// SPDX-License-Identifier: MIT
/*
 * The calling side of Varlink, for programs that may wait. A connection is a plain descriptor: no byte beyond an answer is ever taken from
 * it, so that after an upgrade it carries the other protocol from its first byte.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include "base/usec.h"

#define VARLINK_ERROR_SIZE 128
#define VARLINK_ERROR      1     /* varlink_call(): the answer is an error */

struct varlink_request {
	const char *method;      /* "org.hospes.Lan.Status" */
	json_t *parameters;      /* owned by the call; NULL: none */
	int fd;                  /* attached to the call (SCM_RIGHTS), stays the caller's; with 0 or less there is none */
	int *reply_fd;           /* where the descriptor goes that comes with the answer, the caller's then; -1: none. NULL: not wanted */
	bool oneway, upgrade;
	usec_t timeout;          /* for all of it; 0 or USEC_NEVER: none */
};

/**
 * varlink_connect() - connect to a unix socket
 * Return: a descriptor, or negative errno: -ENOENT and -ECONNREFUSED if nobody serves there, -ENAMETOOLONG, -ETIMEDOUT.
 */
int varlink_connect(const char *path, usec_t timeout);

/**
 * varlink_call() - call a method and wait for its answer
 * @socket: from varlink_connect()
 * @call:   what to call; its parameters are gone afterwards, however it went
 * @reply:  the parameters of the answer, of an error too, an object; json_decref() them. NULL: not wanted
 * @error:  the error's name, "" if it is none
 * Return: 0; VARLINK_ERROR; or negative errno: -ETIMEDOUT, -ECONNRESET (the other side went), -EPROTO (it does not speak Varlink),
 * -EMSGSIZE. After a negative return the connection is of no more use.
 */
int varlink_call(int socket, const struct varlink_request *call, json_t **reply, char error[static VARLINK_ERROR_SIZE]);
