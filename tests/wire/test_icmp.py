# SPDX-License-Identifier: MIT
"""Echo and ICMP errors."""

import os

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6

from tests.support.netns import World

PORTS = ["stream", "vhost"]


def request(guest, address, data=b"abcdefgh", ident=7, seq=1, **fields):
    if ":" in address:
        return guest.ip_to(address, **fields) / ICMPv6EchoRequest(id=ident, seq=seq, data=data)
    return guest.ip_to(address, **fields) / ICMP(id=ident, seq=seq) / data


def reply(packet, address, ident=7, seq=1):
    """The data of the reply to such a request, or None."""
    if packet.getlayer(1) is None or getattr(packet.getlayer(1), "src", None) != address:
        return None
    if ICMPv6EchoReply in packet:
        r = packet[ICMPv6EchoReply]
        return bytes(r.data) if (r.id, r.seq) == (ident, seq) else None
    if ICMP in packet and packet[ICMP].type == 0 and (packet[ICMP].id, packet[ICMP].seq) == (ident, seq):
        return bytes(packet[ICMP].payload)[:packet[IP].len - 28]
    return None


def own_addresses(daemon):
    status = daemon.call("Status")
    return [status["gateway4"], status["dns4"], status["gateway6"], status["dns6"]]


def test_ping_of_the_gateway(daemon, guest):
    for address in own_addresses(daemon):
        guest.send(request(guest, address))
        packet = guest.expect(lambda p: reply(p, address) is not None, what=f"reply of {address}")
        assert reply(packet, address) == b"abcdefgh"
    assert daemon.call("Status")["flows"]["echo"] == 0


def test_ping_of_the_gateway_by_its_link_local_address(guest):
    """From a link-local address to fe80::5055:aff:fe00:202 (of 52:55:0a:00:02:02)."""
    source, target = "fe80::ff:fe00:1", "fe80::5055:aff:fe00:202"
    guest.send(IPv6(src=source, dst=target) / ICMPv6EchoRequest(id=3, seq=4, data=b"near"))
    guest.expect(lambda p: ICMPv6EchoReply in p and p[IPv6].src == target and p[IPv6].dst == source, what="reply")


@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
@pytest.mark.parametrize("size", [0, 56, 1400])
def test_ping_of_the_internet(daemon, guest, address, size):
    data = os.urandom(size)
    guest.send(request(guest, address, data))
    packet = guest.expect(lambda p: reply(p, address) is not None, what="reply")
    assert reply(packet, address) == data
    assert daemon.call("Status")["flows"]["echo"] == 1
    guest.send(request(guest, address, data, seq=2))
    guest.expect(lambda p: reply(p, address, seq=2) == data, what="second reply")
    assert daemon.call("Status")["flows"]["echo"] == 1


@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_two_guests_with_the_same_identifier(daemon, attach, address):
    one, two = attach(daemon, 1), attach(daemon, 2)
    for guest in (one, two):
        guest.send(request(guest, address, guest.mac.encode()))
    for guest in (one, two):
        packet = guest.expect(lambda p: reply(p, address) is not None, what="reply")
        assert reply(packet, address) == guest.mac.encode()


def test_no_ping_sockets(world, start, attach, grows):
    """Where the kernel gives this user none, the guest hears so, and the log says what to type."""
    world.host.sysctl("net.ipv4.ping_group_range=1 0")
    try:
        daemon = start()
        guest = attach(daemon)
        with grows(daemon, "not-permitted"):
            guest.send(request(guest, World.SERVER4))
            error = guest.expect(lambda p: ICMP in p and p[ICMP].type == 3, what="ICMP error")
            assert error[ICMP].code in (9, 10, 13)
        assert "ping_group_range" in daemon.messages()
        guest.send(request(guest, "10.0.2.2"))
        guest.expect(lambda p: reply(p, "10.0.2.2"), what="reply of the gateway")
    finally:
        world.host.sysctl("net.ipv4.ping_group_range=0 2147483647")


@pytest.mark.parametrize("layer", ["UDP", "TCP", "echo"])
@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_ttl_ends_at_the_gateway(daemon, guest, grows, layer, address):
    fields = {"hlim": 1} if ":" in address else {"ttl": 1}
    packet = {"UDP": guest.ip_to(address, **fields) / UDP(sport=33434, dport=33434) / b"trace",
              "TCP": guest.ip_to(address, **fields) / TCP(sport=33434, dport=80, flags="S"),
              "echo": request(guest, address, **fields)}[layer]
    with grows(daemon, "ttl"):
        guest.send(packet)
        if ":" in address:
            error = guest.expect(lambda p: ICMPv6TimeExceeded in p, what="ICMPv6 time exceeded")
            assert error[IPv6].src == daemon.call("Status")["gateway6"]
            assert error[ICMPv6TimeExceeded].payload.dst == address
        else:
            error = guest.expect(lambda p: ICMP in p and p[ICMP].type == 11, what="ICMP time exceeded")
            assert error[IP].src == "10.0.2.2" and error[ICMP].payload.dst == address


@pytest.mark.parametrize("layer", ["UDP", "echo"])
def test_ttl_ends_at_the_next_router(world, guest, layer):
    """traceroute's second step: the host's router says so, by its own address."""
    world.net.sysctl("net.ipv4.ip_forward=1")
    world.net.ip("route add 203.0.113.0/24 dev lo")
    try:
        packet = guest.ip_to("203.0.113.1", ttl=2) / UDP(sport=33434, dport=33435) / b"trace" if layer == "UDP" else request(guest, "203.0.113.1", ttl=2)
        guest.send(packet)
        error = guest.expect(lambda p: ICMP in p and p[ICMP].type == 11, what="ICMP time exceeded")
        assert error[IP].src == "192.0.2.1"
        quoted = error[ICMP].payload
        assert quoted.src == guest.ip and quoted.dst == "203.0.113.1"
        assert quoted.payload.sport == 33434 if layer == "UDP" else quoted.payload.id == 7
    finally:
        world.net.ip("route del 203.0.113.0/24 dev lo")


def test_unknown_protocol(daemon, guest, grows):
    with grows(daemon, "no-protocol"):
        guest.send(guest.ip_to(World.SERVER4, proto=132) / (b"sctp" * 5))
        error = guest.expect(lambda p: ICMP in p and p[ICMP].type == 3, what="ICMP error")
        assert error[ICMP].code == 2


def test_no_error_about_an_error(guest):
    """RFC 1122 section 3.2.2"""
    error = guest.ip_to(World.SERVER4, ttl=1) / ICMP(type=3, code=3) / bytes(guest.ip_to(World.SERVER4) / UDP())
    guest.send(error)
    guest.silence(lambda p: ICMP in p)


def test_errors_are_limited(guest):
    """A flood of wrong packets is not answered by a flood."""
    for _ in range(5):
        guest.send(*[guest.ip_to(World.SERVER4, ttl=1) / UDP(sport=n, dport=n) / b"x" for n in range(1, 101)])
    errors = [p for p in guest.drain(0.3) if ICMP in p and p[ICMP].type == 11]
    assert 20 <= len(errors) <= 250


def test_wrong_checksum(daemon, guest, grows):
    packet = request(guest, "10.0.2.2")
    packet[ICMP].chksum = 1
    with grows(daemon, "checksum"):
        guest.send(packet)
    guest.silence(lambda p: ICMP in p, 0.2)
