# SPDX-License-Identifier: MIT
"""What leaves a port without offloads while others send and get 64 KiB at once: no frame over the MTU, and no wrong checksum."""

import random
import struct

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet import TCP as SegmentOf
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from tests.support.capture import TCP, UDP as DATAGRAM, Capture, examine
from tests.support.vhost import GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, OFFLOADS, PLAIN, Feature, Header
from tests.support.vhost_traffic import introduce, pseudo
from tests.support.wire import connect
from tests.wire.test_udp import answers, to
from tests.wire.test_udp_runs import send_run

# The ports that lack offloads, all or nearly all. A tap has the kernel's, and a test of its own.
TAKERS = {
    "stream": {"port": "stream"},
    "dgram": {"port": "dgram"},
    "vhost": {"port": "vhost"},
    "packed": {"port": "packed"},
    "whole buffers": {"port": "vhost", "features": Feature.VERSION_1},
    "checksums only": {"port": "vhost", "features": PLAIN | Feature.GUEST_CSUM},
}
LONGEST = 65535 - 40 - 20  # of IPv6's and TCP's headers: what a kernel makes at the most


@pytest.fixture(params=TAKERS)
def taker(request, daemon, attach):
    """A guest without the offloads, and the capture at its port, which may start later."""
    made = attach(daemon, 2, **TAKERS[request.param])
    made.capture = lambda: Capture(made, opens=request.param == "checksums only")
    return made


def packet(taker, version, transport, payload, vlan=False):
    ether = Ether(src="02:00:00:00:00:01", dst=taker.mac)
    if vlan:
        ether /= Dot1Q(vlan=5)
    ip = IP(src="10.0.2.100", dst=taker.ip, id=65530, flags="DF") if version == 4 else IPv6(src="fd00::1", dst="fd00::2")
    return ether / ip / transport / payload


def left_open(whole, segment):
    """As a driver hands it over, in one piece: bytes whose checksum is the pseudo header's sum, and their header. `segment` 0: it is one anyway."""
    data = bytearray(bytes(whole))
    start = len(data) - len(bytes(whole.getlayer(IP) or whole[IPv6])) + (20 if IP in whole else 40)
    field = 16 if SegmentOf in whole else 6
    data[start + field:start + field + 2] = struct.pack("!H", pseudo(whole))
    kind = GSO_UDP_L4 if UDP in whole else GSO_TCPV4 if IP in whole else GSO_TCPV6
    head = start + (data[start + 12] >> 4 << 2 if SegmentOf in whole else 8)
    return bytes(data), Header(NEEDS_CSUM, kind if segment else GSO_NONE, head if segment else 0, segment, start, field)


def await_bytes(taker, capture, protocol, count):
    """Take frames until so many bytes of payload have come. Return: the packets."""
    while sum(len(p.payload) for p in capture.packets(protocol)) < count:
        assert taker.read(2) is not None, f"{sum(len(p.payload) for p in capture.packets(protocol))} of {count} bytes came; {len(capture)} frames"
    return capture.packets(protocol)


@pytest.mark.parametrize("version", [4, 6])
def test_segments_of_a_guest(vhost, taker, version):
    """TCP, from nothing to 64 KiB, cut to the size that its sender names; the bytes are the same, and in order."""
    sender = vhost(1, features=PLAIN | OFFLOADS | Feature.HOST_USO)
    introduce(sender, taker)
    most, stamps = 1460 if version == 4 else 1440, [("NOP", 0), ("NOP", 0), ("Timestamp", (7, 8))]
    for size, segment, options, vlan in ((LONGEST, most, [], 0), (LONGEST - 12, most - 12, stamps, 0), (65001, 1001, [], 0), (20000, 536, stamps, 0),
                                         (most * 7, most, [], 0), (most * 7 + 1, most, [], 0), (300, 7, [], 0), (999, most, [], 0), (9000, 1400, [], 1),
                                         (1, 0, [], 0), (most, 0, [], 0), (1201, 0, stamps, 0)):
        capture, payload = taker.capture(), random.Random(size).randbytes(size)
        data, header = left_open(packet(taker, version, SegmentOf(sport=1, dport=2, flags="PA", seq=0xffffff00, options=options), payload, vlan), segment)
        sender.transmit(data, header=header)
        came = await_bytes(taker, capture, TCP, size)
        assert b"".join(p.payload for p in came) == payload and len(came) == (-(-size // segment) if segment else 1)
        expected = 0xffffff00
        for p in came:
            assert struct.unpack_from("!I", p.header, 4)[0] == expected and p.version == version
            expected = (expected + len(p.payload)) & 0xffffffff
    sender.flush()


@pytest.mark.parametrize("version", [4, 6])
def test_datagrams_of_a_guest(vhost, taker, version):
    """Runs of datagrams come one by one, each of the size that its sender made."""
    sender = vhost(1, features=PLAIN | OFFLOADS | Feature.HOST_USO)
    introduce(sender, taker)
    most = 1472 if version == 4 else 1452
    for size, segment, vlan in ((most * 44, most, 0), (64000, 1000, 0), (63999, 1001, 0), (200, 1, 0), (5000, 1400, 1), (900, most, 0), (1, 0, 0), (most, 0, 0)):
        capture, payload = taker.capture(), random.Random(size).randbytes(size)
        data, header = left_open(packet(taker, version, UDP(sport=1, dport=2), payload, vlan), segment)
        sender.transmit(data, header=header)
        came = await_bytes(taker, capture, DATAGRAM, size)
        step = segment or size
        assert [p.payload for p in came] == [payload[at:at + step] for at in range(0, size, step)]
        assert all(p.version == version for p in came)
    sender.flush()


@pytest.mark.parametrize("mss", [1460, 1440, 8960, 536])
def test_a_stream_of_the_host(daemon, taker, server, mss):
    """What the gateway makes is cut, too, though it reads 64 KiB at once; also for a guest that says it could take more than the MTU."""
    taker.announce()
    capture = taker.capture()
    connection, peer = connect(taker, server, options=[("MSS", mss)])
    content = random.Random(mss).randbytes(150000)
    peer.settimeout(5)
    peer.setblocking(False)
    sent, taken = peer.send(content), b""
    while len(taken) < len(content):
        taken += connection.take(1)
        if sent < len(content):
            try:
                sent += peer.send(content[sent:])
            except BlockingIOError:
                pass
    assert taken == content
    assert max(len(p.payload) for p in capture.packets(TCP)) == min(mss, 1460 if IP in connection.segment() else 1440)


def test_datagrams_of_the_host(taker, udp_server):
    """Runs that the kernel has put together (UDP_GRO), and others."""
    taker.announce()
    capture = taker.capture()
    taker.send(to(taker, udp_server, b"hello"))
    _, client = udp_server.recvfrom(100)
    for size, segment in ((14000, 1400), (1452 * 20, 1452), (3000, 1000), (100, 1), (64000, 1001), (1452, 1452)):
        payload = random.Random(size).randbytes(size)
        before = len(capture.packets(DATAGRAM))
        send_run(udp_server, payload, segment, client)
        got = []
        while sum(map(len, got)) < size:
            taker.expect(lambda p: answers(p, udp_server), what=f"datagrams {segment} of {size}")
            got = [p.payload for p in capture.packets(DATAGRAM)[before:]]
        assert got == [payload[at:at + segment] for at in range(0, size, segment)]


@pytest.mark.parametrize("version", [4, 6])
def test_a_wrong_one_would_be_seen(version):
    """A change anywhere in a packet is seen by those who look at it here, and a byte too many."""
    class Taker:
        mac, ip = "02:00:00:00:00:02", "10.0.2.101"

    for transport in (SegmentOf(sport=1, dport=2, flags="A"), UDP(sport=1, dport=2)):
        good = bytes(packet(Taker, version, transport, b"what is in it"))
        assert examine(good).payload == b"what is in it"
        for at in [*((16, 17, 18, 24, 25, 30) if version == 4 else (18, 19, 30)), *range(34 if version == 4 else 54, len(good))]:
            wrong = bytearray(good)
            wrong[at] ^= 4
            with pytest.raises((AssertionError, struct.error, IndexError)):
                examine(bytes(wrong))
    with pytest.raises(AssertionError, match="1501 bytes"):
        examine(bytes(packet(Taker, 4, UDP(sport=1, dport=2), bytes(1501 - 28))))
