// SPDX-License-Identifier: MIT
/*
 * The walls around hospes-bridged: CAP_NET_ADMIN and no other capability, no new privileges, the files and system calls that it needs and
 * no more, and one program that it may start, nft, with the same
 * walls around it.
 */
#pragma once

/** walls_enter() - @config, @runtime, @state: its folders. Return: 0 or negative errno after a message. There is no way back. */
int walls_enter(const char *config, const char *runtime, const char *state);
