// SPDX-License-Identifier: MIT
/*
 * What `hospes doctor` knows: facts of the host's network, of one LAN or bridge, and of the guests on it.
 *
 *	gather (netlink, /proc, /sys, nft, the control socket) -> struct facts -> checks (pure) -> findings -> report
 *
 * Facts are copied out of what they were read from; nothing in here is a descriptor or belongs to anybody else. What could not be read is
 * not there, and `gaps` says why; a check that needs it finds nothing.
 */
#pragma once
#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/attr.h"
#include "bridge/snapshot.h"
#include "lan/plan.h"
#include "wire/addr.h"

#define PROGRAM_NAME 16      /* as the kernel keeps it */
#define GUEST_TEXT_SIZE 64   /* a name or a MAC */
#define ACCOUNT_SIZE 33      /* useradd(8), groupadd(8): 32 bytes */

/* What is examined. */
struct target {
	char lan[LAN_NAME_SIZE];      /* "": a bridge that is no LAN of ours */
	char bridge[IFNAMSIZ];        /* "": a user LAN */
	char uplink[IFNAMSIZ];        /* as configured; "": none, or not known */
	char guest[GUEST_TEXT_SIZE];  /* "": all */
	char *config;                 /* the LAN's file; NULL: there is none */
	bool nat, isolated;           /* bridge LAN, as configured */
	bool probe;                   /* frames may be sent */
};

struct neighbour_fact { char link[IFNAMSIZ]; addr_t addr; struct mac mac; };
struct sysctl_fact { char key[96], value[64]; };
/* A process that has a tap open */
struct tap_holder { pid_t pid; char program[PROGRAM_NAME], tap[IFNAMSIZ]; };

/* How a DHCP client is told to serve another link. */
enum client_kind {
	CLIENT_WORDS,            /* dhclient, udhcpc: ended, and started anew with the same words */
	CLIENT_DHCPCD,           /* a dhcpcd for this link alone */
	CLIENT_DHCPCD_ALL,       /* one for all links, by its configuration */
	CLIENT_NETWORKD,         /* systemd-networkd, by files */
	CLIENT_NETWORK_MANAGER,  /* by nmcli */
};

/* A DHCP client, and a link that it serves */
struct dhcp_client {
	enum client_kind kind;
	pid_t pid;
	char link[IFNAMSIZ];
	char *command; size_t argc; char **argv;
	char family[4];          /* dhcpcd: "-4", "-6" or "": both */
	char identity[40];       /* networkd: the line that gives another link the identity under which the server knows this one; "" */
	bool ifupdown;           /* ifup started it */
};
/* A network card in a QEMU's arguments; link: its tap */
struct nic_fact { pid_t pid; char link[IFNAMSIZ]; bool on_lan, by_default; struct mac mac; };

struct device_fact { char path[24]; bool there, opens; int error; unsigned int mode; gid_t gid; char group_name[ACCOUNT_SIZE]; };
struct owner_wish { char tap[IFNAMSIZ], user[ACCOUNT_SIZE]; int64_t uid; };
struct guest_fact { char name[GUEST_TEXT_SIZE]; struct mac mac; bool attached, leased; addr_t addresses[8]; size_t count; int64_t port; };
struct drop_fact { int64_t port; char guest[GUEST_TEXT_SIZE], kind[16], reason[24]; uint64_t frames, sent; };
struct forward_fact { char listen[160], to[160], guest[GUEST_TEXT_SIZE]; };
struct gap { char what[96], why[160]; };

/* Who answered a probe. */
struct answer_fact { addr_t addr; struct mac mac; };
enum probe_result { PROBE_NOT_DONE, PROBE_NO_ANSWER, PROBE_ANSWERED };
struct probe_facts {
	enum probe_result own, foreign;        /* to ARP requests that left by the uplink, from the host's MAC and from a guest's */
	addr_t asked;
	struct mac foreign_mac;
	struct answer_fact *addresses; size_t address_count;
	bool dhcp_asked;
	struct answer_fact *dhcp; size_t dhcp_count;      /* servers that made an offer */
};

/* One lease that two guests were given */
struct clash_fact { addr_t addr; struct mac holder, second; };

enum lan_state { LAN_UNKNOWN, LAN_DOWN, LAN_UP, LAN_DEAD, LAN_SILENT };

struct lan_facts {
	enum lan_state state;
	char control[160];                     /* the socket's path */
	pid_t pid;                             /* as the file beside it says; 0: none */
	char host_access[8];
	addr_t net4, gateway4; uint8_t bits4;  /* bits4 0: there is none */
	struct guest_fact *guests; size_t guest_count;
	struct drop_fact *drops; size_t drop_count;
	struct forward_fact *forwards; size_t forward_count;
	struct clash_fact *clashes; size_t clash_count;
	struct answer_fact *servers; size_t server_count; /* of DHCP, that the daemon has heard */
};

enum kvm_state { KVM_UNKNOWN, KVM_WORKS, KVM_BROKEN };

struct facts {
	struct target target;
	bool root;
	char user[ACCOUNT_SIZE];               /* who asks: behind sudo, whoever typed it */
	uid_t uid;
	struct snapshot *net;                  /* links, addresses, routes */
	int mac_fixed;                         /* of the bridge: 1, 0, or -1 if that is not known */
	struct neighbour_fact *neighbours; size_t neighbour_count;
	struct sysctl_fact *sysctls; size_t sysctl_count;      /* beside those of the snapshot */
	json_t *ruleset;                       /* as "nft -j list ruleset" prints it; NULL: not readable */
	bool iptables, ip6tables, firewall_cmd;/* programs that are there */
	struct tap_holder *holders; size_t holder_count;
	struct dhcp_client *clients; size_t client_count;
	struct nic_fact *nics; size_t nic_count;
	bool sees_processes;                   /* those of all users */
	struct device_fact *devices; size_t device_count;
	enum kvm_state kvm;
	bool processor_can;                    /* hardware virtualisation: vmx or svm in /proc/cpuinfo */
	char processor_module[16];             /* "kvm_intel" */
	gid_t *groups; size_t group_count;
	int userns_error;                      /* of trying to make a user namespace; 0: it works */
	bool resolver_read; size_t nameservers; bool resolved_stub;
	struct owner_wish *owners; size_t owner_count;
	struct lan_facts lan;
	struct probe_facts probe;
	struct gap *gaps; size_t gap_count;
	bool failed;                           /* out of memory: what is in here is not all */
};

/** facts_fini() - free what the facts hold; @f itself is the caller's */
void facts_fini(struct facts *f);
#define _cleanup_facts_ _cleanup_(facts_fini)

/**
 * facts_grow() - room for one more in a list of facts
 * Return: the zeroed element, or NULL when out of memory (noted in @f).
 */
void *facts_grow(struct facts *f, void *list, size_t *count, size_t size);
#define facts_add(f, list, count) ((__typeof__((f)->list))facts_grow(f, &(f)->list, &(f)->count, sizeof(*(f)->list)))

/** facts_gap() - note what could not be looked at */
void facts_gap(struct facts *f, const char *what, const char *format, ...) _printf_(3, 4);

/** facts_link() - the link of that name. Return: NULL if there is none. */
const struct link *facts_link(const struct facts *f, const char *name);
/** facts_bridge() - the bridge that is examined, or NULL */
const struct link *facts_bridge(const struct facts *f);
/**
 * facts_uplink() - the port of the bridge that leads out: the configured one, else the first that is neither a tap nor a veth; a veth only
 * where a default route leaves by the bridge. Or NULL.
 */
const struct link *facts_uplink(const struct facts *f);
/** facts_is_port() - is it in the bridge that is examined? */
bool facts_is_port(const struct facts *f, const struct link *link);
/** facts_sysctl() - the value of "net/ipv4/ip_forward". Return: @missing if it was not read. */
long facts_sysctl(const struct facts *f, const char *key, long missing);
/** facts_link_sysctl() - that of one link: family "ipv4", name "rp_filter" */
long facts_link_sysctl(const struct facts *f, const char *family, const char *link, const char *name, long missing);
/** facts_sysctl_text() - its text, or NULL */
const char *facts_sysctl_text(const struct facts *f, const char *key);
/** facts_device() - "/dev/kvm", or NULL if it was not looked at */
const struct device_fact *facts_device(const struct facts *f, const char *path);
/** facts_holder() - a process that has the tap open, or NULL */
const struct tap_holder *facts_holder(const struct facts *f, const char *tap);
/** facts_default_route() - the default route of IPv4 or IPv6 with the smallest metric, or NULL */
const struct link_route *facts_default_route(const struct facts *f, bool ip4);
/** facts_counts() - is it a route by which the host sends packets to others: unicast, in the main table? */
bool facts_counts(const struct link_route *route);
/** facts_counts_address() - is it an address that others can reach: neither loopback nor link-local? */
bool facts_counts_address(const struct link_address *address);
