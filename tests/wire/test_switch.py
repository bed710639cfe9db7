# SPDX-License-Identifier: MIT
"""Between guests: learning, flooding, and who may not claim what."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether, LLC
from scapy.packet import Raw

from tests.support.lan import wait_for
from tests.support.netns import World
from tests.support.wire import GATEWAY4, GATEWAY_MAC, connect

PORTS = ["stream", "vhost"]

BROADCAST = "ff:ff:ff:ff:ff:ff"


def marked(packet, mark):
    return mark in bytes(packet)


def has(guest, mark, seconds=1.0):
    return guest.recv(lambda p: marked(p, mark), seconds) is not None


@pytest.fixture
def three(daemon, attach):
    guests = [attach(daemon, number) for number in (1, 2, 3)]
    for guest in guests:
        guest.announce()
    for guest in guests:
        guest.drain()
    return guests


def frame(source, to, mark):
    return Ether(src=source, dst=to, type=0x88b5) / Raw(mark + bytes(60))


def test_known_unicast_goes_to_one(three):
    one, two, other = three
    one.send(frame(one.mac, two.mac, b"for two"))
    assert has(two, b"for two")
    other.silence(lambda p: marked(p, b"for two"), 0.2)
    one.silence(lambda p: marked(p, b"for two"), 0.05)  # and never back


def test_unknown_unicast_is_flooded(three):
    one, two, other = three
    one.send(frame(one.mac, "02:00:00:00:00:99", b"anybody"))
    assert has(two, b"anybody") and has(other, b"anybody")


def test_unknown_unicast_does_not_trouble_the_gateway(daemon, three, grows):
    one = three[0]
    before = daemon.drops()
    one.send(frame(one.mac, "02:00:00:00:00:99", b"anybody"))
    assert has(three[1], b"anybody")
    assert daemon.drops() == before


@pytest.mark.parametrize("to", [BROADCAST, "01:00:5e:00:00:fb", "33:33:00:00:00:fb"])
def test_groups_are_flooded(three, to):
    one, two, other = three
    one.send(frame(one.mac, to, b"to all"))
    assert has(two, b"to all") and has(other, b"to all")
    one.silence(lambda p: marked(p, b"to all"), 0.05)


def test_broadcast_as_it_came(three):
    """Not a byte of a frame between guests changes."""
    one, two, _ = three
    sent = Ether(src=one.mac, dst=BROADCAST) / IP(src=one.ip, dst="10.0.2.255") / UDP(sport=137, dport=137) / Raw(bytes(range(200)))
    one.send(sent)
    assert bytes(two.expect(lambda p: UDP in p and p[UDP].dport == 137)) == bytes(sent)


def test_bridge_protocols_are_not_forwarded(daemon, three, grows):
    """Spanning tree and its like (IEEE 802.1Q table 8-1)."""
    one, two, _ = three
    with grows(daemon, "not-for-us"):
        one.send(Ether(src=one.mac, dst="01:80:c2:00:00:00", type=46) / LLC() / Raw(b"bpdu" + bytes(40)))
    two.silence(lambda p: marked(p, b"bpdu"), 0.2)


def test_ping_from_guest_to_guest(three):
    one, two, _ = three
    one.send(Ether(src=one.mac, dst=two.mac) / IP(src=one.ip, dst=two.ip) / ICMP(id=5, seq=6) / b"hello")
    request = two.expect(lambda p: ICMP in p and p[ICMP].type == 8)
    two.send(Ether(src=two.mac, dst=request.src) / IP(src=two.ip, dst=one.ip) / ICMP(type=0, id=5, seq=6) / b"hello")
    one.expect(lambda p: ICMP in p and p[ICMP].type == 0 and p[IP].src == two.ip)


def test_guest_that_moves(daemon, attach):
    """A MAC that nobody registered is where it was seen last."""
    one, two, first = attach(daemon, 1), attach(daemon, 2), attach(daemon, 3)
    first.announce()
    moved = attach(daemon, 4, mac=first.mac, ip=first.ip)
    one.send(frame(one.mac, first.mac, b"before"))
    assert has(first, b"before")
    moved.announce()
    one.send(frame(one.mac, first.mac, b"after"))
    assert has(moved, b"after")
    first.silence(lambda p: marked(p, b"after"), 0.1)
    two.silence(lambda p: marked(p, b"after"), 0.05)


def test_registered_mac_cannot_be_claimed(daemon, attach, grows):
    one, thief = attach(daemon, 1), attach(daemon, 2)
    daemon.call("Register", name="web", mac=one.mac)
    one.announce()
    thief.announce()
    with grows(daemon, "spoofed-mac"):
        thief.send(frame(one.mac, GATEWAY_MAC, b"it is me"))
    thief.send(frame(thief.mac, one.mac, b"still there"))
    assert has(one, b"still there")
    daemon.call("Unregister", name="web")
    thief.send(frame(one.mac, BROADCAST, b"now it is"))  # the same, unregistered: it moves
    assert has(one, b"now it is")


@pytest.mark.parametrize("mac,reason", [(GATEWAY_MAC, "spoofed-mac"), ("03:00:00:00:00:01", "spoofed-mac"), (BROADCAST, "spoofed-mac"),
                                        ("00:00:00:00:00:00", "malformed")])
def test_macs_that_are_no_guests(daemon, three, grows, mac, reason):
    one, two, _ = three
    with grows(daemon, reason):
        one.send(frame(mac, two.mac, b"not me"))
    two.silence(lambda p: marked(p, b"not me"), 0.1)


def test_leased_address_cannot_be_claimed(daemon, attach, grows):
    """A guest that speaks with another's address is not heard; the other's connections go on."""
    one, thief = attach(daemon, 1), attach(daemon, 2)
    one.lease()
    with grows(daemon, "spoofed-ip", 2):
        thief.send(thief.ether() / IP(src=one.ip, dst=World.SERVER4) / UDP(sport=1, dport=1))
        thief.send(thief.ether(BROADCAST) / ARP(op=1, hwsrc=thief.mac, psrc=one.ip, pdst=GATEWAY4))
    assert one.ip not in daemon.call("Resolve", guest=thief.mac)["guest"]["addresses"]
    thief.send(thief.ether() / IP(src=thief.ip, dst=World.SERVER4) / UDP(sport=1, dport=1))
    wait_for(lambda: thief.ip in daemon.call("Resolve", guest=thief.mac)["guest"]["addresses"], what="its own address")


@pytest.mark.parametrize("source", [GATEWAY4, "10.0.2.3", "192.0.2.77", "10.0.2.255", "127.0.0.1", "224.0.0.1"])
def test_addresses_that_are_no_guests(daemon, guest, grows, source):
    with grows(daemon, "spoofed-ip"):
        guest.send(guest.ether() / IP(src=source, dst=World.SERVER4) / UDP(sport=1, dport=1))
    assert daemon.call("Status")["flows"]["udp"] == 0


def test_segment_of_another_guests_connection(daemon, attach, server4, grows):
    """Same addresses and ports and numbers, but from another guest."""
    one, thief = attach(daemon, 1), attach(daemon, 2)
    connection, peer = connect(one, server4)
    with grows(daemon, "spoofed-ip"):
        thief.send(thief.ether() / IP(src=one.ip, dst=connection.dst) / TCP(sport=connection.sport, dport=connection.dport, seq=connection.seq,
                                                                             ack=connection.ack, flags="PA") / b"injected")
    connection.send("PA", b"genuine")
    assert peer.recv(100) == b"genuine"


def test_too_many_macs_behind_one_port(daemon, attach, grows):
    """A guest cannot fill the table for the others."""
    flood, two = attach(daemon, 1), attach(daemon, 2)
    two.announce()
    with grows(daemon, "mac-table-full", 44):
        flood.send(*[frame(f"02:00:00:01:{n >> 8:02x}:{n & 255:02x}", BROADCAST, b"flood") for n in range(300)])
    flood.drain()
    two.announce()


def test_guest_that_does_not_read(daemon, attach):
    """Its frames are dropped and counted; the others go on."""
    one, deaf, two = attach(daemon, 1), attach(daemon, 2), attach(daemon, 3)
    for guest in (one, deaf, two):
        guest.announce()
    for _ in range(60):
        one.send(*[frame(one.mac, deaf.mac, bytes(1400)) for _ in range(50)])
    wait_for(lambda: daemon.drops().get("port-full", 0) > 0, 5, "drops at the full port")
    one.send(frame(one.mac, two.mac, b"unhindered"))
    assert has(two, b"unhindered")
    deaf.drain(0.2)
    one.send(frame(one.mac, deaf.mac, b"awake again"))
    assert has(deaf, b"awake again")


def test_port_that_closes(daemon, attach, port):
    kind = "stream" if port == "stream" else "vhost"
    one, two = attach(daemon, 1), attach(daemon, 2)
    one.announce()
    two.announce()
    assert [p["kind"] for p in daemon.call("List")["ports"]].count(kind) == 2
    two.close()
    wait_for(lambda: [p["kind"] for p in daemon.call("List")["ports"]].count(kind) == 1, what="the port's end")
    states = {g["mac"]: g["state"] for g in daemon.call("List")["guests"]}
    assert states.get(two.mac) in (None, "away") and states[one.mac] == "attached"


def test_list_counts(daemon, attach):
    one, two = attach(daemon, 1), attach(daemon, 2)
    one.announce()
    two.announce()
    before = {p["id"]: p for p in daemon.call("List")["ports"]}
    one.send(*[frame(one.mac, two.mac, bytes(100)) for _ in range(10)])
    two.drain()
    ids = {g["mac"]: g["port"] for g in daemon.call("List")["guests"]}
    after = {p["id"]: p for p in daemon.call("List")["ports"]}
    assert after[ids[one.mac]]["frames_from_guest"] - before[ids[one.mac]]["frames_from_guest"] == 10
    assert after[ids[two.mac]]["frames_to_guest"] - before[ids[two.mac]]["frames_to_guest"] == 10
    assert after[ids[two.mac]]["bytes_to_guest"] - before[ids[two.mac]]["bytes_to_guest"] == 10 * 174
