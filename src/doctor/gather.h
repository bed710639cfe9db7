// SPDX-License-Identifier: MIT
/*
 * Gathering the facts: from netlink, /proc, /sys, /dev, nft and a LAN's control socket. Nothing is changed, and nothing is sent: that is
 * probe.h's.
 *
 * What this process may not read is noted as a gap; no part of it keeps the others from being gathered.
 */
#pragma once
#include "doctor/facts.h"

/**
 * facts_gather() - fill in all that is asked of this machine
 * @f: its target is set already; free it with facts_fini()
 * Return: 0, or negative errno: the network's state could not be read, or out of memory.
 */
int facts_gather(struct facts *f);

/** facts_gather_clients() - as facts_gather(), but no more than the network's state, processes and DHCP clients */
int facts_gather_clients(struct facts *f);

/* The parts, each in its file gather_*.c. */
void gather_filter(struct facts *f);
void gather_host(struct facts *f);
void gather_processes(struct facts *f);
void gather_lan(struct facts *f);

/**
 * gather_text() - a small file of /proc or /sys, as one read gives it
 * @size: of @into; what is longer is cut
 * Return: bytes, a 0 behind them not counted; negative errno if it cannot be read
 */
ssize_t gather_text(const char *path, char *into, size_t size);

/** gather_read() - the first line of such a file, without its newline. Return: false if it cannot be read. */
bool gather_read(const char *path, char *into, size_t size);

/** gather_lan_list() - what Status, List and ListForwards answer, into the facts; pure */
void gather_lan_status(struct facts *f, const json_t *status);
void gather_lan_list(struct facts *f, const json_t *list);
void gather_lan_forwards(struct facts *f, const json_t *reply);
/** gather_lan_guest() - a target that was written as a MAC or an address gets the name by which findings know that guest; pure */
void gather_lan_guest(struct facts *f);
/**
 * gather_client() - the DHCP clients that this process is, if it is one
 * @uid:     whose it is: root is told to type a client's words again, so that they must be root's own already; an ordinary user's count
 *           for nothing
 * @program: as the kernel calls it
 */
void gather_client(struct facts *f, pid_t pid, uid_t uid, const char *program, char *const *words, size_t count);
/** gather_nics() - the network cards in the words of a QEMU, whose taps are among the holders already; pure */
void gather_nics(struct facts *f, pid_t pid, char *const *words, size_t count);
