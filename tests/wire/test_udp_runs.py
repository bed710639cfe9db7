# SPDX-License-Identifier: MIT
"""Runs of datagrams: many of a guest's in one batch, and many for it in one message. This port (stream) has no offload, so that a guest gets every datagram by itself."""

import os
import socket
import struct
import time

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig

from tests.support.netns import World
from tests.wire.test_udp import answers, payload_of, route, to

SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104  # Python does not know them yet
SIZES = [100, 100, 100, 40, 0, 1400, 1400, 700, 700, 1, 0, 0, 9, 9, 9, 9, 8, 300]


def numbered(sizes):
    """Payloads of these sizes, no two alike where there is room for a number."""
    return [(b"%04d" % number + os.urandom(size))[:size] for number, size in enumerate(sizes)]


def receive(server, count):
    """So many datagrams, and whom the last one is from."""
    got = [server.recvfrom(65536) for _ in range(count)]
    return [data for data, _ in got], got[-1][1]


def messages(server, seconds=1.0):
    """What comes to a socket with UDP_GRO until there is a silence: each message's bytes, and its datagrams' size (0: it is one)."""
    found = []
    server.settimeout(seconds)
    while True:
        try:
            data, ancillary, _, _ = server.recvmsg(65536, 100)
        except TimeoutError:
            return found
        segment = [struct.unpack("i", value)[0] for level, kind, value in ancillary if (level, kind) == (SOL_UDP, UDP_GRO)]
        found.append((data, segment[0] if segment else 0))
        server.settimeout(0.2)


def send_run(server, data, size, client):
    server.sendmsg([data], [(SOL_UDP, UDP_SEGMENT, struct.pack("H", size))], 0, client)


def expect_datagrams(guest, server, payloads):
    """The guest gets these in this order, each in a frame within the MTU with right checksums."""
    identifications = []
    for number, data in enumerate(payloads):
        packet = guest.expect(lambda p: answers(p, server), what=f"datagram {number}")
        assert payload_of(packet) == data, number
        assert len(packet.getlayer(1)) <= 1500 and packet[UDP].len == 8 + len(data)
        check_checksums(packet)
        if IP in packet:
            identifications.append(packet[IP].id)
    assert len(set(identifications)) == len(identifications)


def check_checksums(packet):
    for layer in (IP, UDP):
        if layer in packet:
            again = ip_packet(packet)
            given = again[layer].chksum
            del again[layer].chksum
            assert again.__class__(bytes(again))[layer].chksum == given


def ip_packet(packet):
    """The packet from its IP header on, without Ethernet's padding."""
    layer = packet.getlayer(1)
    size = layer.len if IP in packet else 40 + layer.plen
    return layer.__class__(bytes(layer)[:size])


def test_order_and_sizes_are_kept(daemon, guest, udp_server):
    payloads = numbered(SIZES)
    for _ in range(3):
        guest.send(*[to(guest, udp_server, data) for data in payloads])
        got, _ = receive(udp_server, len(payloads))
        assert got == payloads
    assert not {"socket-error", "socket-full", "too-big"} & set(daemon.drops())


def test_equal_ones_are_one_message(guest, udp_server):
    """The host's kernel carries a run as one: it arrives so at a socket that takes it so."""
    udp_server.setsockopt(SOL_UDP, UDP_GRO, 1)
    payloads = numbered([200] * 20 + [70])
    guest.send(to(guest, udp_server, b"first"))
    assert udp_server.recv(100) == b"first"
    guest.send(*[to(guest, udp_server, data) for data in payloads])
    found = messages(udp_server)
    assert b"".join(data for data, _ in found) == b"".join(payloads)
    assert len(found) < len(payloads) / 2 and all(segment == 200 for data, segment in found if len(data) > 200)


def test_interleaved_flows(world, guest, sockets):
    servers = [sockets(world.net, f"198.51.100.{n}", kind=socket.SOCK_DGRAM) for n in (10, 11, 12)]
    payloads = numbered([50] * 60)
    guest.send(*[to(guest, servers[i % 7 % 3], data) for i, data in enumerate(payloads)])
    for number, server in enumerate(servers):
        wanted = [data for i, data in enumerate(payloads) if i % 7 % 3 == number]
        assert receive(server, len(wanted))[0] == wanted


@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_closed_port_in_between(world, guest, sockets, address):
    """Errors of what was sent before do not cost what comes after."""
    server = sockets(world.net, address, kind=socket.SOCK_DGRAM)
    guest.send(to(guest, server, b"first"))
    _, client = server.recvfrom(100)
    port = server.getsockname()[1]
    server.close()
    for _ in range(5):
        guest.send(*[guest.ip_to(address) / UDP(sport=5555, dport=port) / data for data in numbered([60] * 8 + [30] * 3)])
        error = guest.expect(lambda p: ICMP in p or p.haslayer("ICMPv6DestUnreach"), what="port unreachable")
        quoted = error[ICMP].payload if ICMP in error else error["ICMPv6DestUnreach"].payload
        assert (quoted.payload.sport, quoted.payload.dport) == (5555, port)
        assert quoted.payload.len <= 68  # one datagram, not the run
        time.sleep(0.1)
    again = sockets(world.net, address, port, socket.SOCK_DGRAM)
    payloads = numbered([60] * 8 + [30] * 3)
    guest.send(*[to(guest, again, data) for data in payloads])
    got, source = receive(again, len(payloads))
    assert got == payloads and source[:2] == client[:2]


@pytest.mark.parametrize("address", ["198.51.100.20", World.SERVER6])
def test_too_big_for_the_path(world, daemon, guest, sockets, grows, address):
    """Each datagram of a run that does not fit the path gets its own ICMP error, and those that fit arrive; without DF all do."""
    v6 = ":" in address
    server = sockets(world.net, address, kind=socket.SOCK_DGRAM)
    with route(world.host, f"{address}/128 via 2001:db8:1::1 mtu 1300" if v6 else f"{address}/32 via 192.0.2.1 mtu 1300"):
        fields = {} if v6 else {"flags": "DF"}
        large = [to(guest, server, data, **(fields if v6 else {"id": 4000 + number, **fields})) for number, data in enumerate(numbered([1390] * 5))]
        small = numbered([1000] * 5)
        with grows(daemon, "too-big", 5):
            guest.send(*large, *[to(guest, server, data, **fields) for data in small])
            identifications = []
            for _ in range(5):
                if v6:
                    error = guest.expect(lambda p: ICMPv6PacketTooBig in p, what="ICMPv6 too big")
                    assert error[ICMPv6PacketTooBig].mtu == 1300 and error[ICMPv6PacketTooBig].payload.payload.sport == 5555
                else:
                    error = guest.expect(lambda p: ICMP in p and p[ICMP].type == 3, what="ICMP too big")
                    assert error[ICMP].code == 4 and error[ICMP].nexthopmtu == 1300
                    identifications.append(error[ICMP].payload.id)
        assert v6 or identifications == list(range(4000, 4005))
        assert receive(server, 5)[0] == small
        if not v6:
            payloads = numbered([1390] * 6 + [1000] * 3)
            for _ in range(2):
                guest.send(*[to(guest, server, data) for data in payloads])
                assert receive(server, len(payloads))[0] == payloads


def test_no_route_costs_each_its_error(world, daemon, guest, grows):
    with route(world.host, "unreachable 203.0.113.0/24"), grows(daemon, "no-route", 10):
        guest.send(*[guest.ip_to("203.0.113.5") / UDP(sport=1000, dport=1000) / data for data in numbered([80] * 10)])
        for _ in range(10):
            guest.expect(lambda p: ICMP in p and p[ICMP].type == 3, what="ICMP error")


def test_route_lost_in_between(world, daemon, guest, sockets):
    """The flow's socket is there already when its way goes and comes back."""
    server = sockets(world.net, "198.51.100.21", kind=socket.SOCK_DGRAM)
    guest.send(to(guest, server, b"first"))
    assert server.recv(100) == b"first"
    with route(world.host, "unreachable 198.51.100.21/32"):
        guest.send(*[to(guest, server, data) for data in numbered([80] * 10)])
        for _ in range(10):
            guest.expect(lambda p: ICMP in p and p[ICMP].type == 3, what="ICMP error")
    payloads = numbered([80] * 10)
    guest.send(*[to(guest, server, data) for data in payloads])
    assert receive(server, 10)[0] == payloads
    assert daemon.drops()["no-route"] == 10


@pytest.mark.parametrize("size,count,last", [(100, 64, 100), (100, 30, 1), (1400, 40, 1399), (1452, 4, 1452)])
def test_to_guest(guest, udp_server, size, count, last):
    payloads = numbered([size] * (count - 1) + [last])
    guest.send(to(guest, udp_server, b"x"))
    _, client = udp_server.recvfrom(10)
    send_run(udp_server, b"".join(payloads), size, client)
    expect_datagrams(guest, udp_server, payloads)


def test_to_guest_one_by_one(guest, udp_server):
    payloads = numbered([s for s in SIZES if s <= 1452] * 2)
    guest.send(to(guest, udp_server, b"x"))
    _, client = udp_server.recvfrom(10)
    for data in payloads:
        udp_server.sendto(data, client)
    expect_datagrams(guest, udp_server, payloads)


def test_to_guest_over_its_mtu(start, world, attach, sockets):
    """Datagrams that were equal on the host's side and do not fit the LAN's MTU come in fragments, each of its own datagram."""
    daemon = start(config="[LAN]\nMTU = 1280\n")
    guest = attach(daemon)
    server = sockets(world.net, World.SERVER4, kind=socket.SOCK_DGRAM)
    payloads = numbered([1400] * 5 + [100])
    guest.send(to(guest, server, b"x"))
    _, client = server.recvfrom(10)
    send_run(server, b"".join(payloads), 1400, client)
    for data in payloads[:-1]:
        first = guest.expect(lambda p: IP in p and p[IP].proto == 17 and p[IP].flags & 1, what="first fragment")
        second = guest.expect(lambda p: IP in p and p[IP].frag, what="second fragment")
        assert first[IP].id == second[IP].id and first[IP].len <= 1280
        whole = bytes(first[IP].payload)[:first[IP].len - 20] + bytes(second[IP].payload)[:second[IP].len - 20]
        assert whole[8:] == data
    assert payload_of(guest.expect(lambda p: answers(p, server), what="the last")) == payloads[-1]


@pytest.mark.parametrize("address", [World.HOST4, World.HOST6])
def test_forward(world, daemon, guest, address):
    """A forward's client sends a run, and the guest answers with one, which comes from the address that was asked."""
    v6 = ":" in address
    daemon.call("AddForward", listen=f"[{address}]:5353/udp" if v6 else f"{address}:5353/udp", to=f"[{guest.ip6}]:53" if v6 else f"{guest.ip}:53")
    guest.announce()
    if v6:
        guest.send(guest.ip_to("fd00::1") / UDP(sport=1, dport=1))  # so that its address is known
    asker = world.net.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    asker.settimeout(3)
    asker.setsockopt(SOL_UDP, UDP_GRO, 1)
    asker.connect((address, 5353))
    payloads = numbered([120] * 9 + [33])
    asker.sendmsg([b"".join(payloads)], [(SOL_UDP, UDP_SEGMENT, struct.pack("H", 120))])
    packets = [guest.expect(lambda p: UDP in p and p[UDP].dport == 53, what=f"query {n}") for n in range(10)]
    assert [payload_of(p) for p in packets] == payloads
    back = numbered([90] * 9 + [12, 90])
    guest.send(*[guest.ip_to(packets[0].getlayer(1).src) / UDP(sport=53, dport=packets[0][UDP].sport) / data for data in back])
    found = messages(asker)
    assert b"".join(data for data, _ in found) == b"".join(back)
    assert len(found) < len(back)
    asker.close()
