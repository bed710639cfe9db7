// SPDX-License-Identifier: MIT
/*
 * Addresses, routes and rules as values: from netlink and into it, from JSON and into it, copied and compared. For the rooms of src/bridge.
 *
 * "raw" is a message's payload: struct rtmsg (fib_rule_hdr) and the attributes behind it.
 */
#pragma once
#include <libmnl/libmnl.h>
#include "bridge/snapshot.h"

#define VALUE_MESSAGE_SIZE 8192 /* the largest message that is built; a raw of more than half of it is refused */

/* How names in JSON become indices: returns 0 for an unknown name. */
struct link_names { unsigned int (*index)(const void *owner, const char *name); const void *owner; };

/** link_address_parse() - from the payload of RTM_NEWADDR. Return: false if it is none of the two versions. */
bool link_address_parse(struct link_address *a, const void *payload, size_t size);
/**
 * link_address_put() - the payload of RTM_NEWADDR or RTM_DELADDR on link @index, which is called @name: a label that begins with the name
 * of another link begins with this one's then
 */
void link_address_put(struct nlmsghdr *h, const struct link_address *a, unsigned int index, const char *name);
json_t *link_address_to_json(const struct link_address *a);
bool link_address_from_json(struct link_address *a, const json_t *json);
/** link_address_same() - the same address and length (the kernel's key) */
bool link_address_same(const struct link_address *a, const struct link_address *b);
/** link_address_is_dynamic() - of DHCP or router advertisements: its life ends */
static inline bool link_address_is_dynamic(const struct link_address *a) { return a->valid != LIFE_FOREVER; }

/** link_route_parse() - from RTM_NEWROUTE's payload, which is copied. Return: 0, -EINVAL or -ENOMEM */
int link_route_parse(struct link_route *r, const void *payload, size_t size);
/**
 * link_route_put() - the payload of RTM_NEWROUTE or RTM_DELROUTE
 * @from, @to: a route with one output link leaves by @to (0: by none, as blackholes do); of several nexthops those by @from leave by @to.
 *             What only the kernel tells (cache, state flags) is left out.
 */
void link_route_put(struct nlmsghdr *h, const struct link_route *r, unsigned int from, unsigned int to);
/** link_route_uses() - does it leave by this link, among others? */
bool link_route_uses(const struct link_route *r, unsigned int index);
/** link_route_same() - the same destination, table, metric, type and way, but for the output link */
bool link_route_same(const struct link_route *a, const struct link_route *b);
bool link_route_is_default(const struct link_route *r);
int link_route_copy(struct link_route *out, const struct link_route *r);
void link_route_fini(struct link_route *r);
json_t *link_route_to_json(const struct link_route *r);
/** link_route_from_json() - Return: 0, -EINVAL or -ENOMEM */
int link_route_from_json(struct link_route *r, const json_t *json, const struct link_names *names);

int route_rule_parse(struct route_rule *r, const void *payload, size_t size);
/** route_rule_put() - the payload of RTM_NEWRULE or RTM_DELRULE; iif and oif @from become @to ("" and "": as they are) */
void route_rule_put(struct nlmsghdr *h, const struct route_rule *r, const char *from, const char *to);
/** route_rule_alike() - the same in everything but iif and oif */
bool route_rule_alike(const struct route_rule *a, const struct route_rule *b);
/** route_rule_same() - the same, but for iif and oif @from that are @to */
bool route_rule_same(const struct route_rule *r, const struct route_rule *moved, const char *from, const char *to);
int route_rule_copy(struct route_rule *out, const struct route_rule *r);
void route_rule_fini(struct route_rule *r);
json_t *route_rule_to_json(const struct route_rule *r);
int route_rule_from_json(struct route_rule *r, const json_t *json);

/** raw_copy() - malloc'd; NULL when out of memory, or if @raw is NULL */
uint8_t *raw_copy(const void *raw, size_t size);

/** hex_to_json() - bytes as a string; hex_from_json() - malloc'd, NULL if it is none or too long */
json_t *hex_to_json(const uint8_t *bytes, size_t size);
uint8_t *hex_from_json(const json_t *json, size_t *size);

/* Words of ip(8) for the kernel's numbers; a number in decimal where there is no word. */
enum word_set { WORDS_PROTOCOL, WORDS_SCOPE, WORDS_TYPE, WORDS_TABLE };
const char *word_of(enum word_set set, uint32_t number, char into[static 16]);
/** word_number() - and back. Return: false if it is neither a word of the set nor a number. */
bool word_number(enum word_set set, const char *word, uint32_t *number);

/** addr_bits_parse() - "ADDRESS[/BITS]", "default" where @family (AF_) says of what */
bool addr_bits_parse(const char *text, addr_t *a, uint8_t *bits);
/** addr_any_of() - the unspecified address of a family: 0.0.0.0 or :: */
addr_t addr_any_of(uint8_t family);
/** attr_addr() - of an attribute of 4 or 16 bytes; any (zero) if it has neither */
addr_t attr_addr(const struct nlattr *attribute);
void attr_put_addr(struct nlmsghdr *h, uint16_t type, addr_t a);
static inline uint8_t addr_family(addr_t a) { return addr_is4(a) ? 2 /* AF_INET */ : 10 /* AF_INET6 */; }
