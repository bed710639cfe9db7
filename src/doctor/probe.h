// SPDX-License-Identifier: MIT
/*
 * Probes: what only shows when frames are sent. Asked for by --probe alone; on a bridge it needs root (packet sockets), on a user LAN a
 * port of its own for as long as it takes.
 *
 * Nothing that is sent changes anybody's state: ARP requests that announce no address (RFC 5227 section 1.1: probes, sender 0.0.0.0), and
 * one DHCPDISCOVER, whose offers are not taken.
 */
#pragma once
#include "doctor/facts.h"

/** probe_run() - send and listen, a few seconds; answers and gaps go into the facts. Return: 0 or negative errno. */
int probe_run(struct facts *f);

#define PROBE_FRAME_MAX 400

/** probe_arp() - who has @asked? Asked by @from, which has @sender (any: none, a probe). Return: bytes written. Pure, as the others. */
size_t probe_arp(uint8_t into[static PROBE_FRAME_MAX], struct mac from, addr_t sender, addr_t asked);
/** probe_discover() - a DHCPDISCOVER of @from, with an answer by broadcast. Return: bytes written. */
size_t probe_discover(uint8_t into[static PROBE_FRAME_MAX], struct mac from, uint32_t xid);

/** probe_read_arp() - is the frame an ARP answer? Return: true with who has which address, and to whom it went. */
bool probe_read_arp(const void *frame, size_t size, struct answer_fact *who, struct mac *to);
/** probe_read_offer() - is it a DHCPOFFER for @xid? Return: true with the server's address and the frame's source. */
bool probe_read_offer(const void *frame, size_t size, uint32_t xid, struct answer_fact *server);
