// SPDX-License-Identifier: MIT
/* Small files as a whole: read, and replaced so that a reader sees the old or the new one. */
#pragma once

/** file_read_text() - Return: malloc'd text, or NULL with errno (EFBIG beyond 16 MiB, EINVAL where it holds a NUL or is no file, EISDIR) */
char *file_read_text(const char *path);

/**
 * file_replace() - write a file anew beside the old one, and rename it
 * @path: links are followed, so that a linked file stays linked
 * @text: all of it
 * @mode: for a file that is not there; one that is keeps its own
 * Return: 0 or negative errno; the old file is whole then.
 */
int file_replace(const char *path, const char *text, unsigned int mode);
