// SPDX-License-Identifier: MIT
/*
 * The walls around a process that reads hostile packets: no new privileges, no capabilities, the files that it needs (Landlock), the system
 * calls that it needs (seccomp).
 *
 * What is not on the list of calls gets EPERM, so that a C library that tries something newer first falls back and no LAN goes down for it;
 * what only an attacker would call (starting programs, tracing, mounting, loading code into the kernel) ends the process. Both are reported
 * to the kernel's audit log where it is on.
 *
 * HOSPES_SANDBOX=off in the environment leaves out Landlock and seccomp, for debuggers and the like. Builds with a sanitizer leave seccomp
 * out, and let everything be read, by themselves.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sandbox_right {
	SANDBOX_READ = 1,      /* read files and folders */
	SANDBOX_WRITE = 2,     /* make, write, rename and remove files */
	SANDBOX_BIND = 4,      /* make sockets */
	SANDBOX_UNBIND = 8,    /* remove files: sockets */
	SANDBOX_RMDIR = 16,    /* remove folders that are empty */
	SANDBOX_EXECUTE = 32,  /* of a file: read it, and start it as a program */
	SANDBOX_DEVICE = 64,   /* of a file or folder: read and write what is there, and make nothing */
};

struct sandbox_folder {
	const char *path;      /* one that is missing is left out; a file has only the last two rights */
	unsigned int rights;   /* enum sandbox_right */
};

struct sandbox_calls {
	const char *why;
	int calls[32];         /* SCMP_SYS(); up to the first 0; the number 0 itself (read on some machines) is first where it is meant */
};

/* A call with one argument that must have one of few values. */
struct sandbox_argument {
	int call;
	unsigned int argument;
	uint64_t value;
};

/* What a service may that a LAN's daemon may not, each with its reason. */
struct sandbox_more {
	uint64_t capabilities; /* kept: a bit each */
	bool programs;         /* it may start programs, as far as SANDBOX_EXECUTE goes */
	const struct sandbox_calls *calls; size_t call_count;
	const struct sandbox_argument *arguments; size_t argument_count;
};

/**
 * sandbox_enter() - build the walls; there is no way back
 * @folders: everything below them, and nothing else of the file system, stays usable; open descriptors are not touched
 * Return: 0, or negative errno (after a message); a kernel without Landlock is no error.
 */
int sandbox_enter(const struct sandbox_folder *folders, size_t count);
/** sandbox_enter_with() - the same with more; NULL: nothing more */
int sandbox_enter_with(const struct sandbox_folder *folders, size_t count, const struct sandbox_more *more);
