// SPDX-License-Identifier: MIT
/* Running a program to its end, as if it had been run in our place. */
#pragma once

/**
 * supervise_run() - run a program and wait for it
 * @argv:    ends with NULL; looked up in PATH
 * @prepare: called in the child before the program is run; negative: the program is not run (it has given a message). NULL: nothing
 *
 * Signals that are sent to this process alone go on to the program; those of the terminal reach it anyway. It does not outlive this
 * process.
 * Return: its exit status; 128 and the number of the signal that ended it; 127 if there is no such program, 126 if it cannot be run, 125
 * if all else failed.
 */
int supervise_run(char **argv, int (*prepare)(void));
