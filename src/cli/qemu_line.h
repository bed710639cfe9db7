// SPDX-License-Identifier: MIT
/*
 * A QEMU command line, read: which MACs do its guests have on a bridge?
 *
 * QEMU does not tell its bridge helper for which card it wants a tap. But the helper is its child, and may read what its user typed. Pure.
 */
#pragma once
#include <stddef.h>
#include "wire/addr.h"

#define QEMU_LINE_MACS 16

/**
 * qemu_line_macs() - the MACs of the cards that QEMU puts on a bridge by a helper, in the order of the line
 * @line:   as /proc/PID/cmdline has it: words, each ended by a NUL
 * @bridge: its name
 * @out:    filled in. A card with no MAC of its own has the one that QEMU gives: 52:54:00:12:34:56, the next of them one more.
 *
 * Known are -netdev bridge and tap (with -device), -nic, and -net; options as text or JSON. What is not understood is passed over.
 * Return: how many.
 */
size_t qemu_line_macs(const char *line, size_t size, const char *bridge, struct mac out[static QEMU_LINE_MACS]);
