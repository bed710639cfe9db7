// SPDX-License-Identifier: MIT
/*
 * Taps made for one attachment: the device, and its place in the bridge.
 *
 * Such a tap is not persistent: it goes with its last descriptor. Whoever holds that descriptor can change the device's MAC and make it
 * persistent without any privilege, so nothing is believed of it that
 * was not asked of the kernel a moment ago, and a device
 * that is not as we made it any more is deleted.
 */
#pragma once
#include <libmnl/libmnl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include "io/loop.h"
#include "wire/addr.h"

#define TAPLINK_PREFIX "hospes-"    /* of the names: 15 bytes at the most with eight hexadecimal digits */

/* What the kernel says of a link. */
struct taplink {
	unsigned int index;
	char name[IFNAMSIZ];
	bool tap;                   /* of kind "tun" */
	bool persistent, up, carrier;
	uint32_t lost_carrier;      /* how often: whoever had a persistent one opened has let go of it since */
	struct mac mac;
	unsigned int master;
	uint32_t mtu;
	char alias[64];
	uint64_t frames_from_guest, bytes_from_guest, frames_to_guest, bytes_to_guest;
};

struct taplink_config {
	unsigned int bridge;        /* index */
	uint32_t mtu;
	const char *alias;
	bool isolated;              /* kept apart from other isolated ports */
	bool guard;                 /* no spanning tree messages are taken from it */
};

/** taplink_socket() - a netlink socket for the functions below. Return: 0 or negative errno. */
int taplink_socket(struct mnl_socket **out);

/**
 * taplink_make() - a new tap device, down, in no bridge
 * @name:  chosen by the caller; -EBUSY if there is one
 * @vnet:  with an offload header on each frame
 * Return: its descriptor or negative errno.
 */
int taplink_make(const char name[static IFNAMSIZ], bool vnet);

/** taplink_get() - by name. Return: 0, -ENODEV or negative errno. */
int taplink_get(struct mnl_socket *s, const char *name, struct taplink *out);
/**
 * taplink_configure() - MTU, alias, no IPv6 address of its own, then into the bridge with its port's flags. It stays down. Return: 0 or
 * negative errno.
 */
int taplink_configure(struct mnl_socket *s, unsigned int index, const struct taplink_config *config);
int taplink_set_up(struct mnl_socket *s, unsigned int index);
/** taplink_isolate() - of a port: Guests = isolated */
int taplink_isolate(struct mnl_socket *s, unsigned int index, bool isolated);
/** taplink_delete() - Return: 0 (also if it has gone) or negative errno */
int taplink_delete(struct mnl_socket *s, unsigned int index);

/** taplink_fdb_has() - does @bridge know @mac behind another port than @except, or as its own? */
bool taplink_fdb_has(struct mnl_socket *s, unsigned int bridge, struct mac mac, unsigned int except);

/* Links as they change. */
struct taplink_monitor {
	struct watch watch;
	struct mnl_socket *socket;
	void (*changed)(void *owner, const struct taplink *link);
	void (*gone)(void *owner, unsigned int index);
	void (*addressed)(void *owner, unsigned int index); /* its addresses, or routes by it, are others */
	void (*lost)(void *owner);   /* messages were lost: look at everything anew */
	void *owner;
};
int taplink_monitor_init(struct taplink_monitor *m, struct loop *loop);
void taplink_monitor_fini(struct taplink_monitor *m);
