// SPDX-License-Identifier: MIT
/* A program that goes on in the background: its parent ends when the child serves, or with the child's own exit status. */
#pragma once
#include <sys/types.h>

/** background_tell() - in the child: it serves. @fd: the pipe's end, which is closed; -1: nobody waits */
void background_tell(int fd);
/**
 * background_await() - in the parent: until the child serves, or has ended
 * @fd:     the pipe's other end
 * @child:  its process
 * @gone:   what to say if a signal ended it: "hospesd ended by a signal before the LAN was up"
 * Return: the exit status
 */
int background_await(int fd, pid_t child, const char *gone);
