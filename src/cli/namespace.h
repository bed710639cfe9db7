// SPDX-License-Identifier: MIT
/*
 * A network namespace of one's own, for one program, without any privilege: in a user namespace whose only user is the one who asks.
 *
 * Root needs no user namespace and keeps its capabilities. Everything here changes the calling process, for good.
 */
#pragma once
#include <stdbool.h>

/**
 * namespace_check_tap() - can a tap device be made at all? Asked before anything is started.
 * Return: 0 or negative errno after a message.
 */
int namespace_check_tap(void);

/**
 * namespace_enter() - leave the host's network, and its mounts
 * @user: set: is it in a user namespace?
 * Return: 0 or negative errno after a message with the remedy. The user and group ids are the same inside.
 */
int namespace_enter(bool *user);

/**
 * namespace_open_tap() - make a tap device in the namespace
 * @name:  of the device
 * @index: filled in
 * Return: its descriptor (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR), or negative errno after a message with the remedy.
 */
int namespace_open_tap(const char *name, unsigned int *index);

/**
 * namespace_set_resolver() - let names be looked up by @text, and by no one else
 * @folder: one of ours, out of use for a moment; nothing is left in it
 * @text:   what /etc/resolv.conf says from now on, inside the namespace
 * Return: 0 or negative errno after a message.
 */
int namespace_set_resolver(const char *folder, const char *text);

/**
 * namespace_set_sysctls() - what a program without capabilities needs on its own network: ping, low ports
 * @device: gets no addresses but those that it is given
 */
void namespace_set_sysctls(const char *device);

/**
 * namespace_drop() - give up the capabilities inside, also those that a program run as uid 0 would gain
 * Return: 0 or negative errno after a message.
 */
int namespace_drop(void);
