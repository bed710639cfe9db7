# SPDX-License-Identifier: MIT
"""Whose address is whose on a bridge LAN, in IPv6 too; and what was dropped, by guest and reason."""

import os
import re
import socket

import pytest
from scapy.layers.dhcp6 import DHCP6_Reply, DHCP6OptClientId, DHCP6OptIA_NA, DHCP6OptIAAddress, DHCP6OptServerId, DUID_LL
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from tests.support.bridge import BridgeWorld
from tests.support.bridge_guest import FrameGuest
from tests.support.lan import wait_for
from tests.ns.test_bridge_hostile import BROADCAST, Seen, guest_pair, link_local, listed, udp
from tests.ns.test_bridge_taps import drops_of
from tests.ns.test_bridge_updown import config

ALL6, FREE6 = "33:33:00:00:00:01", "2001:db8:1::77"


@pytest.fixture
def seen(lan_world, plug, bridged, closing):
    return Seen(lan_world, guest_pair(lan_world, plug, bridged, closing), closing)


def udp6(one, src, mac=None):
    return lambda marker: Ether(src=mac or one.mac, dst=ALL6) / IPv6(src=src, dst="ff02::1", hlim=255) / UDP(sport=4000, dport=4001) / marker


def probe(one, target):
    """Duplicate address detection: is this anybody's? (RFC 4862 section 5.4.2)"""
    return Ether(src=one.mac, dst=ALL6) / IPv6(src="::", dst="ff02::1", hlim=255) / ICMPv6ND_NS(tgt=target)


def advert(one, target, src=None, mac=None):
    return lambda marker: (Ether(src=one.mac, dst=ALL6) / IPv6(src=src or target, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=target, R=0, S=0, O=1) /
                           ICMPv6NDOptDstLLAddr(lladdr=mac or one.mac) / marker)


def addresses(bridged, name):
    return next(g["addresses"] for g in listed(bridged) if g["name"] == name)


def claim(bridged, guest, name, address):
    guest.send(probe(guest, address))
    wait_for(lambda: address in addresses(bridged, name), 5, f"{address} to be known as {name}'s")


def settled(bridged, one, check, seconds=5):
    """The rules follow what was learned a moment later."""
    wait_for(check, seconds, "the rules to follow")


def test_host_and_router(lan_world, seen):
    """Their addresses are no guest's: not as the sender, not in an advertisement."""
    one = seen.one
    for address in (BridgeWorld.HOST6, BridgeWorld.ROUTER6, re.search(r"fe80::[0-9a-f:]+", lan_world.host.ip("-6 address show dev br0 scope link")).group()):
        assert seen.passes(udp6(one, address)) == (False, False), address
        assert seen.passes(advert(one, address)) == (False, False), address
        assert seen.passes(advert(one, address, src=link_local(one))) == (False, False), address
    assert seen.passes(udp6(one, link_local(one))) == (True, True)
    assert seen.passes(udp6(one, FREE6)) == (True, True), "guests choose their own addresses"


def test_new_address_of_the_host(lan_world, bridged, seen):
    """One that the host takes while the LAN is up is its own from then on."""
    one = seen.one
    assert seen.passes(udp6(one, "2001:db8:1::55")) == (True, True)
    lan_world.host.ip("address add 2001:db8:1::55/64 dev br0 nodad")
    lan_world.host.ip("address add 192.168.1.55/24 dev br0")
    settled(bridged, one, lambda: seen.passes(udp6(one, "2001:db8:1::55")) == (False, False))
    lan_world.host.ip("address del 2001:db8:1::55/64 dev br0")
    lan_world.host.ip("address del 192.168.1.55/24 dev br0")
    settled(bridged, one, lambda: seen.passes(udp6(one, "2001:db8:1::55")) == (True, True))


def test_address_of_another(bridged, seen):
    """The first who is seen with an address has it, and what the other's MAC makes of itself is the other's anyhow."""
    one, two = seen.one, seen.two
    assert seen.passes(udp6(one, link_local(two))) == (False, False)
    assert seen.passes(advert(one, link_local(two))) == (False, False)
    claim(bridged, two, "two", FREE6)
    settled(bridged, one, lambda: seen.passes(udp6(one, FREE6)) == (False, False))
    assert seen.passes(advert(one, FREE6)) == (False, False)
    assert seen.passes(advert(one, FREE6, src=link_local(one))) == (False, False)
    # Its probe may pass, for whoever has it to answer; it is not believed.
    one.send(probe(one, FREE6))
    assert seen.passes(udp6(one, FREE6)) == (False, False)
    assert FREE6 not in addresses(bridged, "one") and FREE6 in addresses(bridged, "two")
    marker = os.urandom(12)
    two.send(udp6(two, FREE6)(Raw(marker)))
    assert seen.lanhost.seen(marker, 2), "its own passes"
    two.send(advert(two, FREE6)(Raw(b"advert" + marker)))
    assert seen.lanhost.seen(b"advert" + marker, 2)


def test_address_comes_free(bridged, seen):
    """With its guest's tap, an address is anybody's again."""
    one, two = seen.one, seen.two
    claim(bridged, two, "two", FREE6)
    settled(bridged, one, lambda: seen.passes(udp6(one, FREE6)) == (False, False))
    two.close()
    seen.two = one  # nobody else listens
    marker = os.urandom(12)

    def comes():
        one.send(udp6(one, FREE6)(Raw(marker)))
        return seen.lanhost.seen(marker, 0.3)

    settled(bridged, one, comes)
    claim(bridged, one, "one", FREE6)


def test_leased_address(lan_world, bridged, seen):
    """A lease of some DHCPv6 server of the LAN, as its answer passes by; it outranks what was only seen."""
    one, two = seen.one, seen.two
    leased = "2001:db8:1::1234"
    claim(bridged, one, "one", leased)
    reply = (Ether(src="02:00:00:00:00:09", dst=two.mac) / IPv6(src="fe80::9", dst=link_local(two)) / UDP(sport=547, dport=546) / DHCP6_Reply(trid=7) /
             DHCP6OptServerId(duid=DUID_LL(lladdr="02:00:00:00:00:09")) / DHCP6OptClientId(duid=DUID_LL(lladdr=two.mac)) /
             DHCP6OptIA_NA(iaid=1, ianaopts=[DHCP6OptIAAddress(addr=leased, preflft=300, validlft=600)]))
    with lan_world.lanhost.socket(socket.AF_PACKET, socket.SOCK_RAW) as server:
        server.bind(("eth0", 0))
        server.send(bytes(reply))
    wait_for(lambda: leased in addresses(bridged, "two"), 5, "the lease to be learned")
    assert leased not in addresses(bridged, "one")
    settled(bridged, one, lambda: seen.passes(udp6(one, leased)) == (False, False))
    assert seen.passes(advert(one, leased)) == (False, False)
    marker = os.urandom(12)
    two.send(udp6(two, leased)(Raw(marker)))
    assert seen.lanhost.seen(marker, 2)


def test_flood_of_claims(bridged, seen):
    """A guest that claims without end gets a few, and keeps nobody from being learned."""
    one, two = seen.one, seen.two
    for i in range(400):
        one.send(probe(one, f"2001:db8:1::f:{i:x}"))
    seen.lanhost.seen(b"nothing", 0.5)  # its queue is full of them
    claim(bridged, two, "two", FREE6)
    settled(bridged, one, lambda: seen.passes(udp6(one, FREE6)) == (False, False))
    assert 1 <= len([a for a in addresses(bridged, "one") if "::f:" in a]) <= 8


# ---- what was dropped

def abuses(one, two):
    """Frames that are dropped, by the reason that is counted. (One from a group's MAC does not come as far: a kernel's bridge takes none.)"""
    source = link_local(one)
    nd = Ether(src=one.mac, dst=ALL6) / IPv6(src=source, dst="ff02::1", hlim=255)
    return {
        "spoofed-mac": [udp(one, mac=two.mac), udp(one, mac="02:00:00:00:00:01"), advert(one, source, mac=two.mac),
                        lambda m: Ether(src=one.mac, dst=BROADCAST) / ARP(op=2, hwsrc=two.mac, psrc=one.ip) / m],
        "spoofed-ip": [udp(one, src=two.ip), udp(one, src="8.8.8.8"), udp6(one, link_local(two)), advert(one, link_local(two), src=source),
                       lambda m: Ether(src=one.mac, dst=BROADCAST) / ARP(op=2, hwsrc=one.mac, psrc=two.ip) / m],
        "martian": [lambda m: Ether(src=one.mac, dst="01:80:c2:00:00:00", type=0x88cc) / m],
        "no-protocol": [lambda m: Ether(src=one.mac, dst=BROADCAST) / Dot1Q(vlan=5) / IP(src=one.ip, dst="192.168.1.255") / m],
        "rogue-server": [lambda m: nd / ICMPv6ND_RA() / m, udp(one, sport=67, dport=68),
                         lambda m: Ether(src=one.mac, dst=ALL6) / IPv6(src=source, dst="ff02::1") / UDP(sport=547, dport=546) / m],
        "malformed": [lambda m: nd / ICMPv6ND_NA(tgt=source) / ICMPv6NDOptSrcLLAddr(lladdr=one.mac) / m],
    }


def test_drops(bridged, seen, closing):
    """Each abuse is counted once, at the guest that did it, by its name; and what was counted stays when rules or the service change."""
    one = seen.one
    assert drops_of(bridged) == {}
    wanted = {}
    for reason, frames in abuses(one, seen.two).items():
        for make in frames:
            one.send(make(Raw(os.urandom(8))))
        wanted[reason] = len(frames)
        assert drops_of(bridged) == wanted
    text = bridged.hospes("ls", "--drops", "br0")
    for reason, frames in wanted.items():
        assert re.search(rf"one +{frames} +{reason} ", text), text
    assert not re.search(r"\btwo\b", text), text
    # Other rules, and another service: the counters go on.
    three = closing(FrameGuest(bridged, "three"))
    assert drops_of(bridged) == wanted
    bridged.stop()
    bridged.start()
    assert drops_of(bridged) == wanted
    one.send(udp(one, mac=three.mac)(Raw(b"x")))
    wanted["spoofed-mac"] += 1
    assert drops_of(bridged) == wanted
    # A tap that comes later has the name of one that has gone, and not its counters.
    tap = one.tap
    one.close()
    wait_for(lambda: tap not in bridged.host.ip("link"), 5, "the tap's end")
    again = closing(FrameGuest(bridged, "four"))
    assert again.tap == tap and drops_of(bridged) == {}


def test_drops_without_a_program(bridged, seen):
    """Looking starts no nft."""
    watch = bridged.watch()
    bridged.hospes("ls", "--drops", "br0")
    assert not watch.stop()


def test_isolated(lan_world, plug, bridged, closing):
    """What guests that are kept apart say to each other is counted, where the kernel's bridge would drop it without a word."""
    one, two = guest_pair(lan_world, plug, bridged, closing, "Guests = isolated\n")
    marker = os.urandom(8).hex().encode()
    frame = Ether(src=one.mac, dst=two.mac) / IP(src=one.ip, dst=two.ip) / UDP(sport=1, dport=2) / Raw(marker)
    one.send(frame)
    assert not two.until(marker, marker, 1)
    assert drops_of(bridged) == {"policy": 1}
    bridged.configure(config("eth0"))
    assert "guests are together now" in bridged.hospes("reload", "br0")
    one.send(frame)
    assert two.until(marker, marker, 2)
