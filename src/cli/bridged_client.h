// SPDX-License-Identifier: MIT
/*
 * The privileged service of bridge LANs, hospes-bridged, as the verbs use it: connect, start it where root may, call, and say
 * what went wrong with a remedy. The interface is src/bridge/org.hospes.Bridged.varlink.
 */
#pragma once
#include <stdbool.h>
#include "cli/lan_client.h"

#define BRIDGED_FOLDER  "/run/hospes"
#define BRIDGED_SOCKET  BRIDGED_FOLDER "/bridged"
#define BRIDGED_CONFIG  "/etc/hospes"
#define BRIDGED_INTERFACE "org.hospes.Bridged."

/**
 * bridged_connect() - connect to the service
 * @start: LAN_START: root starts it if it does not run, anybody else is told what to type
 * Return: a descriptor, or negative errno after a message; -ENOENT with LAN_AS_IS, and no message, if it does not run.
 */
int bridged_connect(enum lan_start start);

/**
 * bridged_start() - start it: by systemd where that runs this machine, else as our child's child
 *
 * For root. Return: 0, or negative errno after a message.
 */
int bridged_start(void);

/**
 * bridged_call() - call a method of org.hospes.Bridged
 * @parameters: owned by the call
 * @reply:      the answer's parameters, made; NULL: not wanted
 * Return: 0, or negative errno after a message.
 */
int bridged_call(int fd, const char *method, json_t *parameters, json_t **reply);

/**
 * bridged_try() - the same for callers who handle errors themselves
 * @error: the error's name, without the interface for those of org.hospes.Bridged
 * Return: 0; VARLINK_ERROR, with no message: bridged_error_text() says it; or negative errno after a message.
 */
int bridged_try(int fd, const char *method, json_t *parameters, json_t **reply, char error[static VARLINK_ERROR_SIZE]);

/** bridged_error_text() - a message with a remedy for an error by its name, one line. Return: @into. */
const char *bridged_error_text(const char *name, const json_t *parameters, char *into, size_t size);

/**
 * bridged_attach() - a tap on a bridge LAN
 * @fd:   from bridged_connect()
 * @name: the guest's; NULL: the service finds one
 * @mac:  the guest's; NULL: the one that belongs to the name
 * @reply: tap, mac, name, made; NULL: not wanted
 * Return: the tap's descriptor, or negative errno after a message.
 */
int bridged_attach(int fd, const char *lan, const char *name, const char *mac, json_t **reply);

/** bridged_attach_free() - the same. Return: -EBUSY, with no message, if that guest is attached already, or its MAC in use. */
int bridged_attach_free(int fd, const char *lan, const char *name, const char *mac, json_t **reply);

/** bridged_lan() - a LAN's entry in the answer of Status, borrowed. Return: NULL if it is not there. */
const json_t *bridged_lan(const json_t *status, const char *lan);
/** bridged_lan_of_bridge() - the same by its bridge's name, as a kernel knows it: compared whole */
const json_t *bridged_lan_of_bridge(const json_t *status, const char *bridge);
