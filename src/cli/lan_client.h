// SPDX-License-Identifier: MIT
/*
 * A LAN's control socket, as the verbs use it: connect, start the daemon if the LAN is down, call, and say what went wrong with a remedy.
 *
 * A connection is a plain descriptor (close it with fd_close()). Calls block.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/fd.h"

enum lan_start {
	LAN_START,       /* bring the LAN up if it is down */
	LAN_AS_IS,       /* -ENOENT, and no message, if it is down */
};

/* An answer that is an error; kept by callers who handle some of them. */
struct lan_error {
	char name[64];       /* "NoGuest"; without the interface for errors of org.hospes.Lan, else whole: "org.varlink.service.MethodNotFound" */
	json_t *parameters;  /* NULL if there were none */
};

/**
 * lan_connect() - connect to a LAN's control socket
 * @lan:   its name
 * @start: what to do if it is down
 * Return: a descriptor, or negative errno; a message has been given, except for -ENOENT with LAN_AS_IS.
 */
int lan_connect(const char *lan, enum lan_start start);

/** lan_start_daemon() - start the daemon of a LAN that is down, and wait until it is ready. Return: 0 or negative errno; a message has been given. */
int lan_start_daemon(const char *lan);

/**
 * lan_call() - call a method of org.hospes.Lan
 * @fd:         from lan_connect()
 * @method:     without the interface: "Status"
 * @parameters: owned by the call; NULL: none
 * @reply:      the answer's parameters, made; json_decref() them. NULL: not wanted
 * Return: 0, or negative errno; a message has been given.
 */
int lan_call(int fd, const char *method, json_t *parameters, json_t **reply);

/** lan_call_fd() - the same with a descriptor attached to the call; -1: none. The caller keeps it. */
int lan_call_fd(int fd, const char *method, json_t *parameters, int attach, json_t **reply);

/**
 * lan_call_upgrade() - the same, after which the connection carries bytes of another kind
 * @early: bytes that came right behind the answer and were read with it, made; free() them
 */
int lan_call_upgrade(int fd, const char *method, json_t *parameters, char **early, size_t *early_size);

/**
 * lan_try() - like lan_call(), for callers who handle errors themselves
 * @error: filled in when the answer is an error (return -EREMOTEIO); json_decref() its parameters; or give it to lan_error_say()
 * Return: 0; -EREMOTEIO with @error; or another negative errno after a message.
 */
int lan_try(int fd, const char *method, json_t *parameters, json_t **reply, struct lan_error *error);

/** lan_error_text() - a message with a remedy for an error of org.hospes.Lan, one line. Return: @into. */
const char *lan_error_text(const char *name, const json_t *parameters, char *into, size_t size);

/** lan_text() - the string @key of @object. Return: "" where it is missing, null or no string. */
const char *lan_text(const json_t *object, const char *key);
/** lan_number() - the integer @key of @object. Return: 0 where it is missing, null or no integer. */
long long lan_number(const json_t *object, const char *key);

/** lan_name_check() - say so if @lan is no valid name of a LAN. Return: 0 or -EINVAL. */
int lan_name_check(const char *lan);
