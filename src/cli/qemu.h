// SPDX-License-Identifier: MIT
/* QEMU: finding it, and the words of its command line. Nothing is run here but "qemu -version". */
#pragma once
#include <stdbool.h>
#include "cli/words.h"
#include "lan/config.h"

#define QEMU_CPU_KVM "host"   /* the processor of guests under KVM; the probe has the same */

enum accel { ACCEL_TCG, ACCEL_KVM };
enum qemu_port { QEMU_PORT_STREAM, QEMU_PORT_DGRAM, QEMU_PORT_TAP, QEMU_PORT_VHOST };
enum qemu_console {
	QEMU_CONSOLE_TERMINAL,   /* the serial line and QEMU's monitor (ctrl-a c) on standard input and output */
	QEMU_CONSOLE_DISPLAY,    /* whatever display QEMU has */
	QEMU_CONSOLE_SOCKET,     /* the serial line on a socket and into a file: nobody looks */
};

struct qemu_program {
	char path[256];          /* as it is run */
	int major, minor;
};

/**
 * qemu_find() - which QEMU runs guests of this machine's kind: HOSPES_QEMU in the environment, else qemu-system-ARCH in PATH
 * Return: 0, or negative errno after a message.
 */
int qemu_find(struct qemu_program *out);

/** qemu_version_parse() - from the first line of "qemu -version". Return: false if there is no version in it. */
bool qemu_version_parse(const char *text, int *major, int *minor);
/** qemu_at_least() - is it that version or a later one? */
bool qemu_at_least(const struct qemu_program *q, int major, int minor);

/** qemu_mem_valid() - is it a size of memory as -m takes it: "512" (MiB), "512M", "2G"? */
bool qemu_mem_valid(const char *text);

/* How a guest is attached. */
struct qemu_net {
	enum qemu_port port;
	const char *mac;
	const char *path;        /* of the LAN's socket */
	const char *own_path;    /* QEMU_PORT_DGRAM: of the guest's own */
	int fd;                  /* a tap; or a connection to the LAN's stream socket, for a QEMU that cannot connect itself; 0: none */
	const char *bridge;      /* QEMU_PORT_TAP without a descriptor: QEMU asks @helper for a tap on this bridge */
	const char *helper;      /* as QEMU takes it: a program's path, or a command line if there is a blank in it */
	bool vhost;              /* QEMU_PORT_TAP: frames pass by the kernel's vhost-net */
	const char *mem;         /* QEMU_PORT_VHOST: the guest's memory, see qemu_mem_valid(), which is shared with the LAN */
	int queues;              /* QEMU_PORT_VHOST: pairs of queues, one for each processor; 0 as 1 */
	bool no_msix;            /* QEMU_PORT_VHOST: the guest may not be interrupted by messages, see qemu_add_net() */
	bool no_rom;             /* the card does not offer to boot from the network */
};

/** qemu_connects_itself() - does this QEMU know "-netdev stream" and "dgram" (7.2)? An older one gets a connection (stream only). */
bool qemu_connects_itself(const struct qemu_program *q);

/** qemu_port_parse() - as it is written on the command line. Return: 0; -EINVAL if there is no such port. */
int qemu_port_parse(const char *text, enum qemu_port *out);
/** qemu_ports() - what qemu_port_parse() takes, for a person */
const char *qemu_ports(void);
/** qemu_port_suits() - does a LAN of that fabric have such ports? Return: false after a message. */
bool qemu_port_suits(enum qemu_port port, enum fabric fabric, const char *lan);
/** qemu_vhost() - can this user open /dev/vhost-net? */
bool qemu_vhost(void);
/** qemu_port_check() - can this QEMU attach so? Return: 0, or -EOPNOTSUPP after a message. */
int qemu_port_check(const struct qemu_program *q, enum qemu_port port);

/**
 * qemu_add_net() - the words of a network card on the LAN
 *
 * For QEMU_PORT_VHOST the guest's memory is among them: it has to be shared. QEMU 7.2 with TCG crashes, or the guest hears nothing, if a
 * vhost-user card interrupts by messages (MSI-X): with @net->no_msix it has a line.
 */
void qemu_add_net(struct words *w, const struct qemu_program *q, const struct qemu_net *net);

/* A guest as `hospes run` starts it. Strings are borrowed; NULL: there is none. */
struct qemu_guest {
	const char *name, *mem;
	int cpus;
	enum accel accel;
	bool own_accel;                          /* @extra says how it runs */
	bool plain_cpu;                          /* TCG's smallest processor will do: it starts faster */
	struct qemu_net net;
	const char *kernel, *initrd, *append;
	const char *disk, *format, *cdrom;
	bool snapshot;
	enum qemu_console console;
	bool own_console;                        /* @extra says where it shows */
	bool no_vga;                             /* there is nothing to see but the serial line */
	const char *qmp, *serial, *serial_log;   /* paths in the runtime folder */
	char *const *extra;                      /* what stood behind "--", ends with NULL */
};

/** qemu_add_guest() - the whole command line */
void qemu_add_guest(struct words *w, const struct qemu_program *q, const struct qemu_guest *g);

/** qemu_says_accel() - do a user's own words say how the guest runs (-accel, -enable-kvm, -machine accel=)? */
bool qemu_says_accel(char *const *extra);
/** qemu_says_memory() - do they say what memory the guest has (-m, -numa, memory-backend=)? */
bool qemu_says_memory(char *const *extra);
/** qemu_says_console() - do they say where it shows (-nographic, -display, -vnc, -spice, -curses, -serial stdio)? */
bool qemu_says_console(char *const *extra);
