# SPDX-License-Identifier: MIT
"""ARP, neighbour discovery and router advertisements."""

import socket

import pytest
from scapy.layers.inet6 import (ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6NDOptDNSSL, ICMPv6NDOptDstLLAddr, ICMPv6NDOptMTU,
                                ICMPv6NDOptPrefixInfo, ICMPv6NDOptRDNSS, ICMPv6NDOptSrcLLAddr, IPv6, UDP)
from scapy.layers.l2 import ARP, Ether

from tests.support.lan import wait_for
from tests.support.wire import DNS4, GATEWAY4, GATEWAY_MAC

PORTS = ["stream", "packed"]

LINK_LOCAL, GATEWAY_LINK_LOCAL = "fe80::ff:fe00:1", "fe80::5055:aff:fe00:202"


def solicited(target):
    """The group and MAC that a solicitation for an address goes to."""
    last = socket.inet_pton(socket.AF_INET6, target)[-3:]
    group = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:-3] + last)
    return group, "33:33:ff:" + ":".join(f"{b:02x}" for b in last)


def solicit(guest, target, source=LINK_LOCAL, link=True, **fields):
    group, mac = solicited(target)
    packet = Ether(src=guest.mac, dst=mac) / IPv6(src=source, dst=group, hlim=fields.pop("hlim", 255)) / ICMPv6ND_NS(tgt=target, **fields)
    return packet / ICMPv6NDOptSrcLLAddr(lladdr=guest.mac) if link else packet


def own6(daemon):
    status = daemon.call("Status")
    return [status["gateway6"], status["dns6"], GATEWAY_LINK_LOCAL]


@pytest.mark.parametrize("address", [GATEWAY4, DNS4])
def test_arp(guest, address):
    guest.send(guest.ether("ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=guest.mac, psrc=guest.ip, pdst=address))
    answer = guest.expect(lambda p: ARP in p and p[ARP].op == 2, what="ARP answer")
    assert (answer[ARP].hwsrc, answer[ARP].psrc, answer.dst) == (GATEWAY_MAC, address, guest.mac)


def test_arp_probe_of_the_gateways_address(guest):
    """Somebody is about to take it (RFC 5227): that is a conflict."""
    guest.send(guest.ether("ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=guest.mac, psrc="0.0.0.0", pdst=GATEWAY4))
    guest.expect(lambda p: ARP in p and p[ARP].op == 2 and p[ARP].psrc == GATEWAY4, what="ARP answer")


def test_arp_for_somebody_else(guest):
    guest.send(guest.ether("ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=guest.mac, psrc=guest.ip, pdst="10.0.2.77"))
    guest.silence(lambda p: ARP in p)


def test_arp_with_another_mac_inside(daemon, guest, grows):
    with grows(daemon, "malformed"):
        guest.send(guest.ether() / ARP(op=1, hwsrc="02:00:00:00:00:77", psrc=guest.ip, pdst=GATEWAY4))


def test_neighbour_solicitation(daemon, guest):
    for target in own6(daemon):
        guest.send(solicit(guest, target))
        answer = guest.expect(lambda p: ICMPv6ND_NA in p and p[ICMPv6ND_NA].tgt == target, what=f"advertisement of {target}")
        advertisement = answer[ICMPv6ND_NA]
        assert (advertisement.R, advertisement.S, advertisement.O) == (1, 1, 1)
        assert answer[ICMPv6NDOptDstLLAddr].lladdr == GATEWAY_MAC and answer.dst == guest.mac
        assert answer[IPv6].hlim == 255 and answer[IPv6].dst == LINK_LOCAL


def test_unicast_solicitation_without_option(daemon, guest):
    """A neighbour that is only asked whether it is still there."""
    target = own6(daemon)[0]
    guest.send(guest.ether() / IPv6(src=guest.ip6, dst=target, hlim=255) / ICMPv6ND_NS(tgt=target))
    guest.expect(lambda p: ICMPv6ND_NA in p and p[ICMPv6ND_NA].tgt == target, what="advertisement")


def test_duplicate_address_detection_of_our_address(daemon, guest):
    """Everybody hears whose it is (RFC 4861 section 7.2.4)."""
    for target in own6(daemon):
        guest.send(solicit(guest, target, "::", link=False))
        answer = guest.expect(lambda p: ICMPv6ND_NA in p and p[ICMPv6ND_NA].tgt == target, what="advertisement")
        assert answer[IPv6].dst == "ff02::1" and answer.dst == "33:33:00:00:00:01" and answer[ICMPv6ND_NA].S == 0


def test_duplicate_address_detection_between_guests(daemon, attach):
    """The gateway does not defend what is not its own; the other guest hears the probe and can."""
    one, two = attach(daemon, 1), attach(daemon, 2)
    two.announce()
    one.send(solicit(one, two.ip6, "::", link=False))
    two.expect(lambda p: ICMPv6ND_NS in p and p[ICMPv6ND_NS].tgt == two.ip6 and p[IPv6].src == "::", what="probe")
    one.silence(lambda p: ICMPv6ND_NA in p, 0.2)


@pytest.mark.parametrize("wrong", ["hop limit", "code", "multicast target", "probe with option", "checksum"])
def test_wrong_solicitations(daemon, guest, grows, wrong):
    target = own6(daemon)[0]
    packet = {"hop limit": lambda: solicit(guest, target, hlim=64), "code": lambda: solicit(guest, target, code=1),
              "multicast target": lambda: solicit(guest, "ff02::1"), "probe with option": lambda: solicit(guest, target, "::"),
              "checksum": lambda: solicit(guest, target, cksum=0x1111)}[wrong]()
    with grows(daemon, "checksum" if wrong == "checksum" else "malformed"):
        guest.send(packet)
    guest.silence(lambda p: ICMPv6ND_NA in p, 0.1)


@pytest.mark.parametrize("source", ["::", LINK_LOCAL])
def test_router_solicitation(daemon, guest, source):
    option = ICMPv6NDOptSrcLLAddr(lladdr=guest.mac) if source != "::" else b""
    guest.drain()
    guest.send(Ether(src=guest.mac, dst="33:33:00:00:00:02") / IPv6(src=source, dst="ff02::2", hlim=255) / ICMPv6ND_RS() / option)
    answer = guest.expect(lambda p: ICMPv6ND_RA in p, what="router advertisement")
    status = daemon.call("Status")
    advertisement = answer[ICMPv6ND_RA]
    assert answer[IPv6].src == GATEWAY_LINK_LOCAL and answer[IPv6].hlim == 255
    assert answer[IPv6].dst == ("ff02::1" if source == "::" else source)
    assert advertisement.routerlifetime > 0 and advertisement.M == 1 and advertisement.O == 1 and advertisement.chlim == 64
    prefix = answer[ICMPv6NDOptPrefixInfo]
    assert f"{prefix.prefix}/{prefix.prefixlen}" == status["network6"] and prefix.L == 1 and prefix.A == 1
    assert 0 < prefix.preferredlifetime < prefix.validlifetime
    assert answer[ICMPv6NDOptMTU].mtu == 1500
    assert answer[ICMPv6NDOptRDNSS].dns == [status["dns6"]]
    domains = [d.decode() if isinstance(d, bytes) else d for d in answer[ICMPv6NDOptDNSSL].searchlist]
    assert [d.rstrip(".") for d in domains] == ["hospes"]
    assert answer[ICMPv6NDOptSrcLLAddr].lladdr == GATEWAY_MAC


def test_gateway_says_when_it_goes(start, attach):
    """An advertisement with no lifetime, so that guests look for another router."""
    daemon = start()
    guest = attach(daemon)
    guest.announce()
    guest.drain()
    daemon.process.terminate()
    answer = guest.expect(lambda p: ICMPv6ND_RA in p, what="last advertisement")
    assert answer[ICMPv6ND_RA].routerlifetime == 0 and answer[ICMPv6NDOptPrefixInfo].preferredlifetime == 0
    assert answer[ICMPv6NDOptRDNSS].lifetime == 0


def test_no_ipv6(start, attach, grows):
    daemon = start(config="[LAN]\nIPv6 = none\n")
    guest = attach(daemon)
    with grows(daemon, "no-protocol"):
        guest.send(Ether(src=guest.mac, dst="33:33:00:00:00:02") / IPv6(src="::", dst="ff02::2", hlim=255) / ICMPv6ND_RS())
    guest.silence(lambda p: IPv6 in p, 0.2)


def test_advertisement_of_the_gateways_address_by_a_guest(daemon, guest, grows):
    gateway6 = own6(daemon)[0]
    with grows(daemon, "spoofed-ip"):
        guest.send(guest.ether("33:33:00:00:00:01") / IPv6(src=guest.ip6, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=gateway6, R=1, O=1, S=0) /
                   ICMPv6NDOptDstLLAddr(lladdr=guest.mac))


def test_addresses_are_learned(daemon, guest):
    """From what the guest itself sends, and shown where guests are listed."""
    guest.announce()
    guest.send(guest.ip_to(own6(daemon)[0]) / UDP(sport=1, dport=1))
    wait_for(lambda: {guest.ip, guest.ip6} <= set(daemon.call("Resolve", guest=guest.mac)["guest"]["addresses"]), what="both addresses")
