# SPDX-License-Identifier: MIT
"""What a guest may reach of its host: lan, full, none."""

import socket

import pytest
from scapy.layers.inet import ICMP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach

from tests.support.netns import World
from tests.support.wire import GATEWAY4, Connection

# Where a listener of the host stands, and whether a guest reaches it at the gateway's address.
REACHES = {
    "lan": {"loopback": False, "own": True, "any": True},
    "full": {"loopback": True, "own": True, "any": True},
    "none": {"loopback": False, "own": False, "any": False},
}
PLACES = {"IPv4": {"loopback": "127.0.0.1", "own": World.HOST4, "any": "0.0.0.0"}, "IPv6": {"loopback": "::1", "own": World.HOST6, "any": "::"}}


@pytest.fixture(params=["lan", "full", "none"])
def access(request):
    return request.param


@pytest.fixture
def daemon(start, access):
    return start(config=f"[LAN]\nHostAccess = {access}\n")


@pytest.fixture(params=["IPv4", "IPv6"])
def version(request):
    return request.param


def gateway(daemon, version):
    return GATEWAY4 if version == "IPv4" else daemon.call("Status")["gateway6"]


@pytest.mark.parametrize("place", ["loopback", "own", "any"])
def test_tcp(world, daemon, guest, sockets, access, version, place):
    listener = sockets(world.host, PLACES[version][place])
    connection = Connection(guest, gateway(daemon, version), listener.getsockname()[1])
    connection.send("S")
    answer = connection.expect(what="answer")
    assert bool(answer.flags & 0x02) == REACHES[access][place] and bool(answer.flags & 0x04) != REACHES[access][place]
    if REACHES[access][place]:
        connection.ack = answer.seq + 1
        connection.send("PA", b"hello host")
        peer, client = listener.accept()
        peer.settimeout(3)
        assert peer.recv(20) == b"hello host"
        assert (client[0] in ("127.0.0.1", "::1")) == (access == "full" and place != "own")  # in `lan` nobody takes it for a local user


@pytest.mark.parametrize("place", ["loopback", "own", "any"])
def test_udp(world, daemon, guest, sockets, access, version, place):
    listener = sockets(world.host, PLACES[version][place], kind=socket.SOCK_DGRAM)
    address, port = gateway(daemon, version), listener.getsockname()[1]
    guest.send(guest.ip_to(address) / UDP(sport=999, dport=port) / b"hello host")
    if REACHES[access][place]:
        data, client = listener.recvfrom(100)
        assert data == b"hello host"
        listener.sendto(b"hello guest", client)
        answer = guest.expect(lambda p: UDP in p and p[UDP].dport == 999 and p[UDP].sport == port, what="answer")
        assert answer.getlayer(1).src == address
    else:
        guest.expect(lambda p: (ICMP in p and p[ICMP].type == 3) or ICMPv6DestUnreach in p, what="ICMP error")
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.recv(1)


def test_hosts_own_address(world, daemon, guest, sockets, access, version):
    """By the address that the world knows it by."""
    listener = sockets(world.host, PLACES[version]["any"])
    connection = Connection(guest, PLACES[version]["own"], listener.getsockname()[1])
    connection.send("S")
    assert bool(connection.expect(what="answer").flags & 0x02) == (access != "none")


def test_loopback_by_name(daemon, guest, grows, version):
    """127.0.0.1 and ::1 are the guest's own, whatever HostAccess says."""
    with grows(daemon, "martian"):
        guest.send(Connection(guest, "127.0.0.1" if version == "IPv4" else "::1", 22).segment("S"))


def test_the_internet_is_not_the_host(daemon, guest, server, access):
    connection = Connection(guest, *server.getsockname()[:2])
    connection.send("S")
    assert connection.expect(what="answer").flags & 0x02


def test_reload(start, attach, world, sockets, home):
    """HostAccess changes while the LAN is up."""
    daemon = start(config="[LAN]\nHostAccess = none\n")
    guest = attach(daemon)
    listener = sockets(world.host, "0.0.0.0")
    connection = Connection(guest, GATEWAY4, listener.getsockname()[1])
    connection.send("S")
    assert connection.expect(what="answer").flags & 0x04
    home.write(".config/hospes/default.lan", "[LAN]\nHostAccess = lan\n")
    assert any("HostAccess" in change for change in daemon.call("Reload")["changes"])
    Connection(guest, GATEWAY4, listener.getsockname()[1]).open()
