// SPDX-License-Identifier: MIT
/*
 * Why a frame went no further.
 *
 * Packet code has no errors: it returns a verdict, DROP_NONE ("taken") or the reason. Whoever gets a verdict that is not
 * DROP_NONE counts it, once, at the port that the frame came in by (or was to leave by): `hospes ls --drops` shows the counters.
 */
#pragma once

/* X(enumerator, name in --json and tables, sentence for a person) */
#define DROP_TABLE(X)                                                                                                   \
	X(SHORT, "short", "cut short, or a length field that does not fit")                                             \
	X(OVERSIZE, "oversize", "larger than the port takes")                                                           \
	X(CHECKSUM, "checksum", "wrong checksum")                                                                       \
	X(MALFORMED, "malformed", "a field has a value that its protocol forbids")                                      \
	X(SPOOFED_MAC, "spoofed-mac", "the source MAC is registered to another port, or is the gateway's or a group's") \
	X(SPOOFED_IP, "spoofed-ip", "the source address is the gateway's, another guest's, or of no network of this LAN") \
	X(MAC_TABLE_FULL, "mac-table-full", "more MAC addresses than the switch or the guest table keeps")              \
	X(PORT_FULL, "port-full", "the port's queue was full")                                                          \
	X(PORT_DOWN, "port-down", "the port has gone")                                                                  \
	X(NO_PROTOCOL, "no-protocol", "an EtherType (a VLAN tag, say) or IP protocol that is not carried")              \
	X(NOT_FOR_US, "not-for-us", "addressed to nobody on this LAN")                                                  \
	X(MARTIAN, "martian", "an address that may not be a source or destination here")                                \
	X(POLICY, "policy", "refused by HostAccess, Guests = isolated or another policy")                                \
	X(NO_ROUTE, "no-route", "the host has no route or address for it")                                              \
	X(NO_FLOW, "no-flow", "belongs to no flow")                                                                     \
	X(FLOW_TABLE_FULL, "flow-table-full", "the flow table is full")                                                 \
	X(NO_DESCRIPTOR, "no-descriptor", "the process ran out of file descriptors or memory")                          \
	X(SOCKET_FULL, "socket-full", "the host's socket took no more")                                                 \
	X(SOCKET_ERROR, "socket-error", "the host's socket refused it")                                                 \
	X(OUT_OF_WINDOW, "out-of-window", "a TCP segment outside the window, or out of order")                          \
	X(TTL, "ttl", "its time to live ran out")                                                                       \
	X(TOO_BIG, "too-big", "larger than the path takes and may not be fragmented")                                   \
	X(FRAGMENT, "fragment", "a fragment that could not be reassembled")                                             \
	X(NOT_PERMITTED, "not-permitted", "the kernel does not let this user do it (ping sockets)")                     \
	X(SERVICE_REFUSED, "service-refused", "a request that a service does not answer")                               \
	X(ROGUE_SERVER, "rogue-server", "what only the LAN's servers and routers may send (DHCP, router advertisements)") \
	X(POOL_EXHAUSTED, "pool-exhausted", "no address left to lease")                                                 \
	X(FAULT, "fault", "dropped on purpose by the fault layer")

enum drop {
	DROP_NONE,
#define X(e, name, text) DROP_##e,
	DROP_TABLE(X)
#undef X
	DROP_COUNT
};

/** drop_name() - the reason's short name; "none" for DROP_NONE */
const char *drop_name(enum drop drop);

/** drop_text() - the reason as a sentence */
const char *drop_text(enum drop drop);
