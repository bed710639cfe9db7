# SPDX-License-Identifier: MIT
"""Guests and users that are not to be trusted: what they may not do does not get through, and the same done rightly does."""

import json
import os
import socket
import subprocess
import time

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (ICMPv6ND_NA, ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptPrefixInfo, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from tests.support.bridge import OUTSIDER, BridgeWorld, assert_restored, state_of
from tests.support.bridge_guest import FrameGuest, Sniffer
from tests.support.lan import USER, varlink, wait_for
from tests.ns.test_bridge_updown import config

ROUTER4, LANHOST4 = BridgeWorld.ROUTER4, BridgeWorld.LANHOST4
BROADCAST = "ff:ff:ff:ff:ff:ff"


def guest_pair(lan_world, plug, bridged, closing, more=""):
    """Two guests with leases of the router's."""
    bridged.configure(config(plug("static"), more))
    bridged.hospes("up", "br0")
    guests = [closing(FrameGuest(bridged, name)) for name in ("one", "two")]
    for guest in guests:
        guest.lease()
    # The service learns the leases from the frames that pass by.
    wait_for(lambda: all(g.ip in str(listed(bridged)) for g in guests), 5, "the service to learn the leases")
    return guests


def listed(bridged, lan="br0"):
    path = lan_control(bridged, lan)
    with bridged.connect(path=path) as connection:
        return varlink(connection, "List")["guests"]


def lan_control(bridged, lan="br0"):
    return bridged.host.root / "run/hospes" / lan / "control"


@pytest.fixture
def pair(lan_world, plug, bridged, closing):
    return guest_pair(lan_world, plug, bridged, closing)


class Seen:
    """Marked frames from guest one: do they come out at the second LAN host, at the other guest, at the host?"""

    def __init__(self, lan_world, pair, closing):
        self.one, self.two = pair
        self.lanhost = closing(Sniffer(lan_world.lanhost))
        self.count = 0

    def passes(self, make):
        """make(marker) is sent, by a broadcast address so that everybody would get it, and behind it a frame as it should be: when that has come, the first did not get
        through if it is not there. Return: (second LAN host, other guest)."""
        self.count += 1
        marker, control = (b"%s-%06d-" % (word, self.count) + os.urandom(8).hex().encode() for word in (b"marker", b"control"))
        self.one.send(make(Raw(marker)))
        self.one.send(udp(self.one)(Raw(control)))
        found = self.lanhost.until(marker, control, 3)
        assert found is not None, "a frame as it should be did not come"
        return found, bool(self.two.until(marker, control, 0.5))


@pytest.fixture
def seen(lan_world, pair, closing):
    return Seen(lan_world, pair, closing)


def udp(one, src=None, mac=None, dst="192.168.1.255", sport=4000, dport=4001):
    return lambda marker: Ether(src=mac or one.mac, dst=BROADCAST) / IP(src=src or one.ip, dst=dst) / UDP(sport=sport, dport=dport) / marker


def test_mac(seen):
    one, two = seen.one, seen.two
    assert seen.passes(udp(one)) == (True, True)
    for mac in ("52:54:00:99:99:99", two.mac, "02:00:00:00:00:00"):
        assert seen.passes(udp(one, mac=mac)) == (False, False), mac
    assert seen.passes(udp(one)) == (True, True)


def test_ip(seen):
    one, two = seen.one, seen.two
    for src in (two.ip, ROUTER4, LANHOST4, "8.8.8.8"):
        assert seen.passes(udp(one, src=src)) == (False, False), src
    assert seen.passes(udp(one)) == (True, True)


def test_tag_hides_nothing(seen):
    """A wrong address behind an 802.1Q tag does not get through either."""
    one = seen.one
    for src, mac in ((ROUTER4, one.mac), (one.ip, seen.two.mac)):
        assert seen.passes(lambda m, s=src, e=mac: Ether(src=e, dst=BROADCAST) / Dot1Q(vlan=0) / IP(src=s, dst="192.168.1.255") / UDP(sport=1, dport=2) / m) == (False, False)


def test_arp(seen):
    """The marker is padding behind the ARP message, as far as the kernel cares."""
    one, two = seen.one, seen.two

    def arp(psrc, hwsrc=one.mac, op=2, pdst="192.168.1.250"):
        return lambda marker: Ether(src=one.mac, dst=BROADCAST) / ARP(op=op, hwsrc=hwsrc, psrc=psrc, hwdst=BROADCAST, pdst=pdst) / marker

    assert seen.passes(arp(one.ip)) == (True, True)
    assert seen.passes(arp(one.ip, op=1)) == (True, True)
    for op in (1, 2):
        assert seen.passes(arp(ROUTER4, op=op)) == (False, False), "the router's address, op %d" % op
        assert seen.passes(arp(two.ip, op=op)) == (False, False)
        assert seen.passes(arp(one.ip, hwsrc=two.mac, op=op)) == (False, False), "another's MAC inside"
    assert seen.passes(arp("0.0.0.0", op=1, pdst=one.ip)) == (True, True), "a probe before an address is taken"


def test_rogue_dhcp_server(lan_world, seen):
    one = seen.one

    def offer(marker):
        return (Ether(src=one.mac, dst=BROADCAST) / IP(src=one.ip, dst="255.255.255.255") / UDP(sport=67, dport=68) /
                BOOTP(op=2, yiaddr="192.168.1.66", siaddr=one.ip, chaddr=bytes(16)) / DHCP(options=[("message-type", "offer"), ("server_id", one.ip), "end"]) / marker)

    assert seen.passes(offer) == (False, False)
    assert one.dhcp("discover") is not None, "a client's messages pass"


def test_rogue_router(seen):
    """Advertisements, also behind extension headers and in the first fragment; solicitations pass."""
    one = seen.one
    source = link_local(one)

    def advert(*between):
        def make(marker):
            packet = Ether(src=one.mac, dst="33:33:00:00:00:01") / IPv6(src=source, dst="ff02::1", hlim=255)
            for header in between:
                packet /= header
            return packet / ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64) / marker
        return make

    assert seen.passes(advert()) == (False, False)
    assert seen.passes(advert(IPv6ExtHdrHopByHop(options=[]))) == (False, False)
    assert seen.passes(advert(IPv6ExtHdrDestOpt(options=[]))) == (False, False)
    assert seen.passes(lambda m: Ether(src=one.mac, dst="33:33:00:00:00:02") / IPv6(src=source, dst="ff02::2", hlim=255) / ICMPv6ND_RS() / m)[0]


def link_local(guest):
    """The address that a kernel makes from the MAC."""
    b = [int(x, 16) for x in guest.mac.split(":")]
    return f"fe80::{b[0] ^ 2:02x}{b[1]:02x}:{b[2]:02x}ff:fe{b[3]:02x}:{b[4]:02x}{b[5]:02x}"


def test_neighbour_of_another(lan_world, seen):
    """A guest does not answer for the router's IPv6 address with its own MAC, nor from it."""
    one = seen.one

    def advertise(src, target, inside=None):
        return lambda m: (Ether(src=one.mac, dst="33:33:00:00:00:01") / IPv6(src=src, dst="ff02::1", hlim=255) /
                          ICMPv6ND_NA(tgt=target, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=inside or one.mac) / m)

    assert seen.passes(advertise(link_local(one), link_local(one)))[0]
    assert seen.passes(advertise(link_local(one), link_local(one), inside=seen.two.mac)) == (False, False)


def test_router_cannot_be_stolen(lan_world, seen):
    """After all of that, the second LAN host still has the router's own MAC for its address."""
    one = seen.one
    lan_world.ping(lan_world.lanhost, ROUTER4)
    victim = json.loads(lan_world.lanhost.ip("-j link show eth0"))[0]["address"]
    time.sleep(1.2)  # the kernel believes nobody new for a second
    for _ in range(3):
        one.send(Ether(src=one.mac, dst=victim) / ARP(op=2, hwsrc=one.mac, psrc=ROUTER4, hwdst=victim, pdst=LANHOST4))
    time.sleep(0.2)
    assert one.mac not in lan_world.lanhost.ip(f"neigh show {ROUTER4}")
    assert lan_world.ping(lan_world.lanhost, lan_world.SERVER4)


def test_isolated_guests(lan_world, plug, bridged, closing):
    """Guests = isolated: each reaches the LAN and the host, but not the other."""
    pair = guest_pair(lan_world, plug, bridged, closing, "Guests = isolated\n")
    seen = Seen(lan_world, pair, closing)
    assert seen.passes(udp(seen.one)) == (True, False)
    at_host = closing(Sniffer(lan_world.host, "br0"))
    marker = os.urandom(8).hex().encode()
    seen.one.send(udp(seen.one)(Raw(marker)))
    assert at_host.seen(marker, 2)


# ---- users

def refused(bridged, error, method, user, **parameters):
    with pytest.raises(RuntimeError, match=error):
        if method == "Attach":
            bridged.attach(user=user, **parameters)
        else:
            bridged.call(method, user, **parameters)


def test_outsider(lan_world, plug, bridged):
    """A user outside Allow may ask for the status, and nothing else."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    assert "lans" in bridged.call("Status", OUTSIDER)
    for method in ("Up", "Down", "Plan", "Confirm"):
        parameters = {"down": False} if method == "Plan" else {}
        for user in (OUTSIDER, USER):
            refused(bridged, "NotAllowed", method, user, lan="br0", **parameters)
    assert_restored(lan_world.host, before, 0)
    bridged.hospes("up", "br0")
    up = state_of(lan_world.host)
    refused(bridged, "NotAllowed", "Attach", OUTSIDER, name="sly")
    assert_restored(lan_world.host, up, 0)
    reply, fd, connection = bridged.attach(name="fine")
    os.close(fd)
    connection.close()
    assert reply["name"] == "fine"
    bridged.hospes("up", "br0", user=OUTSIDER, status=1)
    assert "root" in bridged.stderr or "sudo" in bridged.stderr
    with pytest.raises((PermissionError, RuntimeError)):
        with bridged.connect(OUTSIDER, lan_control(bridged)) as connection:
                varlink(connection, "Register", {"name": "sly"})


@pytest.mark.parametrize("parameters", [
    {"lan": "../../etc"}, {"lan": "br0\0x"}, {"lan": "b" * 300}, {"lan": ""}, {"lan": "br 0"}, {"name": "Ä"}, {"name": "a" * 64}, {"name": "-x"}, {"name": "a;b"},
    {"mac": "01:00:5e:00:00:01"}, {"mac": "00:00:00:00:00:00"}, {"mac": "52:54:00"}, {"mac": "uplink"}, {"mac": "zz:54:00:00:00:01"}, {"vnet": 3}, {"lan": None}])
def test_wrong_names(lan_world, plug, bridged, parameters):
    """Refused, never cut short; nothing is made."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    up = state_of(lan_world.host)
    if parameters.get("mac") == "uplink":
        parameters = {"mac": json.loads(lan_world.host.ip("-j link show eth0"))[0]["address"]}
    with pytest.raises(RuntimeError):
        bridged.attach(**parameters)
    assert_restored(lan_world.host, up, 0)


def test_one_mac_once(lan_world, plug, bridged, closing):
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    first = closing(FrameGuest(bridged, "one"))
    with pytest.raises(RuntimeError):
        bridged.attach(name="two", mac=first.mac)
    with pytest.raises(RuntimeError):
        bridged.attach(name="one")


def test_quota(lan_world, plug, bridged):
    """A user's taps are counted, come free again, and are another user's none."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    up = state_of(lan_world.host)
    held = []
    try:
        with pytest.raises(RuntimeError, match="Quota"):
            for _ in range(400):
                held.append(bridged.attach())
        assert held
        root = bridged.attach(user=0)
        os.close(root[1])
        root[2].close()
    finally:
        for _, fd, connection in held:
            os.close(fd)
            connection.close()
    assert_restored(lan_world.host, up, 10)
    reply, fd, connection = bridged.attach()
    os.close(fd)
    connection.close()


def test_tap_goes_with_its_connection(lan_world, plug, bridged):
    """Descriptor and connection closed: no tap, no rule of it is left; while one process dies, others stay."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    up = state_of(lan_world.host)
    one, two = FrameGuest(bridged, "one"), FrameGuest(bridged, "two")
    assert {one.tap, two.tap} <= {link["ifname"] for link in json.loads(lan_world.host.ip("-j link"))}
    one.close()
    wait_for(lambda: one.tap not in lan_world.host.ip("link"), 5, "the tap's end")
    assert two.tap in lan_world.host.ip("link") and two.dhcp("discover") is not None
    two.close()
    assert_restored(lan_world.host, up, 5)


def test_down_with_guests(lan_world, plug, bridged, closing):
    """Refused while guests are attached, unless forced."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0")
    closing(FrameGuest(bridged, "one"))
    refused(bridged, "Busy", "Down", 0, lan="br0", force=False)
    bridged.call("Down", lan="br0", force=True)
    assert_restored(lan_world.host, before, 5)


@pytest.mark.parametrize("garbage", [b"", b"\0", b"{", b"{}\0", b"[]\0", b'{"method":1}\0', b'{"method":"org.hospes.Bridged.Attach"}\0', b"\xff" * 4096 + b"\0",
                                     b'{"method":"org.hospes.Bridged.Up","parameters":[]}\0', b"[" * 100000 + b"\0", b"A" * (4 << 20)], ids=range(11))
@pytest.mark.parametrize("user", [USER, OUTSIDER])
def test_garbage(lan_world, plug, bridged, garbage, user):
    """Half messages, no JSON, too much: the connection may end, the service goes on."""
    with bridged.connect(user) as connection:
        connection.settimeout(2)
        try:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except OSError:
            pass
    assert bridged.call("Status")["lans"] == []


def test_flood_of_connections(lan_world, plug, bridged):
    """An outsider that opens connections without end, each with half a message, keeps root from nothing."""
    held = []
    try:
        for _ in range(60):
            held.append(bridged.connect(OUTSIDER))
            held[-1].sendall(b'{"method":"org.hosp')
    except OSError:
        pass
    try:
        bridged.configure(config(plug("static")))
        bridged.hospes("up", "br0")
        bridged.hospes("down", "br0")
    finally:
        for connection in held:
            connection.close()


def test_privileges(lan_world, plug, bridged):
    """CAP_NET_ADMIN alone, no new privileges, a seccomp filter: as told by the kernel."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    status = dict(line.split(":", 1) for line in open(f"/proc/{bridged.process.pid}/status", encoding="ascii").read().splitlines())
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 1 << 12, status["CapEff"]
    assert int(status["CapBnd"], 16) & ~(1 << 12) == 0, status["CapBnd"]
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
    bridged.hospes("down", "br0")


def test_files(lan_world, plug, bridged):
    """The journal is root's alone; the socket is open to all, since the service asks the kernel who calls."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    shown = subprocess.run(lan_world.host.command(["find", "/var/lib/hospes", "/run/hospes", "-type", "f", "-perm", "/077"]), capture_output=True, text=True,
                           timeout=10, check=True).stdout
    assert not shown, shown
    bridged.hospes("down", "br0")
