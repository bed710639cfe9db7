# SPDX-License-Identifier: MIT
"""From the host's side to a guest: forwards, TCP, UDP and unix sockets."""

import os
import socket
import time

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from tests.support.lan import wait_for
from tests.support.netns import World
from tests.support.wire import accept, payload_of

RST = 0x04


def client(netns, address, port, source=None, kind=socket.SOCK_STREAM):
    """A socket that is connected."""
    made = netns.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    made.settimeout(3)
    if source:
        made.bind((source, 0))
    made.connect((address, port))
    return made


@pytest.fixture
def web(guest):
    """A guest that can be found: by its lease and name."""
    guest.lease(hostname=b"web")
    guest.announce()
    return guest


@pytest.fixture
def everywhere(daemon, web):
    daemon.call("AddForward", listen="0.0.0.0:8080", to="web:80")
    return daemon


def test_add_list_remove(world, daemon, web):
    daemon.call("AddForward", listen="8080", to="web:80")
    daemon.call("AddForward", listen="127.0.0.1:9000-9002/udp", to="10.0.2.15:53")
    assert {(f["listen"], f["to"], f["clients"]) for f in daemon.call("ListForwards")["forwards"]} == {
        ("8080", "web:80", 0), ("127.0.0.1:9000-9002/udp", "10.0.2.15:53", 0)}
    connection = client(world.host, "127.0.0.1", 8080)
    inside = accept(web, 80)
    assert inside.dst == "10.0.2.2"  # the host's own loopback is the gateway's address to the guest
    assert [f["clients"] for f in daemon.call("ListForwards")["forwards"] if f["to"] == "web:80"] == [1]
    daemon.call("RemoveForward", listen="8080")
    with pytest.raises(ConnectionRefusedError):
        client(world.host, "127.0.0.1", 8080)
    connection.sendall(b"what is open stays")
    assert inside.take(18) == b"what is open stays"
    with pytest.raises(RuntimeError, match="Invalid"):
        daemon.call("RemoveForward", listen="8080")


def test_default_is_loopback_alone(world, daemon, web):
    daemon.call("AddForward", listen="8080", to="web:80")
    with pytest.raises(ConnectionRefusedError):
        client(world.net, World.HOST4, 8080)
    with client(world.host, "::1", 8080):
        assert accept(web, 80)


@pytest.mark.parametrize("source", ["198.51.100.10", None])
def test_guest_sees_the_clients_own_address(world, everywhere, web, source):
    outside = client(world.net, World.HOST4, 8080, source)
    inside = accept(web, 80)
    assert (inside.dst, inside.dport) == outside.getsockname()
    outside.sendall(b"GET /")
    assert inside.take(5) == b"GET /"
    inside.send("PA", b"200")
    assert outside.recv(10) == b"200"
    inside.send("FA")
    assert outside.recv(10) == b""
    outside.close()
    inside.expect(lambda t: t.flags & 0x01, what="FIN")


def test_ipv6_client(world, daemon, web):
    """It sees an IPv6 client's own address where the guest has IPv6."""
    web.send(web.ip_to(daemon.call("Status")["gateway6"]) / UDP(sport=1, dport=1))
    web.drain()
    daemon.call("AddForward", listen="[::]:8080", to="web:80")
    outside = client(world.net, World.HOST6, 8080, World.SERVER6)
    inside = accept(web, 80)
    assert (inside.dst, inside.dport) == outside.getsockname()[:2]
    outside.sendall(b"six")
    assert inside.take(3) == b"six"


def test_refused_guest_port_resets_the_client(world, everywhere, web):
    outside = client(world.net, World.HOST4, 8080)  # the kernel has accepted before the guest was asked
    syn = web.expect(lambda p: TCP in p and p[TCP].dport == 80, what="SYN")
    web.send(web.ip_to(syn[IP].src) / TCP(sport=80, dport=syn[TCP].sport, flags="RA", seq=0, ack=syn[TCP].seq + 1))
    with pytest.raises(ConnectionResetError):
        outside.recv(10)


def test_guest_whose_firewall_refuses_resets_the_client(world, everywhere, web):
    outside = client(world.net, World.HOST4, 8080)
    syn = web.expect(lambda p: TCP in p and p[TCP].dport == 80, what="SYN")
    web.send(web.ip_to(syn[IP].src) / ICMP(type=3, code=13) / bytes(syn[IP])[:28])
    with pytest.raises(ConnectionResetError):
        outside.recv(10)


def test_guest_that_answers_late(world, everywhere, web):
    """One that boots: the SYN comes again, the same; what the client said meanwhile arrives."""
    outside = client(world.net, World.HOST4, 8080)
    outside.sendall(b"early words")
    first = web.expect(lambda p: TCP in p and p[TCP].dport == 80, what="SYN")
    second = web.expect(lambda p: TCP in p and p[TCP].dport == 80, what="SYN again")
    assert second[TCP].seq == first[TCP].seq and second[TCP].sport == first[TCP].sport
    inside = accept(web, 80)
    assert inside.take(11) == b"early words"


def test_nobody_there(world, daemon, guest):
    """No such guest: the client is reset at once, and served when the guest has come."""
    daemon.call("AddForward", listen="0.0.0.0:8080", to="web:80")
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        refused = client(world.net, World.HOST4, 8080)
        refused.recv(1)
    guest.lease(hostname=b"web")
    client(world.net, World.HOST4, 8080)
    assert accept(guest, 80)


def test_two_clients_with_the_same_port(world, everywhere, web):
    """Told apart by their addresses; two that the guest sees by one address get two ports."""
    one = client(world.net, World.HOST4, 8080, "198.51.100.10")
    first = accept(web, 80)
    two = world.net.socket()
    two.bind(("198.51.100.11", one.getsockname()[1]))
    two.connect((World.HOST4, 8080))
    two.settimeout(3)
    second = accept(web, 80)
    assert first.dport == second.dport and first.dst != second.dst
    first.send("PA", b"1")
    second.send("PA", b"2")
    assert one.recv(5) == b"1" and two.recv(5) == b"2"


def test_range(world, daemon, web):
    daemon.call("AddForward", listen="127.0.0.1:9000-9003", to="web:80")
    for offset in range(4):
        made = client(world.host, "127.0.0.1", 9000 + offset)
        inside = accept(web, 80 + offset)
        made.sendall(b"%d" % offset)
        assert inside.take(1) == b"%d" % offset


def test_unix_socket(world, daemon, web, home):
    path = home.path / "run" / "web.sock"
    daemon.call("AddForward", listen=str(path), to="web:80")
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(3)
    made.connect(str(path))
    inside = accept(web, 80)
    data = os.urandom(100000)
    made.settimeout(None)
    made.setblocking(False)
    sent, got = 0, b""
    while len(got) < len(data):
        if sent < len(data):
            try:
                sent += made.send(data[sent:])
            except BlockingIOError:
                pass
        segment = inside.expect(lambda t: payload_of(t), what="data")
        if segment.seq == inside.ack:
            got += payload_of(segment)
            inside.ack = (inside.ack + len(payload_of(segment))) & 0xffffffff
        inside.send("A")
    assert got == data
    daemon.call("RemoveForward", listen=str(path))
    assert not path.exists()


def test_udp(world, daemon, web):
    """Each client keeps its address and port; answers leave from the address that it used."""
    daemon.call("AddForward", listen="0.0.0.0:5353/udp", to="web:53")
    one = client(world.net, World.HOST4, 5353, "198.51.100.10", socket.SOCK_DGRAM)
    two = client(world.net, World.HOST4, 5353, "198.51.100.11", socket.SOCK_DGRAM)
    for made in (one, two):
        made.send(made.getsockname()[0].encode())
    for made in (one, two):
        packet = web.expect(lambda p: UDP in p and p[UDP].dport == 53 and p[IP].src == made.getsockname()[0], what="datagram")
        assert packet[UDP].sport == made.getsockname()[1]
        web.send(web.ip_to(packet[IP].src) / UDP(sport=53, dport=packet[UDP].sport) / b"answer to " / packet[IP].src.encode())
    for made in (one, two):
        assert made.recv(100) == b"answer to " + made.getsockname()[0].encode()
    assert daemon.call("ListForwards")["forwards"][0]["clients"] == 2
    daemon.call("RemoveForward", listen="0.0.0.0:5353/udp")
    assert daemon.call("Status")["flows"]["udp"] == 0


def test_port_that_is_taken(world, daemon, sockets):
    taken = sockets(world.host, "127.0.0.1")
    with pytest.raises(RuntimeError, match="another program"):
        daemon.call("AddForward", listen=f"127.0.0.1:{taken.getsockname()[1]}", to="web:80")
    assert daemon.call("ListForwards")["forwards"] == []


def test_range_that_is_half_taken(world, daemon, sockets):
    """All or nothing."""
    taken = sockets(world.host, "127.0.0.1", 9002)
    assert taken
    with pytest.raises(RuntimeError, match="9002"):
        daemon.call("AddForward", listen="127.0.0.1:9000-9003", to="web:80")
    sockets(world.host, "127.0.0.1", 9000)  # nothing of it is left


def test_port_for_root(daemon):
    with pytest.raises(RuntimeError, match="8080"):
        daemon.call("AddForward", listen="80", to="web:80")


def test_overlap(daemon):
    daemon.call("AddForward", listen="8080", to="web:80")
    with pytest.raises(RuntimeError, match="Exists"):
        daemon.call("AddForward", listen="8000-9000", to="web:80")
    daemon.call("AddForward", listen="8080/udp", to="web:80")


@pytest.mark.parametrize("listen,to", [("", "web:80"), ("99999", "web:80"), ("8080", ""), ("8080", "web"), ("8080", "web:0"), ("8080-8000", "web:80"),
                                       ("1.2.3:80", "web:80"), ("8080/sctp", "web:80"), ("8080", "-x:80"), ("9000-9999", "web:65000")])
def test_words_that_are_no_forward(daemon, listen, to):
    with pytest.raises(RuntimeError, match="Invalid"):
        daemon.call("AddForward", listen=listen, to=to)
    assert daemon.call("ListForwards")["forwards"] == []


def test_of_the_configuration(world, start, attach, home):
    """And changed by a reload, which leaves what is open alone."""
    daemon = start(config="[LAN]\n[Forward]\nListen = 0.0.0.0:8080\nTo = web:80\n")
    guest = attach(daemon)
    guest.lease(hostname=b"web")
    outside = client(world.net, World.HOST4, 8080)
    inside = accept(guest, 80)
    home.write(".config/hospes/default.lan", "[LAN]\n[Forward]\nListen = 0.0.0.0:8081\nTo = web:81\n")
    assert len(daemon.call("Reload")["changes"]) == 2
    with pytest.raises(ConnectionRefusedError):
        client(world.net, World.HOST4, 8080)
    client(world.net, World.HOST4, 8081)
    assert accept(guest, 81)
    outside.sendall(b"still")
    assert inside.take(5) == b"still"


def test_guest_goes(world, everywhere, web):
    """Its clients are reset: it may never come back."""
    outside = client(world.net, World.HOST4, 8080)
    accept(web, 80)
    web.close()
    with pytest.raises(ConnectionResetError):
        outside.recv(1)


def test_error_of_the_guest_does_not_end_a_connection(world, everywhere, web):
    """An ICMP "unreachable" is a hint (RFC 1122 section 4.2.3.9), and anybody could have sent it."""
    outside = client(world.net, World.HOST4, 8080)
    inside = accept(web, 80)
    outside.sendall(b"x")
    segment = web.expect(lambda p: TCP in p and payload_of(p[TCP]) == b"x")
    web.send(web.ip_to(segment[IP].src) / ICMP(type=3, code=1) / bytes(segment[IP])[:28])
    inside.ack += 1
    inside.send("PA", b"y")
    assert outside.recv(5) == b"y"
