// SPDX-License-Identifier: MIT
/* Images of disks: what is in a file, by its first bytes and not by its name. */
#pragma once
#include <stdbool.h>
#include "lan/guest.h"

struct image {
	const char *format;   /* as QEMU calls it: "qcow2", "raw"... */
	bool cdrom;           /* an ISO 9660 file system: goes in a CD-ROM drive */
};

/**
 * image_look() - open an image and tell what it is
 * @path:     the file
 * @readonly: it will not be written to
 * Return: 0, or negative errno after a message with a remedy: it is not there, not ours to read or write, empty, packed, no file.
 */
int image_look(struct image *out, const char *path, bool readonly);

/** image_guest_name() - a valid name for a guest, from the file's: "Debian_12.qcow2" is "debian-12"; "guest" if nothing is left. */
void image_guest_name(const char *path, char into[static GUEST_NAME_SIZE]);
