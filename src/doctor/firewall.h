// SPDX-License-Identifier: MIT
/*
 * Would a packet that is forwarded get through the host's firewall? The rules (libnftables-json(5)) are walked as the kernel walks them,
 * chain by chain in the order of their priorities: an accept ends one base chain only, a drop ends all.
 *
 * What a rule asks about that is not known of the packet (a port, a set, an extension of iptables) counts as not met, unless it is sure
 * to be: so an ordinary packet is followed, and a rule against one kind of traffic is not taken for a fault.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include "wire/addr.h"

struct firewall_packet {
	const char *family;          /* "ip", "ip6", or "bridge" for a frame in a bridge's own chains */
	const char *in, *out;        /* links as rules see them; for a bridge's own chains the ports */
	const char *bridge;          /* NULL, or the bridge of the ports */
	const char *state;           /* "new" */
	addr_t from, to;             /* any: not known */
};

#define FIREWALL_NAME 256            /* as the kernel: NFT_NAME_MAXLEN */

struct firewall_verdict {
	bool dropped;
	char family[8], table[FIREWALL_NAME];
	char base[FIREWALL_NAME], chain[FIREWALL_NAME];  /* the base chain that is hooked, and the chain whose rule or policy it is */
	int handle;                  /* of the rule; 0: the base chain's policy */
	char through[16];            /* a chain for the user's own rules that comes first (DOCKER-USER), or "" */
};

/**
 * firewall_judge() - walk all chains that are hooked into "forward"
 * @ruleset: what "nft -j list ruleset" prints
 * @out:     filled in
 * Tables of hospes are left out: they drop on purpose.
 */
void firewall_judge(const json_t *ruleset, const struct firewall_packet *packet, struct firewall_verdict *out);

/** firewall_has_hook() - is any chain of an IP family hooked in there ("forward"), or, with NULL, anywhere? */
bool firewall_has_hook(const json_t *ruleset, const char *hook);

/** firewall_has_masquerade() - are addresses masqueraded? */
bool firewall_has_masquerade(const json_t *ruleset);
