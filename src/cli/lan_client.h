// SPDX-License-Identifier: MIT
/*
 * A LAN's control socket, as the verbs use it: connect, start the daemon if the LAN is down, call, and say what went wrong with a remedy.
 *
 * A connection is a plain descriptor (close it with fd_close()). Calls block, though the descriptor itself is non-blocking.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/fd.h"
#include "io/varlink_client.h"

enum lan_start {
	LAN_START,       /* bring the LAN up if it is down */
	LAN_AS_IS,       /* -ENOENT, and no message, if it is down */
};

/**
 * lan_connect() - connect to a LAN's control socket
 * @lan:   its name
 * @start: what to do if it is down
 * Return: a descriptor, or negative errno (cli_status() makes the exit status of it); a message has been given, except for -ENOENT with
 * LAN_AS_IS.
 */
int lan_connect(const char *lan, enum lan_start start);

/**
 * lan_call() - call a method of org.hospes.Lan
 * @fd:         from lan_connect()
 * @method:     without the interface: "Status"
 * @parameters: owned by the call; NULL: none
 * @reply:      the answer's parameters, made; json_decref() them. NULL: not wanted
 * Return: 0, or negative errno; a message has been given.
 */
int lan_call(int fd, const char *method, json_t *parameters, json_t **reply);

/** lan_call_fd() - the same with a descriptor attached to the call. The caller keeps it. */
int lan_call_fd(int fd, const char *method, json_t *parameters, int attach, json_t **reply);

/** lan_call_upgrade() - the same, no answer's parameters wanted, after which the connection carries other bytes */
int lan_call_upgrade(int fd, const char *method, json_t *parameters);

/**
 * lan_try() - like lan_call(), for callers who handle errors themselves
 * @reply: the parameters of the answer or of the error
 * @error: the error's name, without the interface for those of org.hospes.Lan: "NoGuest"
 * Return: 0; VARLINK_ERROR, with no message: say it with lan_error_text(); or negative errno after a message.
 */
int lan_try(int fd, const char *method, json_t *parameters, json_t **reply, char error[static VARLINK_ERROR_SIZE]);

/** lan_error_text() - a message with a remedy for an error by its name, one line. Return: @into. */
const char *lan_error_text(const char *name, const json_t *parameters, char *into, size_t size);

/** lan_text() - the string @key of @object. Return: "" where it is missing, null or no string. */
const char *lan_text(const json_t *object, const char *key);
/** lan_number() - the integer @key of @object. Return: 0 where it is missing, null or no integer. */
int64_t lan_number(const json_t *object, const char *key);
/** lan_reason() - the "errno" of an error's parameters in words. Return: "" where there is none, or the message has said it. */
const char *lan_reason(const json_t *parameters);

/** lan_name_check() - say so if @lan is no valid name of a LAN. Return: 0 or -EINVAL. */
int lan_name_check(const char *lan);

/** lan_json_freep() - cleanup for a json_t that may be NULL */
_unused_ static inline void lan_json_freep(json_t **j) { json_decref(*j); }
#define _cleanup_json_ _cleanup_(lan_json_freep)
