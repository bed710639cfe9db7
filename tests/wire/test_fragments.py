# SPDX-License-Identifier: MIT
"""Fragments, both versions, both ways."""

import os
import random
import socket

from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.packet import Raw

from tests.support.wire import GATEWAY_MAC

PORTS = ["stream", "packed"]


def datagram(guest, server, data, ident=None):
    """A datagram in fragments of at most 1000 bytes or so."""
    address, port = server.getsockname()[:2]
    ident = ident if ident is not None else random.getrandbits(16)
    if ":" in address:
        packet = guest.ip_to(address) / IPv6ExtHdrFragment(id=ident) / UDP(sport=5555, dport=port) / data
        return fragment6(packet, 1008)
    return fragment(guest.ip_to(address, id=ident) / UDP(sport=5555, dport=port) / data, 1000)


def test_from_the_guest(guest, udp_server):
    data = os.urandom(5000)
    guest.send(*datagram(guest, udp_server, data))
    assert udp_server.recv(10000) == data


def test_from_the_guest_out_of_order(guest, udp_server):
    data = os.urandom(7000)
    pieces = datagram(guest, udp_server, data)
    assert len(pieces) >= 7
    guest.send(*reversed(pieces))
    assert udp_server.recv(10000) == data


def test_two_at_once(guest, udp_server):
    """Told apart by their numbers."""
    one, two = os.urandom(3000), os.urandom(3000)
    for pair in zip(datagram(guest, udp_server, one, 1), datagram(guest, udp_server, two, 2)):
        guest.send(*pair)
    assert {udp_server.recv(10000), udp_server.recv(10000)} == {one, two}


def test_doubled_by_the_network(guest, udp_server):
    """The very same fragment twice is no overlap (RFC 8200 section 4.5)."""
    data = os.urandom(3000)
    pieces = datagram(guest, udp_server, data)
    guest.send(pieces[0], pieces[0], *pieces[1:])
    assert udp_server.recv(10000) == data


def test_largest(guest, udp_server):
    data = os.urandom(65507 if udp_server.family == socket.AF_INET else 65000)
    guest.send(*datagram(guest, udp_server, data))
    assert udp_server.recv(70000) == data


def test_a_piece_is_missing(guest, udp_server):
    pieces = datagram(guest, udp_server, os.urandom(4000))
    guest.send(*pieces[:2], *pieces[3:])
    guest.send(*datagram(guest, udp_server, b"whole" * 500))
    assert udp_server.recv(10000) == b"whole" * 500


def overlapping(pieces):
    """The second fragment moved back by eight bytes."""
    second = pieces[1].copy()
    if second.haslayer(IPv6):
        second[IPv6ExtHdrFragment].offset -= 1
        return second
    second[IP].frag -= 1
    del second[IP].chksum
    return second


def test_overlapping_is_refused(daemon, guest, udp_server, grows):
    """RFC 5722: and the whole packet with it, even if all its own fragments come."""
    pieces = datagram(guest, udp_server, os.urandom(3000))
    with grows(daemon, "fragment", 2):
        guest.send(pieces[0], overlapping(pieces), *pieces[1:])
    guest.send(*datagram(guest, udp_server, b"whole" * 500))
    assert udp_server.recv(10000) == b"whole" * 500


def test_no_multiple_of_eight(daemon, guest, udp_server, grows):
    pieces = datagram(guest, udp_server, os.urandom(3000))
    first = pieces[0].copy()
    first[Raw].load = first[Raw].load[:-3]
    layer = first[IP] if first.haslayer(IP) else first[IPv6]
    if first.haslayer(IP):
        del layer.len, layer.chksum
    else:
        del layer.plen
    with grows(daemon, "malformed"):
        guest.send(first)


def test_beyond_64_kib(daemon, guest, udp_server, grows):
    """The ping of death."""
    address, port = udp_server.getsockname()[:2]
    last = Raw(bytes(1000))
    with grows(daemon, "malformed"):
        if ":" in address:
            guest.send(guest.ip_to(address) / IPv6ExtHdrFragment(id=9, offset=8189, nh=17, m=0) / last)
        else:
            guest.send(guest.ip_to(address, id=9, frag=8189, proto=17) / last)


def test_flood_of_beginnings(daemon, guest, udp_server):
    """Packets that never end take only so much; the next whole one still gets through."""
    for ident in range(300):
        guest.send(datagram(guest, udp_server, bytes(3000), ident)[0])
    guest.send(*datagram(guest, udp_server, b"whole" * 500, 1000))
    assert udp_server.recv(10000) == b"whole" * 500


def gather(guest, server, count, seconds=2):
    """Put fragments from a peer together. Return: the datagram's payload, and how many frames it was."""
    address = server.getsockname()[0]
    pieces, end = {}, None
    frames = 0
    while end is None or sum(map(len, pieces.values())) < end:
        packet = guest.expect(lambda p: p.getlayer(1) is not None and getattr(p.getlayer(1), "src", "") == address, seconds, "fragment")
        assert len(packet) <= 1514
        assert packet.dst == guest.mac and packet.src == GATEWAY_MAC
        frames += 1
        if packet.haslayer(IPv6):
            header = packet[IPv6ExtHdrFragment]
            offset, more, data = header.offset * 8, header.m, bytes(header.payload)[:packet[IPv6].plen - 8]
        else:
            header = packet[IP]
            offset, more, data = header.frag * 8, int(header.flags) & 1, bytes(header.payload)[:header.len - 20]
        pieces[offset] = data
        if not more:
            end = offset + len(data)
    whole = b"".join(pieces[k] for k in sorted(pieces))
    assert len(whole) == count + 8
    return whole[8:], frames


def test_to_the_guest(guest, udp_server):
    address, port = udp_server.getsockname()[:2]
    guest.send(guest.ip_to(address) / UDP(sport=5555, dport=port) / b"x")
    _, client = udp_server.recvfrom(10)
    data = os.urandom(5000)
    udp_server.sendto(data, client)
    got, frames = gather(guest, udp_server, 5000)
    assert got == data and frames == 4


def test_largest_to_the_guest(guest, udp_server):
    address, port = udp_server.getsockname()[:2]
    guest.send(guest.ip_to(address) / UDP(sport=5555, dport=port) / b"x")
    _, client = udp_server.recvfrom(10)
    data = os.urandom(60000)
    udp_server.sendto(data, client)
    got, _ = gather(guest, udp_server, 60000)
    assert got == data
