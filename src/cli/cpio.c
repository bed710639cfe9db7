// SPDX-License-Identifier: MIT
#include "cli/cpio.h"

#include <errno.h>
#include <string.h>

#define HEADER_SIZE 110

/* Names and contents begin at multiples of four. */
static void pad(FILE *to, size_t written)
{
	while (written++ % 4)
		fputc(0, to);
}

void cpio_add(FILE *to, const char *path, unsigned int mode, const void *data, size_t size)
{
	size_t name = strlen(path) + 1;

	/* magic, inode, mode, owner, group, links, time, size, device (2), device of a node (2), size of the name, check */
	fprintf(to, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", 0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name, 0);
	fwrite(path, name, 1, to);
	pad(to, HEADER_SIZE + name);
	fwrite(data, 1, size, to);
	pad(to, size);
}

int cpio_end(FILE *to)
{
	cpio_add(to, "TRAILER!!!", 0, "", 0);
	return fflush(to) == EOF || ferror(to) ? -EIO : 0;
}
