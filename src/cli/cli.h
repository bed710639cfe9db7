// SPDX-License-Identifier: MIT
/*
 * The command line: a table of verbs, each a function in its own cmd_*.c.
 *
 * main() takes "hospes [-l LAN] VERB ARGS...", moves a LAN that stands before the verb behind it ("VERB --lan LAN ARGS..."), and calls
 * the verb with argv[0] the verb itself. A verb reads its arguments with args_parse(), says what is wrong with log_error() (what failed,
 * on what, why, what to type) and returns the exit status: EXIT_SUCCESS, EXIT_FAILURE, or EXIT_USAGE for a wrong command line. Verbs do
 * not call exit().
 */
#pragma once
#include <errno.h>
#include <stddef.h>
#include "base/attr.h"

#define EXIT_USAGE  2
#define LAN_DEFAULT "default"

struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;     /* one line, lower case, no full stop */
	const char *usage;    /* what follows the verb, one line for each form */
	const char *more;     /* for `hospes help VERB`: options and remarks; NULL if there is no more to say */
};

int cmd_connect(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_down(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_forward(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_qemu_args(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_restart(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_ssh(int argc, char **argv);
int cmd_ssh_config(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_try(int argc, char **argv);
int cmd_up(int argc, char **argv);

/** verb_find() - the verb of that name. Return: NULL if there is none. */
const struct verb *verb_find(const char *name);
/** verb_similar() - the verb that was most likely meant. Return: NULL if none is near. */
const struct verb *verb_similar(const char *name);
/** verb_at() - all of them, in the order of the help: from 0. Return: NULL at the end. */
const struct verb *verb_at(size_t index);

/**
 * cli_wrong() - say what is wrong with a command line, and how it should look
 * @verb:   its name
 * @format: what is wrong; NULL: only the usage
 * Return: EXIT_USAGE.
 */
int cli_wrong(const char *verb, const char *format, ...) _printf_(2, 3);

/**
 * cli_status() - the exit status for a negative errno: a wrong configuration file (-EBADMSG of lan_connect()) counts as a wrong command
 * line does
 */
static inline int cli_status(int error) { return error == -EBADMSG ? EXIT_USAGE : EXIT_FAILURE; }

/** cli_unknown_verb() - say that there is no such verb, and which one was probably meant. Return: EXIT_USAGE. */
int cli_unknown_verb(const char *name);
