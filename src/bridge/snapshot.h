// SPDX-License-Identifier: MIT
/*
 * What a network namespace looks like at one moment: links, addresses, routes of every table, policy rules, the sysctls that matter, the
 * names of nft tables.
 *
 * It is read from the kernel (snapshot_read()), or from JSON, so that the planner and the doctor can be tried on hosts that are not at
 * hand. Nothing in it refers to the kernel any more: the order of each list is the kernel's own (an address that comes first in its network
 * is the primary one).
 *
 * A route and a rule keep their netlink message ("raw": struct rtmsg or fib_rule_hdr and the attributes), so that one can be made again
 * exactly, with another output interface; the other fields are read from it.
 */
#pragma once
#include <jansson.h>
#include <net/if.h>
#include "base/attr.h"
#include "wire/addr.h"

#define OURS_ALIAS "hospes LAN"       /* what the alias of a bridge or tap of ours begins with; behind it, the LAN's name */
#define LIFE_FOREVER UINT32_MAX
#define NFT_TABLE_SIZE 32             /* "hospes_" and a LAN's name */

struct link {
	unsigned int index;
	char name[IFNAMSIZ];
	char kind[16];                /* "bridge", "tun", "vlan", "bond", "veth", ...; "" for hardware and loopback */
	uint16_t type;                /* ARPHRD_: ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE ... */
	struct mac mac, permanent_mac;/* the second zero where there is none */
	uint32_t mtu;
	unsigned int master, lower;   /* index; 0 none. lower: what a VLAN, macvlan ... stands on; a veth's peer is not told */
	bool up, lower_up, promisc;   /* IFF_UP (by its user), IFF_LOWER_UP (carrier) */
	bool wireless;
	bool foreign_namespace;       /* what it stands on is in another namespace */
	char alias[64];
	bool ours;                    /* its alias says so (or the journal: bridge_plan_mend()) */
	uint16_t vlan_id;
	struct { bool tap, persist; uint32_t owner, group; char owner_name[33]; } tap; /* kind "tun"; UINT32_MAX: anybody */
	struct { bool stp, nf_call_ip, nf_call_ip6; uint32_t forward_delay, hello, max_age; } bridge; /* hundredths of seconds */
	struct { uint8_t state; bool isolated; } port; /* of a bridge: BR_STATE_ */
};

struct link_address {
	unsigned int index;           /* the link's */
	addr_t local, peer;           /* peer: the same but on point-to-point links */
	uint8_t bits, scope, proto;   /* RT_SCOPE_, IFAPROT_ */
	addr_t broadcast;             /* any (zero): none */
	uint32_t flags;               /* IFA_F_ */
	uint32_t valid, preferred;    /* seconds left, or LIFE_FOREVER */
	uint32_t metric;              /* of its network's route; 0: the kernel's default */
	char label[IFNAMSIZ];         /* IPv4: "eth0" or "eth0:1" */
	bool lost;                    /* only the journal has it any more: bridge_plan_mend() */
};

struct link_route {
	uint8_t family, bits, protocol, scope, type; /* AF_, RTPROT_, RT_SCOPE_, RTN_ */
	addr_t to;                    /* destination; 0.0.0.0 or :: with no bits is the default */
	addr_t gateway, source;       /* any (zero): none; source is the preferred source address */
	unsigned int index;           /* output link; 0 none, or several (multipath) */
	bool multipath;
	uint32_t table, metric, mtu;
	uint32_t flags;               /* RTNH_F_ */
	uint32_t expires;             /* seconds, or LIFE_FOREVER */
	uint8_t *raw; size_t raw_size;/* owned */
	bool lost;
};

struct route_rule {
	uint8_t family, bits;         /* bits: of from */
	uint32_t priority, table;
	addr_t from;                  /* any (zero): all */
	char iif[IFNAMSIZ], oif[IFNAMSIZ];
	uint8_t *raw; size_t raw_size;/* owned */
	bool lost;
};

struct sysctl { char key[80]; char value[48]; };             /* "net/ipv4/ip_forward", "1" */
struct nft_table { char family[8]; char name[64]; char comment[96]; }; /* "inet", "hospes_br0" */

struct snapshot {
	char machine_id[40];
	struct link *links; size_t link_count;
	struct link_address *addresses; size_t address_count;
	struct link_route *routes; size_t route_count;
	struct route_rule *rules; size_t rule_count;
	struct sysctl *sysctls; size_t sysctl_count;
	struct nft_table *tables; size_t table_count;
};

/**
 * snapshot_read() - ask the kernel about the network namespace of the caller
 * Return: 0 or negative errno. What the caller may not read (nft tables, say, without CAP_NET_ADMIN) is left out.
 */
int snapshot_read(struct snapshot **out);
struct snapshot *snapshot_free(struct snapshot *s);
DEFINE_CLEANUP(snapshot)

/** snapshot_to_json() - all of it; Return: a new reference, or NULL when out of memory */
json_t *snapshot_to_json(const struct snapshot *s);
/**
 * snapshot_from_json() - and back. A route or rule without "raw" gets one from its other fields, and what is left out has the kernel's
 * default: so a host can be written by hand.
 * Return: 0, -ENOMEM, or -EINVAL with @error (256 bytes)
 */
int snapshot_from_json(struct snapshot **out, const json_t *json, char *error, size_t error_size);

/** snapshot_link() - by index, or by name. Return: NULL if there is none. */
const struct link *snapshot_link(const struct snapshot *s, unsigned int index);
const struct link *snapshot_link_named(const struct snapshot *s, const char *name);
/** snapshot_sysctl() - by key ("net/ipv4/ip_forward"). Return: the value, or NULL if the kernel has none such (or it was not read) */
const char *snapshot_sysctl(const struct snapshot *s, const char *key);
/** snapshot_sysctl_of() - of a link: snapshot_sysctl_of(s, 6, "eth0", "accept_ra"); version 4 or 6; link "all" and "default" too */
const char *snapshot_sysctl_of(const struct snapshot *s, int version, const char *link, const char *name);
const struct nft_table *snapshot_table(const struct snapshot *s, const char *family, const char *name);
