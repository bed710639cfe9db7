// SPDX-License-Identifier: MIT
/*
 * An archive in cpio's "newc" form, as the kernel unpacks it into the guest's first file system
 * (Documentation/driver-api/early-userspace/buffer-format).
 */
#pragma once
#include <stddef.h>
#include <stdio.h>

/**
 * cpio_add() - put one entry; it belongs to root
 * @to:   where the archive goes, from its start
 * @path: "etc/hostname"; folders above it must be there or come before
 * @mode: with the kind: S_IFREG | 0600, S_IFDIR | 0700
 * @data: the contents, @size bytes
 */
void cpio_add(FILE *to, const char *path, unsigned int mode, const void *data, size_t size);
/** cpio_end() - finish the archive. Return: 0, or -EIO if anything could not be written. */
int cpio_end(FILE *to);
