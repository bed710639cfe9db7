// SPDX-License-Identifier: MIT
/*
 * The configuration of a LAN: text (NAME.lan, INI) to model. Keys are a table; what is unknown, doubled or out of range is refused with
 * file, line and what was expected. A LAN with no file has the defaults.
 */
#pragma once
#include <stdio.h>
#include "base/attr.h"
#include "lan/config_bridge.h"
#include "lan/forward.h"
#include "lan/plan.h"

enum fabric { FABRIC_USER, FABRIC_BRIDGE };

struct guest_config {
	char name[64];
	struct mac mac;      /* zero: made from the name */
	addr_t ip4;          /* any: from the pool */
	char tap[LINK_NAME_SIZE]; /* of Taps, that it is behind; "": none */
	unsigned int line;   /* where it was written */
};

#define CONFIG_POLL_AUTO (-1)

struct lan_config {
	char name[LAN_NAME_SIZE];
	enum fabric fabric;
	char domain[64];
	bool has_net4, no_ip4, no_ip6;
	addr_t net4; uint8_t bits4;  /* IPv4 = 10.0.2.0/24: the network; without it one is chosen */
	bool has_net6;
	addr_t net6;                 /* IPv6 = PREFIX/64 | none */
	uint16_t mtu;
	uint32_t lease_seconds;
	enum host_access host_access;
	uint32_t flow_max;           /* Flows = 65536 */
	uint32_t keepalive_seconds;  /* Keepalive = 7200 */
	int32_t poll;                /* Poll = auto (CONFIG_POLL_AUTO), off (0), or microseconds */
	struct guest_config *guests; size_t guest_count;
	struct forward_rule *forwards; size_t forward_count;
	struct bridge_config bridge; /* where fabric is FABRIC_BRIDGE */
};

/**
 * lan_config_load() - read a LAN's configuration
 * @out:   the model, made; free with lan_config_free()
 * @name:  the LAN's
 * @path:  the file; NULL: only defaults. lan_config_find() finds it.
 * @error: at least 512 bytes; on failure the message: "FILE:LINE: what was wrong; what was expected"
 * Return: 0; -EINVAL with @error; or another negative errno with @error.
 */
int lan_config_load(struct lan_config **out, const char *name, const char *path, char *error, size_t error_size);
struct lan_config *lan_config_free(struct lan_config *c);
DEFINE_CLEANUP(lan_config)

/**
 * lan_config_parse() - the same from an open stream
 * @text:  read to its end; the caller closes it
 * @label: what the message calls it
 */
int lan_config_parse(struct lan_config **out, const char *name, FILE *text, const char *label, char *error, size_t error_size);

/**
 * lan_config_find() - the file of LAN @name: ~/.config/hospes/NAME.lan ($XDG_CONFIG_HOME), then /etc/hospes/NAME.lan. Return: malloc'd path
 * or NULL.
 */
char *lan_config_find(const char *name);

/**
 * lan_plan_make() - choose what the configuration leaves open
 * @machine_id: text of /etc/machine-id, any string: the unique local prefix (RFC 4193 section 3.2.2) is made from it and the LAN's name, so
 *              it stays the same
 * @taken:      networks that routes of the host cover (default routes among them are passed over): a LAN other than `default` with no IPv4
 *              of its own takes the first free 10.0.N.0/24 (N from 3), else 192.168.N.0/24, else 172.N.0.0/24
 * @error:      as above
 * Return: 0; -EADDRINUSE if the wanted network overlaps one of @taken: the message names both and the line to write; -EINVAL if a guest's
 * address does not lie in the network or is the gateway's, DNS's or the broadcast.
 */
struct net4 { addr_t net; uint8_t bits; };
int lan_plan_make(struct lan_plan *out, const struct lan_config *c, const char *machine_id, const struct net4 *taken, size_t taken_count,
		  char *error, size_t error_size);

/** lan_net_valid4() - may a user LAN have this IPv4 network: unicast, 8 to 29 bits, and none of its host bits set? */
bool lan_net_valid4(addr_t net, unsigned int bits);

/**
 * guest_mac() - the MAC of a guest that was given none: 52:54:00 and three bytes hashed from machine id, LAN and name; so it stays the same
 * for the same name
 */
struct mac guest_mac(const char *machine_id, const char *lan, const char *name);
