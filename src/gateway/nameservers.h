// SPDX-License-Identifier: MIT
/*
 * The host's nameservers, as resolv.conf(5) has them at the moment.
 *
 * Lines `nameserver ADDRESS` count, the first three as with the C library; ADDRESS may have a zone ("fe80::1%eth0"), and a port as
 * OpenBSD writes it ("[127.0.0.1]:5353"). A line that makes no sense is left out.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include "gateway/host.h"

#define NAMESERVERS_MAX 3 /* MAXNS of <resolv.h> */

struct nameserver {
	union sockaddr_any addr;
	socklen_t size;
};

struct nameservers {
	struct nameserver servers[NAMESERVERS_MAX];
	size_t count;
	/* What the file looked like when it was read; zero: it was not there. */
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

/** nameserver_parse() - from text as in resolv.conf. Return: false if it is no address, or its zone is no interface. */
bool nameserver_parse(const char *text, struct nameserver *out);

/**
 * nameservers_refresh() - read @path again if it is another file than last time; one that cannot be read has no nameservers. @n
 * starts zeroed.
 */
void nameservers_refresh(struct nameservers *n, const char *path);
