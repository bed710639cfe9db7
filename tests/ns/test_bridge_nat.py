# SPDX-License-Identifier: MIT
"""Bridge LANs without an uplink: NAT with services of our own, isolated, routed. The guests are namespaces with real kernels."""

import json
import re
import socket
import threading

import pytest

from tests.support.bridge import assert_restored, difference, state_of
from tests.support.bridge_guest import KernelGuest
from tests.support.lan import USER, wait_for
from tests.support.netns import run

NAT = "[LAN]\nFabric = bridge\nBridge = br0\nNAT = yes\nIPv4 = 10.20.0.1/24\nAllow = hospes-test\n[Guest]\nName = web\nMAC = 52:54:00:12:34:57\nIPv4 = 10.20.0.50\n"


class Echo:
    """Answers each TCP connection with the client's address as it sees it."""

    def __init__(self, netns, address="0.0.0.0", port=0):
        self.socket = netns.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(8)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                client, peer = self.socket.accept()
                client.sendall(peer[0].encode())
                client.close()
        except OSError:
            pass

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


def ask(netns, address, port, seconds=3):
    """What the Echo at the other end says, or None if it is not reached."""
    with netns.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
        client.settimeout(seconds)
        try:
            client.connect((address, port))
            return client.recv(100).decode()
        except OSError:
            return None


@pytest.fixture
def nat(lan_world, plug, bridged, closing):
    """The NAT LAN is up, and has two guests with leases. Return: them, and the state before."""
    plug("static")
    before = state_of(lan_world.host)
    bridged.configure(NAT)
    bridged.hospes("up", "br0")
    guests = [closing(KernelGuest(bridged, name)) for name in ("web", "two")]
    for guest in guests:
        guest.told = guest.dhcp(lan_world.host.path)
    return guests, before


def test_services(lan_world, nat):
    """Lease, route, nameserver and an address by advertisement; the guest of the file has what stands there."""
    web, two = nat[0]
    assert web.told["ip"] == "10.20.0.50" and web.mac == "52:54:00:12:34:57"
    assert two.told["ip"].startswith("10.20.0.") and two.told["ip"] != web.told["ip"]
    for guest in (web, two):
        assert guest.told["router"] == "10.20.0.1" and guest.told["mask"] == "24"
        wait_for(lambda g=guest: "scope global" in g.ip("-6 address show dev eth0"), 15, "an address by advertisement")
        assert "default via fe80::" in guest.ip("-6 route")


def test_names(lan_world, nat):
    """The nameserver that the lease tells knows the guests and the host."""
    web, two = nat[0]
    server = two.told["dns"].split()[0]
    for name, want in (("web", web.told["ip"]), ("two", two.told["ip"])):
        for full in (name, f"{name}.{two.told.get('domain', 'hospes')}"):
            out = run(two.command(["busybox", "nslookup", "-type=a", full, server]))
            assert want in out, (full, out)


def test_out(lan_world, nat, closing):
    """Through masquerading: the server sees the host's own address. What comes in by itself does not get to a guest."""
    web, two = nat[0]
    server = closing(Echo(lan_world.server))
    assert ask(two, lan_world.SERVER4, server.port) == lan_world.HOST4
    assert lan_world.ping(two, lan_world.SERVER4)
    closing(Echo(web, port=8000))
    lan_world.lanhost.ip(f"route add 10.20.0.0/24 via {lan_world.HOST4}")
    try:
        assert ask(lan_world.lanhost, "10.20.0.50", 8000, 1) is None, "a NAT LAN is not routed from outside"
    finally:
        lan_world.lanhost.ip("route del 10.20.0.0/24")


def test_out_ipv6(lan_world, nat, closing):
    two = nat[0][1]
    wait_for(lambda: "scope global" in two.ip("-6 address show dev eth0 -tentative"), 15, "an address by advertisement")
    server = closing(Echo(lan_world.server, "::"))
    assert ask(two, lan_world.SERVER6, server.port) == lan_world.HOST6


def test_host_and_guests(lan_world, bridged, nat, closing):
    """Each reaches each: host and guests, by address; and the list shows them."""
    web, two = nat[0]
    closing(Echo(web, port=8000))
    host = closing(Echo(lan_world.host))
    assert ask(lan_world.host, "10.20.0.50", 8000) == "10.20.0.1"
    assert ask(two, "10.20.0.50", 8000) == two.told["ip"]
    assert ask(web, "10.20.0.1", host.port) == "10.20.0.50"
    rows = {g["name"]: g for g in json.loads(bridged.hospes("ls", "--json", "br0", user=USER))["guests"]}
    assert "10.20.0.50" in rows["web"]["addresses"] + [rows["web"].get("lease")] and rows["two"]["mac"] == two.mac


def test_forwards(lan_world, bridged, nat, closing):
    """A port of the host's, TCP and from another machine as from the host itself; gone when it is removed."""
    web = nat[0][0]
    closing(Echo(web, port=80))
    assert ask(lan_world.lanhost, lan_world.HOST4, 8080, 1) is None
    bridged.hospes("forward", "add", "-l", "br0", "0.0.0.0:8080", "web:80")
    assert "8080" in bridged.hospes("forward", "ls", "-l", "br0")
    assert ask(lan_world.lanhost, lan_world.HOST4, 8080) is not None
    assert ask(lan_world.host, lan_world.HOST4, 8080) is not None
    bridged.hospes("forward", "rm", "-l", "br0", "0.0.0.0:8080")
    assert ask(lan_world.lanhost, lan_world.HOST4, 8080, 1) is None


def test_forward_of_the_file(lan_world, plug, bridged, closing):
    plug("static")
    bridged.configure(NAT + "[Forward]\nListen = 0.0.0.0:8081/tcp\nTo = web:80\n")
    bridged.hospes("up", "br0")
    web = closing(KernelGuest(bridged, "web"))
    web.dhcp(lan_world.host.path)
    closing(Echo(web, port=80))
    assert ask(lan_world.lanhost, lan_world.HOST4, 8081) is not None


def test_nat_down(lan_world, bridged, nat):
    """Forwarding, rules, bridge: all as it was."""
    guests, before = nat
    for guest in guests:
        guest.detach()
    assert difference(before, state_of(lan_world.host))
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_lease_survives_service(lan_world, bridged, nat, closing):
    """A guest keeps its address when the service is started again, and when the LAN is."""
    two = nat[0][1]
    address, mac = two.told["ip"], two.mac
    two.detach()
    bridged.stop()
    bridged.start()
    again = closing(KernelGuest(bridged, "two-again", mac=mac))
    assert again.dhcp(lan_world.host.path)["ip"] == address


def test_service_killed(lan_world, bridged, nat):
    """SIGKILL: the next service mends what is left, and down ends in the state before."""
    guests, before = nat
    for guest in guests:
        guest.detach()
    bridged.kill()
    bridged.start()
    bridged.hospes("up", "br0")
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_isolated(lan_world, plug, bridged, closing):
    """Isolated = yes: the guests reach each other, and nothing else."""
    plug("static")
    before = state_of(lan_world.host)
    bridged.configure("[LAN]\nFabric = bridge\nBridge = br0\nIsolated = yes\nIPv4 = 10.30.0.0/24\nAllow = hospes-test\n")
    bridged.hospes("up", "br0")
    one, two = (closing(KernelGuest(bridged, name)) for name in ("one", "two"))
    for guest in (one, two):
        guest.told = guest.dhcp(lan_world.host.path)
    assert one.told and two.told, "an isolated LAN has leases too"
    assert not one.told.get("router"), "and no way out to tell of"
    assert lan_world.ping(one, two.told["ip"]) and lan_world.ping(two, one.told["ip"])
    one.ip("route replace default dev eth0")
    assert not lan_world.ping(one, lan_world.SERVER4, 1)
    assert not lan_world.ping(one, lan_world.HOST4, 1)
    one.detach(), two.detach()
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_routed(lan_world, plug, bridged, closing):
    """Neither uplink nor NAT: guests are reached from outside at their own addresses, by those who have a route."""
    plug("static")
    before = state_of(lan_world.host)
    bridged.configure("[LAN]\nFabric = bridge\nBridge = br0\nIPv4 = 10.40.0.1/24\nAllow = hospes-test\n")
    bridged.hospes("up", "br0")
    one = closing(KernelGuest(bridged, "one"))
    one.told = one.dhcp(lan_world.host.path)
    for end in (lan_world.lanhost, lan_world.router):
        end.ip(f"route add 10.40.0.0/24 via {lan_world.HOST4}")
    try:
        closing(Echo(one, port=8000))
        server = closing(Echo(lan_world.server))
        assert ask(lan_world.lanhost, one.told["ip"], 8000) == lan_world.LANHOST4
        assert ask(one, lan_world.SERVER4, server.port) == one.told["ip"], "no masquerading"
    finally:
        for end in (lan_world.lanhost, lan_world.router):
            end.ip("route del 10.40.0.0/24")
    one.detach()
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_subnet_that_overlaps(lan_world, plug, bridged):
    """A NAT LAN in the uplink's own network is refused, with the network's name."""
    plug("static")
    before = state_of(lan_world.host)
    bridged.configure(NAT.replace("10.20.0", "192.168.1"))
    bridged.hospes("up", "br0", status=1)
    assert re.search(r"192\.168\.1", bridged.stderr), bridged.stderr
    assert_restored(lan_world.host, before, 0)
