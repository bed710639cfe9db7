# SPDX-License-Identifier: MIT
"""UDP between a guest that is played by hand and real sockets of the host's side."""

import contextlib
import os
import socket
import struct

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, IPv6
from scapy.packet import Raw

from tests.support.lan import wait_for
from tests.support.netns import World

PORTS = ["stream", "packed"]

IP_RECVTTL = 12  # Python does not know it yet


def to(guest, server, payload, sport=5555, **fields):
    address, port = server.getsockname()[:2]
    return guest.ip_to(address, **fields) / UDP(sport=sport, dport=port) / payload


def answers(packet, server, sport=5555):
    address, port = server.getsockname()[:2]
    return UDP in packet and packet.getlayer(1).src == address and packet[UDP].sport == port and packet[UDP].dport == sport


def payload_of(packet):
    return bytes(packet[UDP].payload)[:packet[UDP].len - 8]


def test_there_and_back(daemon, guest, udp_server):
    """The answer comes from where the guest sent to; the guest's port is kept on the host's side."""
    guest.send(to(guest, udp_server, b"ping"))
    data, client = udp_server.recvfrom(100)
    assert data == b"ping" and client[1] == 5555
    assert client[0] in (World.HOST4, World.HOST6)
    udp_server.sendto(b"pong", client)
    answer = guest.expect(lambda p: answers(p, udp_server), what="answer")
    assert payload_of(answer) == b"pong" and answer.getlayer(1).dst in (guest.ip, guest.ip6)
    for field in (answer.getlayer(1), answer[UDP]):  # checksums as they came are right
        again = answer.copy()
        given = getattr(field, "chksum", None)
        if given is not None:
            layer = again[type(field)]
            del layer.chksum
            assert again.__class__(bytes(again))[type(field)].chksum == given
    assert daemon.call("Status")["flows"]["udp"] == 1


@pytest.mark.parametrize("size", [0, 1, 1472, 1400])
def test_sizes(guest, udp_server, size):
    if size > 1452 and udp_server.family == socket.AF_INET6:
        size = 1452
    data = os.urandom(size)
    guest.send(to(guest, udp_server, data))
    got, client = udp_server.recvfrom(2000)
    assert got == data
    udp_server.sendto(data, client)
    assert payload_of(guest.expect(lambda p: answers(p, udp_server), what="answer")) == data


def test_one_port_to_many_peers(world, guest, sockets):
    """All peers see the same port of the host's side (RFC 4787 section 4.1), and each answer comes from its own peer."""
    servers = [sockets(world.net, f"198.51.100.{number}", kind=socket.SOCK_DGRAM) for number in range(10, 20)]
    for server in servers:
        guest.send(to(guest, server, server.getsockname()[0].encode()))
    clients = []
    for server in servers:
        data, client = server.recvfrom(100)
        assert data.decode() == server.getsockname()[0]
        clients.append(client)
        server.sendto(data, client)
    assert set(clients) == {(World.HOST4, 5555)}
    for server in servers:
        answer = guest.expect(lambda p: answers(p, server), what=f"answer of {server.getsockname()}")
        assert payload_of(answer).decode() == server.getsockname()[0]


def test_strangers_are_not_let_in(world, guest, sockets):
    """What comes in is filtered by address and port."""
    server, stranger = (sockets(world.net, f"198.51.100.{n}", kind=socket.SOCK_DGRAM) for n in (10, 11))
    guest.send(to(guest, server, b"x"))
    _, client = server.recvfrom(10)
    stranger.sendto(b"boo", client)
    guest.silence(lambda p: UDP in p and payload_of(p) == b"boo")
    server.sendto(b"yes", client)
    assert payload_of(guest.expect(lambda p: answers(p, server), what="answer")) == b"yes"


def test_two_guests_with_the_same_port(daemon, attach, udp_server):
    one, two = attach(daemon, 1), attach(daemon, 2)
    clients = {}
    for guest in (one, two):
        guest.send(to(guest, udp_server, guest.mac.encode()))
        data, client = udp_server.recvfrom(100)
        clients[data.decode()] = client
    assert clients[one.mac] != clients[two.mac] and clients[one.mac][1] == 5555
    for mac, client in clients.items():
        udp_server.sendto(f"for {mac}".encode(), client)
    for guest in (one, two):
        assert payload_of(guest.expect(lambda p: answers(p, udp_server), what="answer")) == f"for {guest.mac}".encode()
        guest.silence(lambda p: UDP in p and p[UDP].dport == 5555, 0.1)


def test_port_of_the_host_that_is_taken(world, guest, udp_server, sockets):
    """A program of the host has the guest's port: another one is taken, and the program gets nothing of it."""
    taken = sockets(world.host, "0.0.0.0" if udp_server.family == socket.AF_INET else "::", 5555, socket.SOCK_DGRAM)
    guest.send(to(guest, udp_server, b"x"))
    _, client = udp_server.recvfrom(10)
    assert client[1] != 5555
    udp_server.sendto(b"y", client)
    assert payload_of(guest.expect(lambda p: answers(p, udp_server), what="answer")) == b"y"
    taken.settimeout(0.1)
    with pytest.raises(TimeoutError):
        taken.recv(10)


@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_closed_port(guest, address):
    """ICMP "port unreachable", from the peer, about the guest's own datagram."""
    guest.send(guest.ip_to(address) / UDP(sport=4321, dport=9) / b"anybody?")
    if ":" in address:
        error = guest.expect(lambda p: ICMPv6DestUnreach in p, what="ICMPv6 error")
        assert error[ICMPv6DestUnreach].code == 4
        quoted = error[ICMPv6DestUnreach].payload
    else:
        error = guest.expect(lambda p: ICMP in p and p[ICMP].type == 3, what="ICMP error")
        assert error[ICMP].code == 3
        quoted = error[ICMP].payload
    assert error.getlayer(1).src == address
    assert quoted.src in (guest.ip, guest.ip6) and quoted.dst == address
    assert (quoted.payload.sport, quoted.payload.dport) == (4321, 9)
    assert bytes(quoted.payload.payload)[:8] == b"anybody?"


@contextlib.contextmanager
def route(netns, words):
    netns.ip(f"route add {words}")
    try:
        yield
    finally:
        netns.ip(f"route del {words}")


def test_no_route(world, daemon, guest, grows):
    with route(world.host, "unreachable 203.0.113.0/24"), grows(daemon, "no-route"):
        guest.send(guest.ip_to("203.0.113.5") / UDP(sport=1000, dport=1000) / b"x")
        error = guest.expect(lambda p: ICMP in p and p[ICMP].type == 3, what="ICMP error")
        assert error[ICMP].code in (0, 1) and error[IP].src == "10.0.2.2"


def test_error_of_a_router(world, guest):
    """What a router far away says reaches the guest from that router's address."""
    world.net.sysctl("net.ipv4.ip_forward=1")
    with route(world.net, "unreachable 203.0.113.0/24"):
        guest.send(guest.ip_to("203.0.113.5") / UDP(sport=1000, dport=1000) / b"x")
        error = guest.expect(lambda p: ICMP in p and p[ICMP].type == 3, what="ICMP error")
        assert error[IP].src == "192.0.2.1" and error[ICMP].code == 1
        assert error[ICMP].payload.src == guest.ip and error[ICMP].payload.payload.sport == 1000


@pytest.mark.parametrize("address", ["198.51.100.20", World.SERVER6])
def test_too_big_for_the_path(world, daemon, guest, sockets, grows, address):
    """A datagram that may not be fragmented and does not fit the host's way out: ICMP with that MTU. One that may arrives."""
    v6 = ":" in address
    server = sockets(world.net, address, kind=socket.SOCK_DGRAM)
    words = f"{address}/128 via 2001:db8:1::1 mtu 1300" if v6 else f"{address}/32 via 192.0.2.1 mtu 1300"
    with route(world.host, words):
        fields = {} if v6 else {"flags": "DF"}
        with grows(daemon, "too-big"):
            guest.send(to(guest, server, bytes(1390), **fields))
            if v6:
                error = guest.expect(lambda p: ICMPv6PacketTooBig in p, what="ICMPv6 too big")
                assert error[ICMPv6PacketTooBig].mtu == 1300
                assert error[ICMPv6PacketTooBig].payload.payload.sport == 5555
            else:
                error = guest.expect(lambda p: ICMP in p and p[ICMP].type == 3, what="ICMP too big")
                assert error[ICMP].code == 4 and error[ICMP].nexthopmtu == 1300
                assert error[ICMP].payload.payload.sport == 5555
        guest.send(to(guest, server, bytes(1200), **fields))
        assert len(server.recv(2000)) == 1200
        if not v6:
            guest.send(to(guest, server, bytes(1390)))
            assert len(server.recv(2000)) == 1390


def test_ttl_and_traffic_class_are_the_guests(world, guest, sockets):
    server = sockets(world.net, World.SERVER4, kind=socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    server.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    guest.send(to(guest, server, b"x", ttl=17, tos=0x28))
    _, ancillary, _, _ = server.recvmsg(10, 200)
    found = {kind: data for level, kind, data in ancillary if level == socket.IPPROTO_IP}
    assert found[socket.IP_TOS][0] == 0x28
    assert struct.unpack("i", found[socket.IP_TTL])[0] == 16


def test_wrong_checksum(daemon, guest, udp_server, grows):
    packet = to(guest, udp_server, b"wrong")
    packet[UDP].chksum = 0x4321
    with grows(daemon, "checksum"):
        guest.send(packet)
    guest.send(to(guest, udp_server, b"right"))
    assert udp_server.recv(10) == b"right"


def test_no_checksum(daemon, guest, udp_server, grows):
    """IPv4 may do without (RFC 768), IPv6 may not."""
    packet = to(guest, udp_server, b"none")
    packet[UDP].chksum = 0
    if udp_server.family == socket.AF_INET:
        guest.send(packet)
        assert udp_server.recv(10) == b"none"
    else:
        with grows(daemon, "checksum"):
            guest.send(packet)


def test_many_peers(world, daemon, guest, sockets):
    """A flow a peer; none is lost or mixed up."""
    servers = [sockets(world.net, f"198.51.100.{10 + i % 20}", kind=socket.SOCK_DGRAM) for i in range(200)]
    guest.send(to(guest, servers[0], b"first", sport=1024))  # the host asks for its router by ARP, and keeps about a hundred packets meanwhile
    assert servers[0].recv(10) == b"first"
    for i, server in enumerate(servers):
        guest.send(to(guest, server, b"%d" % i, sport=1024 + i % 7))
    for i, server in enumerate(servers):
        data, client = server.recvfrom(10)
        assert data == b"%d" % i
        server.sendto(data, client)
    for i, server in enumerate(servers):
        answer = guest.expect(lambda p: answers(p, server, 1024 + i % 7), what=f"answer {i}")
        assert payload_of(answer) == b"%d" % i
    assert wait_for(lambda: daemon.call("Status")["flows"]["udp"] == 200, what="200 flows")


@pytest.mark.parametrize("destination,reason", [("127.0.0.1", "martian"), ("224.0.0.251", None), ("255.255.255.255", None),
                                                ("0.0.0.1", "martian"), ("240.0.0.1", "martian"), ("10.0.2.200", "martian")])
def test_odd_destinations(daemon, guest, grows, destination, reason):
    """No flow begins for what may not go out."""
    with grows(daemon, reason) if reason else contextlib.nullcontext():
        guest.send(guest.ip_to(destination) / UDP(sport=1, dport=7) / b"x")
        guest.announce()
    assert daemon.call("Status")["flows"]["udp"] == 0


def test_guest_says_that_its_port_is_closed(daemon, guest, udp_server):
    """The guest's own ICMP error about an answer ends the flow."""
    guest.send(to(guest, udp_server, b"x"))
    _, client = udp_server.recvfrom(10)
    udp_server.sendto(b"too late", client)
    answer = guest.expect(lambda p: answers(p, udp_server), what="answer")
    assert daemon.call("Status")["flows"]["udp"] == 1
    if answer.haslayer(IPv6):
        guest.send(guest.ip_to(answer[IPv6].src) / ICMPv6DestUnreach(code=4) / bytes(answer[IPv6]))
    else:
        guest.send(guest.ip_to(answer[IP].src) / ICMP(type=3, code=3) / bytes(answer[IP])[:28])
    wait_for(lambda: daemon.call("Status")["flows"]["udp"] == 0, what="the flow's end")


def test_too_long_for_its_packet(daemon, guest, udp_server, grows):
    """A length in the UDP header beyond the packet's end."""
    packet = to(guest, udp_server, b"short")
    packet[UDP].len = 500
    with grows(daemon, "short"):
        guest.send(packet)
    guest.send(to(guest, udp_server, b"right") / Raw(b""))
    assert udp_server.recv(10) == b"right"
