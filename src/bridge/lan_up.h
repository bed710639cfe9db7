// SPDX-License-Identifier: MIT
/*
 * A bridge LAN that is up, beyond what the plan made: its guests and their taps, the rules that keep them honest, our services where it
 * has no uplink, its control socket.
 *
 * All of it can be made anew from the kernel's state and the files, so a service that died takes up where it was: taps are found again by
 * the file `taps` in the runtime folder, and each is
 * checked against the kernel before it is believed.
 */
#pragma once
#include <libmnl/libmnl.h>
#include "bridge/bridge.h"
#include "bridge/packet_pool.h"
#include "bridge/rules.h"
#include "bridge/taplink.h"
#include "control/lease_store.h"
#include "control/registry.h"
#include "control/runtime.h"
#include "io/varlink_server.h"
#include "lan/dhcp_servers.h"
#include "lan/lease_clash.h"

#define LAN_UP_TAPS      256        /* of a LAN */
#define LAN_UP_TAPS_USER 16         /* of one user that is not root, in all LANs: see lan_tap_count() */
#define LAN_UP_FORWARDS  256
#define LAN_UP_RESERVED  64         /* addresses of the host and its routers */

struct lan_up;

struct lan_up_params {
	struct loop *loop;
	struct mnl_socket *route;       /* for taplink.h */
	struct packet_pool *sockets;
	const char *runtime, *state;    /* the LAN's own folders */
	const char *machine_id, *resolv_conf;
	bool hears;                     /* rules can tell us of frames (nflog.h) */
	/* One user's taps in all LANs */
	size_t (*taps_of_user)(void *owner, uint32_t uid);
	/*
	 * Read the file again, as Up does. @changes: an array; what was changed is said there, in words.
	 * Return: 0 or negative errno with @error (1024 bytes)
	 */
	int (*reload)(void *owner, struct lan_up *lan, json_t *changes, char *error);
	void *owner;
};

/*
 * A tap: made for one attachment, or persistent and of the configuration.
 *
 * A persistent one is bound to the MAC of the [Guest] that names it, or to the first that is seen behind it, until whoever opened it lets
 * go. It is refused where that MAC is another's, and where the configuration has it no longer: then it carries nothing.
 */
struct lan_tap {
	struct list node;
	struct taplink link;            /* as it was made */
	bool persistent;
	uint32_t uid;                   /* who attached it */
	int32_t pid;
	struct mac mac;                 /* its guest's; zero: of a persistent one, not known yet */
	bool named;                     /* a [Guest] names it */
	bool refused;
	bool registered;                /* for this attachment: to be forgotten with it */
	uint16_t id;                    /* as a port, in the answer to List */
	usec_t sampled;
	struct taplink last;            /* counters when they were looked at last, for the rates */
	uint64_t rate_from_guest, rate_to_guest;
	bool counted;                   /* the kernel's rules know it */
	uint64_t drops[DROP_COUNT];     /* as lan_count_drops() found them last */
	usec_t claimed;                 /* when as many IPv6 addresses as its guest has claimed would be due, were they spread evenly */
};

struct lan_up {
	struct lan_up_params p;
	struct lan_config *config;      /* owned */
	struct lan_plan plan;
	char table[NFT_TABLE_SIZE];
	unsigned int bridge;            /* index */
	uint32_t mtu;
	struct guests *guests;
	struct lease_store leases;
	struct registry *registry;
	struct runtime *runtime;
	struct varlink_server *control;
	struct lease_clashes clashes;
	struct dhcp_servers heard;      /* answers to guests behind taps */
	struct services *services;      /* NULL: it has an uplink */
	struct list taps;
	size_t tap_count;
	uint16_t last_id;
	struct { struct forward_rule rule; bool of_file; } forwards[LAN_UP_FORWARDS];
	size_t forward_count;
	addr_t reserved[LAN_UP_RESERVED]; /* of the host and its routers on the bridge */
	size_t reserved_count;
	struct mac host;                /* the bridge's own MAC */
	bool stale;                     /* @reserved is to be found out anew */
	char *rules;                    /* the text that the kernel has, less its counters */
	struct timer refresh;           /* rules are to be looked at again */
	usec_t paced;                   /* when as many changes of the rules as there were would be due, were they spread evenly */
};

/**
 * lan_up_new() - the LAN's bridge is there
 * @config: owned, whether this succeeds or not
 * Return: 0, or negative errno with @error (1024 bytes)
 */
int lan_up_new(struct lan_up **out, const struct lan_up_params *params, struct lan_config *config, const struct snapshot *now, char *error,
		size_t error_size);
/** lan_up_free() - let go of it; the kernel's state stays */
struct lan_up *lan_up_free(struct lan_up *l);
/** lan_up_remove() - take away what was made beyond the plan: taps of attachments, tables of rules. Then lan_up_free(). */
void lan_up_remove(struct lan_up *l);
/** lan_up_sweep() - the same without knowing more of the LAN than its name: after a crash */
void lan_up_sweep(struct mnl_socket *route, const char *name, const char *runtime);
/**
 * lan_up_configure() - another configuration of the same LAN, which is owned from now on
 * @changes: an array; what is done, or cannot be, is said there in words
 * Return: 0 or negative errno with @error
 */
int lan_up_configure(struct lan_up *l, struct lan_config *config, const struct snapshot *now, json_t *changes, char *error,
		size_t error_size);

/** lan_up_take_plan() - the LAN's networks, as its configuration and the bridge say; services begin anew where these are others */
int lan_up_take_plan(struct lan_up *l, const struct snapshot *now, char *error, size_t size);

/** lan_up_changed() - guests, taps or leases are others: the rules are brought up to date soon */
void lan_up_changed(struct lan_up *l);
/** lan_up_refresh() - now. Return: 0 or negative errno after a message. The kernel is not asked if nothing has changed. */
int lan_up_refresh(struct lan_up *l);

/** lan_up_refresh_due() - the timer's */
void lan_up_refresh_due(struct timer *t);
/** lan_up_leases_changed() - likewise, and the file of leases. @owner: the struct lan_up */
void lan_up_leases_changed(void *owner);

/** lan_up_told() - a frame that a rule told us about came from or goes to a tap. Return: false if it is none of this LAN's. */
bool lan_up_told(struct lan_up *l, unsigned int in, unsigned int out, const struct iovec iov[static 2], usec_t now);
