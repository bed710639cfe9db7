// SPDX-License-Identifier: MIT
/* Running a helper program to its end and taking what it prints. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct capture {
	int keep;          /* a descriptor that the program inherits; 0 or less: none */
	int timeout_ms;    /* it is killed then; 0: it may take as long as it likes */
	bool messages;     /* its standard error is ours; otherwise it goes nowhere */
};

/**
 * capture_run() - run a program, with no standard input
 * @argv: ends with NULL; looked up in PATH
 * @how:  see above
 * @out:  the first @size - 1 bytes of its standard output, and a NUL; NULL: not wanted
 * Return: its exit status, or 128 and the number of the signal that ended it; -ENOENT if there is no such program; -ETIMEDOUT; or another
 * negative errno.
 */
int capture_run(char *const *argv, const struct capture *how, char *out, size_t size);
