# SPDX-License-Identifier: MIT
"""User-mode Linux on the vhost socket: a real kernel's virtio-net driver at native speed, gigabytes that are hashed at both ends, guests that are killed."""

import concurrent.futures
import contextlib
import hashlib
import ipaddress
import os
import socket

import pytest

from tests.support import peer
from tests.support.lan import Daemon, Home, wait_for
from tests.support.netns import World
from tests.support.transfer import served
from tests.support.uml import Uml
from tests.support.vhost_traffic import descriptors

GIB = 1 << 30
MTUS = 1500, 65520


@pytest.fixture(scope="module", params=MTUS)
def lan(world, request):
    """A LAN of that MTU."""
    home = Home()
    daemon = Daemon(world.host, home, config=f"[LAN]\nMTU = {request.param}\n")
    daemon.mtu = request.param
    yield daemon
    daemon.stop()
    home.remove()


@pytest.fixture(scope="module")
def pair(world, lan):
    """Two guests on it, each with a lease: their addresses are address4 and address6."""
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor())
        guests = [Uml(world.host, lan, f"uml-{number}", f"02:00:00:00:01:{number:02x}") for number in (1, 2)]
        for guest in guests:
            stack.callback(guest.close)
        list(pool.map(start, guests))
        yield guests


def start(guest):
    guest.boot()
    guest.address4 = guest.dhcp()
    guest.address6 = guest.wait_address6()


def ports(daemon):
    return [port for port in daemon.call("List")["ports"] if port["kind"] == "vhost"]


def flows(daemon):
    return sum(daemon.call("Status")["flows"].values())


def outcome(text):
    """What peer.py printed: bytes and hash; its speed is told."""
    size, digest, speed = text.split()
    print(f"{speed} Gbit/s")
    return int(size), digest


def with_host(world, guest, verb, address, size):
    """A stream between a guest and a server on the internet. Return: what was sent, and what was received."""
    line = f"{guest.peer} {verb} {{}} {{}} {size if verb == 'send' else ''}"
    with concurrent.futures.ThreadPoolExecutor() as pool, served(world, guest, line, address) as connection:
        ours = pool.submit(*((peer.receive, connection) if verb == "send" else (peer.send, connection, size)))
        far = ours.result(90)
    near = outcome(guest.wait(60))
    return (near, far) if verb == "send" else (far, near)


def between(one, other, address, size):
    """A stream from one guest to another's address."""
    other.begin(f"{other.peer} serve {address} 7000")
    other.read_until("ready\n", 20)
    sent = outcome(one.shell(f"{one.peer} send {address} 7000 {size}", 90))
    return sent, outcome(other.wait(20))


def test_lease(lan, pair):
    """The lease is the one that the LAN knows of; the MTU is the LAN's; names and addresses of both versions answer."""
    guests = {g["mac"]: g for g in lan.call("List")["guests"]}
    for guest in pair:
        assert guests[guest.mac]["lease"] == guest.address4 and guests[guest.mac]["state"] == "attached"
        assert ipaddress.ip_address(guest.address6) in ipaddress.ip_network(lan.call("Status")["network6"])
        assert guest.shell("cat /sys/class/net/eth0/mtu") == str(lan.mtu)
        for address in ("10.0.2.2", pair[0].address4, pair[1].address4, pair[0].address6, pair[1].address6):
            guest.shell(f"ping -c 1 -W 5 {address}")
    assert sorted(port["kind"] for port in lan.call("List")["ports"]) == ["gateway", "vhost", "vhost"]


@pytest.mark.parametrize("verb", ["send", "receive"])
@pytest.mark.parametrize("address", [World.SERVER4, World.SERVER6])
def test_bytes(world, lan, pair, address, verb):
    """A gibibyte each way at the usual MTU, and less of it with IPv6 and with large packets."""
    size = GIB if lan.mtu == 1500 and address == World.SERVER4 else GIB // 8
    before = {port["id"]: port for port in ports(lan)}
    sent, received = with_host(world, pair[0], verb, address, size)
    assert sent == received and sent[0] == size
    assert not set(lan.drops()) & {"checksum", "short", "oversize", "malformed"}, lan.drops()
    # Segments are whole on the ring, whatever the MTU: far fewer frames than segments.
    way = "from_guest" if verb == "send" else "to_guest"
    frames, carried = (sum(port[f"{what}_{way}"] - before[port["id"]][f"{what}_{way}"] for port in ports(lan)) for what in ("frames", "bytes"))
    assert carried >= size and carried / frames > 8000, f"{carried} bytes in {frames} frames"


@pytest.mark.parametrize("version", [4, 6])
def test_guest_to_guest(lan, pair, version):
    for one, other in (pair, pair[::-1]):
        sent, received = between(one, other, getattr(other, f"address{version}"), GIB // 16)
        assert sent == received and sent[0] == GIB // 16


def test_a_changed_byte_is_noticed():
    """The comparison above can fail: one bit of a stream makes another hash."""
    one, other = socket.socketpair()
    with one, other, concurrent.futures.ThreadPoolExecutor() as pool:
        got = pool.submit(peer.receive, other)
        data = os.urandom(1 << 20)
        one.sendall(data[:-1] + bytes([data[-1] ^ 1]))
        one.shutdown(socket.SHUT_WR)
        size, digest = got.result(10)
    assert size == len(data) and digest != hashlib.blake2b(data).hexdigest()


def test_killed_and_started_again(world, lan, pair):
    """SIGKILL in the middle of a stream: the other guest and the daemon go on, it comes back with the same lease, and nothing is left of what it was before."""
    wait_for(lambda: not flows(lan), 10, "the end of older flows")
    before, address = descriptors(lan), pair[0].address4
    for verb in ("send", "receive"):
        with served(world, pair[0], f"{pair[0].peer} {verb} {{}} {{}} {GIB}") as connection:
            for _ in range(20):
                connection.recv(1 << 20) if verb == "send" else connection.sendall(bytes(1 << 20))
            pair[0].kill()
            wait_for(lambda: len(ports(lan)) == 1, 5, "the port to go")
        pair[1].shell("ping -c 1 -W 5 10.0.2.2")
        pair[0].boot()
        assert pair[0].dhcp() == address
    pair[0].shell(f"ping -c 1 -W 5 {pair[1].address4}")
    sent, received = with_host(world, pair[0], "send", World.SERVER4, GIB // 16)
    assert sent == received
    # Flows of the killed guest are probed a minute later, and most have a socket until then (not one that the server has reset).
    wait_for(lambda: descriptors(lan) - flows(lan) <= before, 5, f"{before} descriptors; there are {descriptors(lan)}, {flows(lan)} of them of flows")
