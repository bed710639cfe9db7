# SPDX-License-Identifier: MIT
"""Segments and checksums over the vhost-user port: whole where both ends can, cut and completed for others."""

import random
import socket
import time

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from tests.support.vhost import (DATA_VALID, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, OFFLOADS, PLAIN, UDP_OFFLOADS, Feature, Header,
                                 complete)
from tests.support.vhost_traffic import ONE, PACKED, TWO, frame, introduce, open_segment, pseudo, take_frame
from tests.support.wire import connect
from tests.wire.test_udp import answers, to
from tests.wire.test_udp_runs import check_checksums, expect_datagrams, send_run

# segments and checksums

def tcp_packet(version, size, source=1, to=2):
    ip = IP(src=f"10.0.2.{99 + source}", dst=f"10.0.2.{99 + to}") if version == 4 else IPv6(src=f"fd00::{source}", dst=f"fd00::{to}")
    return Ether(src=ONE, dst=TWO) / ip / TCP(sport=1, dport=2, flags="PA", seq=1000) / random.Random(size).randbytes(size)


@PACKED
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("mergeable", [True, False])
def test_a_segment_stays_whole(two, packed, version, mergeable):
    """60,000 bytes behind one header, and the checksum still open, where both guests can."""
    one, other = two(packed=packed, features=(PLAIN if mergeable else Feature.VERSION_1) | OFFLOADS)
    packet = tcp_packet(version, 60000)
    data, header = open_segment(packet, 1448)
    one.transmit(data, header=header)
    came_header, came = other.receive()
    assert came == data
    assert came_header.gso_type == (GSO_TCPV4 if version == 4 else GSO_TCPV6) and came_header.gso_size == 1448
    assert came_header.flags & NEEDS_CSUM and came_header[4:6] == header[4:6]
    assert came_header.hdr_len == header.hdr_len
    assert complete(came_header, came) == bytes(packet)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("taker", ["vhost", "stream", "checksums only"])
def test_a_segment_is_cut_for_others(daemon, vhost, attach, version, taker):
    """A guest without the offload gets segments within the MTU, with complete checksums unless it takes open ones."""
    one = vhost(1, features=PLAIN | OFFLOADS)
    options = {"vhost": {"port": "vhost"}, "stream": {"port": "stream"}, "checksums only": {"port": "vhost", "features": PLAIN | Feature.GUEST_CSUM}}[taker]
    other = attach(daemon, 2, **options)
    introduce(one, other)
    packet = tcp_packet(version, 30000)
    data, header = open_segment(packet, 1400)
    one.transmit(data, header=header)
    segments = [other.expect(lambda p: TCP in p) for _ in range(22)]
    assert b"".join(bytes(p[TCP].payload) for p in segments) == bytes(packet[TCP].payload)
    for number, segment in enumerate(segments):
        assert segment[TCP].seq == 1000 + number * 1400 and len(segment) <= 1514
        assert ("P" in segment[TCP].flags) == (number == 21)
        again = segment.copy()
        del again[TCP].chksum
        assert Ether(bytes(again))[TCP].chksum == segment[TCP].chksum
    other.silence(lambda p: TCP in p, 0.1)


def test_an_open_checksum_is_completed_for_others(daemon, vhost, attach):
    one, plain, stream = vhost(1, features=PLAIN | Feature.CSUM), vhost(2), attach(daemon, 3, port="stream")
    introduce(one, plain, stream)
    for other in (plain, stream):
        packet = Ether(src=ONE, dst=other.mac) / IP(src=one.ip, dst=other.ip) / UDP(sport=1, dport=2) / (b"checked" * 10)
        data = bytearray(bytes(packet))
        data[40:42] = pseudo(packet).to_bytes(2, "big")
        one.transmit(bytes(data), header=Header(NEEDS_CSUM, GSO_NONE, 0, 0, 34, 6))
        assert bytes(other.expect(lambda p: UDP in p)) == bytes(packet)


def test_a_plain_guest_sees_no_offloads(two):
    """Without GUEST_CSUM a header has nothing in it (virtio 1.2 section 5.1.6.4.1)."""
    one, other = two()
    one.transmit(frame(1), header=Header(flags=DATA_VALID))
    header, _ = take_frame(other)
    assert header == Header(num_buffers=1)


def udp_run(version, size=10000, segment=1000):
    """A run of datagrams as a driver with segmentation offload hands it over: the packet, its bytes with the checksum open, and their header."""
    ip = IP(src="10.0.2.100", dst="10.0.2.101") if version == 4 else IPv6(src="fd00::1", dst="fd00::2")
    packet = Ether(src=ONE, dst=TWO) / ip / UDP(sport=1, dport=2) / random.Random(3).randbytes(size)
    return packet, *open_run(packet, segment)


def open_run(packet, segment):
    """A UDP packet as a driver with segmentation offload hands it over."""
    data, start = bytearray(bytes(packet)), 34 if IP in packet else 54
    data[start + 6:start + 8] = pseudo(packet).to_bytes(2, "big")
    return bytes(data), Header(NEEDS_CSUM, GSO_UDP_L4, start + 8, segment, start, 6)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("takes", [4, 6, 46])
def test_a_run_of_datagrams_stays_whole(vhost, version, takes):
    """For a driver that takes them of its IP version (virtio 1.2 section 5.1.3: USO4 and USO6 are apart); for another it is cut."""
    udp = {4: Feature.GUEST_USO4, 6: Feature.GUEST_USO6, 46: UDP_OFFLOADS}[takes]
    one, other = vhost(1, features=PLAIN | OFFLOADS | Feature.HOST_USO), vhost(2, features=PLAIN | OFFLOADS | udp)
    introduce(one, other)
    packet, data, run = udp_run(version)
    one.transmit(data, header=run)
    if takes in (46, version):
        header, came = other.receive()
        assert (header.gso_type, header.gso_size) == (GSO_UDP_L4, 1000) and came == data
        assert complete(header, came) == bytes(packet)
        return
    for number in range(10):
        header, came = other.receive()
        assert header.gso_type == GSO_NONE and not header.flags & NEEDS_CSUM
        assert Ether(came)[UDP].payload.load == packet[UDP].payload.load[number * 1000:][:1000]


@PACKED
def test_host_to_guest_in_large_segments(vhost, server4, packed):
    """A guest that takes segmentation offload gets what its host sends in pieces far over its MTU."""
    guest = vhost(1, packed=packed, features=PLAIN | OFFLOADS, event_idx=True)
    connection, peer = connect(guest, server4, options=[("MSS", 1460), ("WScale", 7)])
    content = random.Random(5).randbytes(400000)
    peer.settimeout(10)
    connection.window = 4096  # times 128
    connection.send("A")
    peer.setblocking(False)
    sent = taken = 0
    longest, data, end = 0, b"", time.monotonic() + 15
    while taken < len(content) and time.monotonic() < end:
        if sent < len(content):
            try:
                sent += peer.send(content[sent:])
            except BlockingIOError:
                pass
        segment = connection.recv(lambda t: len(bytes(t.payload)), 0.5)
        if segment is None:
            continue
        part = bytes(segment.payload)
        if segment.seq == connection.ack:
            data, taken, longest = data + part, taken + len(part), max(longest, len(part))
            connection.ack = (connection.ack + len(part)) & 0xffffffff
        connection.send("A")
    assert data == content
    assert longest > 8000


# datagrams of the host's sockets

@PACKED
@pytest.mark.parametrize("size, segment", [(10000, 1000), (9300, 1400), (64 * 100, 100), (900, 1000)])
def test_a_run_of_datagrams_to_a_socket(vhost, udp_server, packed, size, segment):
    """A guest hands a run over as one; the socket gets its datagrams, one by one."""
    guest = vhost(1, packed=packed, event_idx=True, features=PLAIN | OFFLOADS | Feature.HOST_USO)
    packet = to(guest, udp_server, random.Random(size).randbytes(size))
    data, header = open_run(guest.ether() / packet, segment)
    guest.transmit(data, header=header)
    content, got = bytes(packet[UDP].payload), []
    while sum(map(len, got)) < size:
        got.append(udp_server.recv(65536))
    assert got == [content[at:at + segment] for at in range(0, size, segment)]


@PACKED
@pytest.mark.parametrize("takes", [0, 4, 6, 46])
def test_a_run_of_datagrams_from_a_socket(vhost, udp_server, packed, takes):
    """A driver that takes runs of that IP version gets the socket's as one frame, with its checksum open; another gets every datagram by itself."""
    features = {0: 0, 4: Feature.GUEST_USO4, 6: Feature.GUEST_USO6, 46: UDP_OFFLOADS}[takes]
    guest = vhost(1, packed=packed, event_idx=True, features=PLAIN | OFFLOADS | features)
    payloads = [random.Random(number).randbytes(1000) for number in range(12)] + [b"the last is shorter"]
    guest.send(to(guest, udp_server, b"first"))
    client = udp_server.recvfrom(100)[1]
    guest.drain()
    send_run(udp_server, b"".join(payloads), 1000, client)
    if takes not in (46, 6 if udp_server.family == socket.AF_INET6 else 4):
        expect_datagrams(guest, udp_server, payloads)
        return
    header, came = guest.receive()
    assert (header.gso_type, header.gso_size) == (GSO_UDP_L4, 1000) and header.flags & NEEDS_CSUM
    packet = Ether(complete(header, came))
    assert answers(packet, udp_server) and bytes(packet[UDP].payload) == b"".join(payloads)
    check_checksums(packet)
    guest.silence(lambda p: answers(p, udp_server), 0.2)
