// SPDX-License-Identifier: MIT
/*
 * The guests of a LAN: who is behind a port, known by MAC; with its name, leases and addresses.
 *
 * A guest is made by registering it (name and MAC), by a lease, or by the first frame from its MAC. The table is bounded: when it is full,
 * the guest that was seen longest ago and is neither registered, leased nor attached makes room.
 *
 * Addresses are learned only from the port that a guest's frames come in by (ARP, ND, DHCP, and the source of its packets), never from what
 * other guests say. An address that two guests claim stays with the one that leased it.
 *
 * MACs, names and addresses are hashed with a key of the process, so every look-up is O(1) whatever a guest sends. The fields of a guest
 * that an index stands on (mac, name, leases, fixed4, addrs) are for reading; the functions here change them.
 *
 * A lease: FREE -> OFFERED -> BOUND -> EXPIRED (its time is over, or it was released) -> OFFERED or BOUND again, or FREE when its address
 * went to another guest or was declined. OFFERED falls to EXPIRED too when the offer is not taken.
 */
#pragma once
#include "base/attr.h"
#include "base/usec.h"
#include "lan/plan.h"

#define GUEST_MAX       1024
#define GUEST_NAME_SIZE 64
#define GUEST_ADDRS     8     /* learned addresses kept a guest; the oldest goes first */
#define CLIENT_ID_MAX   64
#define GUEST_RESTING   32    /* declined addresses remembered; the oldest goes first, so that a guest cannot decline a whole pool away */
/* How long a declined address rests, and how long one that was seen with no lease counts as taken. */
#define GUEST_REST      (600 * USEC_S)

enum lease_state { LEASE_FREE, LEASE_OFFERED, LEASE_BOUND, LEASE_EXPIRED };
enum addr_use {
	ADDR_FREE,
	ADDR_EXPIRED,  /* another guest's, whose lease is over: the last to be given away */
	ADDR_TAKEN,    /* leased, offered or promised to another guest, lately seen with one, or resting */
};
enum name_origin { NAME_NONE, NAME_FROM_DHCP, NAME_REGISTERED };

struct lease {
	enum lease_state state;
	addr_t addr;
	int64_t until;                /* wall clock, seconds since 1970: a lease outlives a restart of the daemon */
	uint8_t client_id[CLIENT_ID_MAX]; /* DHCPv4's client identifier, DHCPv6's DUID; only told, never a key */
	uint8_t client_id_size;
	uint32_t iaid;                /* DHCPv6 */
};

struct guest {
	struct mac mac;
	char name[GUEST_NAME_SIZE];   /* "" if none; lower case */
	enum name_origin name_origin;
	bool registered;              /* by `hospes run` or [Guest]: keeps its place */
	uint16_t port_id;             /* of the port it was last seen behind; 0: not attached */
	struct lease lease4, lease6;
	addr_t fixed4;                /* [Guest] IPv4 =; any (zero) if none; set by guests_set_fixed4() alone */
	struct { addr_t addr; usec_t seen; } addrs[GUEST_ADDRS];
	usec_t seen;                  /* its last frame (coarse) */
	bool used;                    /* a slot that is taken */
};

struct guests;

/** guests_new() - an empty table. Return: 0 or -ENOMEM. */
int guests_new(struct guests **out);
struct guests *guests_free(struct guests *g);
DEFINE_CLEANUP(guests)

/** guests_find() - by MAC. Return: NULL if there is none. The pointer is good until the guest is removed. */
struct guest *guests_find(struct guests *g, struct mac mac);
/** guests_by_name() - by name, any case, without the domain. Return: NULL if nobody has it. */
struct guest *guests_by_name(struct guests *g, const char *name);
/** guests_by_addr() - who holds or was seen with this address; a lease comes before what was learned */
struct guest *guests_by_addr(struct guests *g, addr_t addr);
/** guests_add() - by MAC, made if there is none. Return: NULL if the table is full of guests that must stay, or @mac is a group's. */
struct guest *guests_add(struct guests *g, struct mac mac, usec_t now);
/** guests_remove() - forget a guest with all it had */
void guests_remove(struct guests *g, struct guest *guest);
/** guests_next() - all of them: start with NULL. Return: NULL at the end. */
struct guest *guests_next(struct guests *g, const struct guest *after);

/**
 * guests_set_name() - name a guest
 * @name:   kept in lower case
 * @origin: a registered name is not replaced by one from DHCP (which is no error), and takes a DHCP name away from another guest; NAME_NONE
 *          takes the guest's own name away, whatever @name says
 * Return: 0, -EINVAL (no valid name, or one that means the host: "gateway", "host", "dns", "localhost"), -EEXIST (another guest has it).
 */
int guests_set_name(struct guests *g, struct guest *guest, const char *name, enum name_origin origin);

/**
 * guests_learn() - @guest was seen to use @addr, on the port it is behind. Return: false if another guest has leased that address (it is
 * not learned), or it is nobody's own (any, a group's).
 */
bool guests_learn(struct guests *g, struct guest *guest, addr_t addr, usec_t now);

/** guests_set_fixed4() - promise a guest an IPv4 address; any: none. Return: 0, or -EEXIST if it is promised to another guest. */
int guests_set_fixed4(struct guests *g, struct guest *guest, addr_t addr);

/**
 * guests_set_lease() - let @guest hold @addr; keeps the address index
 * @lease: @guest's lease4 or lease6
 * @addr:  any with LEASE_FREE. Not another guest's: ask guests_addr_use() before. An expired lease of another guest on @addr, and what was
 *         learned of others there, is forgotten.
 */
void guests_set_lease(struct guests *g, struct guest *guest, struct lease *lease, addr_t addr, enum lease_state state, int64_t until);

/** guests_addr_use() - may @asker be given @addr? What @asker itself has there does not count. */
enum addr_use guests_addr_use(struct guests *g, addr_t addr, const struct guest *asker, usec_t now);

/** guests_rest() - @addr was declined: it is ADDR_TAKEN to everybody for GUEST_REST */
void guests_rest(struct guests *g, addr_t addr, usec_t now);

/** guests_expire() - leases and offers whose time is over become LEASE_EXPIRED; cheap while none is due. @wall: seconds since 1970 */
void guests_expire(struct guests *g, int64_t wall);

/**
 * guest_address() - the address by which the guest is best reached: a lease, then what was seen last (a link-local one last of all), in the
 * wanted version (4 or 6). Return: false if none.
 */
bool guest_address(const struct guest *guest, int version, addr_t *out);
